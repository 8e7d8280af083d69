//! `#9`: a share of the host as part of the name space, with every file operation. At the end of each test the
//! server must have all its fids back and must never have been asked what breaks or aborts QEMU.

mod wire;

use abi::{DMAPPEND, DMDIR, Dir, MAFTER, OEXCL, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, error};
use ninep::testserver::Body;
use ninep::{Dialect, Rmsg, kind};
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;
use wire::{Fate, Share, pattern};

fn open(t: &Hosted, name: &str, mode: u32) -> Result<i32, String> {
    sysfile::open(&t.up, name, mode).map_err(|e| e.text().to_string())
}

fn read_at(t: &Hosted, fd: i32, len: usize, at: i64) -> Result<Vec<u8>, String> {
    let mut buf = vec![0; len];
    let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), at).map_err(|e| e.text().to_string())?;
    buf.truncate(n);
    Ok(buf)
}

fn write_at(t: &Hosted, fd: i32, bytes: &[u8], at: i64) -> Result<usize, String> {
    sysfile::pwrite(&t.up, fd, &Src::Kernel(bytes), at).map_err(|e| e.text().to_string())
}

fn close(t: &Hosted, fd: i32) {
    sysfile::close(&t.up, fd).unwrap();
}

fn wstat(t: &Hosted, name: &str, change: impl FnOnce(&mut Dir)) -> Result<(), String> {
    let mut dir = Dir::untouched();
    change(&mut dir);
    sysfile::wstat(&t.up, name, &dir.to_bytes()).map_err(|e| e.text().to_string())
}

fn rename(t: &Hosted, name: &str, new: &str) -> Result<(), String> {
    wstat(t, name, |d| d.name = new.into())
}

fn remove(t: &Hosted, name: &str) -> Result<(), String> {
    sysfile::remove(&t.up, name).map_err(|e| e.text().to_string())
}

