//! What several processors make hard: one takes memory away, or shares it, while another uses it. With one processor
//! these say little, and pass.

use core::sync::atomic::{AtomicBool, Ordering};

use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::sync::Arc;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};
use lib9::{Rfork, fd, out, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("smp.segfree", segfree),
    test("smp.fork", fork),
    test("smp.touch", touch),
    test("smp.note", note),
    test("smp.ending", ending),
    test("smp.output", output_copied),
];

/// Processes besides the first.
const OTHERS: u64 = 3;

fn set(at: u64, n: u64) {
    let mut f = Frame::default();
    (f.regs[reg::AX], f.regs[reg::DI]) = (n, at);
    probe::run(Op::Write, &mut f);
}

fn get(at: u64) -> u64 {
    let mut f = Frame::default();
    f.regs[reg::DI] = at;
    probe::run(Op::Read, &mut f);
    f.regs[reg::AX]
}

/// Waits until the word at `at` is not zero, without a system call.
fn spin(at: u64) {
    let mut f = Frame::default();
    f.regs[reg::DI] = at;
    probe::run(Op::Spin, &mut f);
}

/// A page that is freed is gone for everybody at once: who sees the count of a round, before and after, sees that
/// round's number in the new page and not what was in the old one.
fn segfree() -> Outcome {
    const ROUNDS: u64 = 40;
    let at = attach(0, "shared", NOWHERE, 40 * PAGE_SIZE)?;
    // The count is in the first page, the others are freed: one of them, or more than are thrown away one by one.
    let pages = at + PAGE_SIZE;
    let mut pids = Vec::new();
    for n in 0..OTHERS {
        let mine = pages + (n * 17) * PAGE_SIZE + 8 * n;
        pids.push(start(|| {
            loop {
                let (count, seen, after) = (get(at), get(mine), get(at));
                if count == 0 || count != after {
                    continue; // the pages are being freed
                }
                same(seen, count, "what is in a new page")?;
                if count == ROUNDS {
                    return Ok(());
                }
            }
        })?);
    }
    for round in 1..=ROUNDS {
        set(at, 0);
        let end = if round % 2 == 0 { pages + PAGE_SIZE } else { pages + 39 * PAGE_SIZE };
        int(no::SEGFREE, &[pages, end - pages])?;
        // All of them are there before anybody is told to expect them, in new pages or old ones.
        for n in 0..OTHERS {
            set(pages + (n * 17) * PAGE_SIZE + 8 * n, round);
        }
        set(at, round);
    }
    all(pids)
}

/// A child's copy does not change when somebody who shares the parent's memory goes on writing, and nothing of what
/// that one writes is lost to the parent.
fn fork() -> Outcome {
    let at = attach(0, "memory", NOWHERE, 4 * PAGE_SIZE)?;
    let (counts, stop) = (at, at + 2 * PAGE_SIZE);
    let writer = proc::spawn(Rfork::FDG, move || {
        // It has this segment only if it is shared: the memory of who is spawned.
        let mut n = 0;
        while get(stop) == 0 {
            n += 1;
            set(counts, n);
            set(counts + PAGE_SIZE, n);
            if get(counts) != n || get(counts + PAGE_SIZE) != n {
                return Err("what was written is not there".into());
            }
        }
        Ok(())
    })?;
    let result: Outcome = (1..=20u64).try_for_each(|round| {
        let copy = start(|| {
            let (a, b) = (get(counts), get(counts + PAGE_SIZE));
            proc::sleep(1)?;
            same((get(counts), get(counts + PAGE_SIZE)), (a, b), "the copy")?;
            // What the child writes is its own.
            set(counts, u64::MAX);
            set(counts + PAGE_SIZE, u64::MAX);
            Ok(())
        })?;
        // The parent writes to the page as well, so that either may be the one that copies.
        set(counts + 8, round);
        let before = get(counts);
        same(wait(copy)?, "", "the child")?;
        same(get(counts + 8), round, "the parent's own word")?;
        let begun = proc::nsec();
        while get(counts) == before {
            check(proc::nsec() - begun < 10_000_000_000, "the writer's words do not come any more")?;
        }
        Ok(())
    });
    set(stop, 1);
    result?;
    same(wait(writer)?, "", "the writer")
}

