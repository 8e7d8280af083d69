//! Rules of files that the host knows nothing of, on a share: append-only and exclusive-use files, versions, and files
//! that are removed while somebody has them.

mod wire;

use std::sync::Arc;
use std::thread;

use abi::{DMAPPEND, DMDIR, DMEXCL, Dir, OEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, error};
use ninep::kind;
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use wire::{Fate, Share};

type Said<T> = Result<T, String>;

fn open(up: &Arc<Proc>, name: &str, mode: u32) -> Said<i32> {
    sysfile::open(up, name, mode).map_err(|e| e.to_string())
}

fn create(up: &Arc<Proc>, name: &str, mode: u32, perm: u32) -> Said<i32> {
    sysfile::create(up, name, mode, perm).map_err(|e| e.to_string())
}

fn write(up: &Arc<Proc>, fd: i32, bytes: &[u8], at: i64) {
    assert_eq!(sysfile::pwrite(up, fd, &Src::Kernel(bytes), at).unwrap(), bytes.len());
}

fn read(up: &Arc<Proc>, fd: i32) -> Vec<u8> {
    let mut buf = [0; 100];
    let n = sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap();
    buf[..n].to_vec()
}

fn fstat(up: &Arc<Proc>, fd: i32) -> Said<Dir> {
    let record = sysfile::fstat(up, fd).map_err(|e| e.to_string())?;
    Ok(Dir::parse(&record).unwrap().0)
}

fn fwstat(up: &Arc<Proc>, fd: i32, change: impl FnOnce(&mut Dir)) -> Said<()> {
    let mut dir = Dir::untouched();
    change(&mut dir);
    sysfile::fwstat(up, fd, &dir.to_bytes()).map_err(|e| e.to_string())
}

fn wstat(up: &Arc<Proc>, name: &str, change: impl FnOnce(&mut Dir)) {
    let mut dir = Dir::untouched();
    change(&mut dir);
    sysfile::wstat(up, name, &dir.to_bytes()).unwrap();
}

fn close(up: &Arc<Proc>, fd: i32) {
    sysfile::close(up, fd).unwrap();
}

fn remove(up: &Arc<Proc>, name: &str) {
    sysfile::remove(up, name).unwrap();
}

#[test]
fn append_only_files_are_opened_and_not_cut() {
    let s = Share::new(|_| ());
    let up = &s.t.up;
    let fd = create(up, "/n/log", OWRITE, DMAPPEND | 0o666).unwrap();
    write(up, fd, b"one ", 0);
    for mode in [OWRITE | OTRUNC, ORDWR | OTRUNC, OREAD | OTRUNC] {
        close(up, open(up, "/n/log", mode).unwrap());
        assert_eq!(s.wire.host("log").unwrap(), b"one ", "{mode:#x}");
    }
    let again = create(up, "/n/log", OWRITE, 0o600).unwrap();
    write(up, again, b"two ", 0);
    write(up, fd, b"three", 0);
    assert_eq!(s.wire.host("log").unwrap(), b"one two three");
    assert_eq!(fstat(up, again).unwrap().mode, DMAPPEND | 0o644);
    close(up, again);
    close(up, fd);
    // It is so as long as it is called append-only, whatever else it is called.
    wstat(up, "/n/log", |d| d.name = "log2".into());
    close(up, open(up, "/n/log2", OWRITE | OTRUNC).unwrap());
    assert_eq!(s.wire.host("log2").unwrap(), b"one two three");
    wstat(up, "/n/log2", |d| d.mode = 0o644);
    close(up, open(up, "/n/log2", OWRITE | OTRUNC).unwrap());
    assert_eq!(s.wire.host("log2").unwrap(), b"");
    s.end();
}

