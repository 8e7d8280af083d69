//! `#9`: a process that is to die does not wait for a server that is silent, and what it leaves behind is put right
//! when the server speaks again.

mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::{ORCLOSE, ORDWR, OREAD, OWRITE, error};
use machine::page::{Page, Pinned};
use machine::sync::Completion;
use ninep::kind;
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::mnt::Patience;
use port::name::fgrp::Fgrp;
use port::proc::exit;
use port::proc::notes::{self, NoteClass};
use port::proc::procctl;
use wire::{Fate, Share, pattern};

/// A process of its own, with its own descriptors, that does `f` and exits.
fn start(s: &Share, f: impl FnOnce(&Arc<Proc>) + Send + 'static) -> (Arc<Proc>, Arc<Completion<()>>) {
    s.t.start(move |up| {
        *up.fgrp.lock() = Fgrp::new();
        f(up);
        exit::exit(up, "");
    })
}

/// It is over soon, though the server says nothing.
fn ends(done: &Completion<()>, what: &str) {
    let begin = Instant::now();
    while !done.ready() {
        assert!(begin.elapsed() < Duration::from_secs(8), "{what}: it still waits");
        std::thread::sleep(Duration::from_millis(5));
    }
    done.wait();
}

fn until(what: &str, mut f: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !f() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The server speaks again, and answers everything.
fn thaw(s: &Share) {
    let mut state = s.wire.state();
    (state.mute, state.ignores_flushes) = (false, false);
    drop(state);
    s.wire.no_plan();
    s.wire.release(|n| (0..n).collect());
}

/// As [`Share::end`], when keepers have gone too.
fn end(s: Share) {
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    until("the session ends", || s.dev.mtags() == "host:-\n");
    let state = s.wire.state();
    assert_eq!((state.server.fids(), state.server.broken(), state.resets), (0, None, 0));
    assert_eq!(machine::host::machine().panics(), 0);
}

fn share() -> Share {
    Share::new(|host| {
        host.file("f", &pattern(1_000_000)).unwrap();
        host.file("dir/g", b"12345").unwrap();
    })
}

/// The server knows so many files, without those that are kept to be looked at again.
fn has_all_back(s: &Share, fids: usize) -> bool {
    s.settle();
    s.wire.fids() == fids
}

fn kill(p: &Proc) {
    procctl::kill(p);
}

fn note(p: &Proc) {
    notes::post(p, "hangup", NoteClass::User);
}

/// A server that is slow, but answers, has a walk by its links take as long as it likes.
#[test]
fn between_the_messages_of_a_long_walk() {
    for end_it in [kill, note] {
        let deep = vec!["d"; 480].join("/");
        let s = Share::new(|host| {
            host.file(format!("{deep}/f"), b"").unwrap();
            host.link("long", deep.as_bytes()).unwrap();
        });
        s.wire.plan_for(kind::TWALK, |_| {
            std::thread::sleep(Duration::from_millis(200));
            Fate::Answer
        });
        let (p, done) = start(&s, |up| drop(sysfile::stat(up, "/n/long/f")));
        std::thread::sleep(Duration::from_millis(500));
        let begin = Instant::now();
        end_it(&p);
        until("it ends", || done.ready());
        let took = begin.elapsed();
        assert!(took < Duration::from_millis(1800), "{took:?}");
        done.wait();
        thaw(&s);
        end(s);
    }
}

#[test]
fn whatever_it_waits_for() {
    type Call = fn(&Arc<Proc>, i32);
    const CALLS: [(u8, Call); 8] = [
        (kind::TWALK, |up, _| drop(sysfile::stat(up, "/n/dir/g"))),
        (kind::TOPEN, |up, _| drop(sysfile::open(up, "/n/dir/g", OREAD))),
        (kind::TCREATE, |up, _| drop(sysfile::create(up, "/n/new", OWRITE, 0o644))),
        (kind::TSTAT, |up, _| drop(sysfile::stat(up, "/n/f"))),
        (kind::TWRITE, |up, fd| drop(sysfile::pwrite(up, fd, &Src::Kernel(b"x"), 0))),
        (kind::TREAD, |up, fd| {
            let pages: Vec<_> = (0..200).map(|_| Pinned::new(Page::new_zeroed().unwrap(), 0, 4096)).collect();
            drop(sysfile::pread(up, fd, &mut Dst::Pages(&pages), 0));
        }),
        (kind::TCLUNK, |up, fd| drop(sysfile::close(up, fd))),
        (kind::TREMOVE, |up, _| {
            let tmp = sysfile::create(up, "/n/tmp", ORDWR | ORCLOSE, 0o600).unwrap();
            drop(sysfile::close(up, tmp));
        }),
    ];
    for (i, (kind, call)) in CALLS.into_iter().enumerate() {
        let s = share();
        let fids = s.wire.fids();
        let wire = s.wire.clone();
        let (p, done) = start(&s, move |up| {
            let fd = sysfile::open(up, "/n/f", ORDWR).unwrap();
            wire.plan_for(kind, |_| Fate::Hold);
            call(up, fd);
        });
        s.wire.until_held(1);
        s.wire.state().mute = true;
        // Either way of dying.
        if i % 2 == 0 {
            kill(&p)
        } else {
            note(&p)
        }
        ends(&done, &format!("message {kind}"));
        assert_eq!(s.wire.state().resets, 0);
        thaw(&s);
        until("the server has everything back", || has_all_back(&s, fids));
        assert_eq!(s.t.read("/n/dir/g").unwrap(), b"12345");
        end(s);
    }
}

/// A process that has a handler may wait as long as it likes; killed, it goes.
#[test]
fn only_who_is_to_die_goes() {
    let s = share();
    let wire = s.wire.clone();
    let (p, done) = start(&s, move |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        up.notes.lock().handler = 0x20_0000;
        wire.plan_for(kind::TREAD, |_| Fate::Hold);
        drop(sysfile::pread(up, fd, &mut Dst::Kernel(&mut [0; 9]), 0));
    });
    s.wire.until_held(1);
    s.wire.state().mute = true;
    note(&p);
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!done.ready());
    kill(&p);
    ends(&done, "killed");
    thaw(&s);
    end(s);
}

