//! `#9`: the device answers late, in another order, short, wrongly or not at all.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use abi::{DMAPPEND, ORDWR, OREAD, OWRITE, error};
use machine::page::{Page, Pinned};
use machine::sync::Completion;
use machine::thread;
use ninep::{Dialect, Rmsg, kind};
use port::iobuf::{Dst, Src, UserBuf};
use port::mnt::Patience;
use port::note::{self, NoteClass};
use port::testkit::Hosted;
use port::{Proc, sysfile, sysproc};
use wire::{Fate, Share, pattern};

/// Pages for a large read, as a program's are: the device writes into them.
fn pages(bytes: usize) -> Vec<Pinned> {
    let page = |at| Pinned::new(Page::new_zeroed().unwrap(), 0, 4096.min(bytes - at));
    (0..bytes).step_by(4096).map(page).collect()
}

fn bytes_of(pages: &[Pinned]) -> Vec<u8> {
    let mut out = Vec::new();
    for p in pages {
        let at = out.len();
        out.resize(at + p.len(), 0);
        p.read(0, &mut out[at..]);
    }
    out
}

fn open(t: &Hosted, name: &str, mode: u32) -> i32 {
    sysfile::open(&t.up, name, mode).unwrap()
}

/// A read of `len` bytes into pages.
fn read(up: &Arc<Proc>, fd: i32, len: usize, at: i64) -> Result<Vec<u8>, String> {
    let pages = pages(len);
    let n = sysfile::pread(up, fd, &mut Dst::Pages(&pages), at).map_err(|e| e.text().to_string())?;
    let mut bytes = bytes_of(&pages);
    bytes.truncate(n);
    Ok(bytes)
}

const UNIT: usize = 131_072;