#[test]
fn exclusive_use_is_refused_before_anything_is_cut() {
    let s = Share::new(|_| ());
    let up = &s.t.up;
    let fd = create(up, "/n/lock", OWRITE, DMEXCL | 0o666).unwrap();
    write(up, fd, b"mine", 0);
    let excl = Err(error::EEXCL.to_string());
    let opened = s.wire.count(kind::TOPEN);
    for mode in [OREAD, OWRITE, OWRITE | OTRUNC, OREAD | OTRUNC, OREAD | ORCLOSE] {
        let said = open(up, "/n/lock", mode).map_err(|e| e.replace("'/n/lock' ", ""));
        assert_eq!(said, excl, "{mode:#x}");
    }
    let said = create(up, "/n/lock", OWRITE, 0o600).map_err(|e| e.replace("'/n/lock' ", ""));
    assert_eq!(said, excl);
    assert_eq!(s.wire.count(kind::TOPEN), opened, "the server is not asked");
    assert_eq!(s.wire.host("lock").unwrap(), b"mine");
    // A second descriptor of the same open is no second open.
    let dup = sysfile::dup(up, fd, -1).unwrap();
    close(up, fd);
    assert!(open(up, "/n/lock", OREAD).is_err());
    close(up, dup);
    close(up, open(up, "/n/lock", OREAD).unwrap());
    // What the server refuses is not kept as open.
    s.wire.plan_for(kind::TOPEN, |t| {
        let no = wire::error(t, "No space left on device", 28);
        let len = no.len();
        Fate::Say(no, len)
    });
    assert!(open(up, "/n/lock", OREAD).unwrap_err().ends_with(error::EFULL));
    s.wire.no_plan();
    close(up, open(up, "/n/lock", OREAD).unwrap());
    // Gone with the file, whose number is free again.
    remove(up, "/n/lock");
    s.end();
}

/// A lock is made, and before its maker has heard of it somebody else finds it.
#[test]
fn a_lock_that_is_being_made_is_a_lock() {
    let s = Share::new(|_| ());
    let t = &s.t;
    let wire = s.wire.clone();
    wire.plan_for(kind::TCREATE, |_| Fate::Hold);
    let maker = t.process();
    let making = {
        let (home, maker) = (machine::host::machine(), maker.clone());
        thread::spawn(move || {
            home.enter();
            let fd = create(&maker, "/n/lock", OWRITE | OEXCL, DMEXCL | 0o666);
            fd.map(|fd| close(&maker, fd))
        })
    };
    wire.until_held(1);
    wire.state().server.host.file("lock", b"").unwrap();
    let said = open(&t.up, "/n/lock", OWRITE | OTRUNC).unwrap_err();
    assert!(said.ends_with(error::EEXCL), "{said}");
    wire.no_plan();
    wire.release(|n| (0..n).collect());
    assert!(making.join().unwrap().unwrap_err().ends_with(error::EEXIST));
    close(&t.up, open(&t.up, "/n/lock", OWRITE | OTRUNC).unwrap());
    drop(maker);
    s.end();
}

/// A lock is removed by who holds it, and the next one gets its number before he has closed it.
#[test]
fn the_next_lock_with_a_number_is_another() {
    let s = Share::new(|_| ());
    let up = &s.t.up;
    let first = create(up, "/n/lock", OWRITE, DMEXCL | 0o666).unwrap();
    let number = fstat(up, first).unwrap().qid.path;
    remove(up, "/n/lock");
    s.wire.state().server.host.use_again(number);
    let second = create(up, "/n/lock", OWRITE, DMEXCL | 0o666).unwrap();
    close(up, first);
    assert!(open(up, "/n/lock", OREAD).unwrap_err().ends_with(error::EEXCL));
    close(up, second);
    let third = open(up, "/n/lock", OREAD).unwrap();
    assert_eq!(fstat(up, third).unwrap().mode, DMEXCL | 0o644);
    assert!(open(up, "/n/lock", OREAD).unwrap_err().ends_with(error::EEXCL));
    close(up, third);
    s.end();
}

