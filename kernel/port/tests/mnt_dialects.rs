//! `#9` over a channel: specs, sessions, and servers that are slow, large, flushed or dead. (What its files are like
//! is in `mnt_pipe`.)

mod wire;

use std::sync::{Arc, Mutex};

use abi::{MCREATE, MREPL, ORDWR, OREAD, error};
use machine::thread;
use ninep::testserver::Server;
use ninep::{Dialect, Tmsg, kind};
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::mnt::MntDev;
use port::proc::exit;
use port::proc::notes::{self, NoteClass};
use port::testkit::Hosted;
use port::{Proc, Result};
use wire::pattern;
use wire::served::{Act, Served, start, tag};
use wire::transfer::{bytes_of, pages, text};

fn kernel() -> (Hosted, Arc<MntDev>) {
    let mnt = MntDev::channels();
    let phantom = mnt.phantom(vec![]);
    (Hosted::with(vec![mnt, phantom.clone()], vec![], &[]), phantom)
}

fn mount(up: &Arc<Proc>, fd: i32, at: &str, spec: &str, device: char) -> Result<()> {
    sysfile::mount(up, fd, -1, at, MREPL | MCREATE, spec, device).map(drop)
}

fn unmount(t: &Hosted, at: &str) {
    sysfile::unmount(&t.up, None, at).unwrap();
}

/// What a server was asked: version, size, tree.
type Asked = Arc<Mutex<Vec<(String, u32, String)>>>;

/// A server that remembers what it was asked; gives the kernel's end.
fn asked(t: &Hosted, served: &Arc<Served>) -> (i32, Asked) {
    let asked = Asked::default();
    let (seen, mut version) = (asked.clone(), (String::new(), 0));
    let (fd, _) = start(t, served, move |_, bytes| {
        let dialect = Dialect::from_version(version.0.as_bytes()).unwrap_or(Dialect::U);
        match Tmsg::decode(dialect, bytes) {
            Ok((_, Tmsg::Version { msize, version: v })) => version = (v.to_string(), msize),
            Ok((_, Tmsg::Attach { aname, .. })) => {
                seen.lock().unwrap().push((version.0.clone(), version.1, aname.to_string()));
            }
            _ => {}
        }
        Act::Answer
    });
    (fd, asked)
}

#[test]
fn specs() {
    let (t, dev) = kernel();
    let served = Served::phantom(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, asked) = asked(&t, &served);
    for (spec, version, msize, aname) in [
        ("", "9P2000.u", 131_096, ""),
        (":9P2000.L", "9P2000.L", 131_096, ""),
        ("main/active", "9P2000.u", 131_096, "main/active"),
        ("/a:b c:9P2000.L", "9P2000.L", 131_096, "/a:b c"),
        (":9P2000.u:8192", "9P2000.u", 8192, ""),
        ("x:9P2000.L:4186112", "9P2000.L", 1 << 20, "x"),
    ] {
        let again = sysfile::dup(&t.up, fd, -1).unwrap();
        mount(&t.up, again, "/n", spec, '9').unwrap();
        assert_eq!(asked.lock().unwrap().pop().unwrap(), (version.into(), msize, aname.into()), "{spec}");
        assert_eq!(dev.mtags(), format!("#|/data:{version}:{msize}:2:0\n"), "{spec}");
        assert_eq!(t.read("/n/f").unwrap(), b"12345");
        unmount(&t, "/n");
        assert_eq!((served.server().fids(), dev.mtags().as_str()), (0, ""));
    }
    for (spec, says) in [
        (":9P2000", "':9P2000' bad attach specifier"),
        ("x:9P2000.L:4095", "'x:9P2000.L:4095' bad attach specifier"),
    ] {
        assert_eq!(text(mount(&t.up, fd, "/n", spec, '9')), Err(says.into()));
    }
    sysfile::close(&t.up, fd).unwrap();
}

#[test]
fn without_a_channel_the_spec_is_a_tag() {
    let (t, dev) = kernel();
    let fd = sysfile::open(&t.up, "#c/null", ORDWR).unwrap();
    for (spec, says) in [
        ("host", "'host' bad attach specifier"),
        ("host:9P2000.L:8192", "'host' bad attach specifier"),
        ("", "'' bad attach specifier"),
    ] {
        assert_eq!(text(mount(&t.up, fd, "/n", spec, '9')), Err(says.into()));
    }
    assert_eq!(dev.mtags(), "");
}

