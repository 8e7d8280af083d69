//! `#9`: a file is looked at again by the fid of its name with one message, which tells of what is there now.

mod wire;

use abi::{DMDIR, Dir, MREPL, OEXCL, OREAD, OWRITE, error};
use ninep::kind;
use port::call::sysfile;
use wire::Share;

fn share() -> Share {
    Share::new(|host| {
        host.file("f", b"12345").unwrap();
        host.file("dir/g", b"123").unwrap();
        host.file("dir/h", b"1").unwrap();
        host.file("other/g", b"elsewhere").unwrap();
    })
}

/// The types of the messages that `f` makes go out.
fn sent(s: &Share, f: impl FnOnce()) -> Vec<u8> {
    let before = s.wire.state().log.len();
    f();
    // In the order in which they went out: this one is behind all others.
    s.wire.state().log[before..].iter().filter(|k| **k != kind::TCLUNK).copied().collect()
}

fn length(s: &Share, name: &str) -> u64 {
    s.t.stat(name).unwrap().length
}

fn is_missing(s: &Share, name: &str) {
    let e = s.t.stat(name).unwrap_err();
    assert!(e.is(error::ENONEXIST), "{name}: {e}");
}

fn rename(s: &Share, from: &str, to: &str) {
    let dir = Dir { name: to.into(), ..Dir::untouched() };
    sysfile::wstat(&s.t.up, from, &dir.to_bytes()).unwrap();
}

#[test]
fn one_message_for_each_but_the_first() {
    let s = share();
    let stat = wire::spoken(kind::TSTAT);
    for (name, len) in [("/n/f", 5), ("/n/dir/g", 3)] {
        assert_eq!(sent(&s, || assert_eq!(length(&s, name), len)), [kind::TWALK, stat]);
        for _ in 0..3 {
            assert_eq!(sent(&s, || assert_eq!(length(&s, name), len)), [stat]);
        }
    }
    // From a directory of its own, whose fid's number is used again.
    for (dir, name, len) in [("/n/dir", "g", 3), ("/n", "f", 5), ("/n/dir", "h", 1)] {
        sysfile::chdir(&s.t.up, dir).unwrap();
        assert_eq!((length(&s, name), length(&s, name)), (len, len), "{dir}");
        is_missing(&s, "nothing");
        sysfile::chdir(&s.t.up, "/").unwrap();
    }
    s.end();
}

/// The server says only of a first element why it is missing: its directory is kept to be asked again.
#[test]
fn what_is_missing_is_missed_with_two_messages() {
    let s = share();
    assert_eq!(sent(&s, || is_missing(&s, "/n/dir/none")), [kind::TWALK; 3]);
    for name in ["/n/dir/none", "/n/dir/nothing"] {
        for _ in 0..2 {
            assert_eq!(sent(&s, || is_missing(&s, name)), [kind::TWALK; 2]);
        }
    }
    // It is another directory, and then none; and what comes is found.
    let change = |f: fn(&mut ninep::testserver::Tree)| f(&mut s.wire.state().server.host);
    change(|host| {
        host.remove("other/g").unwrap();
        host.remove("other").unwrap();
        host.rename("dir", "other").unwrap();
        host.file("dir/g", b"1").unwrap();
    });
    assert_eq!(sent(&s, || is_missing(&s, "/n/dir/none")), [kind::TWALK; 3]);
    assert_eq!(sent(&s, || is_missing(&s, "/n/dir/none")), [kind::TWALK; 2]);
    change(|host| drop(host.file("dir/none", b"12").unwrap()));
    assert_eq!(length(&s, "/n/dir/none"), 2);
    // This machine gives the directory another name.
    is_missing(&s, "/n/dir/nothing");
    rename(&s, "/n/dir", "room");
    is_missing(&s, "/n/dir/nothing");
    is_missing(&s, "/n/room/nothing");
    assert_eq!(length(&s, "/n/room/none"), 2);
    s.end();
}

/// More names than are kept.
#[test]
fn hundreds_of_names() {
    let s = Share::new(|host| {
        for i in 0..100 {
            host.file(format!("d/f{i}"), "x".repeat(i).as_bytes()).unwrap();
        }
    });
    for _ in 0..2 {
        for i in 0..100 {
            assert_eq!(length(&s, &format!("/n/d/f{i}")), i);
        }
    }
    s.dev.settle();
    assert_eq!(s.wire.fids(), 1, "the root's");
    s.end();
}

