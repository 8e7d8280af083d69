//! `#9`: the PID cache, `/dev/mtags`, and what several mounts of a tag share.

mod wire;

use std::sync::Arc;

use abi::{MAFTER, ORDWR, OREAD, OWRITE, error};
use io::message::Transport;
use ninep::kind;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::mnt::{MntDev, Patience};
use port::proc::exit;
use port::testkit::Hosted;
use port::{Proc, Result};
use wire::{Fate, Handle, Share, turned};

/// Runs `f` as a process of its own, which exits afterwards.
fn as_process<T: Send + 'static>(t: &Hosted, f: impl FnOnce(&Arc<Proc>) -> T + Send + 'static) -> T {
    let (_, done) = t.start(|up| {
        let result = f(up);
        exit::exit(up, "");
        result
    });
    done.wait()
}

fn mount(up: &Arc<Proc>, spec: &str, at: &str) -> Result<()> {
    let fd = sysfile::open(up, "#c/null", ORDWR)?;
    sysfile::mount(up, fd, -1, at, abi::MREPL | abi::MCREATE, &wire::spec(spec), '9').map(drop)
}

#[test]
fn mtags_through_the_life_of_a_mount() {
    let s = Share::unmounted(Patience::DEVICE, |host| {
        host.file("f", b"12345").unwrap();
    });
    assert_eq!(s.dev.mtags(), "host:-\n");
    let dev = s.dev.clone();
    as_process(&s.t, move |up| {
        mount(up, "host", "/n").unwrap();
        assert_eq!(dev.mtags(), turned("host:9P2000.u:131096:2:2\n"), "a version and an attach");
        sysfile::stat(up, "/n/f").unwrap();
        assert_eq!(
            dev.mtags(),
            turned("host:9P2000.u:131096:4:4\n"),
            "a walk and a stat; nobody waits for the clunk"
        );
        sysfile::stat(up, "/n/f").unwrap();
        assert_eq!(dev.mtags(), turned("host:9P2000.u:131096:5:5\n"), "a stat");
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        // The last mount goes, a file is still open.
        sysfile::unmount(up, None, "/n").unwrap();
        let mut buf = [0; 9];
        assert_eq!(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap(), 5);
        assert!(dev.mtags().starts_with(&turned("host:9P2000.u:131096:")));
        sysfile::close(up, fd).unwrap();
        assert_eq!(dev.mtags(), "host:-\n");
        mount(up, "host:9P2000.u:1048600", "/n").unwrap();
        assert_eq!(dev.mtags(), turned("host:9P2000.u:1048600:2:2\n"));
        // A kernel thread has no slot of its own.
    });
    // `/n` is the name space's, which the test's own process shares.
    s.t.stat("/n/f").unwrap();
    assert_eq!(
        s.dev.mtags(),
        turned("host:9P2000.u:1048600:4:2\n"),
        "without a process there is no slot to find again"
    );
    s.end();
}

#[test]
fn two_mounts_of_a_tag_share_a_session() {
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
    });
    let t = &s.t;
    s.mount("host", "/mnt").unwrap();
    s.mount("host:9P2000.u", "/env").unwrap();
    s.mount("host:9P2000.u:131096", "/srv").unwrap();
    assert_eq!(s.wire.count(kind::TVERSION), 1);
    assert_eq!(s.wire.count(kind::TATTACH), 4);
    let (a, b) = (t.stat("/n/f").unwrap(), t.stat("/mnt/f").unwrap());
    assert_eq!((a.qid, a.dev), (b.qid, b.dev));
    t.create("/mnt/g", b"new").unwrap();
    assert_eq!(t.read("/n/g").unwrap(), b"new");
    let err = |spec: &str| s.mount(spec, "/boot").unwrap_err().text().to_string();
    assert_eq!(err("host:9P2000.u:8192"), error::EINUSE);
    assert_eq!(err("host:9P2000.L"), error::EINUSE);
    for (spec, tag) in [
        ("nope", "nope"),
        ("nope:9P2000.u", "nope"),
        ("host:", "host:"),
        ("", ""),
        ("host:9P2000.u:5", "host:9P2000.u:5"),
    ] {
        assert_eq!(err(spec), format!("'{}' bad attach specifier", turned(tag)), "{spec:?}");
    }
    for at in ["/mnt", "/env", "/srv"] {
        sysfile::unmount(&t.up, None, at).unwrap();
    }
    s.end();
}

