//! `#¤` and `#r`.

use std::sync::Arc;

use abi::{ORDWR, OREAD, OWRITE, error};
use port::Proc;
use port::call::sysfile::{close, open, pread, pwrite, remove};
use port::dev::cap::Cap;
use port::dev::rtc::Rtc;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

use super::put;

/// HMAC-SHA1 by `k3y` of `bob@eve`, of `eve` and of `eve@glenda`.
const BOB_EVE: [u8; 20] = [
    0xd9, 0xb4, 0xc9, 0x4c, 0x7c, 0xf6, 0x3e, 0x0f, 0x66, 0x57, 0x22, 0x98, 0x02, 0x17, 0x1d, 0x09, 0xc9,
    0x60, 0xfb, 0x85,
];
const EVE: [u8; 20] = [
    0xf3, 0x68, 0x24, 0x3d, 0x1d, 0x3b, 0x85, 0x9a, 0x25, 0xb0, 0x17, 0x52, 0x11, 0xe9, 0x04, 0xd2, 0xa0,
    0x85, 0xeb, 0xfd,
];
const EVE_GLENDA: [u8; 20] = [
    0xc9, 0x1d, 0x4b, 0xb7, 0xfa, 0xb7, 0xf0, 0xb8, 0x61, 0x35, 0x4f, 0x40, 0x13, 0xb6, 0xaf, 0x76, 0xe9,
    0x6f, 0x7a, 0x0a,
];

fn user(t: &Hosted, name: &str) -> Arc<Proc> {
    let p = t.process();
    *p.user.lock() = name.into();
    p
}

fn writes(p: &Arc<Proc>, file: &str, bytes: &[u8]) -> port::Result<usize> {
    let fd = open(p, file, OWRITE)?;
    let n = put(p, fd, bytes);
    close(p, fd)?;
    n
}

#[test]
fn a_capability_makes_another_user_once() {
    let t = Hosted::with(vec![Cap::new()], vec![], &[]);
    let [bob, eve] = ["bob", "eve"].map(|name| user(&t, name));
    let hash = |bytes: &[u8]| writes(&t.up, "#¤/caphash", bytes);
    let uses = |p: &Arc<Proc>, text: &str| writes(p, "#¤/capuse", text.as_bytes());
    let no = |result: port::Result<usize>| result.unwrap_err().to_string();
    assert!(open(&bob, "#¤/caphash", OWRITE).unwrap_err().is(error::EPERM));
    assert!(open(&t.up, "#¤/caphash", OREAD).unwrap_err().is(error::EPERM));
    assert_eq!(no(hash(&BOB_EVE[..19])), error::ESHORT);
    assert_eq!(no(uses(&bob, "bob@eve@k3y")), "invalid capability");
    assert_eq!(hash(&BOB_EVE).unwrap(), 20);
    assert_eq!(no(uses(&eve, "bob@eve@k3y")), "capability must match user");
    assert_eq!(no(uses(&bob, "bob@eve@key")), "invalid capability");
    assert_eq!(no(uses(&bob, "bob@glenda@k3y")), "invalid capability");
    assert_eq!(no(uses(&bob, "bob")), error::ESHORT);
    assert_eq!(no(uses(&bob, "bob@@k3y")), error::EBADARG);
    assert_eq!(no(uses(&bob, &"x".repeat(1024))), error::ETOOBIG);
    assert_eq!(&*bob.user(), "bob");
    uses(&bob, "bob@eve@k3y").unwrap();
    assert_eq!(&*bob.user(), "eve");
    *bob.user.lock() = "bob".into();
    assert_eq!(no(uses(&bob, "bob@eve@k3y")), "invalid capability", "it was used");
    // For anybody; and with the zero at the end that C has.
    hash(&EVE).unwrap();
    uses(&bob, "eve@k3y\0").unwrap();
    assert_eq!(&*bob.user(), "eve");
    // Even the owner, whose process says so.
    hash(&EVE_GLENDA).unwrap();
    uses(&eve, "eve@glenda@k3y").unwrap();
    assert!(eve.is_hostowner());
}

#[test]
fn the_oldest_gives_way_and_the_owner_can_end_it() {
    let t = Hosted::with(vec![Cap::new()], vec![], &[]);
    let bob = user(&t, "bob");
    let fd = open(&t.up, "#¤/caphash", OWRITE).unwrap();
    put(&t.up, fd, &BOB_EVE).unwrap();
    for n in 0..256u32 {
        let mut other = [0; 20];
        other[..4].copy_from_slice(&n.to_le_bytes());
        put(&t.up, fd, &other).unwrap();
    }
    let used = writes(&bob, "#¤/capuse", b"bob@eve@k3y");
    assert_eq!(used.unwrap_err().to_string(), "invalid capability");
    put(&t.up, fd, &BOB_EVE).unwrap();
    assert!(remove(&bob, "#¤/caphash").unwrap_err().is(error::EPERM));
    assert!(remove(&t.up, "#¤/capuse").unwrap_err().is(error::EPERM));
    remove(&t.up, "#¤/caphash").unwrap();
    assert_eq!(t.ls("#¤").unwrap(), ["capuse"]);
    assert!(put(&t.up, fd, &BOB_EVE).unwrap_err().is(error::EPERM), "of who has it open, too");
    let used = writes(&bob, "#¤/capuse", b"bob@eve@k3y");
    assert_eq!(used.unwrap_err().to_string(), "invalid capability");
}

#[test]
fn a_memory_for_keys() {
    let t = Hosted::with(vec![Rtc::new()], vec![], &[]);
    assert_eq!(t.read("#r/nvram").unwrap(), [0; 512]);
    assert_eq!(t.stat("#r/nvram").unwrap().length, 512);
    let fd = open(&t.up, "#r/nvram", ORDWR).unwrap();
    for (text, at, n) in [("key", 3, 3), ("end", 510, 2), ("behind", 512, 0), ("far", 1 << 40, 0)] {
        assert_eq!(pwrite(&t.up, fd, &Src::Kernel(text.as_bytes()), at).unwrap(), n, "{text}");
    }
    let mut some = [0; 8];
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut some), 0).unwrap(), 8);
    assert_eq!(&some, b"\0\0\0key\0\0");
    assert_eq!(t.read("#r/nvram").unwrap()[510..], *b"en");
    assert!(open(&user(&t, "bob"), "#r/nvram", OREAD).unwrap_err().is(error::EPERM));
    let time = String::from_utf8(t.read("#r/rtc").unwrap()).unwrap();
    assert!(time.len() == 12 && time.trim().parse::<i64>().unwrap() > 1_600_000_000, "{time}");
    assert!(writes(&t.up, "#r/rtc", b"noon").unwrap_err().is(error::EBADARG));
}

/// What there is no device for is told in Plan 9's words, so that programs do without: ssl, tls and shared segments.
#[test]
fn devices_that_there_are_not() {
    let t = Hosted::new();
    for name in ["#a", "#a/tls/clone", "#D/ssl", "#σ/x"] {
        assert_eq!(open(&t.up, name, OREAD).unwrap_err().to_string(), error::EBADSHARP, "{name}");
    }
}