/// Two sessions on one channel would take each other's replies.
#[test]
fn a_channel_has_one_session_whatever_is_spoken() {
    let (t, dev) = kernel();
    let served = Served::phantom(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    let again = |at: &str, spec: &str, device| {
        let again = sysfile::dup(&t.up, fd, -1).unwrap();
        let mounted = text(mount(&t.up, again, at, spec, device));
        if mounted.is_err() {
            sysfile::close(&t.up, again).unwrap();
        }
        mounted
    };
    again("/n", ":9P2000.L", '9').unwrap();
    for (spec, device) in [("", 'M'), (":9P2000.u", '9'), (":9P2000.L:8192", '9')] {
        assert_eq!(again("/mnt", spec, device), Err(error::EINUSE.into()), "{spec}");
    }
    assert!(sysfile::fversion(&t.up, fd, 0, "9P2000").unwrap_err().is(error::EINUSE));
    again("/mnt", "other", '9').unwrap();
    assert_eq!(served.count(kind::TVERSION), 1);
    assert_eq!(t.stat("/n").unwrap().dev, t.stat("/mnt").unwrap().dev);
    assert_eq!(dev.mtags().lines().count(), 1);
    unmount(&t, "/n");
    assert_eq!(t.read("/mnt/f").unwrap(), b"12345");
    unmount(&t, "/mnt");
    // When the last is gone the next may choose again.
    again("/n", ":9P2000.u", '9').unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"12345");
    unmount(&t, "/n");
    // This server speaks no 9P2000.
    assert_eq!(again("/n", "", 'M'), Err("server does not speak this version of 9P".into()));
    sysfile::close(&t.up, fd).unwrap();
    done.wait();
    served.is_clean();
}

/// The other way round: `#9` gets 9P2000 from a server that has nothing else, and works.
#[test]
fn a_server_of_plain_9p2000() {
    let (t, dev) = kernel();
    let served = Served::plan9(|host| {
        host.file("f", b"12345").unwrap();
    });
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    mount(&t.up, fd, "/n", "", '9').unwrap();
    assert_eq!(dev.mtags(), "#|/data:9P2000:131096:2:0\n");
    assert_eq!(t.read("/n/f").unwrap(), b"12345");
    t.create("/n/g", b"x").unwrap();
    assert_eq!(t.ls("/n").unwrap(), ["f", "g"]);
    unmount(&t, "/n");
    done.wait();
}

#[test]
fn a_server_that_dies_in_either_dialect() {
    for dialect in ["9P2000.u", "9P2000.L"] {
        let (t, dev) = kernel();
        let served = Served::phantom(|host| {
            host.file("f", b"12345").unwrap();
        });
        let (fd, done) =
            start(&t, &served, |_, bytes| if bytes[4] == kind::TREAD { Act::Die } else { Act::Answer });
        mount(&t.up, fd, "/n", &format!(":{dialect}"), '9').unwrap();
        let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
        let mut buf = [0; 9];
        let mut read = || text(sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), 0));
        assert_eq!([read(), read()], [Err(error::EHUNGUP.into()), Err(error::EHUNGUP.into())]);
        done.wait();
        assert_eq!(dev.mtags(), "", "a session that is over has no line");
        assert!(t.stat("/n/f").unwrap_err().is(error::EHUNGUP));
        // It is there again, and what was mounted of the old one can stay or go.
        let again = Served::phantom(|host| {
            host.file("f", b"54321").unwrap();
        });
        let (new, done) = start(&t, &again, |_, _| Act::Answer);
        mount(&t.up, new, "/mnt", &format!(":{dialect}"), '9').unwrap();
        assert_eq!(t.read("/mnt/f").unwrap(), b"54321");
        sysfile::close(&t.up, fd).unwrap();
        unmount(&t, "/n");
        unmount(&t, "/mnt");
        done.wait();
        assert_eq!(again.server().fids(), 0);
    }
}

/// Eight pieces of a transfer are under way together; this server answers none before it has them all, and then
/// the last one first, in pieces that fit nothing.
#[test]
fn a_slow_server_that_answers_backwards() {
    for (dialect, msize) in [("9P2000.u", 131_096), ("9P2000.L", 1 << 20), ("9P2000.L", 8192)] {
        let (t, _) = kernel();
        // What this server says that it reads at once.
        let unit = (msize as usize - 24) / 4096 * 4096;
        let contents = pattern(unit * 8 + 1000);
        let served = Served::phantom(|_| {});
        served.chop.store(9999, std::sync::atomic::Ordering::Relaxed);
        let mut model = Server::new();
        model.host.file("big", &contents).unwrap();
        let model = Arc::new(Mutex::new(model));
        let (theirs, mut waiting) = (model.clone(), Vec::new());
        let (fd, done) = start(&t, &served, move |_, bytes| {
            let mut model = theirs.lock().unwrap();
            if !matches!(bytes[4], kind::TREAD | kind::TWRITE) {
                return Act::Say(model.handle(bytes));
            }
            waiting.push(model.handle(bytes));
            if waiting.len() < 8 {
                return Act::Say(vec![]);
            }
            Act::Say(waiting.drain(..).rev().flatten().collect())
        });
        mount(&t.up, fd, "/n", &format!(":{dialect}:{msize}"), '9').unwrap();
        let fd = sysfile::open(&t.up, "/n/big", ORDWR).unwrap();
        let room = pages(unit * 8);
        let n = sysfile::pread(&t.up, fd, &mut Dst::Pages(&room), 1000).unwrap();
        assert_eq!((n, served.count(kind::TREAD)), (unit * 8, 8));
        assert!(bytes_of(&room)[..n] == contents[1000..]);
        sysfile::close(&t.up, fd).unwrap();
        unmount(&t, "/n");
        done.wait();
        let model = model.lock().unwrap();
        assert_eq!((model.fids(), model.broken()), (0, None));
    }
}