#[test]
fn large_reads_are_pieces_in_flight_together_and_come_back_in_any_order() {
    let contents = pattern(2_500_000);
    let s = Share::new(|host| {
        host.file("big", &contents).unwrap();
    });
    s.wire.state().reorders = true;
    let fd = open(&s.t, "/n/big", OREAD);
    let before = s.wire.count(kind::TREAD);
    assert!(read(&s.t.up, fd, 2_000_000, 100).unwrap() == contents[100..2_000_100]);
    assert_eq!(s.wire.count(kind::TREAD) - before, 2_000_000usize.div_ceil(UNIT));
    assert_eq!(s.wire.state().peak, 8, "as many as a slot has");
    assert!(read(&s.t.up, fd, 1_000_000, 2_000_000).unwrap() == contents[2_000_000..], "up to the end");
    assert!(read(&s.t.up, fd, 10, 2_500_000).unwrap().is_empty());
    // A small one is one message.
    let before = s.wire.count(kind::TREAD);
    assert!(read(&s.t.up, fd, UNIT, 0).unwrap() == contents[..UNIT]);
    assert_eq!(s.wire.count(kind::TREAD) - before, 1);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

/// A program's memory, so that writes are pinned as they are in life.
fn with_memory(t: &Hosted, contents: &[u8]) -> u64 {
    use machine::space::Prot;
    use port::mem::{Kind, Segment};
    let len = (contents.len() as u64).next_multiple_of(4096);
    let prot = Prot { write: true, exec: false };
    let base = 0x40_0000;
    t.up.mem.add(Segment::new(Kind::Bss, base, base + len, prot, None)).unwrap();
    t.up.mem.copy_out(base, contents).unwrap();
    base
}

#[test]
fn large_writes_too() {
    let contents = pattern(2_100_000);
    let s = Share::new(|_| {});
    let va = with_memory(&s.t, &contents);
    s.wire.state().reorders = true;
    let fd = sysfile::create(&s.t.up, "/n/big", ORDWR, 0o644).unwrap();
    let len = contents.len() - 3;
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va: va + 3, len });
    assert_eq!(sysfile::pwrite(&s.t.up, fd, &src, 1).unwrap(), len);
    assert_eq!(s.wire.state().peak, 8);
    assert!(s.wire.host("big").unwrap()[1..] == contents[3..]);
    // Beyond the memory: what there is, when something is.
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va: va + 1_000_000, len: 3_000_000 });
    let n = sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap();
    assert!((8 * UNIT..=1_102_000).contains(&n), "{n}");
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va: 0x1000, len: 3_000_000 });
    assert!(sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap_err().is_fault());
    sysfile::close(&s.t.up, fd).unwrap();

    // Append-only files take one piece at a time, or they would be mixed up.
    let fd = sysfile::create(&s.t.up, "/n/log", OWRITE, DMAPPEND | 0o644).unwrap();
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va, len: 1_000_000 });
    assert_eq!(sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap(), 1_000_000);
    assert!(s.wire.host("log").unwrap() == contents[..1_000_000]);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn what_counts_is_the_part_up_to_the_first_short_piece() {
    let contents = pattern(1_000_000);
    let s = Share::new(|host| {
        host.file("big", &contents).unwrap();
    });
    s.wire.state().reorders = true;
    let fd = open(&s.t, "/n/big", ORDWR);
    // The third piece of a read has only 1000 bytes.
    let at = |t: &[u8]| u64::from_le_bytes(t[11..19].try_into().unwrap());
    s.wire.plan_for(kind::TREAD, move |t| match at(t) {
        262_144 => Fate::Edit(Box::new(|mut reply| {
            reply.truncate(1011);
            reply[0..4].copy_from_slice(&1011u32.to_le_bytes());
            reply[7..11].copy_from_slice(&1000u32.to_le_bytes());
            reply
        })),
        _ => Fate::Answer,
    });
    assert!(read(&s.t.up, fd, 900_000, 0).unwrap() == contents[..2 * UNIT + 1000]);
    // It fails.
    s.wire.plan_for(kind::TREAD, move |t| match at(t) {
        262_144 => Fate::Edit(error_reply(t, "Input/output error", 5)),
        _ => Fate::Answer,
    });
    assert!(read(&s.t.up, fd, 900_000, 0).unwrap() == contents[..2 * UNIT]);
    assert_eq!(read(&s.t.up, fd, 900_000, 2 * UNIT as i64), Err(error::EIO.into()));
    // A write of which the disk takes half.
    s.wire.plan_for(kind::TWRITE, move |t| match at(t) {
        131_072 => {
            let reply =
                Rmsg::Write { count: 5 }.to_vec(Dialect::U, u16::from_le_bytes([t[5], t[6]])).unwrap();
            let len = reply.len();
            Fate::Say(reply, len)
        }
        _ => Fate::Answer,
    });
    let va = with_memory(&s.t, &contents);
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va, len: 900_000 });
    assert_eq!(sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap(), UNIT + 5);
    s.wire.no_plan();
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

fn error_reply(t: &[u8], ename: &'static str, errno: u32) -> Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send> {
    let reply = wire::error(t, ename, errno);
    Box::new(move |_| reply)
}

#[test]
fn an_error_may_be_longer_than_what_was_to_be_read() {
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
    });
    let fd = open(&s.t, "/n/f", OREAD);
    const LONG: &str =
        "the disk is on fire, and so are the cables, the rack, the cooling and most of the room behind it";
    for len in [1, 2, 100, 5000] {
        s.wire.plan_for(kind::TREAD, |t| Fate::Edit(error_reply(t, LONG, 0)));
        let says = if wire::dialect() == Dialect::L { "host error 0" } else { LONG };
        assert_eq!(read(&s.t.up, fd, len, 0), Err(says.into()), "{len}");
        s.wire.plan_for(kind::TREAD, |t| Fate::Edit(error_reply(t, "No such device or address", 6)));
        assert_eq!(read(&s.t.up, fd, len, 0), Err(error::EPERM.into()), "{len}");
    }
    s.wire.no_plan();
    assert_eq!(read(&s.t.up, fd, 100, 1).unwrap(), b"2345");
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

