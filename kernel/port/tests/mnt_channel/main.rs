//! `#M`: a 9P2000 server behind a pipe, played by a process that reads and writes the other end.

mod faulty;
#[path = "../wire/mod.rs"]
mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use abi::{DMDIR, Dir, MREPL, OCEXEC, OEXCL, ORCLOSE, ORDWR, OREAD, OWRITE, error};
use machine::sync::Completion;
use machine::thread;
use ninep::testserver::{Server, Tree};
use ninep::{Dialect, Rmsg, Tmsg, kind};
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::mnt::MntDev;
use port::proc::exit;
use port::proc::notes::{self, NoteClass};
use port::testkit::Hosted;
use port::{Proc, Result};
use wire::pattern;
use wire::served::{Act, Served, start, tag};
use wire::transfer::{pages, text};

fn kernel() -> Hosted {
    Hosted::with(vec![MntDev::channels()], vec![], &[])
}

fn mount(up: &Arc<Proc>, fd: i32, at: &str, spec: &str) -> Result<()> {
    sysfile::mount(up, fd, -1, at, MREPL | abi::MCREATE, spec, 'M').map(drop)
}

/// A server mounted on `/n`.
fn mounted(fill: impl FnOnce(&mut Tree)) -> (Hosted, Arc<Served>, Arc<Completion<()>>) {
    let t = kernel();
    let served = Served::plan9(fill);
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    mount(&t.up, fd, "/n", "").unwrap();
    (t, served, done)
}

/// The last use of the channel is over: the server sees its end, and has everything back.
fn end(t: &Hosted, served: &Served, done: &Completion<()>) {
    sysfile::unmount(&t.up, None, "/n").unwrap();
    done.wait();
    let server = served.server();
    assert_eq!((server.fids(), server.broken()), (0, None));
    assert_eq!(machine::host::machine().panics(), 0);
}

fn wstat(t: &Hosted, name: &str, f: impl FnOnce(&mut Dir)) -> std::result::Result<(), String> {
    let mut dir = Dir::untouched();
    f(&mut dir);
    text(sysfile::wstat(&t.up, name, &dir.to_bytes()))
}

#[test]
fn every_day() {
    let (t, served, done) = mounted(|host| {
        host.file("dir/f", b"12345").unwrap();
        host.file("dir/p\u{e9}re", b"").unwrap();
    });
    assert_eq!(t.ls("/n/dir").unwrap().len(), 2);
    assert_eq!(t.read("/n/dir/f").unwrap(), b"12345");
    let d = t.stat("/n/dir/f").unwrap();
    assert_eq!((d.kind, d.length, d.uid.as_str()), (u16::from(b'M'), 5, "1000"));
    let entry = t.dirs("/n/dir").unwrap().into_iter().find(|d| d.name == "f").unwrap();
    assert_eq!(entry, d);
    assert_eq!(t.stat("/n").unwrap().mode, DMDIR | 0o755);
    t.create("/n/dir/g", b"abc").unwrap();
    t.create("/n/dir/g", b"defg").unwrap();
    assert_eq!(served.server().host.read("dir/g"), Some(&b"defg"[..]));
    assert!(sysfile::create(&t.up, "/n/dir/g", OWRITE | OEXCL, 0o666).unwrap_err().is(error::EEXIST));
    assert_eq!(wstat(&t, "/n/dir/g", |d| d.name = "f".into()), Err(error::EEXIST.into()));
    wstat(&t, "/n/dir/g", |d| (d.name, d.mode, d.length) = ("h".into(), 0o600, 2)).unwrap();
    assert_eq!(served.server().host.read("dir/h"), Some(&b"de"[..]));
    assert_eq!(t.stat("/n/dir/h").unwrap().mode, 0o600);
    let fd = sysfile::create(&t.up, "/n/tmp", ORDWR | ORCLOSE | OCEXEC, 0o600).unwrap();
    assert!(served.server().host.node("tmp").is_some());
    sysfile::close(&t.up, fd).unwrap();
    assert!(served.server().host.node("tmp").is_none(), "the server sees to it");
    assert_eq!(text(sysfile::remove(&t.up, "/n/dir")), Err(error::ENOTEMPTY.into()));
    for name in ["h", "f", "p\u{e9}re", ""] {
        sysfile::remove(&t.up, &format!("/n/dir/{name}")).unwrap();
    }
    assert_eq!(text(sysfile::open(&t.up, "/n/dir", OREAD)), Err("'/n/dir' file does not exist".into()));
    // An empty write is a message too: it may mean something to a server.
    let fd = sysfile::create(&t.up, "/n/f", OWRITE, 0o644).unwrap();
    let before = served.count(kind::TWRITE);
    assert_eq!(sysfile::pwrite(&t.up, fd, &Src::Kernel(b""), 0).unwrap(), 0);
    assert_eq!(served.count(kind::TWRITE), before + 1);
    sysfile::close(&t.up, fd).unwrap();
    end(&t, &served, &done);
}

