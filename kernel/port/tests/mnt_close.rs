//! `#9`: who closes a file does not wait for a server that is silent, and the server hears of it when it speaks again.

mod wire;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::{ORCLOSE, ORDWR, OREAD};
use ninep::kind;
use port::call::sysfile;
use port::proc::exit;
use wire::{Fate, Share};

/// Longer than the second that one waits, less than two of them.
const ONCE: Duration = Duration::from_millis(1800);

fn share() -> Share {
    Share::new(|host| {
        host.file("f", b"12345").unwrap();
        host.file("dir/g", b"12345").unwrap();
    })
}

fn open(s: &Share, name: &str) -> i32 {
    sysfile::open(&s.t.up, name, OREAD).unwrap()
}

fn until(what: &str, mut f: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !f() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn hold_clunks(s: &Share) {
    s.wire.plan_for(kind::TCLUNK, |_| Fate::Hold);
}

fn thaw(s: &Share) {
    s.wire.no_plan();
    s.wire.release(|n| (0..n).collect());
}

/// The session has keepers still, which go by themselves.
fn end(s: Share, resets: u32) {
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    until("the session ends", || s.dev.mtags() == "host:-\n");
    let state = s.wire.state();
    assert_eq!((state.server.fids(), state.server.broken(), state.resets), (0, None, resets));
    assert_eq!(machine::host::machine().panics(), 0);
}

/// One waits a second, and only once; the other messages are answered meanwhile.
#[test]
fn one_second_for_all_files() {
    let s = share();
    let fids = s.wire.fids();
    let fds: Vec<i32> = (0..60).map(|_| open(&s, "/n/f")).collect();
    hold_clunks(&s);
    let begin = Instant::now();
    for fd in fds {
        sysfile::close(&s.t.up, fd).unwrap();
    }
    let took = begin.elapsed();
    assert!((Duration::from_millis(900)..ONCE).contains(&took), "{took:?}");
    assert_eq!(s.wire.fids(), fids + 60, "the server knows them still");

    // Numbers that it knows are given to nobody else.
    let used = Arc::new(Mutex::new(Vec::new()));
    let seen = used.clone();
    s.wire.plan(move |t| {
        if t[4] == kind::TWALK {
            seen.lock().unwrap().push(u32::from_le_bytes(t[11..15].try_into().unwrap()));
        }
        if t[4] == kind::TCLUNK { Fate::Hold } else { Fate::Answer }
    });
    let more: Vec<i32> = (0..20).map(|_| open(&s, "/n/dir/g")).collect();
    assert!(s.wire.state().server.broken().is_none());
    let mut numbers = used.lock().unwrap().clone();
    numbers.sort();
    let all = numbers.len();
    numbers.dedup();
    assert!(all >= 20 && numbers.len() == all, "{numbers:?}");

    thaw(&s);
    until("the server has those back", || s.wire.fids() == fids + 20);
    for fd in more {
        sysfile::close(&s.t.up, fd).unwrap();
    }
    assert_eq!(s.t.read("/n/dir/g").unwrap(), b"12345");
    until("the server has everything back", || s.wire.fids() == fids);
    end(s, 0);
}

/// So for files that go when they are closed: the server is asked about the first, and hears of its removal when it
/// speaks again. The others stay.
#[test]
fn nor_for_files_that_are_removed_at_the_end() {
    let s = share();
    let fids = s.wire.fids();
    let name = |n: usize| format!("/n/tmp{n}");
    let make = |n| sysfile::create(&s.t.up, &name(n), ORDWR | ORCLOSE, 0o600).unwrap();
    let fds: Vec<i32> = (0..30).map(make).collect();
    s.wire.plan(|t| {
        if matches!(t[4], kind::TSTAT | kind::TREMOVE | kind::TCLUNK) { Fate::Hold } else { Fate::Answer }
    });
    let begin = Instant::now();
    for fd in fds {
        sysfile::close(&s.t.up, fd).unwrap();
    }
    let took = begin.elapsed();
    assert!(took < 3 * ONCE, "{took:?}");
    thaw(&s);
    until("the server has everything back", || s.wire.fids() == fids);
    s.t.stat(&name(7)).unwrap();
    // One that answers has them removed.
    let fd = make(99);
    sysfile::close(&s.t.up, fd).unwrap();
    assert!(s.t.stat(&name(99)).is_err());
    end(s, 0);
}

/// What a server is still to be told is bounded: then one waits as long as it takes.
#[test]
fn not_without_end() {
    const MANY: usize = 1100;
    let s = share();
    let fids = s.wire.fids();
    hold_clunks(&s);
    let (_, done) = s.t.start(|up| {
        for _ in 0..MANY {
            let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
            sysfile::close(up, fd).unwrap();
        }
        exit::exit(up, "");
    });
    until("a thousand are waited for", || s.wire.fids() >= fids + 1024);
    std::thread::sleep(ONCE);
    assert!(!done.ready());
    let known = s.wire.fids();
    assert!(known < fids + MANY, "{known}");
    thaw(&s);
    done.wait();
    until("the server has everything back", || s.wire.fids() == fids);
    end(s, 0);
}

/// A server has some seconds for what it does when the last file is closed.
#[test]
fn the_last_close_is_answered_late() {
    let s = share();
    let fd = open(&s, "/n/f");
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    hold_clunks(&s);
    let begin = Instant::now();
    sysfile::close(&s.t.up, fd).unwrap();
    assert!(begin.elapsed() < 2 * ONCE);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(s.wire.state().resets, 0);
    assert_ne!(s.dev.mtags(), "host:-\n");
    thaw(&s);
    until("the session ends", || s.dev.mtags() == "host:-\n");
    let state = s.wire.state();
    assert_eq!((state.server.fids(), state.resets), (0, 0));
}

/// One that never answers it loses the session.
#[test]
fn the_last_close_is_never_answered() {
    let s = share();
    let fd = open(&s, "/n/f");
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    hold_clunks(&s);
    sysfile::close(&s.t.up, fd).unwrap();
    until("the session ends", || s.dev.mtags() == "host:-\n");
    assert_eq!(s.wire.state().resets, 1);
    s.wire.no_plan();
    s.mount("host", "/n").unwrap();
    assert_eq!(s.t.read("/n/f").unwrap(), b"12345");
    end(s, 1);
}

/// A session that is over is not remembered, and nobody pays for it, when the next process has ended.
#[test]
fn what_is_over_is_forgotten() {
    let s = share();
    assert_eq!(s.dev.remembered(), 1);
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    let (_, done) = s.t.start(|up| exit::exit(up, ""));
    done.wait();
    until("it is forgotten", || s.dev.remembered() == 0);
}