fn mkdir(t: &Hosted, name: &str) {
    let fd = sysfile::create(&t.up, name, OREAD, DMDIR | 0o775).unwrap();
    close(t, fd);
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn every_day() {
    let s = Share::new(|host| {
        host.file("a/hello", b"hello, world\n").unwrap();
        host.dir("a/sub").unwrap();
        host.file("top", b"").unwrap();
    });
    let t = &s.t;
    assert_eq!(sorted(t.ls("/n").unwrap()), ["a", "top"]);
    assert_eq!(sorted(t.ls("/n/a/../a").unwrap()), ["hello", "sub"]);
    assert_eq!(t.read("/n/a/hello").unwrap(), b"hello, world\n");
    let d = t.stat("/n/a/hello").unwrap();
    assert_eq!((d.kind, d.mode, d.length, d.name.as_str()), (u16::from(b'M'), 0o644, 13, "hello"));
    assert_eq!((d.uid.as_str(), d.gid.as_str()), ("1000", "1000"));
    let root = t.stat("/n").unwrap();
    assert_eq!((root.mode, root.length, root.name.as_str()), (DMDIR | 0o755, 0, "n"));
    assert_eq!(t.stat("/n/a/sub").unwrap().length, 0, "a directory has no length");
    // Entries of a directory are as stat has them.
    let entry = t.dirs("/n/a").unwrap().into_iter().find(|d| d.name == "hello").unwrap();
    assert_eq!(entry, d);

    let fd = open(t, "/n/a/hello", ORDWR).unwrap();
    assert_eq!(read_at(t, fd, 5, 7).unwrap(), b"world");
    assert_eq!(read_at(t, fd, 5, 13).unwrap(), b"");
    assert_eq!(write_at(t, fd, b"HELLO", 0), Ok(5));
    assert_eq!(read_at(t, fd, 100, -1).unwrap(), b"HELLO, world\n");
    assert_eq!(read_at(t, fd, 100, -1).unwrap(), b"");
    assert_eq!(sysfile::seek(&t.up, fd, -6, 2).unwrap(), 7);
    assert_eq!(read_at(t, fd, 100, -1).unwrap(), b"world\n");
    close(t, fd);

    t.create("/n/new", b"first").unwrap();
    t.create("/n/new", b"2nd").unwrap();
    assert_eq!(s.wire.host("new").unwrap(), b"2nd", "create cuts what is there");
    let e = sysfile::create(&t.up, "/n/new", OWRITE | OEXCL, 0o666).unwrap_err();
    assert_eq!(e.text(), "'/n/new' file already exists");
    assert_eq!(s.wire.host("new").unwrap(), b"2nd");
    assert_eq!(t.stat("/n/new").unwrap().mode, 0o644, "masked by the directory's 0755");
    mkdir(t, "/n/d");
    assert_eq!(t.stat("/n/d").unwrap().mode, DMDIR | 0o755);
    let e = sysfile::create(&t.up, "/n/d", OREAD, DMDIR | 0o775).unwrap_err();
    assert_eq!(e.text(), "'/n/d' file already exists");
    t.create("/n/d/x", b"x").unwrap();
    assert_eq!(remove(t, "/n/d"), Err(error::ENOTEMPTY.into()));
    assert_eq!(remove(t, "/n/d/x"), Ok(()));
    assert_eq!(remove(t, "/n/d"), Ok(()));
    assert_eq!(remove(t, "/n/d"), Err("'/n/d' file does not exist".into()));
    assert_eq!(s.wire.host("d/x"), None);

    for (name, mode, text) in [
        ("/n/none", OREAD, "'/n/none' file does not exist"),
        ("/n/a/none/x", OREAD, "'/n/a/none' file does not exist"),
        ("/n/a/hello/x", OREAD, "'/n/a/hello' not a directory"),
        ("/n/a/hello/..", OREAD, "'/n/a/hello' not a directory"),
        ("/n/a", OWRITE, "'/n/a' file is a directory"),
        ("/n/a", OREAD | OTRUNC, "'/n/a' file is a directory"),
        ("/n/a", OEXEC, "'/n/a' cannot exec directory"),
        ("/n/a/hello", OEXEC, "'/n/a/hello' permission denied"),
    ] {
        assert_eq!(open(t, name, mode), Err(text.into()), "{name} {mode:#x}");
    }
    assert_eq!(wstat(t, "/n/a/hello", |d| d.mode = 0o755), Ok(()));
    let fd = open(t, "/n/a/hello", OEXEC).unwrap();
    assert_eq!(read_at(t, fd, 5, 0).unwrap(), b"HELLO");
    close(t, fd);
    s.end();
}

#[test]
fn times_beyond_2038_are_told() {
    let s = Share::new(|host| drop(host.file("f", b"x").unwrap()));
    let t = &s.t;
    for time in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe] {
        assert_eq!(wstat(t, "/n/f", |d| (d.mtime, d.mode) = (time, 0o600 | time & 7)), Ok(()));
        let d = t.stat("/n/f").unwrap();
        assert_eq!((d.mtime, d.mode), (time, 0o600 | time & 7));
        // Behind a channel a record of .u tells what a program's server takes as it likes; this one does as QEMU.
        if wire::dialect() != Dialect::U || !wire::piped() {
            assert_eq!(s.wire.state().server.host.node("f").unwrap().mtime, i64::from(time));
        }
    }
    if wire::dialect() == Dialect::U && !wire::piped() {
        // A device that knows .u alone is told the last time that it can be told.
        s.wire.plan_for(kind::TSETATTR, |t| {
            let unknown = Rmsg::Error { ename: "Operation not supported".into(), errno: 95 };
            let reply = unknown.to_vec(Dialect::U, u16::from_le_bytes([t[5], t[6]])).unwrap();
            let len = reply.len();
            Fate::Say(reply, len)
        });
        assert_eq!(wstat(t, "/n/f", |d| (d.atime, d.mtime) = (7, 0x9000_0000)), Ok(()));
        let node = s.wire.state().server.host.node("f").unwrap().clone();
        assert_eq!((node.atime, node.mtime), (7, 0x7fff_ffff));
        s.wire.no_plan();
    }
    s.end();
}

