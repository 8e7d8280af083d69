//! Semaphores and rendezvous.

use core::sync::atomic::{AtomicI32, Ordering};

use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::sync::Arc;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{Rfork, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("sem.counts", counts),
    test("sem.wrong", wrong),
    test("sem.timeout", timeout),
    test("sem.shared-memory", shared_memory),
    test("sem.shared-segment", shared_segment),
    test("sem.many", many),
    test("sem.interrupted", interrupted),
    test("sem.woken-and-killed", woken_and_killed),
    test("sem.after-fork", after_fork),
    test("rendezvous.swap", swap),
    test("rendezvous.group", group),
    test("rendezvous.interrupted", rendezvous_interrupted),
];

fn counts() -> Outcome {
    let sem = AtomicI32::new(2);
    check(proc::semacquire(&sem, false)? && proc::semacquire(&sem, true)?, "two units")?;
    same(proc::semacquire(&sem, false)?, false, "a third")?;
    same(proc::semrelease(&sem, 5)?, 5, "the new value")?;
    same(sem.load(Ordering::Relaxed), 5, "in memory")?;
    same(proc::semrelease(&sem, 0)?, 5, "releasing none")
}

fn wrong() -> Outcome {
    let sem = AtomicI32::new(-1);
    fails(proc::semacquire(&sem, false), abi::error::EBADARG, "a negative one")?;
    fails(proc::semrelease(&sem, 1), abi::error::EBADARG, "releasing a negative one")?;
    sem.store(1, Ordering::Relaxed);
    fails(proc::semrelease(&sem, -1), abi::error::EBADARG, "releasing -1")?;
    sem.store(i32::MAX, Ordering::Relaxed);
    fails(proc::semrelease(&sem, 1), abi::error::EBADARG, "too many")?;
    same(sem.load(Ordering::Relaxed), i32::MAX, "the value afterwards")
}

fn timeout() -> Outcome {
    let sem = AtomicI32::new(0);
    let before = proc::nsec();
    same(proc::tsemacquire(&sem, 20)?, false, "nobody releases")?;
    let ms = (proc::nsec() - before) / 1_000_000;
    check((20..5000).contains(&ms), &format!("20 ms are {ms}"))?;
    same(proc::tsemacquire(&sem, 0)?, false, "no time at all")?;
    sem.store(1, Ordering::Relaxed);
    same(proc::tsemacquire(&sem, 0)?, true, "one that is there")
}

/// Across RFMEM.
fn shared_memory() -> Outcome {
    let sem = Arc::new((AtomicI32::new(0), AtomicI32::new(0)));
    let theirs = sem.clone();
    let pid = proc::spawn(Rfork::FDG, move || {
        for _ in 0..100 {
            proc::semacquire(&theirs.0, true)?;
            proc::semrelease(&theirs.1, 1)?;
        }
        Ok(())
    })?;
    for _ in 0..100 {
        proc::semrelease(&sem.0, 1)?;
        proc::semacquire(&sem.1, true)?;
    }
    same(wait(pid)?, "", "the other")?;
    same((sem.0.load(Ordering::Relaxed), sem.1.load(Ordering::Relaxed)), (0, 0), "what is left")
}

/// Across a shared segment, in processes that share nothing else.
fn shared_segment() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let pid = start(|| same(int(no::SEMACQUIRE, &[at + 64, 1])?, 1, "in the child"))?;
    until_state(pid, "Semacquire")?;
    same(int(no::SEMRELEASE, &[at + 64, 1])?, 1, "the new value")?;
    same(wait(pid)?, "", "the child")
}

/// A semaphore as a lock of many processes.
fn many() -> Outcome {
    let state = Arc::new((AtomicI32::new(1), AtomicI32::new(0)));
    let mut pids = Vec::new();
    for _ in 0..10 {
        let mine = state.clone();
        pids.push(proc::spawn(Rfork::FDG, move || {
            for _ in 0..50 {
                proc::semacquire(&mine.0, true)?;
                let n = mine.1.load(Ordering::Relaxed);
                if n % 7 == 0 {
                    proc::sleep(0)?;
                }
                mine.1.store(n + 1, Ordering::Relaxed);
                proc::semrelease(&mine.0, 1)?;
            }
            Ok(())
        })?);
    }
    for pid in pids {
        same(wait(pid)?, "", "one of them")?;
    }
    same(state.1.load(Ordering::Relaxed), 500, "turns")
}