/// Who is forked while somebody who shares the parent's memory writes to its standard output can write to its own.
fn output_copied() -> Outcome {
    child(|| {
        fd::dup(fd::open("/dev/null", abi::OWRITE)?, 1)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let writer = proc::spawn(Rfork::FDG, move || {
            while !told.load(Ordering::Relaxed) {
                out::write(&[b'x'; 4096]);
            }
            Ok(())
        })?;
        let result: Outcome = (0..100).try_for_each(|_| {
            let copy = start(|| Ok(out::flush()?))?;
            same(wait(copy)?, "", "the child")
        });
        stop.store(true, Ordering::Relaxed);
        result?;
        same(wait(writer)?, "", "the writer")
    })
}

/// Processes that touch a new page at the same time get the same page.
fn touch() -> Outcome {
    const PAGES: u64 = 400;
    let at = attach(0, "shared", NOWHERE, (PAGES + 1) * PAGE_SIZE)?;
    let go = at + PAGES * PAGE_SIZE;
    let write = |n: u64| (0..PAGES).for_each(|page| set(at + page * PAGE_SIZE + 8 * n, n + 1));
    let mut pids = Vec::new();
    for n in 1..=OTHERS {
        pids.push(start(|| {
            spin(go);
            write(n);
            Ok(())
        })?);
    }
    proc::sleep(5)?;
    set(go, 1);
    write(0);
    all(pids)?;
    for page in 0..PAGES {
        for n in 0..=OTHERS {
            same(get(at + page * PAGE_SIZE + 8 * n), n + 1, &format!("word {n} of page {page}"))?;
        }
    }
    Ok(())
}

/// A note reaches a program that computes on another processor, and soon.
fn note() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    for round in 0..10u64 {
        let here = at + 8 * round;
        let never = at + 2048;
        let pid = start(|| {
            notes::on(Then::Land)?;
            set(here, 1);
            spin(never);
            Ok(())
        })?;
        spin(here);
        let before = proc::nsec();
        proc::postnote(pid, "enough")?;
        same(wait(pid)?, "", "who was told")?;
        let ms = (proc::nsec() - before) / 1_000_000;
        check(ms < 3000, &format!("it took {ms} ms"))?;
    }
    Ok(())
}

/// Threads that end at the same moment take about as long to go as to be made: the processors are not told of each what
/// to forget, for who tells them waits for them all.
fn ending() -> Outcome {
    const ROUNDS: u64 = 6;
    const THREADS: u64 = 120;
    let (mut making, mut going) = (0, 0);
    for _ in 0..ROUNDS {
        let begun = proc::nsec();
        let [ours, theirs] = fd::pipe()?;
        let mut pids = Vec::new();
        for _ in 0..THREADS {
            pids.push(proc::spawn(Rfork::empty(), move || {
                // One of them finds the end, the others that it is over.
                let _ = fd::read(theirs, &mut [0]);
                Ok(())
            })?);
        }
        let made = proc::nsec();
        fd::close(ours)?;
        all(pids)?;
        fd::close(theirs)?;
        (making, going) = (making + made - begun, going + proc::nsec() - made);
    }
    let ms = |ns: i64| ns / 1_000_000;
    check(ms(going) < 4 * ms(making) + 1000, &format!("{} ms to be made, {} to go", ms(making), ms(going)))
}

/// All of them end well.
fn all(pids: Vec<i32>) -> Outcome {
    pids.into_iter().try_for_each(|pid| same(wait(pid)?, "", "another process"))
}