/// One that has a handler, a shell for one, goes back to what it does: after any call but a read or a write, whose
/// pages are its own until the server gives them back.
#[test]
fn who_is_told_a_note_goes_on_without_an_answer() {
    type Call = fn(&Arc<Proc>, i32) -> bool;
    const CALLS: [(u8, Call); 5] = [
        (kind::TWALK, |up, _| sysfile::stat(up, "/n/dir/g").unwrap_err().is(error::EINTR)),
        (kind::TOPEN, |up, _| sysfile::open(up, "/n/dir/g", OREAD).unwrap_err().is(error::EINTR)),
        (kind::TCREATE, |up, _| sysfile::create(up, "/n/new", OWRITE, 0o644).unwrap_err().is(error::EINTR)),
        (kind::TCLUNK, |up, fd| sysfile::close(up, fd).is_ok()),
        (kind::TREMOVE, |up, _| sysfile::remove(up, "/n/dir/g").unwrap_err().is(error::EINTR)),
    ];
    for (kind, call) in CALLS {
        let s = share();
        let fids = s.wire.fids();
        let wire = s.wire.clone();
        let again = Arc::new(Completion::new());
        let go = again.clone();
        let (p, done) = start(&s, move |up| {
            let fd = sysfile::open(up, "/n/f", ORDWR).unwrap();
            up.notes.lock().handler = 0x20_0000;
            wire.plan_for(kind, |_| Fate::Hold);
            assert!(call(up, fd), "message {kind}");
            up.notes.lock().queue.clear();
            machine::thread::current().clear_interrupt();
            go.put(());
            // It lives, and the server's other answers are its own.
            while wire.state().mute {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(port::testkit::read_file(up, "/n/f").unwrap().len(), 1_000_000);
        });
        s.wire.until_held(1);
        s.wire.state().mute = true;
        note(&p);
        ends(&again, &format!("message {kind}"));
        assert_eq!(s.wire.state().resets, 0);
        thaw(&s);
        ends(&done, "it goes on");
        until("the server has everything back", || has_all_back(&s, fids));
        end(s);
    }
}

/// The server thinks about one file for ever. Nobody else notices, and the number of that file is not given to another
/// until it is known what became of it.
#[test]
fn what_is_not_known_is_not_used() {
    let s = share();
    let fids = s.wire.fids();
    let stuck = Arc::new(AtomicU32::new(0));
    let wire = s.wire.clone();
    let number = stuck.clone();
    let (p, done) = start(&s, move |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        wire.plan_for(kind::TREAD, move |t| {
            number.store(u32::from_le_bytes(t[7..11].try_into().unwrap()), Ordering::Relaxed);
            Fate::Hold
        });
        drop(sysfile::pread(up, fd, &mut Dst::Kernel(&mut [0; 9]), 0));
    });
    s.wire.until_held(1);
    s.wire.state().ignores_flushes = true;
    kill(&p);
    ends(&done, "killed");
    assert_eq!(s.wire.fids(), fids + 1, "the file is still open");

    let used = Arc::new(Mutex::new(Vec::new()));
    let seen = used.clone();
    let dotl = s.dev.mtags().contains("9P2000.L");
    s.wire.plan(move |t| {
        if t[4] == kind::TWALK {
            seen.lock().unwrap().push(u32::from_le_bytes(t[11..15].try_into().unwrap()));
        }
        Fate::Answer
    });
    assert_eq!(dotl, wire::dialect() == ninep::Dialect::L);
    // One who dies now does not wait, but its files are closed all the same.
    let (_, done) = start(&s, |up| {
        for _ in 0..20 {
            sysfile::open(up, "/n/dir/g", OREAD).unwrap();
        }
    });
    ends(&done, "another");
    until("its files are closed", || s.wire.fids() == fids + 1);
    for _ in 0..20 {
        assert_eq!(s.t.read("/n/dir/g").unwrap(), b"12345");
    }
    let stuck = stuck.load(Ordering::Relaxed);
    let used = std::mem::take(&mut *used.lock().unwrap());
    assert!(stuck != 0 && used.len() >= 40 && !used.contains(&stuck), "{stuck}: {used:?}");
    thaw(&s);
    until("the server has everything back", || has_all_back(&s, fids));
    end(s);
}

