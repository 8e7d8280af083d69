//! `#9` as a directory: shares as files, which any mount takes for their servers.

mod wire;

use abi::{MREPL, ORDWR, OREAD, OWRITE, error};
use port::call::sysfile;
use port::mnt::Patience;
use wire::Share;

fn share() -> Share {
    Share::unmounted(Patience::DEVICE, |host| {
        host.file("f", b"12345").unwrap();
    })
}

#[test]
fn a_share_is_posted_and_mounted_like_any_server() {
    let s = share();
    let t = &s.t;
    sysfile::bind(&t.up, "#s", "/srv", MREPL | abi::MCREATE).unwrap();
    assert_eq!(t.ls("#9").unwrap(), ["host"]);
    let fd = sysfile::open(&t.up, "#9/host", ORDWR).unwrap();
    t.create("/srv/boot", format!("{fd}").as_bytes()).unwrap();
    sysfile::close(&t.up, fd).unwrap();
    // By `#M`, as programs do that know of no other, and after they have asked whether proof is wanted.
    for letter in ['M', '9', 'M'] {
        let fd = sysfile::open(&t.up, "/srv/boot", ORDWR).unwrap();
        assert!(sysfile::fauth(&t.up, fd, "").unwrap_err().is(error::EPERM));
        sysfile::mount(&t.up, fd, -1, "/n", MREPL, "", letter).unwrap();
        assert_eq!(t.read("/n/f").unwrap(), b"12345");
    }
    let ns = String::from_utf8(t.read(&format!("#p/{}/ns", t.up.pid)).unwrap()).unwrap();
    assert!(ns.contains("mount /srv/boot /n\n"), "{ns}");
    let fd = sysfile::open(&t.up, "/srv/boot", ORDWR).unwrap();
    assert!(sysfile::fversion(&t.up, fd, 8192, "9P2000").unwrap_err().is(error::EPERM));
    sysfile::unmount(&t.up, None, "/n").unwrap();
    assert_eq!((s.wire.fids(), s.dev.mtags().as_str()), (0, "host:-\n"));
}

#[test]
fn it_has_one_tree_and_a_dialect_may_be_asked_for() {
    let s = share();
    let t = &s.t;
    let mount = |spec: &str| {
        let fd = sysfile::open(&t.up, "#9/host", ORDWR).unwrap();
        sysfile::mount(&t.up, fd, -1, "/n", MREPL, spec, 'M').map(drop)
    };
    // A tag is none of its trees: another share would have that name.
    for spec in ["other", "host", ":9P2000", ":9P2000.u:1"] {
        assert!(mount(spec).unwrap_err().text().contains(error::EBADSPEC), "{spec}");
    }
    mount(&wire::turned(":9P2000.u:8192")).unwrap();
    assert!(s.dev.mtags().starts_with(&wire::turned("host:9P2000.u:8192:")), "{}", s.dev.mtags());
    assert!(mount(":9P2000.u:16384").is_err(), "it is mounted otherwise");
    mount("").unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"12345");
}

#[test]
fn its_file_is_no_more_than_that() {
    let s = share();
    let t = &s.t;
    assert!(t.read("#9/host").unwrap_err().is(error::EPERM));
    assert!(t.read("#9/nosuch").unwrap_err().is(error::ENONEXIST));
    assert!(sysfile::open(&t.up, "#9/host/f", OREAD).unwrap_err().is(error::ENOTDIR));
    assert!(sysfile::open(&t.up, "#M", OREAD).unwrap_err().is(error::ENOATTACH));
    assert!(sysfile::create(&t.up, "#9/new", OWRITE, 0o666).unwrap_err().is(error::EPERM));
    assert!(sysfile::remove(&t.up, "#9/host").unwrap_err().is(error::EPERM));
    let change = abi::Dir { mode: 0o777, ..abi::Dir::untouched() }.to_bytes();
    assert!(sysfile::wstat(&t.up, "#9/host", &change).unwrap_err().is(error::EPERM));
    assert!(t.write("#9/host", b"x").unwrap_err().is(error::EPERM));
    let dir = t.stat("#9/host").unwrap();
    assert_eq!((dir.mode, dir.name.as_str()), (0o666, "host"));
    t.up.pgrp().forbid_mounts();
    assert!(sysfile::open(&t.up, "#9/host", ORDWR).unwrap_err().is(error::ENOATTACH));
}