#[test]
fn what_the_host_does_is_seen() {
    let s = share();
    assert_eq!((length(&s, "/n/f"), length(&s, "/n/dir/g")), (5, 3));
    let change = |f: fn(&mut ninep::testserver::Tree)| f(&mut s.wire.state().server.host);
    // Other contents, and another file in its place.
    change(|host| drop(host.file("f", b"1234567").unwrap()));
    assert_eq!(length(&s, "/n/f"), 7);
    change(|host| {
        host.remove("f").unwrap();
        host.file("f", b"1").unwrap();
    });
    assert_eq!((length(&s, "/n/f"), length(&s, "/n/f")), (1, 1));
    // None; then a directory, and a link.
    change(|host| host.remove("f").unwrap());
    is_missing(&s, "/n/f");
    change(|host| drop(host.file("f/below", b"").unwrap()));
    assert_ne!(s.t.stat("/n/f").unwrap().mode & DMDIR, 0);
    change(|host| {
        host.remove("f/below").unwrap();
        host.remove("f").unwrap();
        host.link("f", b"dir/g").unwrap();
    });
    assert_eq!((length(&s, "/n/f"), length(&s, "/n/f")), (3, 3));
    s.end();
}

#[test]
fn what_this_machine_does_is_seen() {
    let s = share();
    for name in ["/n/f", "/n/dir/g", "/n/dir/h", "/n/dir"] {
        s.t.stat(name).unwrap();
    }
    rename(&s, "/n/f", "e");
    is_missing(&s, "/n/f");
    assert_eq!(length(&s, "/n/e"), 5);
    rename(&s, "/n/dir", "room");
    is_missing(&s, "/n/dir/g");
    assert_eq!((length(&s, "/n/room/g"), length(&s, "/n/room/g")), (3, 3));
    // One takes the other's name.
    sysfile::remove(&s.t.up, "/n/room/g").unwrap();
    is_missing(&s, "/n/room/g");
    assert_eq!(length(&s, "/n/room/h"), 1);
    rename(&s, "/n/room/h", "g");
    assert_eq!(length(&s, "/n/room/g"), 1);
    s.t.create("/n/room/h", b"22").unwrap();
    assert_eq!((length(&s, "/n/room/h"), length(&s, "/n/room/g")), (2, 1));
    s.end();
}

/// A name leads over what is mounted upon its directories, also if it was known before.
#[test]
fn a_mount_on_the_way() {
    let s = share();
    assert_eq!((length(&s, "/n/dir/g"), length(&s, "/n/dir/g")), (3, 3));
    sysfile::bind(&s.t.up, "/n/other", "/n/dir", MREPL).unwrap();
    assert_eq!((length(&s, "/n/dir/g"), length(&s, "/n/dir/g")), (9, 9));
    sysfile::unmount(&s.t.up, None, "/n/dir").unwrap();
    assert_eq!((length(&s, "/n/dir/g"), length(&s, "/n/dir/g")), (3, 3));
    sysfile::bind(&s.t.up, "/n/other/g", "/n/dir/g", MREPL).unwrap();
    assert_eq!(length(&s, "/n/dir/g"), 9);
    sysfile::unmount(&s.t.up, None, "/n/dir/g").unwrap();
    s.end();
}

/// Who creates a file that must not be there need not look.
#[test]
fn a_file_is_made_without_a_look() {
    let s = share();
    let made = sent(&s, || {
        let fd = sysfile::create(&s.t.up, "/n/dir/new", OWRITE | OEXCL, 0o644).unwrap();
        sysfile::close(&s.t.up, fd).unwrap();
    });
    assert_eq!(made, [kind::TWALK, wire::spoken(kind::TSTAT), wire::spoken(kind::TCREATE)]);
    for (name, mode, perm) in [("/n/dir/new", OWRITE, 0o644), ("/n/dir", OREAD, DMDIR | 0o755)] {
        let e = sysfile::create(&s.t.up, name, mode | OEXCL, perm).unwrap_err();
        assert!(e.is(error::EEXIST), "{e}");
    }
    assert_eq!(s.wire.host("dir/new").unwrap(), b"");
    s.end();
}
