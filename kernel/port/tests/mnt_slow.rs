//! A server that takes its time, and files that are read and written in very many pieces: a note or a kill ends that
//! between two of them, and what was moved is said.

mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::{MCREATE, MREPL, ORDWR, OREAD};
use machine::sync::Completion;
use ninep::{Dialect, kind};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Src, UserBuf};
use port::mnt::MntDev;
use port::name::fgrp::Fgrp;
use port::proc::exit;
use port::proc::notes::{self, NoteClass};
use port::proc::procctl;
use port::testkit::{Hosted, read_file};
use wire::served::{self, Act, Served};
use wire::transfer::read;
use wire::{Fate, Share, pattern};

/// Bytes of a piece, as the server wants it.
const UNIT: u32 = 100;
/// Of all pieces together.
const BYTES: usize = 20_000;
/// How long the server takes for anything: all pieces take ten seconds.
const DELAY: Duration = Duration::from_millis(50);
/// More than eight pieces and their flushes take, less than all.
const SOON: Duration = Duration::from_secs(4);

/// The unit in the reply to an open or create.
fn small(reply: &mut [u8]) {
    let at = reply.len() - 4;
    reply[at..].copy_from_slice(&UNIT.to_le_bytes());
}

/// A share with a large file, of which every message moves little, and that slowly from now on.
fn share() -> Share {
    let s = Share::new(|host| {
        host.file("f", &pattern(BYTES)).unwrap();
    });
    s.wire.plan_for(kind::TOPEN, |_| {
        Fate::Edit(Box::new(|mut reply| {
            small(&mut reply);
            reply
        }))
    });
    s
}

/// A process of its own that does `f`; gives its result.
fn start<T: Send + 'static>(
    t: &Hosted,
    f: impl FnOnce(&Arc<Proc>) -> T + Send + 'static,
) -> (Arc<Proc>, Arc<Completion<(T, Duration)>>) {
    t.start(move |up| {
        *up.fgrp.lock() = Fgrp::new();
        let begin = Instant::now();
        let result = f(up);
        let took = begin.elapsed();
        exit::exit(up, "");
        (result, took)
    })
}

/// Writes everything; how much the call says that was.
fn write(up: &Arc<Proc>, name: &str) -> port::Result<usize> {
    let fd = sysfile::open(up, name, ORDWR)?;
    let bytes = vec![b'x'; BYTES];
    let va = memory(up, &bytes);
    sysfile::pwrite(up, fd, &Src::User(UserBuf { mem: &up.mem, va, len: BYTES }), 0)
}

fn memory(up: &Arc<Proc>, bytes: &[u8]) -> u64 {
    use machine::space::Prot;
    use port::mem::{Kind, Segment};
    let prot = Prot { write: true, exec: false };
    let base = 0x40_0000;
    up.mem.add(Segment::new(Kind::Bss, base, base + (64 << 10), prot, None)).unwrap();
    up.mem.copy_out(base, bytes).unwrap();
    base
}

/// How much of the file has been written.
fn written(bytes: &[u8]) -> usize {
    let n = bytes.iter().position(|&b| b != b'x').unwrap_or(bytes.len());
    assert!(bytes[n..] == pattern(BYTES)[n..]);
    n
}

fn note(p: &Proc) {
    // A handler, so that it is only told.
    p.notes.lock().handler = 0x20_0000;
    notes::post(p, "alarm", NoteClass::User);
}

#[test]
fn a_write_ends_with_a_note_and_says_how_far_it_came() {
    let s = share();
    s.wire.state().delay = DELAY;
    let (p, done) = start(&s.t, |up| write(up, "/n/f"));
    while s.wire.count(kind::TWRITE) < 20 {
        std::thread::sleep(DELAY);
    }
    let begin = Instant::now();
    note(&p);
    let (said, _) = done.wait();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let said = said.unwrap();
    let host = written(&s.wire.host("f").unwrap());
    assert!((1000..BYTES / 2).contains(&said) && said.is_multiple_of(UNIT as usize), "{said}");
    // Those that were under way when the note came are given up, or the server was faster.
    assert!((said..=said + 8 * UNIT as usize).contains(&host), "{said} {host}");
    s.wire.state().delay = Duration::ZERO;
    s.wire.no_plan();
    s.end();
}

#[test]
fn a_read_does_too() {
    let s = share();
    s.wire.state().delay = DELAY;
    let (p, done) = start(&s.t, |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        read(up, fd, BYTES, 0)
    });
    while s.wire.count(kind::TREAD) < 20 {
        std::thread::sleep(DELAY);
    }
    let begin = Instant::now();
    note(&p);
    let (got, _) = done.wait();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let got = got.unwrap();
    assert!((1000..BYTES / 2).contains(&got.len()) && got == pattern(BYTES)[..got.len()], "{}", got.len());
    s.wire.state().delay = Duration::ZERO;
    s.wire.no_plan();
    s.end();
}