fn interrupted() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let sem = AtomicI32::new(0);
    note_in("Semacquire")?;
    fails(proc::semacquire(&sem, true), abi::error::EINTR, "semacquire")?;
    note_in("Tsemacquire")?;
    fails(proc::tsemacquire(&sem, 20_000), abi::error::EINTR, "tsemacquire")?;
    same(sem.load(Ordering::Relaxed), 0, "the value")
}

/// A waiter that dies takes no unit with it.
fn woken_and_killed() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    for _ in 0..10 {
        let a = start(|| same(int(no::SEMACQUIRE, &[at, 1])?, 1, "the first"))?;
        let b = start(|| same(int(no::SEMACQUIRE, &[at, 1])?, 1, "the second"))?;
        until_state(a, "Semacquire")?;
        until_state(b, "Semacquire")?;
        int(no::SEMRELEASE, &[at, 1])?;
        ctl(a, "kill")
            .or_else(|e| if e.is("process exited") || e.is("does not exist") { Ok(()) } else { Err(e) })?;
        // It may have had the unit, and the unit is gone with it. As long as it is there the other must not wait.
        let died = wait(a)?;
        check(died.is_empty() || died == "sys: killed", &died)?;
        if word(at) == 0 && state(b) == "Semacquire" {
            int(no::SEMRELEASE, &[at, 1])?;
        }
        same(wait(b)?, "", "the one that waits")?;
    }
    Ok(())
}

/// A fork makes pages copy-on-write under those who wait in them.
fn after_fork() -> Outcome {
    let sem = Arc::new(AtomicI32::new(0));
    let theirs = sem.clone();
    let pid = proc::spawn(Rfork::FDG, move || proc::semacquire(&theirs, true).map(drop))?;
    until_state(pid, "Semacquire")?;
    child(|| Ok(()))?;
    proc::semrelease(&sem, 1)?;
    same(wait(pid)?, "", "who waited")
}

fn swap() -> Outcome {
    let tag = 0x1234_5678_9abc_def0;
    let pid =
        start(|| same(proc::rendezvous(tag, 0x1111_2222_3333_4444)?, 0x5555_6666_7777_8888, "in the child"))?;
    same(proc::rendezvous(tag, 0x5555_6666_7777_8888)?, 0x1111_2222_3333_4444, "in the parent")?;
    same(wait(pid)?, "", "the child")?;
    // Two tags at once.
    let pids = [
        start(|| same(proc::rendezvous(1, 10)?, 100, "tag 1"))?,
        start(|| same(proc::rendezvous(2, 20)?, 200, "tag 2"))?,
    ];
    same(proc::rendezvous(2, 200)?, 20, "tag 2")?;
    same(proc::rendezvous(1, 100)?, 10, "tag 1")?;
    for pid in pids {
        same(wait(pid)?, "", "a child")?;
    }
    Ok(())
}

/// Those of another group do not meet.
fn group() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let pid = start_with(Rfork::FDG | Rfork::REND, || {
        note_in("Rendezvous")?;
        fails(proc::rendezvous(1, 10), abi::error::EINTR, "in another group")
    })?;
    note_in("Rendezvous")?;
    fails(proc::rendezvous(1, 20), abi::error::EINTR, "in this group")?;
    same(wait(pid)?, "", "the child")
}

fn rendezvous_interrupted() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    note_in("Rendezvous")?;
    same(probe::call(no::RENDEZVOUS, &[7, 1]), u64::MAX, "what it gives")?;
    same(notes::count(), 1, "notes")?;
    // The tag is free again.
    let pid = start(|| same(proc::rendezvous(7, 3)?, 4, "in the child"))?;
    same(proc::rendezvous(7, 4)?, 3, "in the parent")?;
    same(wait(pid)?, "", "the child")
}