/// The server's versions are made of seconds and lengths.
#[test]
fn every_change_has_a_version() {
    let s = Share::new(|host| {
        host.file("f", b"text").unwrap();
    });
    let up = &s.t.up;
    let stamp = |s: &Share| {
        if let Some(node) = s.wire.state().server.host.node_mut("f") {
            node.mtime = 1_000_000;
        }
    };
    let mut seen = Vec::new();
    let mut see = |s: &Share, dir: Dir| {
        assert!(!seen.contains(&dir.qid.vers), "{}", seen.len());
        seen.push(dir.qid.vers);
        stamp(s);
    };
    stamp(&s);
    see(&s, s.t.stat("/n/f").unwrap());
    for round in 0..3u8 {
        let fd = open(up, "/n/f", ORDWR).unwrap();
        for n in 0..3 {
            write(up, fd, &[round, n], 0);
            stamp(&s);
            see(&s, fstat(up, fd).unwrap());
        }
        close(up, fd);
        let closed = s.t.stat("/n/f").unwrap();
        assert_eq!(closed.qid.vers, s.t.dirs("/n").unwrap()[0].qid.vers);
        close(up, open(up, "/n/f", OREAD).unwrap());
        assert_eq!(closed.qid.vers, s.t.stat("/n/f").unwrap().qid.vers, "a look changes nothing");
    }
    // Cut, and written as long as it was.
    let fd = open(up, "/n/f", OWRITE | OTRUNC).unwrap();
    write(up, fd, b"Text", 0);
    stamp(&s);
    close(up, fd);
    see(&s, s.t.stat("/n/f").unwrap());
    wstat(up, "/n/f", |d| d.length = 3);
    wstat(up, "/n/f", |d| d.length = 4);
    stamp(&s);
    see(&s, s.t.stat("/n/f").unwrap());
    // Many others are changed, more than are kept.
    let before = s.t.stat("/n/f").unwrap();
    for n in 0..1100 {
        s.t.create(&format!("/n/g{n}"), b"").unwrap();
    }
    let fd = open(up, "/n/f", ORDWR).unwrap();
    write(up, fd, b"TEXT", 0);
    stamp(&s);
    assert_ne!(fstat(up, fd).unwrap().qid.vers, before.qid.vers);
    see(&s, fstat(up, fd).unwrap());
    close(up, fd);
    s.end();
}

/// The host uses the numbers of removed files again.
#[test]
fn a_new_file_has_a_number_of_its_own() {
    let s = Share::new(|host| {
        host.file("f", b"text").unwrap();
    });
    let number = s.t.stat("/n/f").unwrap().qid.path;
    let mut seen = vec![number];
    for n in 0..5 {
        if n % 2 == 0 {
            remove(&s.t.up, "/n/f");
        } else {
            close(&s.t.up, open(&s.t.up, "/n/f", OREAD | ORCLOSE).unwrap());
        }
        s.wire.state().server.host.use_again(number);
        let fd = create(&s.t.up, "/n/f", OWRITE, 0o644).unwrap();
        let qid = fstat(&s.t.up, fd).unwrap().qid;
        assert!(!seen.contains(&qid.path));
        seen.push(qid.path);
        close(&s.t.up, fd);
        // It is the same one from then on, however it is looked at, and whatever it is called.
        assert_eq!(s.t.dirs("/n").unwrap()[0].qid, qid);
        wstat(&s.t.up, "/n/f", |d| d.name = "g".into());
        wstat(&s.t.up, "/n/g", |d| d.name = "f".into());
        assert_eq!(s.t.stat("/n/f").unwrap().qid, qid);
        let fd = open(&s.t.up, "/n/f", OREAD).unwrap();
        assert_eq!(fstat(&s.t.up, fd).unwrap().qid, qid);
        close(&s.t.up, fd);
    }
    // Something is mounted on it all the same.
    sysfile::bind(&s.t.up, "#c/user", "/n/f", abi::MREPL).unwrap();
    assert_eq!(s.t.read("/n/f").unwrap(), b"glenda");
    sysfile::unmount(&s.t.up, None, "/n/f").unwrap();
    s.end();
}

