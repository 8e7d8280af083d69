//! `#R` through what system calls call: users, what closing does, memory. The rules of the files are tested with
//! `ninep::ram`.

use std::sync::Arc;

use abi::{DMDIR, DMEXCL, Dir, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, error};
use port::call::sysfile::{self, close, create, fstat, open, pread, pwrite, remove, stat};
use port::dev::ram::RamDev;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;
use port::{Dev, Proc};

fn hosted(limit: u64) -> (Hosted, Arc<RamDev>) {
    machine::host::new_machine();
    let ram = RamDev::new(limit);
    (Hosted::with(vec![ram.clone() as Arc<dyn Dev>], vec![], &[]), ram)
}

fn put(up: &Arc<Proc>, name: &str, perm: u32, bytes: &[u8]) {
    let fd = create(up, name, OWRITE, perm).unwrap();
    pwrite(up, fd, &Src::Kernel(bytes), 0).unwrap();
    close(up, fd).unwrap();
}

fn wstat(up: &Arc<Proc>, name: &str, change: &Dir) -> port::Result<()> {
    let mut bytes = vec![];
    change.append_to(&mut bytes);
    sysfile::wstat(up, name, &bytes)
}

#[test]
fn permissions_are_those_of_who_asks_now() {
    let (t, _) = hosted(1 << 20);
    put(&t.up, "#R/private", 0o600, b"secret");
    let mole = t.process();
    *mole.user.lock() = "mole".into();
    assert!(open(&mole, "#R/private", OREAD).unwrap_err().is(error::EPERM));
    // The root is everybody's; what he makes is his.
    put(&mole, "#R/his", 0o600, b"mine");
    assert_eq!(t.stat("#R/his").unwrap().uid, "mole");
    assert!(open(&t.up, "#R/his", OREAD).unwrap_err().is(error::EPERM));
    let change = Dir { mode: 0o644, ..Dir::untouched() };
    let badger = t.process();
    *badger.user.lock() = "badger".into();
    assert!(wstat(&badger, "#R/his", &change).unwrap_err().is(error::EPERM));
    wstat(&mole, "#R/his", &change).unwrap();
    assert_eq!(t.stat("#R/his").unwrap().mode, 0o644);
    // Who has it open has it, whoever he becomes.
    let fd = open(&mole, "#R/his", ORDWR).unwrap();
    *mole.user.lock() = "none".into();
    pwrite(&mole, fd, &Src::Kernel(b"still"), 0).unwrap();
    assert_eq!(t.stat("#R/his").unwrap().muid, "mole");
}

#[test]
fn closing_ends_exclusive_use_and_removes_what_was_to_go() {
    let (t, ram) = hosted(1 << 20);
    let before = ram.used();
    let fd = create(&t.up, "#R/lock", OWRITE | ORCLOSE, DMEXCL | 0o644).unwrap();
    assert!(open(&t.up, "#R/lock", OREAD).unwrap_err().to_string().contains("exclusive use"));
    close(&t.up, fd).unwrap();
    assert!(stat(&t.up, "#R/lock").unwrap_err().is(error::ENONEXIST));
    assert_eq!(ram.used(), before);
    assert!(open(&t.up, "#R", OWRITE).unwrap_err().is(error::EISDIR));
    assert!(create(&t.up, "#R/d", OWRITE, DMDIR | 0o755).unwrap_err().is(error::EISDIR));
}

#[test]
fn large_transfers_are_whole_and_memory_comes_back() {
    let (t, ram) = hosted(8 << 20);
    let before = ram.used();
    let data: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
    let fd = create(&t.up, "#R/big", ORDWR, 0o644).unwrap();
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&data), 7).unwrap(), data.len());
    let mut got = vec![1; data.len() + 100];
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got), 0).unwrap(), data.len() + 7);
    assert!(got[7..data.len() + 7] == data[..] && got[..7] == [0; 7]);
    let (record, _) = Dir::parse(&fstat(&t.up, fd).unwrap()).unwrap();
    assert_eq!((record.length, record.kind), (data.len() as u64 + 7, u16::from(b'M')));
    // Full is told, and what went in counts.
    let mut at = data.len() as i64 + 7;
    let full = loop {
        match pwrite(&t.up, fd, &Src::Kernel(&data), at) {
            Ok(n) => at += n as i64,
            Err(e) => break e,
        }
    };
    assert!(full.is(error::EFULL) && ram.used() <= 8 << 20 && ram.used() > 7 << 20);
    remove(&t.up, "#R/big").unwrap();
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut got[..10]), 7).unwrap(), 10);
    close(&t.up, fd).unwrap();
    assert_eq!(ram.used(), before);
}

#[test]
fn a_machine_without_memory_says_full_and_lives() {
    let (t, ram) = hosted(u64::MAX);
    put(&t.up, "#R/f", 0o644, b"text");
    machine::host::limit_pages(1);
    let fd = open(&t.up, "#R/f", ORDWR).unwrap();
    assert!(pwrite(&t.up, fd, &Src::Kernel(&[1; 5000]), 0).unwrap_err().is(error::EFULL));
    assert!(create(&t.up, "#R/g", OWRITE, 0o644).unwrap_err().is(error::EFULL));
    // What is there can be read, overwritten and removed.
    pwrite(&t.up, fd, &Src::Kernel(b"T"), 0).unwrap();
    assert_eq!(t.read("#R/f").unwrap(), b"Text");
    let fd = open(&t.up, "#R/f", OWRITE | OTRUNC).unwrap();
    close(&t.up, fd).unwrap();
    remove(&t.up, "#R/f").unwrap();
    assert!(ram.used() < 1000);
}