/// Runs `f` as a process, interrupts it when the device holds `n` of its messages, and gives what came out and
/// whether the note is still to be seen.
fn interrupted<T: Send + 'static>(
    s: &Share,
    n: usize,
    f: impl FnOnce(&Arc<Proc>) -> T + Send + 'static,
) -> (T, bool) {
    let (p, done) = s.t.start(move |up| {
        let result = f(up);
        let seen = thread::current().interrupted();
        thread::current().clear_interrupt();
        sysproc::exit(up, "");
        (result, seen)
    });
    s.wire.until_held(n);
    note::post(&p, "alarm", NoteClass::User);
    done.wait()
}

fn text<T>(r: port::Result<T>) -> Result<T, String> {
    r.map_err(|e| e.text().to_string())
}

#[test]
fn a_note_flushes_and_a_reply_that_came_first_counts() {
    let s = Share::new(|host| {
        host.file("dir/f", b"12345").unwrap();
    });
    let fd = open(&s.t, "/n/dir/f", OREAD);
    for (kind, cancels) in [kind::TWALK, kind::TOPEN, kind::TCREATE, kind::TREAD, kind::TSTAT]
        .into_iter()
        .flat_map(|k| [(k, true), (k, false)])
    {
        s.wire.state().cancels = cancels;
        let fids = s.wire.fids();
        s.wire.plan_for(kind, |_| Fate::Hold);
        let wire = s.wire.clone();
        let (result, seen) = interrupted(&s, 1, move |up| {
            let result = match kind {
                kind::TWALK | kind::TOPEN => text(sysfile::open(up, "/n/dir/f", OREAD)).map(Some),
                kind::TCREATE => text(sysfile::create(up, "/n/made", OWRITE, 0o644)).map(Some),
                kind::TREAD => read(up, fd, 5, 0).map(|bytes| assert_eq!(bytes, b"12345")).map(|()| None),
                _ => text(sysfile::fstat(up, fd)).map(|_| None),
            };
            wire.no_plan();
            result.and_then(|fd| fd.map_or(Ok(()), |fd| text(sysfile::close(up, fd))))
        });
        if cancels {
            assert!(result.as_ref().is_err_and(|e| e.ends_with(error::EINTR)), "{kind}: {result:?}");
        } else if kind != kind::TWALK {
            // The walk is the first of several messages; the next one is interrupted in its turn.
            assert_eq!(result, Ok(()), "{kind}");
        }
        assert!(seen, "{kind}: the note is still to come");
        assert_eq!(s.wire.fids(), fids, "{kind}: nothing is left of it");
        let _ = sysfile::remove(&s.t.up, "/n/made");
    }
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn every_piece_under_way_is_flushed() {
    let contents = pattern(1_000_000);
    let s = Share::new(|host| {
        host.file("big", &contents).unwrap();
    });
    let fd = open(&s.t, "/n/big", OREAD);
    s.wire.plan_for(kind::TREAD, |_| Fate::Hold);
    s.wire.state().cancels = true;
    let (result, _) = interrupted(&s, 7, move |up| read(up, fd, 900_000, 0));
    assert_eq!(result, Err(error::EINTR.into()));
    assert_eq!(s.wire.count(kind::TFLUSH), 7);
    // What was finished all the same counts, as far as it hangs together.
    s.wire.state().cancels = false;
    let (result, _) = interrupted(&s, 7, move |up| read(up, fd, 900_000, 0));
    assert!(result.unwrap() == contents[..900_000]);
    // Half of each: the first three have come.
    s.wire.state().cancels = true;
    let reads = AtomicUsize::new(0);
    s.wire.plan_for(kind::TREAD, move |_| match reads.fetch_add(1, Ordering::Relaxed) {
        0..3 => Fate::Answer,
        _ => Fate::Hold,
    });
    let (result, _) = interrupted(&s, 4, move |up| read(up, fd, 900_000, 0));
    assert!(result.unwrap() == contents[..3 * UNIT]);
    s.wire.no_plan();
    assert!(read(&s.t.up, fd, 900_000, 0).unwrap() == contents[..900_000]);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

/// Closing gets through whatever notes there are: the server must not keep fids.
#[test]
fn notes_do_not_keep_files_open() {
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
    });
    let fids = s.wire.fids();
    s.wire.state().cancels = true;
    let wire = s.wire.clone();
    let (_, done) = s.t.start(move |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        let tmp = sysfile::create(up, "/n/tmp", ORDWR | abi::ORCLOSE, 0o600).unwrap();
        thread::current().interrupt();
        sysfile::close(up, fd).unwrap();
        sysfile::close(up, tmp).unwrap();
        wire.plan_for(kind::TSTAT, |_| Fate::Hold);
        text(sysfile::stat(up, "/n/f").map(drop))
    });
    assert_eq!(done.wait(), Err(error::EINTR.into()), "but it ends everything else");
    s.wire.no_plan();
    assert_eq!(s.wire.fids(), fids);
    assert_eq!(s.wire.host("tmp"), None);
    s.end();
}

