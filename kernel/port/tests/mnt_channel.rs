//! `#M`: a 9P2000 server behind a pipe, played by a process that reads and writes the other end.

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

#[test]
fn a_server_that_dies() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) =
        start(&t, &served, |_, bytes| if bytes[4] == kind::TREAD { Act::Die } else { Act::Answer });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
    let mut buf = [0; 9];
    let read = |buf: &mut [u8]| text(sysfile::pread(&t.up, fd, &mut Dst::Kernel(buf), 0));
    assert_eq!(read(&mut buf), Err(error::EHUNGUP.into()));
    done.wait();
    assert_eq!(read(&mut buf), Err(error::EHUNGUP.into()));
    assert!(t.stat("/n/f").unwrap_err().is(error::EHUNGUP));
    // Another one in its place.
    let again = Served::plan9(|host| {
        host.file("f", b"54321").unwrap();
    });
    for _ in 0..20 {
        let (fd, done) = start(&t, &again, |_, _| Act::Answer);
        mount(&t.up, fd, "/n", "").unwrap();
        assert_eq!(t.read("/n/f").unwrap(), b"54321");
        end(&t, &again, &done);
    }
    sysfile::close(&t.up, fd).unwrap();
}

#[test]
fn interrupted_calls_are_flushed() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) =
        start(&t, &served, |_, bytes| if bytes[4] == kind::TREAD { Act::Hold } else { Act::Answer });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
    for round in 1..=20 {
        let (p, result) = t.start(move |up| {
            let mut buf = [0; 9];
            let read = text(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0));
            thread::current().clear_interrupt();
            exit::exit(up, "");
            read
        });
        served.until_held(round);
        notes::post(&p, "interrupt", NoteClass::User);
        // The server says Rflush and nothing else.
        assert_eq!(result.wait(), Err(error::EINTR.into()));
        assert_eq!(served.count(kind::TFLUSH), round as usize);
    }
    sysfile::close(&t.up, fd).unwrap();
    end(&t, &served, &done);
}

/// A server that was started anew behind the same port knows nothing of the session, nor of what is flushed.
#[test]
fn a_refused_flush_ends_the_session() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) = start(&t, &served, |_, bytes| match bytes[4] {
        kind::TREAD => Act::Hold,
        kind::TFLUSH => {
            let refused = Rmsg::Error { ename: "no version agreed on".into(), errno: 0 };
            Act::Say(refused.to_vec(Dialect::P9, tag(bytes)).unwrap())
        }
        _ => Act::Answer,
    });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
    let (p, result) = t.start(move |up| {
        let mut buf = [0; 9];
        let read = text(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0));
        thread::current().clear_interrupt();
        exit::exit(up, "");
        read
    });
    served.until_held(1);
    notes::post(&p, "interrupt", NoteClass::User);
    assert_eq!(result.wait(), Err(error::EHUNGUP.into()));
    assert!(t.stat("/n/f").unwrap_err().is(error::EHUNGUP));
    sysfile::close(&t.up, fd).unwrap();
    sysfile::unmount(&t.up, None, "/n").unwrap();
    done.wait();
}

