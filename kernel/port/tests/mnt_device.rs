//! `#9`: the device answers late, wrongly or not at all.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use abi::{ORDWR, OREAD, error};
use machine::sync::Completion;
use ninep::{Dialect, Rmsg, kind};
use port::call::sysfile;
use port::mem::iobuf::Src;
use port::mnt::Patience;
use port::proc::notes::{self, NoteClass};
use wire::transfer::{open, read, text};
use wire::{Fate, Share};

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
    notes::post(&p, "alarm", NoteClass::User);
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