#[test]
fn a_dead_device_is_hung_up_and_can_be_mounted_again() {
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
    });
    let t = &s.t;
    let fd = open(t, "/n/f", OREAD);
    s.wire.plan(|_| Fate::Fail);
    assert_eq!(read(&t.up, fd, 5, 0), Err(error::EHUNGUP.into()));
    assert_eq!(s.wire.state().resets, 1);
    s.wire.no_plan();
    // The server would answer now, but it does not know our fids: nothing is sent any more.
    let sent = s.wire.state().log.len();
    assert_eq!(read(&t.up, fd, 5, 0), Err(error::EHUNGUP.into()));
    assert_eq!(text(sysfile::fstat(&t.up, fd).map(drop)), Err(error::EHUNGUP.into()));
    assert_eq!(t.stat("/n/f").unwrap_err().text(), "'/n/f' i/o on hungup channel");
    assert_eq!(s.wire.state().log.len(), sent);
    assert_eq!(s.dev.mtags(), "host:-\n");
    // Again, while the old one is still there.
    s.mount("host", "/mnt").unwrap();
    assert_eq!(t.read("/mnt/f").unwrap(), b"12345");
    assert_eq!(read(&t.up, fd, 5, 0), Err(error::EHUNGUP.into()));
    sysfile::close(&t.up, fd).unwrap();
    sysfile::unmount(&t.up, None, "/n").unwrap();
    assert_eq!(t.read("/mnt/f").unwrap(), b"12345");
    sysfile::unmount(&t.up, None, "/mnt").unwrap();
    assert_eq!((s.wire.fids(), s.wire.state().resets), (0, 1));
    assert_eq!(s.dev.mtags(), "host:-\n");
}

