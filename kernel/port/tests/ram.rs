//! `#R` through what system calls call: users, what closing does, memory. The rules of the files are tested with
//! `ninep::ram`.

use std::sync::Arc;

use abi::{DMDIR, DMEXCL, Dir, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, error};
use machine::space::Prot;
use port::call::sysfile::{self, close, create, fstat, open, pread, pwrite, remove, stat};
use port::dev::ram::RamDev;
use port::mem::iobuf::{Dst, Src, UserBuf};
use port::mem::{Kind, Segment};
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

/// What a file is said to be in one look is what is said after a walk, which a name with `..` in it takes.
#[test]
fn at_a_glance_a_file_is_what_it_is_after_a_walk() {
    let (t, _) = hosted(1 << 20);
    sysfile::bind(&t.up, "#R", "/dev", abi::MREPL | abi::MCREATE).unwrap();
    for dir in ["/dev/d", "/dev/e", "/dev/up"] {
        close(&t.up, create(&t.up, dir, OREAD, DMDIR | 0o755).unwrap()).unwrap();
    }
    put(&t.up, "/dev/f", 0o640, b"four");
    put(&t.up, "/dev/d/g", 0o600, b"");
    put(&t.up, "/dev/e/h", 0o600, b"x");
    let same = |names: &[&str]| {
        for name in names {
            let walked = stat(&t.up, &format!("/dev/up/../{name}"));
            assert_eq!(stat(&t.up, &format!("/dev/{name}")).ok(), walked.as_ref().ok().cloned(), "{name}");
            let there = ["f", "d", "d/g", "d/h", "null"].contains(name);
            assert_eq!(walked.is_ok(), there, "{name}");
        }
    };
    same(&["f", "d", "d/g", "none", "d/none", "f/g"]);
    assert_eq!(stat(&t.up, "/dev/none").unwrap_err().text(), "'/dev/none' file does not exist");
    // Something is mounted on the last element, and on one in the middle.
    sysfile::bind(&t.up, "/dev/e", "/dev/d", abi::MREPL).unwrap();
    same(&["d", "d/h"]);
    assert!(stat(&t.up, "/dev/d/g").is_err());
    // In a union the file may be in another element than the first.
    sysfile::bind(&t.up, "#c", "/dev", abi::MBEFORE).unwrap();
    same(&["f", "null", "none"]);
    sysfile::chdir(&t.up, "/dev/d").unwrap();
    assert_eq!(stat(&t.up, "h").unwrap(), stat(&t.up, "/dev/d/h").unwrap());
}

/// Small reads go straight to the program's memory where that is there, and in another way where it is not.
#[test]
fn reads_come_where_they_are_wanted() {
    let (t, _) = hosted(1 << 20);
    let bytes: Vec<u8> = (0..9000u32).map(|i| (i % 251) as u8 | 1).collect();
    put(&t.up, "#R/f", 0o600, &bytes);
    let fd = open(&t.up, "#R/f", ORDWR).unwrap();
    // A hole, and something behind it.
    pwrite(&t.up, fd, &Src::Kernel(b"end"), 40_000).unwrap();
    let (base, len) = (0x60_0000, 0x1_0000);
    for (base, write) in [(base, true), (0x70_0000, false)] {
        let prot = Prot { write, exec: false };
        t.up.mem.add(Segment::new(Kind::Bss, base, base + len, prot, None)).unwrap();
    }
    let read = |va: u64, len: usize, offset: i64| {
        pread(&t.up, fd, &mut Dst::User(UserBuf { mem: &t.up.mem, va, len }), offset)
    };
    let seen = |va: u64, len: usize| {
        let mut got = vec![0; len];
        for (at, pin) in t.up.mem.pin(va, len, false).unwrap().iter().scan(0, |at, pin| {
            *at += pin.len();
            Some((*at - pin.len(), pin))
        }) {
            pin.read(0, &mut got[at..at + pin.len()]);
        }
        got
    };
    // Each twice: nothing is mapped the first time. Over one, two and three pages.
    for round in 0..2 {
        for (va, len, offset) in [
            (base + 5, 4096, 1),
            (base + 0x2000, 4096, 0),
            (base + 0x4ffd, 4100, 77),
            (base + 0x6fff, 8192, 3),
        ] {
            assert_eq!(read(va, len, offset).unwrap(), len, "{round}");
            assert_eq!(seen(va, len), bytes[offset as usize..offset as usize + len], "{round}");
        }
        assert_eq!(read(base + 0xa000, 8000, 8990).unwrap(), 8000);
        assert_eq!(seen(base + 0xa000, 10), bytes[8990..]);
        assert_eq!(seen(base + 0xa00a, 7990), [0; 7990]);
        assert_eq!(read(base + 0xa000, 8000, 39_998).unwrap(), 5);
        assert_eq!(seen(base + 0xa000, 5), *b"\0\0end");
    }
    assert_eq!((read(base, 100, 40_003).unwrap(), read(base, 100, i64::MAX).unwrap()), (0, 0));
    // Not half of it where there is no memory behind, and none where nothing may be written.
    for va in [0x1000, base + len - 10, 0x70_0000, u64::MAX - 5] {
        assert!(read(va, 4096, 0).unwrap_err().is_fault(), "{va:#x}");
    }
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