#[test]
fn a_removed_file_is_no_other_of_its_name() {
    let s = Share::new(|host| {
        host.file("d/f", b"text").unwrap();
    });
    let up = &s.t.up;
    let fds: Vec<_> = (0..3).map(|_| open(up, "/n/d/f", ORDWR).unwrap()).collect();
    let closing = open(up, "/n/d/f", OREAD | ORCLOSE).unwrap();
    remove(up, "/n/d/f");
    assert_eq!(fstat(up, fds[0]).unwrap().length, 4);
    s.t.create("/n/d/f", b"another").unwrap();
    for &fd in &fds {
        let dir = fstat(up, fd).unwrap();
        assert_eq!((dir.length, dir.name.as_str()), (4, "f"));
        let gone = Err(error::ENONEXIST.to_string());
        assert_eq!(fwstat(up, fd, |d| d.length = 1), gone);
        assert_eq!(fwstat(up, fd, |d| d.mode = 0o600), gone);
        assert_eq!(fwstat(up, fd, |d| d.mtime = 5), gone);
        assert_eq!(fwstat(up, fd, |d| d.name = "g".into()), gone);
    }
    write(up, fds[0], b"T", 0);
    assert_eq!(read(up, fds[1]), b"Text");
    let node = s.wire.state().server.host.node("d/f").unwrap().clone();
    assert_eq!((node.size(), node.mode & 0o777), (7, 0o644));
    close(up, closing);
    assert_eq!(s.wire.host("d/f").unwrap(), b"another");
    fds.into_iter().for_each(|fd| close(up, fd));
    s.end();
}

/// The same when it is the host that puts another file in its place.
#[test]
fn a_file_that_the_host_replaced() {
    let s = Share::new(|host| {
        host.file("f", b"text").unwrap();
        host.file("new", b"another").unwrap();
    });
    let up = &s.t.up;
    let fd = open(up, "/n/f", ORDWR | ORCLOSE).unwrap();
    s.wire.state().server.host.rename("new", "f").unwrap();
    assert_eq!(fstat(up, fd).unwrap().length, 4);
    let gone = Err(error::ENONEXIST.to_string());
    assert_eq!(fwstat(up, fd, |d| d.length = 1), gone);
    assert_eq!(fwstat(up, fd, |d| d.name = "g".into()), gone);
    assert_eq!(read(up, fd), b"text");
    close(up, fd);
    assert_eq!(s.wire.host("f").unwrap(), b"another");
    s.end();
}

#[test]
fn a_working_directory_that_was_removed() {
    let s = Share::new(|host| {
        host.dir("a/d").unwrap();
    });
    let there = s.t.process();
    let list = open(&there, "/n/a/d", OREAD).unwrap();
    sysfile::chdir(&there, "/n/a/d").unwrap();
    remove(&s.t.up, "/n/a/d");
    let fd = create(&s.t.up, "/n/a/d", OREAD, DMDIR | 0o755).unwrap();
    close(&s.t.up, fd);
    s.t.create("/n/a/d/f", b"").unwrap();
    let gone = |said: Said<i32>| assert!(said.unwrap_err().ends_with(error::ENONEXIST));
    gone(open(&there, "f", OREAD));
    gone(open(&there, ".", OREAD));
    gone(create(&there, "g", OWRITE, 0o644));
    assert!(s.wire.host("a/d/g").is_none());
    // But there is a way out.
    sysfile::chdir(&there, "..").unwrap();
    close(&there, open(&there, "d/f", OREAD).unwrap());
    close(&there, list);
    sysfile::chdir(&there, "/").unwrap();
    s.end();
}