/// All that a device may say and no server would.
#[test]
fn lies_end_the_session() {
    type Lie = fn(&[u8], Vec<u8>) -> (Vec<u8>, usize);
    fn whole(bytes: Vec<u8>) -> (Vec<u8>, usize) {
        let n = bytes.len();
        (bytes, n)
    }
    let lies: &[(&str, u8, Lie)] = &[
        ("shorter than it says", kind::TSTAT, |_, r| (r.clone(), r.len() - 1)),
        ("longer than it says", kind::TSTAT, |_, r| (r.clone(), r.len() + 1)),
        ("longer than its room", kind::TSTAT, |_, r| (r, 1 << 20)),
        ("six bytes", kind::TSTAT, |_, r| (r, 6)),
        ("another tag", kind::TSTAT, |_, mut r| {
            r[5] ^= 1;
            whole(r)
        }),
        ("another type", kind::TSTAT, |_, mut r| {
            r[4] = kind::RCLUNK;
            whole(r)
        }),
        ("a request", kind::TSTAT, |t, _| whole(t.to_vec())),
        ("more qids than names", kind::TWALK, |t, mut r| {
            r.extend([0; 13]);
            let len = r.len() as u32;
            r[0..4].copy_from_slice(&len.to_le_bytes());
            r[7] = t[15] + 1;
            whole(r)
        }),
        ("more bytes than asked", kind::TREAD, |_, mut r| {
            r.resize(11 + 101, 7);
            r[0..4].copy_from_slice(&112u32.to_le_bytes());
            r[7..11].copy_from_slice(&101u32.to_le_bytes());
            whole(r)
        }),
        ("a count of 4 GiB", kind::TREAD, |_, mut r| {
            r[7..11].copy_from_slice(&u32::MAX.to_le_bytes());
            whole(r)
        }),
        ("a count without the bytes", kind::TREAD, |_, mut r| {
            r[7..11].copy_from_slice(&100u32.to_le_bytes());
            whole(r)
        }),
        ("a read with another tag", kind::TREAD, |_, mut r| {
            r[6] ^= 1;
            whole(r)
        }),
        ("a read that is a write", kind::TREAD, |_, mut r| {
            r[4] = kind::RWRITE;
            whole(r)
        }),
        ("a cut error", kind::TREAD, |t, _| {
            let e = wire::error(t, "x", 5);
            (e.clone(), e.len() - 2)
        }),
        ("more written than sent", kind::TWRITE, |_, mut r| {
            r[7..11].copy_from_slice(&6u32.to_le_bytes());
            whole(r)
        }),
        ("a write with a tail", kind::TWRITE, |_, mut r| {
            r.push(0);
            r[0] += 1;
            whole(r)
        }),
    ];
    for &(name, kind, lie) in lies {
        let s = Share::new(|host| {
            host.file("f", b"12345").unwrap();
        });
        let fd = open(&s.t, "/n/f", ORDWR);
        let other = open(&s.t, "/n", OREAD);
        let mut model = s.wire.state().server.clone();
        s.wire.plan_for(kind, move |t| {
            let (bytes, len) = lie(t, model.handle(t));
            Fate::Say(bytes, len)
        });
        let failed = match kind {
            kind::TSTAT => text(sysfile::fstat(&s.t.up, fd).map(drop)),
            kind::TWALK => text(sysfile::stat(&s.t.up, "/n/f").map(drop)),
            kind::TREAD => read(&s.t.up, fd, 100, 0).map(drop),
            _ => text(sysfile::pwrite(&s.t.up, fd, &Src::Kernel(b"12345"), 0).map(drop)),
        };
        let e = failed.expect_err(name);
        assert!(e.ends_with(error::EMOUNTRPC) || e.ends_with(error::EHUNGUP), "{name}: {e}");
        assert_eq!(s.wire.state().resets, 1, "{name}");
        assert_eq!(text(sysfile::fstat(&s.t.up, other).map(drop)), Err(error::EHUNGUP.into()), "{name}");
        s.wire.no_plan();
        sysfile::unmount(&s.t.up, None, "/n").unwrap();
        s.mount("host", "/n").unwrap();
        assert_eq!(s.t.read("/n/f").unwrap(), b"12345", "{name}");
        for fd in [fd, other] {
            sysfile::close(&s.t.up, fd).unwrap();
        }
        sysfile::unmount(&s.t.up, None, "/n").unwrap();
        assert_eq!(s.wire.fids(), 0, "{name}");
    }
    assert_eq!(machine::host::machine().panics(), 0);
}

#[test]
fn a_version_that_cannot_be_agreed_on() {
    let s = Share::unmounted(Patience::DEVICE, |host| {
        host.file("f", b"12345").unwrap();
    });
    let version = |msize, version: &str| {
        let version = &wire::turned(version);
        let reply =
            Rmsg::Version { msize, version: version.as_str().into() }.to_vec(Dialect::U, 0xffff).unwrap();
        let len = reply.len();
        move || Fate::Say(reply.clone(), len)
    };
    for (fate, ending) in [
        (version(8192, "unknown"), "does not speak this version of 9P"),
        (version(8192, "9P2000.L"), "does not speak this version of 9P"),
        (version(1 << 30, "9P2000.u"), error::EMOUNTRPC),
        (version(100, "9P2000.u"), error::EMOUNTRPC),
    ] {
        s.wire.plan_for(kind::TVERSION, move |_| fate());
        let e = s.mount("host", "/n").unwrap_err();
        assert!(e.text().ends_with(ending), "{e}");
        assert_eq!(s.dev.mtags(), "host:-\n");
    }
    s.wire.no_plan();
    s.mount("host", "/n").unwrap();
    s.end();
}