#[test]
fn long_directories() {
    let (t, served, done) = mounted(|host| {
        for i in 0..3000 {
            host.file(format!("d/a-rather-long-name-{i:04}"), b"").unwrap();
        }
    });
    let names = t.ls("/n/d").unwrap();
    assert_eq!(names.len(), 3000);
    let fd = sysfile::open(&t.up, "/n/d", OREAD).unwrap();
    let mut buf = [0; 500];
    let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap();
    assert_eq!(Dir::parse_all(&buf[..n]).unwrap()[0].name, names[0]);
    let again = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap();
    assert_eq!(Dir::parse_all(&buf[..again]).unwrap()[0].name, names[0], "from the start");
    assert!(text(sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), 3)) == Err(error::EDIRSEEK.into()));
    sysfile::close(&t.up, fd).unwrap();
    end(&t, &served, &done);
}

#[test]
fn large_transfers_are_one_piece_after_the_other() {
    let contents = pattern(700_000);
    let (t, served, done) = mounted(|host| {
        host.file("big", &contents).unwrap();
    });
    // The stream may be cut anywhere.
    served.chop.store(7777, Ordering::Relaxed);
    let fd = sysfile::open(&t.up, "/n/big", ORDWR).unwrap();
    let room = pages(1_000_000);
    let n = sysfile::pread(&t.up, fd, &mut Dst::Pages(&room), 0).unwrap();
    assert_eq!(n, 700_000);
    let mut at = 0;
    for p in &room {
        let mut buf = vec![0; p.len().min(n - at)];
        p.read(0, &mut buf);
        assert!(buf == contents[at..at + buf.len()], "at {at}");
        at += buf.len();
    }
    assert_eq!(served.count(kind::TREAD), 12, "61440 bytes each, and the last is short");
    sysfile::close(&t.up, fd).unwrap();
    end(&t, &served, &done);
}

#[test]
fn a_channel_has_one_session() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = names.clone();
    let (fd, done) = start(&t, &served, move |_, bytes| {
        if let Ok((_, Tmsg::Attach { uname, aname, afid, .. })) = Tmsg::decode(Dialect::P9, bytes) {
            seen.lock().unwrap().push((uname.to_string(), aname.to_string(), afid));
        }
        Act::Answer
    });
    assert_eq!(sysfile::fversion(&t.up, fd, 8192, "9P2000").unwrap(), "9P2000");
    assert_eq!(sysfile::fversion(&t.up, fd, 0, "").unwrap(), "9P2000");
    assert!(sysfile::fversion(&t.up, fd, 0, "10P").unwrap_err().is(error::EBADARG));
    sysfile::fauth(&t.up, fd, "main").unwrap_err();
    let second = sysfile::dup(&t.up, fd, -1).unwrap();
    mount(&t.up, fd, "/n", "main/active").unwrap();
    mount(&t.up, second, "/mnt", "").unwrap();
    assert_eq!(text(sysfile::fstat(&t.up, fd).map(drop)), Err(error::EBADFD.into()), "mount closes it");
    assert_eq!(served.count(kind::TVERSION), 1);
    let attached = [("glenda", "main/active", ninep::NOFID), ("glenda", "", ninep::NOFID)];
    assert_eq!(*names.lock().unwrap(), attached.map(|(u, a, f)| (u.to_string(), a.to_string(), f)));
    t.create("/n/g", b"x").unwrap();
    assert_eq!(t.read("/mnt/g").unwrap(), b"x");
    sysfile::unmount(&t.up, None, "/mnt").unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"12345");
    end(&t, &served, &done);
}

