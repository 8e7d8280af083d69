//! `#s`: posted channels.

use abi::{Dir, MREPL, ORCLOSE, ORDWR, OREAD, OWRITE, error};
use port::call::sysfile::{bind, close, create, fd2path, open, pipe, remove, unmount, wstat};
use port::testkit::{Hosted, Ram};

use super::{get, put};

#[test]
fn posted_channels_are_shared() {
    let t = Hosted::with(vec![Ram::new()], vec![], &[]);
    bind(&t.up, "#s", "/srv", MREPL | abi::MCREATE).unwrap();
    let [a, b] = pipe(&t.up).unwrap();
    let fd = create(&t.up, "/srv/x", OWRITE, 0o600).unwrap();
    assert_eq!(open(&t.up, "/srv/x", ORDWR).unwrap_err().text(), "'/srv/x' device shut down");
    for bad in [&b"99"[..], b"-1", b"x", b""] {
        assert!(put(&t.up, fd, bad).is_err(), "{bad:?}");
    }
    assert!(put(&t.up, fd, fd.to_string().as_bytes()).unwrap_err().is(error::EBADARG), "a post of itself");
    put(&t.up, fd, format!("{b}\n").as_bytes()).unwrap();
    assert!(put(&t.up, fd, b"0").unwrap_err().is(error::EINUSE));
    close(&t.up, fd).unwrap();
    close(&t.up, b).unwrap();
    let got = open(&t.up, "/srv/x", ORDWR).unwrap();
    assert_eq!(fd2path(&t.up, got).unwrap(), "#|/data1");
    put(&t.up, a, b"hello").unwrap();
    assert_eq!(get(&t.up, got, 10).unwrap(), b"hello");

    assert_eq!(create(&t.up, "/srv/x", OWRITE, 0o600).unwrap_err().text(), "'/srv/x' file already exists");
    assert!(create(&t.up, "/srv/y", OREAD, 0o600).unwrap_err().is(error::EPERM));
    assert_eq!(t.ls("/srv").unwrap(), ["x"]);
    let change = Dir { name: "y".into(), mode: 0o666, ..Dir::untouched() }.to_bytes();
    wstat(&t.up, "/srv/x", &change).unwrap();
    assert_eq!(t.stat("/srv/y").unwrap().mode, 0o666);

    // Unposting closes what nobody else has.
    close(&t.up, got).unwrap();
    remove(&t.up, "/srv/y").unwrap();
    assert_eq!(get(&t.up, a, 10).unwrap(), b"");
    let fd = create(&t.up, "/srv/z", OWRITE | ORCLOSE, 0o600).unwrap();
    put(&t.up, fd, a.to_string().as_bytes()).unwrap();
    close(&t.up, fd).unwrap();
    assert_eq!(t.ls("/srv").unwrap().len(), 0);
}

#[test]
fn strangers_may_not_touch_what_is_posted() {
    let t = Hosted::new();
    let [a, _] = pipe(&t.up).unwrap();
    let fd = create(&t.up, "#s/x", OWRITE, 0o600).unwrap();
    put(&t.up, fd, a.to_string().as_bytes()).unwrap();
    let other = t.process();
    *other.user.lock() = "none".into();
    assert!(open(&other, "#s/x", ORDWR).unwrap_err().is(error::EPERM));
    assert!(remove(&other, "#s/x").unwrap_err().is(error::EPERM));
    let change = Dir { mode: 0o666, ..Dir::untouched() }.to_bytes();
    assert!(wstat(&other, "#s/x", &change).unwrap_err().is(error::EPERM));
    wstat(&t.up, "#s/x", &change).unwrap();
    assert!(open(&other, "#s/x", ORDWR).is_ok());
}

#[test]
fn unmount_knows_a_posted_channel() {
    let t = Hosted::with(vec![Ram::new()], vec![], &[]);
    // A descriptor file stands for what is behind it.
    let fd = open(&t.up, "#R", OREAD).unwrap();
    bind(&t.up, "#R", "/n", MREPL).unwrap();
    unmount(&t.up, Some(&format!("#d/{fd}")), "/n").unwrap();
    assert_eq!(t.ls("/n").unwrap().len(), 0);
}