#[test]
fn interrupted_calls_are_flushed_in_either_dialect() {
    for (dialect, held) in [("9P2000.u", kind::TSTAT), ("9P2000.L", kind::TGETATTR)] {
        let (t, _) = kernel();
        let served = Served::phantom(|host| {
            host.file("f", b"12345").unwrap();
        });
        let (fd, done) = start(&t, &served, move |_, bytes| match bytes[4] {
            kind::TREAD => Act::Hold,
            k if k == held => Act::Hold,
            _ => Act::Answer,
        });
        mount(&t.up, fd, "/n", &format!(":{dialect}"), '9').unwrap();
        let fd = sysfile::open(&t.up, "/n/f", OREAD).unwrap();
        for round in 1..=20 {
            let (p, result) = t.start(move |up| {
                let mut buf = [0; 9];
                let said = match round % 2 {
                    0 => text(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0).map(drop)),
                    _ => text(sysfile::fstat(up, fd).map(drop)),
                };
                thread::current().clear_interrupt();
                exit::exit(up, "");
                said
            });
            served.until_held(round);
            notes::post(&p, "interrupt", NoteClass::User);
            assert_eq!(result.wait(), Err(error::EINTR.into()));
            assert_eq!(served.count(kind::TFLUSH), round as usize);
        }
        sysfile::close(&t.up, fd).unwrap();
        unmount(&t, "/n");
        done.wait();
        served.is_clean();
    }
}

/// A dialect's error numbers and nonsense from a server end in words, not in more.
#[test]
fn nonsense_from_a_server() {
    type Say = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Say); 4] = [
        ("a reply of the other dialect", |t| {
            let error = ninep::Rmsg::Error { ename: "x".into(), errno: 2 };
            error.to_vec(Dialect::U, tag(t)).unwrap()
        }),
        ("more than was asked for", |t| {
            let mut r = vec![0; 200_011];
            r[..4].copy_from_slice(&200_011u32.to_le_bytes());
            r[4..7].copy_from_slice(&[kind::RREADDIR, t[5], t[6]]);
            r
        }),
        ("entries that are none", |t| {
            let junk = ninep::Rmsg::Readdir { data: ninep::wire::Data(&[0xff; 100]) };
            junk.to_vec(Dialect::L, tag(t)).unwrap()
        }),
        ("a size of three", |_| vec![3, 0, 0, 0, 41, 0, 0]),
    ];
    for (name, say) in cases {
        let (t, _) = kernel();
        let served = Served::phantom(|host| {
            host.file("d/f", b"12345").unwrap();
        });
        let (fd, _) = start(&t, &served, move |_, bytes| match bytes[4] {
            kind::TREADDIR => Act::Say(say(bytes)),
            _ => Act::Answer,
        });
        mount(&t.up, fd, "/n", ":9P2000.L", '9').unwrap();
        assert!(t.ls("/n/d").is_err(), "{name}");
        unmount(&t, "/n");
    }
    assert_eq!(machine::host::machine().panics(), 0);
}

/// Writes of several processes at once through one channel stay whole.
#[test]
fn many_processes() {
    let (t, _) = kernel();
    let served = Served::phantom(|_| {});
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    mount(&t.up, fd, "/n", ":9P2000.L", '9').unwrap();
    let writers: Vec<_> = (0..100u8)
        .map(|i| {
            let write = move |up: &Arc<Proc>| {
                let fd = sysfile::create(up, &format!("/n/f{i}"), ORDWR, 0o644).unwrap();
                sysfile::pwrite(up, fd, &Src::Kernel(&vec![i; 20_000]), 0).unwrap();
                sysfile::close(up, fd).unwrap();
                exit::exit(up, "");
            };
            t.start(write).1
        })
        .collect();
    writers.iter().for_each(|w| w.wait());
    for i in 0..100u8 {
        assert!(t.read(&format!("/n/f{i}")).unwrap() == vec![i; 20_000], "{i}");
    }
    unmount(&t, "/n");
    done.wait();
    served.is_clean();
}
