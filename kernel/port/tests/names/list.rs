//! Folders and unions as they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi::{Dir, MAFTER, MREPL, OREAD, error};
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};

use super::{mkdir, with_ram};

#[test]
fn directories_are_read_in_whole_records() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/d");
    for i in 0..30 {
        t.create(&format!("/n/d/file{i:02}"), b"").unwrap();
    }
    let fd = sysfile::open(&t.up, "/n/d", OREAD).unwrap();
    let read = |len: usize, offset: i64| {
        let mut buf = vec![0; len];
        let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), offset);
        n.map(|n| Dir::parse_all(&buf[..n]).unwrap().len())
    };
    let record = t.stat("/n/d/file00").unwrap().size();
    assert!(read(record - 1, -1).unwrap_err().is(error::ESHORT));
    assert_eq!(read(record, -1).unwrap(), 1);
    assert_eq!(read(record * 3 - 1, -1).unwrap(), 2);
    // A program may name the place where it is, and no other.
    assert_eq!(read(record * 2, record as i64 * 3).unwrap(), 2);
    assert!(read(record * 2, record as i64 * 3).unwrap_err().is(error::EDIRSEEK));
    assert_eq!(read(100_000, -1).unwrap(), 25);
    assert_eq!(read(100_000, -1).unwrap(), 0);
    // Zero begins again, with what is there now.
    t.create("/n/d/new", b"").unwrap();
    assert_eq!(read(100_000, 0).unwrap(), 31);
    assert_eq!(sysfile::seek(&t.up, fd, 0, 0).unwrap(), 0);
    assert_eq!(read(100_000, -1).unwrap(), 31);
    assert!(sysfile::seek(&t.up, fd, 1, 0).unwrap_err().is(error::EISDIR));
    assert!(sysfile::seek(&t.up, fd, 0, 2).unwrap_err().is(error::EISDIR));
    assert!(sysfile::pwrite(&t.up, fd, &Src::Kernel(b"x"), -1).unwrap_err().is(error::EBADUSEFD));
}

#[test]
fn a_union_is_read_through_small_buffers() {
    let (t, ram) = with_ram();
    for d in ["a", "b"] {
        mkdir(&t, &format!("/n/{d}"));
        for i in 0..200 {
            t.create(&format!("/n/{d}/{d}{i:03}"), b"").unwrap();
        }
    }
    mkdir(&t, "/n/empty");
    sysfile::bind(&t.up, "/n/a", "/dev", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/empty", "/dev", MAFTER).unwrap();
    sysfile::bind(&t.up, "/n/b", "/dev", MAFTER).unwrap();
    let names = t.ls("/dev").unwrap();
    assert_eq!(names.len(), 400);
    assert!(names[..200].iter().all(|n| n.starts_with('a')) && names[399] == "b199");
    // An element that goes away while it is read is no accident.
    let fd = sysfile::open(&t.up, "/dev", OREAD).unwrap();
    let mut buf = [0; 200];
    assert!(sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap() > 0);
    sysfile::unmount(&t.up, None, "/dev").unwrap();
    while sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap() != 0 {}
    sysfile::close(&t.up, fd).unwrap();
    // Nor is it one to stop in any place: everything is closed.
    sysfile::bind(&t.up, "/n/a", "/dev", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/b", "/dev", MAFTER).unwrap();
    for reads in [1, 20, 75, 90] {
        let fd = sysfile::open(&t.up, "/dev", OREAD).unwrap();
        for _ in 0..reads {
            sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap();
        }
        assert!(ram.opens.load(Ordering::Relaxed) > 0);
        sysfile::close(&t.up, fd).unwrap();
        assert_eq!(ram.opens.load(Ordering::Relaxed), 0, "{reads}");
    }
}

/// A device whose server has been asked when a note came.
#[derive(Default)]
struct Noted(AtomicUsize);

impl port::Dev for Noted {
    fn letter(&self) -> char {
        'X'
    }
    fn name(&self) -> &'static str {
        "noted"
    }
    fn stat(&self, _: &Arc<port::Proc>, _: &port::Chan) -> port::Result<Dir> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(error::EINTR.into())
    }
    fn read(&self, _: &Arc<port::Proc>, _: &port::Chan, _: &mut Dst<'_>, _: u64) -> port::Result<usize> {
        Ok(0)
    }
}

/// Who is to stop does not ask the servers of all that is mounted there first, each of which may be silent.
#[test]
fn a_note_ends_the_list_of_what_is_mounted() {
    let (ram, noted) = (super::Ram::new(), Arc::new(Noted::default()));
    let t = port::testkit::Hosted::with(vec![ram, noted.clone()], vec![], &[]);
    sysfile::bind(&t.up, "#R", "/n", MREPL | abi::MCREATE).unwrap();
    for n in 0..20 {
        mkdir(&t, &format!("/n/d{n}"));
        sysfile::bind(&t.up, "#X", &format!("/n/d{n}"), MREPL).unwrap();
    }
    let fd = sysfile::open(&t.up, "/n", OREAD).unwrap();
    let mut buf = [0; 8192];
    for tries in 1..3 {
        let read = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1);
        assert!(read.unwrap_err().is(error::EINTR));
        assert_eq!(noted.0.load(Ordering::Relaxed), tries);
    }
    sysfile::unmount(&t.up, None, "/n/d0").unwrap();
}
