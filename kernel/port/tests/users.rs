//! Who owns the machine, and what nobody in particular may do.
#![allow(missing_docs, clippy::unwrap_used)]

use abi::{MREPL, OREAD, OWRITE, error};
use port::call::sysfile;
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