#[test]
fn tags_are_kept_apart() {
    let wires: Vec<_> = ["a", "a:b", "tmp"]
        .iter()
        .map(|tag| {
            (
                tag.to_string(),
                Handle::new(|host| {
                    host.file(format!("is-{tag}"), b"").unwrap();
                }),
            )
        })
        .collect();
    let devices = wires.iter().map(|(tag, w)| (tag.clone(), w.clone() as Arc<dyn Transport>)).collect();
    let dev = MntDev::channels().phantom(devices);
    let t = Hosted::with(vec![dev.clone()], vec![], &[]);
    mount(&t.up, "a:b", "/n").unwrap();
    mount(&t.up, "a:9P2000.u:8192", "/mnt").unwrap();
    assert_eq!(t.ls("/n").unwrap(), ["is-a:b"]);
    assert_eq!(t.ls("/mnt").unwrap(), ["is-a"]);
    assert_ne!(t.stat("/n").unwrap().dev, t.stat("/mnt").unwrap().dev);
    let text = dev.mtags();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with(&turned("a:9P2000.u:8192:")) && lines[1].starts_with("'a:b':9P2000.u:131096:"),
        "{text}"
    );
    assert_eq!(lines[2], "tmp:-");
    // One of them dies; the other does not notice.
    wires[1].1.plan(|_| Fate::Fail);
    assert!(t.stat("/n/is-a:b").unwrap_err().is(error::EHUNGUP));
    assert_eq!(t.ls("/mnt").unwrap(), ["is-a"]);
    // In a union it hides nothing that is behind it.
    assert!(t.stat("/n").unwrap_err().is(error::EHUNGUP));
    assert!(sysfile::open(&t.up, "/n", OREAD).unwrap_err().is(error::EHUNGUP));
    sysfile::bind(&t.up, "/mnt", "/n", MAFTER).unwrap();
    assert_eq!(t.ls("/n").unwrap(), ["is-a"]);
    assert!(t.stat("/n").unwrap().qid.is_dir());
    t.stat("/n/is-a").unwrap();
    for at in ["/n", "/mnt"] {
        sysfile::unmount(&t.up, None, at).unwrap();
    }
    assert_eq!(dev.mtags(), "a:-\n'a:b':-\ntmp:-\n");
}

#[test]
fn a_hundred_processes_at_once() {
    let s = Share::new(|host| {
        for i in 0..100 {
            host.file(format!("d/f{i}"), format!("contents of {i}").as_bytes()).unwrap();
        }
    });
    s.wire.state().reorders = true;
    let done: Vec<_> = (0..100)
        .map(|i| {
            let (_, done) = s.t.start(move |up| {
                for round in 0..3 {
                    let fd = sysfile::open(up, &format!("/n/d/f{i}"), ORDWR).unwrap();
                    let mut buf = [0; 100];
                    let n = sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap();
                    assert!(buf[..n].starts_with(format!("contents of {i}").as_bytes()));
                    let more = format!("contents of {i} {round}");
                    sysfile::pwrite(up, fd, &Src::Kernel(more.as_bytes()), 0).unwrap();
                    sysfile::close(up, fd).unwrap();
                    let made = format!("/n/new{i}");
                    let fd = sysfile::create(up, &made, OWRITE, 0o644).unwrap();
                    sysfile::close(up, fd).unwrap();
                    sysfile::remove(up, &made).unwrap();
                }
                // Descriptors and name space are shared with the test; the slot is its own.
                exit::exit(up, "");
            });
            done
        })
        .collect();
    done.into_iter().for_each(|d| d.wait());
    for i in 0..100 {
        assert_eq!(s.wire.host(&format!("d/f{i}")).unwrap(), format!("contents of {i} 2").as_bytes());
    }
    let counts = || -> Vec<u64> {
        let text = s.dev.mtags();
        text.trim_end().rsplit(':').take(2).map(|n| n.parse().unwrap()).collect()
    };
    let [hits, used] = counts()[..] else { panic!() };
    assert!(used > 3000 && hits > used / 2 && hits < used, "{hits} of {used}");
    // The slots of the dead are free: whoever comes now has one of its own.
    for _ in 0..200 {
        as_process(&s.t, |up| drop(sysfile::stat(up, "/n/d/f1").unwrap()));
    }
    let [hits2, used2] = counts()[..] else { panic!() };
    assert_eq!((used2 - used, hits2 - hits), (201, 201), "a walk, and stats");
    s.end();
}

/// A process's own messages wait for each other; those of others do not.
#[test]
fn one_that_waits_does_not_hold_up_the_others() {
    let s = Share::new(|host| {
        host.file("slow", b"slow").unwrap();
        host.file("quick", b"quick").unwrap();
    });
    let fd = sysfile::open(&s.t.up, "/n/slow", OREAD).unwrap();
    s.wire.plan_for(kind::TREAD, |_| Fate::Hold);
    // More than there are slots of any kind: the last ones have to wait for one.
    let slow: Vec<_> = (0..90)
        .map(|_| {
            let (_, done) = s.t.start(move |up| {
                let mut buf = [0; 9];
                let n = sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap();
                exit::exit(up, "");
                n
            });
            done
        })
        .collect();
    s.wire.until_held(80);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(s.wire.count(kind::TREAD), 80, "sixty-four and sixteen");
    s.wire.no_plan();
    s.wire.release(|n| (0..n).rev().collect());
    for done in slow {
        assert_eq!(done.wait(), 4);
    }
    assert_eq!(s.t.read("/n/quick").unwrap(), b"quick");
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}