/// Those that wait for a slot are no better off than those that have one, and no slot is lost.
#[test]
fn many_that_are_killed() {
    let s = share();
    let fids = s.wire.fids();
    for round in 0..2 {
        s.wire.plan_for(kind::TWALK, |_| Fate::Hold);
        s.wire.state().ignores_flushes = true;
        let some: Vec<_> = (0..100).map(|_| start(&s, |up| drop(sysfile::stat(up, "/n/dir/g")))).collect();
        s.wire.until_held(80);
        some.iter().for_each(|(p, _)| kill(p));
        for (_, done) in &some {
            ends(done, &format!("round {round}"));
        }
        thaw(&s);
        until("the server has everything back", || has_all_back(&s, fids));
    }
    assert_eq!(s.t.read("/n/dir/g").unwrap(), b"12345");
    end(s);
}

/// A kill does not wait for the watchdog, which does its work all the same.
#[test]
fn the_watchdog_comes_later() {
    const SLOW: Patience = Patience { ask_ns: 100_000_000, sign_ns: 4_000_000_000, flush_ns: u64::MAX };
    let s = Share::unmounted(SLOW, |host| {
        host.file("f", b"12345").unwrap();
    });
    s.mount("host", "/n").unwrap();
    let wire = s.wire.clone();
    let (p, done) = start(&s, move |up| {
        wire.state().mute = true;
        drop(sysfile::open(up, "/n/f", OREAD));
    });
    until("it is asked for a sign of life", || s.wire.count(kind::TFLUSH) > 0);
    let begin = Instant::now();
    kill(&p);
    ends(&done, "killed");
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(s.wire.state().resets, 0);
    until("the watchdog", || s.wire.state().resets == 1);
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    until("the session ends", || s.dev.mtags() == "host:-\n");
    s.mount("host", "/n").unwrap();
    assert_eq!(s.t.read("/n/f").unwrap(), b"12345");
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
}

/// When nobody has a file of the session any more, there is nothing to wait for.
#[test]
fn a_session_that_nobody_wants_ends() {
    let s = share();
    let wire = s.wire.clone();
    let (p, done) = start(&s, move |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        wire.plan_for(kind::TCLUNK, |_| Fate::Hold);
        sysfile::close(up, fd).unwrap();
    });
    s.wire.until_held(1);
    s.wire.no_plan();
    kill(&p);
    ends(&done, "killed");
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    until("the session ends", || s.dev.mtags() == "host:-\n");
    until("it is reset", || s.wire.state().resets == 1);
}

/// Nor does it go on for ever when somebody looks at it just when it is asked whether anybody wants it.
#[test]
fn a_session_that_is_only_looked_at_ends() {
    let s = share();
    let wire = s.wire.clone();
    let (_, done) = start(&s, move |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        wire.plan_for(kind::TCLUNK, |_| Fate::Hold);
        sysfile::close(up, fd).unwrap();
    });
    s.wire.until_held(1);
    s.wire.no_plan();
    ends(&done, "closed");
    std::thread::scope(|scope| {
        let dev = &s.dev;
        let begin = Instant::now();
        for _ in 0..3 {
            scope.spawn(move || {
                while begin.elapsed() < Duration::from_secs(5) {
                    dev.mtags();
                }
            });
        }
        sysfile::unmount(&s.t.up, None, "/n").unwrap();
    });
    until("it is reset", || s.wire.state().resets == 1);
}