#[test]
fn changing_what_a_file_is_like() {
    let s = Share::new(|host| {
        host.file("f", b"0123456789").unwrap();
        host.file("g", b"other").unwrap();
        host.dir("d").unwrap();
        let node = host.node_mut("f").unwrap();
        (node.mode, node.uid) = (0o104755, 77);
    });
    let t = &s.t;
    assert_eq!(wstat(t, "/n/f", |d| (d.mode, d.mtime, d.length) = (0o640, 12345, 4)), Ok(()));
    let d = t.stat("/n/f").unwrap();
    assert_eq!((d.mode, d.length, d.mtime), (0o640, 4, 12345), "the server sets the time before it cuts");
    {
        let state = s.wire.state();
        let node = state.server.host.node("f").unwrap();
        assert_eq!((node.mode, node.uid, node.gid), (0o104640, 77, 1000), "owner and set-id bits stay");
    }
    assert_eq!(rename(t, "/n/f", "g"), Err(error::EEXIST.into()));
    assert_eq!(rename(t, "/n/f", "d"), Err(error::EEXIST.into()));
    assert_eq!(s.wire.host("g").unwrap(), b"other");
    // All or nothing: the mode stays when the name is taken.
    assert_eq!(wstat(t, "/n/f", |d| (d.name, d.mode) = ("g".into(), 0o600)), Err(error::EEXIST.into()));
    assert_eq!(t.stat("/n/f").unwrap().mode, 0o640);
    assert_eq!(rename(t, "/n/f", "h"), Ok(()));
    assert_eq!(s.wire.host("h").unwrap(), b"0123");
    assert_eq!(s.wire.host("f"), None);
    assert_eq!(rename(t, "/n/h", "h"), Ok(()), "to its own name");
    assert_eq!(rename(t, "/n/d", "e"), Ok(()));
    assert_eq!(sorted(t.ls("/n").unwrap()), ["e", "g", "h"]);
    for bad in ["a/b", "..", "."] {
        assert_eq!(rename(t, "/n/h", bad), Err(error::EBADCHAR.into()), "{bad}");
    }
    assert_eq!(rename(t, "/n", "x"), Err("'/n' is a mount point".into()));
    assert_eq!(wstat(t, "/n/h", |d| d.uid = "glenda".into()), Err(error::EPERM.into()));
    assert_eq!(wstat(t, "/n/h", |d| d.mode = DMDIR | 0o755), Err(error::EPERM.into()));
    assert_eq!(wstat(t, "/n/e", |d| d.length = 5), Err(error::EISDIR.into()));
    // An open file, renamed, is still the same.
    let fd = open(t, "/n/h", ORDWR).unwrap();
    let mut dir = Dir::untouched();
    dir.name = "i".into();
    sysfile::fwstat(&t.up, fd, &dir.to_bytes()).unwrap();
    assert_eq!(write_at(t, fd, b"AB", 1), Ok(2));
    assert_eq!(s.wire.host("i").unwrap(), b"0AB3");
    // Nothing changed: the data are asked to be put on the disk.
    let before = s.wire.count(kind::TWSTAT);
    sysfile::fwstat(&t.up, fd, &Dir::untouched().to_bytes()).unwrap();
    assert_eq!(s.wire.count(kind::TWSTAT), before + 1);
    if wire::dialect() == Dialect::U && !wire::piped() {
        // QEMU says that it is done with no bytes at all.
        s.wire.plan_for(kind::TWSTAT, |_| Fate::Say(Vec::new(), 0));
        sysfile::fwstat(&t.up, fd, &Dir::untouched().to_bytes()).unwrap();
        s.wire.no_plan();
    }
    assert_eq!(wstat(t, "/n/i", |_| {}), Ok(()), "and of a file that is not open nothing is asked");
    close(t, fd);
    s.end();
}

#[test]
fn modes_that_the_host_does_not_have() {
    let s = Share::new(|_| {});
    let t = &s.t;
    // Removed when it is closed for the last time.
    let fd = sysfile::create(&t.up, "/n/tmp", ORDWR | ORCLOSE, 0o600).unwrap();
    let second = sysfile::dup(&t.up, fd, -1).unwrap();
    assert_eq!(write_at(t, fd, b"x", 0), Ok(1));
    close(t, fd);
    assert_eq!(s.wire.host("tmp").unwrap(), b"x");
    close(t, second);
    assert_eq!(s.wire.host("tmp"), None);
    t.create("/n/keep", b"12345").unwrap();
    let fd = open(t, "/n/keep", OREAD | ORCLOSE).unwrap();
    assert_eq!(remove(t, "/n/keep"), Ok(()));
    t.create("/n/keep", b"another").unwrap();
    close(t, fd);
    assert_eq!(s.wire.host("keep").unwrap(), b"another", "it is another file");
    assert_eq!(remove(t, "/n/keep"), Ok(()));

    // Append-only: the offset does not matter, and many pieces stay in order.
    let fd = sysfile::create(&t.up, "/n/log", OWRITE, DMAPPEND | 0o644).unwrap();
    let long = pattern(400_000);
    assert_eq!(write_at(t, fd, b"head", 0), Ok(4));
    assert_eq!(write_at(t, fd, &long, 0), Ok(131_072), "the kernel's own writes are one piece");
    assert_eq!(write_at(t, fd, b"tail", 0), Ok(4));
    close(t, fd);
    assert_eq!(s.wire.host("log").unwrap(), [b"head", &long[..131_072], b"tail"].concat());
    assert_eq!(t.stat("/n/log").unwrap().mode, DMAPPEND | 0o644);
    assert_eq!(t.dirs("/n").unwrap()[0].mode, DMAPPEND | 0o644);
    // O_TRUNC and OREAD together never get to the server as such.
    t.create("/n/cut", b"12345").unwrap();
    let fd = open(t, "/n/cut", OREAD | OTRUNC).unwrap();
    assert_eq!(read_at(t, fd, 9, 0).unwrap(), b"");
    close(t, fd);
    s.end();
}