/// Nothing that comes out of a channel may do more than end its session.
#[test]
fn nonsense_from_a_server() {
    let clunk = Rmsg::Clunk {}.to_vec(Dialect::P9, 0).unwrap();
    type Say = fn(&[u8]) -> Vec<u8>;
    let cases: &[(&str, Say)] = &[
        ("another type", |t| Rmsg::Clunk {}.to_vec(Dialect::P9, tag(t)).unwrap()),
        ("a size of nothing", |_| vec![0; 100]),
        ("a size of 4 GiB", |_| vec![0xff; 100]),
        ("a size of six", |_| vec![6, 0, 0, 0, 1, 1, 0]),
        ("more than fits", |t| {
            let mut r = vec![0; 20_000];
            r[..4].copy_from_slice(&20_000u32.to_le_bytes());
            r[4..7].copy_from_slice(&[kind::RSTAT, t[5], t[6]]);
            r
        }),
        ("a stat that is none", |t| {
            Rmsg::Stat { stat: ninep::wire::Record(b"rubbish") }.to_vec(Dialect::P9, tag(t)).unwrap()
        }),
    ];
    for &(name, say) in cases {
        let t = kernel();
        let served = Served::plan9(|host| {
            host.file("f", b"12345").unwrap();
        });
        let stray = clunk.clone();
        let (fd, done) = start(&t, &served, move |_, bytes| match bytes[4] {
            kind::TSTAT => Act::Say(say(bytes)),
            // A reply that nobody asked for is dropped.
            kind::TFLUSH => Act::Say(stray.clone()),
            _ => Act::Answer,
        });
        mount(&t.up, fd, "/n", "").unwrap();
        let e = t.stat("/n/f").unwrap_err();
        let known = [error::EMOUNTRPC, error::EHUNGUP, error::EBADSTAT].iter().any(|k| e.is(k));
        assert!(known, "{name}: {e}");
        sysfile::unmount(&t.up, None, "/n").unwrap();
        done.wait();
    }
    assert_eq!(machine::host::machine().panics(), 0);
}

#[test]
fn stray_replies_are_dropped() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let mut model = Server::plan9();
    model.host.file("f", b"12345").unwrap();
    let (fd, done) = start(&t, &served, move |_, bytes| {
        let stray = Rmsg::Clunk {}.to_vec(Dialect::P9, 0xeeee).unwrap();
        Act::Say([&stray[..], &model.handle(bytes), &stray].concat())
    });
    mount(&t.up, fd, "/n", "").unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"12345");
    sysfile::unmount(&t.up, None, "/n").unwrap();
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
fn a_mount_that_nobody_answers_can_be_given_up() {
    let t = kernel();
    let [ours, theirs] = sysfile::pipe(&t.up).unwrap();
    let (p, mounting) = t.start(move |up| {
        let mounted = text(mount(up, ours, "/n", ""));
        thread::current().clear_interrupt();
        sysfile::close(up, ours).unwrap();
        mounted
    });
    // Somebody reads the message, but says nothing.
    let mut buf = [0; 100];
    assert!(sysfile::pread(&t.up, theirs, &mut Dst::Kernel(&mut buf), -1).unwrap() > 0);
    assert_eq!(buf[4], kind::TVERSION);
    notes::post(&p, "interrupt", NoteClass::User);
    assert_eq!(mounting.wait(), Err(error::EINTR.into()));
    assert_eq!(sysfile::pread(&t.up, theirs, &mut Dst::Kernel(&mut buf), -1).unwrap(), 0, "the end");
    sysfile::close(&t.up, theirs).unwrap();
}

/// A server that does not read: what is to be written piles up, and when the last file is closed the writer goes.
#[test]
fn a_server_that_does_not_read_does_not_keep_the_channel() {
    let t = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"").unwrap();
    });
    let stop = Arc::new(AtomicU32::new(0));
    let (stopped, go) = (stop.clone(), Arc::new(Completion::<()>::new()));
    let going = go.clone();
    let (fd, done) = start(&t, &served, move |_, bytes| {
        if bytes[4] == kind::TWRITE && stopped.swap(1, Ordering::SeqCst) == 0 {
            going.wait();
            return Act::Die;
        }
        Act::Answer
    });
    mount(&t.up, fd, "/n", "").unwrap();
    let fd = sysfile::open(&t.up, "/n/f", OWRITE).unwrap();
    // Twelve times 128 KiB fill the pipe.
    let writers: Vec<_> = (0..12)
        .map(|_| t.start(move |up| text(sysfile::pwrite(up, fd, &Src::Kernel(&vec![1; 131_072]), 0))).1)
        .collect();
    while stop.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    go.put(());
    for w in writers {
        assert_eq!(w.wait(), Err(error::EHUNGUP.into()));
    }
    done.wait();
    sysfile::close(&t.up, fd).unwrap();
    sysfile::unmount(&t.up, None, "/n").unwrap();
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