#[test]
fn the_watchdog_knows_a_slow_disk_from_a_dead_device() {
    const QUICK: Patience = Patience { ask_ns: 20_000_000, sign_ns: 200_000_000, flush_ns: u64::MAX };
    let s = Share::unmounted(QUICK, |host| {
        host.file("f", b"12345").unwrap();
    });
    s.mount("host", "/n").unwrap();
    // Slow: it answers when asked whether it lives, so it is waited for.
    let fd = open(&s.t, "/n/f", OREAD);
    s.wire.plan_for(kind::TREAD, |_| Fate::Hold);
    let (_, done) = s.t.start(move |up| read(up, fd, 5, 0));
    s.wire.until_held(1);
    let end = Instant::now() + Duration::from_secs(20);
    while s.wire.count(kind::TFLUSH) < 3 {
        assert!(Instant::now() < end, "it was not asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    s.wire.release(|n| (0..n).collect());
    assert_eq!(done.wait().unwrap(), b"12345");
    assert_eq!(s.wire.state().resets, 0);

    // A flush that takes its time is no sign of death either: QEMU answers it after what is flushed.
    let asked = s.wire.count(kind::TFLUSH);
    s.wire.plan(move |t| match t[4] {
        kind::TREAD => Fate::Hold,
        kind::TFLUSH if t[7..9] != [0xfe, 0xff] => Fate::Hold,
        _ => Fate::Answer,
    });
    let (p, done) = s.t.start(move |up| {
        up.notes.lock().handler = 0x20_0000;
        read(up, fd, 5, 0)
    });
    s.wire.until_held(1);
    note::post(&p, "alarm", NoteClass::User);
    // The flushed one is answered, the flush is not yet.
    s.wire.until_held(1);
    let end = Instant::now() + Duration::from_secs(20);
    while s.wire.count(kind::TFLUSH) < asked + 4 {
        assert!(Instant::now() < end, "it was not asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!done.ready());
    s.wire.release(|n| (0..n).collect());
    assert_eq!(done.wait().unwrap(), b"12345");
    s.wire.no_plan();

    // Dead: no sign, whoever waits is told, and it can be mounted again.
    let held = Arc::new(AtomicUsize::new(0));
    s.wire.state().mute = true;
    let waiting: Vec<Arc<Completion<_>>> = (0..5)
        .map(|_| {
            let held = held.clone();
            s.t.start(move |up| {
                held.fetch_add(1, Ordering::Relaxed);
                read(up, fd, 5, 0)
            })
            .1
        })
        .collect();
    for done in waiting {
        assert_eq!(done.wait(), Err(error::EHUNGUP.into()));
    }
    assert_eq!(s.wire.state().resets, 1);
    assert_eq!(s.dev.mtags(), "host:-\n");
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    s.mount("host", "/n").unwrap();
    assert_eq!(s.t.read("/n/f").unwrap(), b"12345");
    sysfile::close(&s.t.up, fd).unwrap();
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    assert_eq!(s.wire.fids(), 0);
}

#[test]
fn a_silent_device_does_not_block_what_looks_at_it() {
    const QUICK: Patience = Patience { ask_ns: 300_000_000, sign_ns: 100_000_000, flush_ns: u64::MAX };
    let s = Share::unmounted(QUICK, |_| {});
    s.wire.state().mute = true;
    let up = s.t.process();
    let (_, done) = s.t.start(move |_| {
        let fd = sysfile::open(&up, "#c/null", ORDWR).unwrap();
        text(sysfile::mount(&up, fd, -1, "/n", 0, "host", '9').map(drop))
    });
    s.wire.until_held(0);
    while s.wire.state().log.is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(s.dev.mtags(), "host:-\n", "while it is being mounted");
    assert!(!done.ready());
    assert_eq!(done.wait(), Err(error::EHUNGUP.into()));
    s.mount("host", "/n").unwrap();
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    assert_eq!(s.dev.mtags(), "host:-\n");
}