#[test]
fn names_that_are_not_text() {
    let s = Share::new(|host| {
        host.file(b"p\xe8re", b"1").unwrap();
        host.file("日本", b"2").unwrap();
        host.file(&[b'x'; 255][..], b"3").unwrap();
        // What a broken host might list.
        let Some(Body::Dir(entries)) = host.node_mut("").map(|n| &mut n.body) else { panic!() };
        let ino = entries[&b"p\xe8re".to_vec()];
        entries.insert(b"sla/sh".to_vec(), ino);
    });
    let t = &s.t;
    let long = "x".repeat(255);
    assert_eq!(
        sorted(t.ls("/n").unwrap()),
        ["p\u{efe8}re", &long, "日本"].map(String::from).to_vec().sorted()
    );
    assert_eq!(t.read("/n/p\u{efe8}re").unwrap(), b"1");
    assert_eq!(t.read("/n/日本").unwrap(), b"2");
    assert_eq!(t.read(&format!("/n/{long}")).unwrap(), b"3");
    assert_eq!(rename(t, "/n/日本", "\u{efff}"), Ok(()));
    assert_eq!(s.wire.state().server.host.read(b"\xff"), Some(&b"2"[..]));
    t.create("/n/\u{ef80}", b"new").unwrap();
    assert_eq!(s.wire.state().server.host.read(b"\x80"), Some(&b"new"[..]));
    assert_eq!(remove(t, "/n/p\u{efe8}re"), Ok(()));
    assert_eq!(s.wire.state().server.host.read(b"p\xe8re"), None);
    let e = sysfile::create(&t.up, &format!("/n/{}", "y".repeat(256)), OWRITE, 0o644).unwrap_err();
    assert!(e.is(error::ETOOLONG), "{e}");
    s.end();
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<String> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn special_files_are_seen_and_not_opened() {
    let s = Share::new(|host| {
        host.special("fifo", 0o010644, 0).unwrap();
        host.special("socket", 0o140755, 0).unwrap();
        host.special("null", 0o020666, 1 << 32 | 3).unwrap();
    });
    let t = &s.t;
    let dirs = t.dirs("/n").unwrap();
    assert_eq!(dirs.len(), 3);
    for d in &dirs {
        assert_eq!((d.length, d.qid.kind, d.mode & !0o777), (0, 0, 0), "{}", d.name);
        let name = format!("/n/{}", d.name);
        assert_eq!(t.stat(&name).unwrap(), *d);
        for mode in [OREAD, OWRITE, ORDWR] {
            assert_eq!(open(t, &name, mode), Err(format!("'{name}' permission denied")));
        }
    }
    assert_eq!(wstat(t, "/n/fifo", |d| d.mode = 0o600), Err(error::EPERM.into()), "QEMU opens it to chmod");
    assert_eq!(wstat(t, "/n/fifo", |d| d.mtime = 7), Ok(()));
    assert_eq!(t.stat("/n/fifo").unwrap().mtime, 7);
    assert_eq!(rename(t, "/n/socket", "s"), Ok(()));
    assert_eq!(remove(t, "/n/s"), Ok(()));
    s.end();
}

#[test]
fn a_read_only_share_stays_as_it_is() {
    let s = Share::new(|host| {
        host.file("f", b"data").unwrap();
    });
    s.wire.state().server.readonly = true;
    let t = &s.t;
    for mode in [OWRITE, ORDWR, OREAD | OTRUNC, OWRITE | OTRUNC] {
        assert_eq!(open(t, "/n/f", mode), Err("'/n/f' permission denied".into()), "{mode:#x}");
    }
    assert!(sysfile::create(&t.up, "/n/f", OWRITE, 0o644).unwrap_err().is(error::EPERM));
    assert!(sysfile::create(&t.up, "/n/g", OWRITE, 0o644).unwrap_err().is(error::EPERM));
    assert_eq!(remove(t, "/n/f"), Err(error::EPERM.into()));
    assert_eq!(rename(t, "/n/f", "g"), Err(error::EPERM.into()));
    assert_eq!(t.read("/n/f").unwrap(), b"data");
    s.end();
}

#[test]
fn directories_are_read_on_and_from_the_start() {
    // Through a pipe each of its messages is four threads taking turns.
    let many = if wire::piped() { 1000 } else { 20_000 };
    let s = Share::new(|host| {
        for i in 0..many {
            host.file(format!("big/f{i:05}"), b"").unwrap();
        }
        host.dir("empty").unwrap();
        host.file("three/a", b"").unwrap();
        host.file("three/b", b"").unwrap();
        host.file("three/c", b"").unwrap();
    });
    let t = &s.t;
    // A buffer that no number of records fits exactly.
    let fd = open(t, "/n/big", OREAD).unwrap();
    let (mut names, mut at) = (Vec::new(), 0);
    loop {
        let bytes = read_at(t, fd, 10_007, -1).unwrap();
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as i64;
        names.extend(Dir::parse_all(&bytes).unwrap().into_iter().map(|d| d.name));
    }
    assert_eq!(read_at(t, fd, 8192, at).unwrap(), b"", "the end stays the end");
    names.sort();
    assert_eq!(names.len(), many);
    assert!(names.iter().enumerate().all(|(i, n)| *n == format!("f{i:05}")));
    close(t, fd);
    assert!(s.wire.count(kind::TREAD) <= 30, "64 KiB at a time, and the end");

    assert_eq!(t.ls("/n/empty").unwrap().len(), 0);
    let fd = open(t, "/n/three", OREAD).unwrap();
    assert_eq!(read_at(t, fd, 20, -1), Err(error::ESHORT.into()));
    let one = read_at(t, fd, 70, -1).unwrap();
    assert_eq!(Dir::parse_all(&one).unwrap().len(), 1);
    assert_eq!(read_at(t, fd, 500, 5), Err(error::EDIRSEEK.into()));
    let rest = read_at(t, fd, 500, one.len() as i64).unwrap();
    assert_eq!(Dir::parse_all(&rest).unwrap().len(), 2);
    // From the start it shows what is there now.
    t.create("/n/three/d", b"").unwrap();
    assert_eq!(Dir::parse_all(&read_at(t, fd, 5000, 0).unwrap()).unwrap().len(), 4);
    assert_eq!(read_at(t, fd, 5000, -1).unwrap(), b"");
    assert_eq!(write_at(t, fd, b"x", 0), Err(error::EBADUSEFD.into()));
    close(t, fd);
    s.end();
}

#[test]
fn a_share_in_a_union() {
    let s = Share::new(|host| {
        host.file("f", b"share").unwrap();
    });
    let t = &s.t;
    sysfile::bind(&t.up, "#c", "/n", MAFTER).unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"share");
    assert_eq!(t.read("/n/osversion").unwrap(), b"2000");
    let names = t.ls("/n").unwrap();
    assert!(names.iter().any(|n| n == "f") && names.iter().any(|n| n == "osversion"));
    t.create("/n/g", b"in the share").unwrap();
    assert_eq!(s.wire.host("g").unwrap(), b"in the share");
    // A part of it elsewhere, and what is mounted in it.
    sysfile::bind(&t.up, "/n/f", "/dev", abi::MREPL).unwrap_err();
    mkdir(t, "/n/d");
    sysfile::bind(&t.up, "#c", "/n/d", abi::MREPL).unwrap();
    assert_eq!(t.read("/n/d/osversion").unwrap(), b"2000");
    assert_eq!(remove(t, "/n/d"), Err("'/n/d' is a mount point".into()));
    sysfile::unmount(&t.up, None, "/n/d").unwrap();
    assert_eq!(remove(t, "/n/d"), Ok(()));
    s.end();
}