#[test]
fn a_kill_ends_it_within_a_second() {
    let s = share();
    s.wire.state().delay = DELAY;
    let (p, done) = start(&s.t, |up| drop(write(up, "/n/f")));
    while s.wire.count(kind::TWRITE) < 20 {
        std::thread::sleep(DELAY);
    }
    let begin = Instant::now();
    procctl::kill(&p);
    done.wait();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    s.wire.state().delay = Duration::ZERO;
    assert!(written(&s.wire.host("f").unwrap()) < BYTES / 2);
    s.wire.no_plan();
    s.end();
}

/// However long each of many answers takes, one second is all that who is to die waits for them together.
#[test]
fn a_kill_does_not_wait_for_each_piece_anew() {
    let s = share();
    // Each of eight reads has to be flushed by itself, and that takes nearly a second.
    s.wire.plan(|t| match t[4] {
        k if k == wire::spoken(kind::TOPEN) => Fate::Edit(Box::new(|mut reply| {
            small(&mut reply);
            reply
        })),
        kind::TREAD => Fate::Hold,
        _ => Fate::Answer,
    });
    let (p, done) = start(&s.t, |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        drop(read(up, fd, BYTES, 0));
    });
    s.wire.until_held(8);
    s.wire.state().delay = Duration::from_millis(700);
    let begin = Instant::now();
    procctl::kill(&p);
    done.wait();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    s.wire.state().delay = Duration::ZERO;
    let wire = s.wire.clone();
    s.wire.no_plan();
    let begin = Instant::now();
    // The keeper has the rest given up, and its file closed.
    while wire.fids() > 1 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(DELAY);
    }
    assert_eq!(read_file(&s.t.up, "/n/f").unwrap(), pattern(BYTES));
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    let begin = Instant::now();
    while s.dev.mtags() != "host:-\n" {
        assert!(begin.elapsed() < Duration::from_secs(20));
        std::thread::sleep(DELAY);
    }
}

/// A directory whose reading takes many messages: each of its links is followed, and in 9P2000.L each name is looked
/// at. A note ends the read, and nothing is lost to who reads on.
#[test]
fn a_directory_is_read_on_after_a_note() {
    const LINKS: usize = 60;
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
        for i in 0..LINKS {
            host.link(format!("dir/{i}"), b"../f").unwrap();
        }
    });
    s.wire.state().delay = Duration::from_millis(20);
    let before = s.wire.state().log.len();
    let (p, done) = start(&s.t, |up| {
        let fd = sysfile::open(up, "/n/dir", OREAD).unwrap();
        let mut bytes = Vec::new();
        let mut interrupted = Vec::new();
        loop {
            let mut buf = vec![0; 30_000];
            let begin = Instant::now();
            match sysfile::pread(up, fd, &mut port::mem::iobuf::Dst::Kernel(&mut buf), -1) {
                Ok(0) => break,
                Ok(n) => bytes.extend_from_slice(&buf[..n]),
                Err(e) => assert!(e.is(abi::error::EINTR), "{e}"),
            }
            let me = machine::thread::current();
            if me.interrupted() {
                me.clear_interrupt();
                interrupted.push(begin.elapsed());
            }
        }
        let dirs = abi::Dir::parse_all(&bytes).unwrap();
        (dirs.into_iter().map(|d| (d.name, d.length)).collect::<Vec<_>>(), interrupted)
    });
    while s.wire.state().log.len() < before + 30 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let begin = Instant::now();
    note(&p);
    while p.thread.get().unwrap().interrupted() {
        assert!(begin.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(1));
    }
    s.wire.state().delay = Duration::ZERO;
    let ((mut names, interrupted), _) = done.wait();
    assert_eq!(interrupted.len(), 1);
    names.sort();
    let mut all: Vec<_> = (0..LINKS).map(|i| (i.to_string(), 5)).collect();
    all.sort();
    assert_eq!(names, all);
    s.end();
}

/// The same for 9P2000 behind a channel, where one piece is sent after the other.
#[test]
fn a_channel_s_server() {
    if wire::dialect() == Dialect::L {
        return;
    }
    for killed in [false, true] {
        let t = Hosted::with(vec![MntDev::channels()], vec![], &[]);
        let served = Served::plan9(|host| {
            host.file("f", &pattern(BYTES)).unwrap();
        });
        let (fd, over) = served::start(&t, &served, |_, message| {
            std::thread::sleep(Duration::from_millis(30));
            match message[4] {
                kind::TOPEN => Act::Edit(|reply| small(reply)),
                _ => Act::Answer,
            }
        });
        sysfile::mount(&t.up, fd, -1, "/n", MREPL | MCREATE, "", 'M').unwrap();
        let (p, done) = start(&t, |up| write(up, "/n/f"));
        while served.count(kind::TWRITE) < 20 {
            std::thread::sleep(DELAY);
        }
        let begin = Instant::now();
        if killed {
            procctl::kill(&p)
        } else {
            note(&p)
        }
        let (said, _) = done.wait();
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        let said = said.unwrap();
        assert!((1000..BYTES / 2).contains(&said), "{said}");
        let host = written(served.server().host.read("f").unwrap());
        assert!((said..=said + UNIT as usize).contains(&host), "{said} {host}");
        sysfile::unmount(&t.up, None, "/n").unwrap();
        over.wait();
        served.is_clean();
    }
}
