//! Who owns the machine, and what nobody in particular may do.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use abi::{MREPL, OREAD, OWRITE, error};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::Src;
use port::proc::exit;
use port::testkit::Hosted;

fn machine(config: &[(&str, &str)]) -> Hosted {
    let t = Hosted::with(Vec::new(), Vec::new(), config);
    for (dev, at) in [("#c", "/dev"), ("#p", "/proc"), ("#e", "/env"), ("#s", "/srv")] {
        sysfile::bind(&t.up, dev, at, MREPL).unwrap();
    }
    t
}

#[test]
fn the_command_line_names_the_owner() {
    let t = machine(&[("user", "kremvax"), ("user", "bob")]);
    assert_eq!(t.read("/dev/hostowner").unwrap(), b"bob");
    assert_eq!(t.read("/dev/user").unwrap(), b"bob");
    assert!(t.up.is_hostowner());
    // What is no name is nobody's.
    let long = "x".repeat(28);
    for bad in ["", "a b", "a/b", "a\nb", &long] {
        assert_eq!(machine(&[("user", bad)]).read("/dev/user").unwrap(), b"glenda", "{bad:?}");
    }
}

#[test]
fn none_is_kept_from_others_and_from_its_like() {
    let t = machine(&[]);
    let (one, other) = (t.process(), t.process());
    for p in [&one, &other] {
        *p.user.lock() = "none".into();
    }
    for (pid, good) in [(t.up.pid, false), (other.pid, false), (one.pid, true)] {
        for (file, mode) in [("ctl", OWRITE), ("note", OWRITE), ("noteid", OWRITE), ("mem", OREAD)] {
            let opened = sysfile::open(&one, &format!("/proc/{pid}/{file}"), mode);
            match opened {
                Ok(_) => assert!(good, "{pid}/{file}"),
                Err(e) => assert!(!good && e.is(error::EPERM), "{pid}/{file}: {e}"),
            }
        }
        sysfile::open(&one, &format!("/proc/{pid}/status"), OREAD).unwrap();
    }
}

/// The directory of a pipe is the owner's; its ends are everybody's.
#[test]
fn directories_of_devices_have_permissions_too() {
    let t = machine(&[]);
    let none = t.process();
    *none.user.lock() = "none".into();
    sysfile::open(&t.up, "#|", OREAD).unwrap();
    assert!(sysfile::open(&none, "#|", OREAD).unwrap_err().is(error::EPERM));
    sysfile::pipe(&none).unwrap();
    sysfile::open(&none, "/dev", OREAD).unwrap();
}

/// The numbers of note groups are no process ids, and nobody is in a group with a stranger but by becoming one.
#[test]
fn note_groups_keep_users_apart() {
    let t = machine(&[]);
    let of = |user: &str| {
        let p = t.process();
        *p.user.lock() = user.into();
        p
    };
    let set = |p: &Proc, id: u32| {
        let fd = sysfile::open(&t.up, &format!("/proc/{}/noteid", p.pid), OWRITE).unwrap();
        sysfile::pwrite(&t.up, fd, &Src::Kernel(format!("{id}").as_bytes()), -1).map(|_| p.noteid())
    };
    let mine = t.up.noteid();
    for _ in 0..100 {
        let p = of("bob");
        assert_ne!(p.pid, mine);
        t.kernel.procs.lock().remove(&p.pid);
    }
    let (bob, other, none) = (of("bob"), of("bob"), of("none"));
    assert!(set(&bob, mine + 1).unwrap_err().is(error::EBADARG), "there is no such group");
    assert_eq!(set(&bob, bob.pid).unwrap(), bob.pid);
    assert!(set(&bob, mine).unwrap_err().is(error::EPERM));
    assert_eq!(set(&other, bob.pid).unwrap(), bob.pid);
    assert!(set(&none, bob.pid).unwrap_err().is(error::EPERM));
    // Who becomes none stays in its group, but has nothing to say there.
    *other.user.lock() = "none".into();
    assert!(set(&none, bob.pid).unwrap_err().is(error::EPERM), "none is there, and so is bob");
    let tell = |from: &std::sync::Arc<Proc>| {
        let fd = sysfile::open(from, &format!("/proc/{}/notepg", from.pid), OWRITE).unwrap();
        sysfile::pwrite(from, fd, &Src::Kernel(b"hello"), -1).unwrap();
    };
    let told = |p: &Proc| p.notes.lock().queue.drain(..).count();
    tell(&other);
    assert_eq!((told(&bob), told(&other)), (0, 0));
    *other.user.lock() = "bob".into();
    tell(&other);
    assert_eq!((told(&bob), told(&other)), (1, 0));
    // The owner tells everybody.
    t.up.noteid.store(bob.pid, std::sync::atomic::Ordering::Relaxed);
    *other.user.lock() = "none".into();
    tell(&t.up);
    assert_eq!((told(&bob), told(&other), told(&t.up)), (1, 1, 0));
}

/// With the first process the machine ends. Whoever looks for the reason is told who sent it what it may have died of.
#[test]
fn the_end_of_the_first_process_has_a_name() {
    let said = |file: &str, text: &str| {
        let t = machine(&[]);
        let told = Arc::new(Mutex::new(String::new()));
        let kept = told.clone();
        t.kernel.first_ended.call_once(|| Box::new(move |why| *kept.lock().unwrap() = why.into()));
        let other = t.process();
        assert_eq!((t.up.pid, other.pid), (1, 2));
        if !file.is_empty() {
            let fd = sysfile::open(&other, file, OWRITE).unwrap();
            sysfile::pwrite(&other, fd, &Src::Kernel(text.as_bytes()), -1).unwrap();
        }
        exit::exit(&t.up, "why");
        told.lock().unwrap().clone()
    };
    let by = |what: &str| format!("why ({what:?} came from process 2 (init) of glenda)");
    assert_eq!(said("", ""), "why");
    assert_eq!(said("/proc/1/ctl", "kill"), by("kill"));
    assert_eq!(said("/proc/1/note", "one\nline"), by("one\nline"));
    assert_eq!(said("/proc/2/notepg", "hangup"), by("hangup"), "they are in one group");
    assert_eq!(said("/proc/1/ctl", "hang"), "why", "that kills nobody");
    assert_eq!(said("/proc/2/ctl", "kill"), "why", "that kills somebody else");
}