/// What `fversion` agreed on is for the mount that follows; when none does it ends with those who could.
#[test]
fn a_version_that_nobody_uses() {
    let t = kernel();
    let served = Served::plan9(|_| {});
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    sysfile::fversion(&t.up, fd, 8192, "9P2000").unwrap();
    exit::exit(&t.process(), "");
    assert!(!done.ready(), "the channel can still be mounted");
    sysfile::close(&t.up, fd).unwrap();
    exit::exit(&t.process(), "");
    done.wait();
}

/// A message on a pipe is never longer than what a pipe keeps together, so that whoever takes a read for one is right.
#[test]
fn messages_on_a_pipe_are_reads() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", &pattern(300_000)).unwrap();
    });
    let longest = Arc::new(AtomicU32::new(0));
    let seen = longest.clone();
    let (fd, done) = start(&t, &served, move |_, bytes| {
        seen.fetch_max(bytes.len() as u32, Ordering::Relaxed);
        if let Ok((_, Tmsg::Version { msize, .. })) = Tmsg::decode(Dialect::P9, bytes) {
            assert_eq!(msize, 65_536);
        }
        Act::Answer
    });
    mount(&t.up, fd, "/n", "").unwrap();
    assert_eq!(t.read("/n/f").unwrap(), pattern(300_000));
    t.create("/n/g", &pattern(200_000)).unwrap();
    assert_eq!(longest.load(Ordering::Relaxed), 23 + 61_440, "whole pages and their head");
    end(&t, &served, &done);
}

/// What `fauth` began is the session of the mount that follows; some servers take no second version.
#[test]
fn a_refused_proof_leaves_the_session() {
    let t = kernel();
    let served = Served::plan9(|_| {});
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    sysfile::fauth(&t.up, fd, "main").unwrap_err();
    sysfile::fauth(&t.up, fd, "other").unwrap_err();
    mount(&t.up, fd, "/n", "main").unwrap();
    assert_eq!((served.count(kind::TVERSION), served.count(kind::TAUTH)), (1, 2));
    end(&t, &served, &done);
}

#[test]
fn a_channel_can_be_mounted_again_and_again() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    for round in 1..=30 {
        let again = sysfile::dup(&t.up, fd, -1).unwrap();
        mount(&t.up, again, "/n", "").unwrap();
        assert_eq!(t.read("/n/f").unwrap(), b"12345");
        sysfile::unmount(&t.up, None, "/n").unwrap();
        assert_eq!(served.count(kind::TVERSION), round, "each is a session of its own");
    }
    sysfile::close(&t.up, fd).unwrap();
    done.wait();
}

/// A server that mounts another before it answers: no lock may be held across that.
#[test]
fn a_server_may_mount_while_it_is_mounted() {
    let t = kernel();
    let inner = Served::plan9(|host| {
        host.file("inner", b"in").unwrap();
    });
    let outer = Served::plan9(|host| {
        host.file("outer", b"out").unwrap();
    });
    let (inner_fd, inner_done) = start(&t, &inner, |_, _| Act::Answer);
    let (fd, done) = start(&t, &outer, move |up, bytes| {
        if bytes[4] == kind::TVERSION {
            mount(up, inner_fd, "/mnt", "").unwrap();
        }
        Act::Answer
    });
    mount(&t.up, fd, "/n", "").unwrap();
    assert_eq!(
        (t.read("/n/outer").unwrap(), t.read("/mnt/inner").unwrap()),
        (b"out".to_vec(), b"in".to_vec())
    );
    sysfile::unmount(&t.up, None, "/mnt").unwrap();
    inner_done.wait();
    end(&t, &outer, &done);
}

#[test]
fn only_channels_to_servers_can_be_mounted() {
    let t = kernel();
    let fd = sysfile::open(&t.up, "#c/null", ORDWR).unwrap();
    assert!(mount(&t.up, fd, "/n", "").unwrap_err().is(error::EHUNGUP), "it ends at once");
    sysfile::close(&t.up, fd).unwrap();
    let fd = sysfile::open(&t.up, "#c/osversion", OREAD).unwrap();
    assert!(mount(&t.up, fd, "/n", "").unwrap_err().is(error::EBADUSEFD));
    assert_eq!(text(sysfile::open(&t.up, "#M", OREAD)), Err(error::ENOATTACH.into()));
}
