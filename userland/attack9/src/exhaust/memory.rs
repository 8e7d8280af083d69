//! What is made of memory: segments, pages, tables of pages, arguments.

use alloc::string::String;
use alloc::vec::Vec;

use abi::syscall as no;
use lib9::sys::probe::{self, PAGE_SIZE};
use lib9::{Rfork, proc};

use super::{MANY, hold, until_refused};

/// Where segments are made.
const PLACE: u64 = 0x20_0000_0000;

fn attach(class: &'static str, at: u64, len: u64) -> lib9::Result<u64> {
    let class = if class == "shared" { "shared\0" } else { "memory\0" };
    match probe::call(no::SEGATTACH, &[0, class.as_ptr() as u64, at, len]) {
        u64::MAX => Err(lib9::Error::last()),
        at => Ok(at),
    }
}

/// Segments of a page.
pub fn segments() {
    until_refused(MANY, |n| {
        let at = attach("memory", PLACE + n as u64 * 16 * PAGE_SIZE, PAGE_SIZE)?;
        probe::poke(at, &[1]);
        Ok(())
    });
    hold();
}

/// Pages so far from each other that each has tables of its own.
pub fn sparse() {
    let len = 1 << 40;
    if attach("memory", PLACE, len).is_err() {
        return;
    }
    for step in [1 << 30, 1 << 21] {
        for n in 0..MANY as u64 {
            if n * step < len {
                probe::poke(PLACE + n * step, &[1]);
            }
        }
    }
    hold();
}

/// All pages that there are.
pub fn memory() {
    let len = 1 << 32;
    if attach("memory", PLACE, len).is_ok() {
        for page in 0..len / PAGE_SIZE {
            probe::poke(PLACE + page * PAGE_SIZE, &[1]);
        }
    }
    hold();
}

/// The same by many, each of whom has a part.
pub fn many() {
    let len = 8 << 20;
    if attach("memory", PLACE, len).is_err() {
        return;
    }
    let touch = || (0..len / PAGE_SIZE).for_each(|page| probe::poke(PLACE + page * PAGE_SIZE, &[1]));
    touch();
    until_refused(100, |_| match proc::rfork(Rfork::PROC | Rfork::NOWAIT)? {
        proc::Fork::Parent(_) => proc::sleep(1),
        proc::Fork::Child => {
            touch();
            hold();
            proc::exits_now("")
        }
    });
    hold();
}

/// A segment that comes and goes while others have it.
pub fn shared() {
    until_refused(60, |n| {
        attach("shared", PLACE, 64 * PAGE_SIZE)?;
        for _ in 0..4 {
            if let proc::Fork::Child = proc::rfork(Rfork::PROC | Rfork::NOWAIT)? {
                for page in 0..64 {
                    probe::poke(PLACE + page * PAGE_SIZE, &[n as u8]);
                }
                probe::call(no::SEGFREE, &[PLACE, 8 * PAGE_SIZE]);
                probe::call(no::SEGDETACH, &[PLACE]);
                proc::exits_now("");
            }
        }
        probe::poke(PLACE + 5 * PAGE_SIZE, &[2]);
        probe::call(no::SEGDETACH, &[PLACE]);
        Ok(())
    });
}

/// Programs with ever more arguments, and longer ones.
pub fn arguments() {
    for (count, len) in [(10, 1000), (1000, 10), (100, 5000), (10_000, 20), (3, 400_000), (100_000, 4)] {
        let word: String = "x".repeat(len);
        let words: Vec<&str> = (0..count).map(|_| word.as_str()).collect();
        for _ in 0..3 {
            if let Ok(proc::Fork::Child) = proc::rfork(Rfork::PROC | Rfork::NOWAIT) {
                let _ = proc::exec("/bin/echo", &words);
                proc::exits_now("");
            }
        }
        let _ = proc::sleep(100);
    }
}

/// Stacks that grow to their end.
pub fn stacks() {
    for _ in 0..4 {
        if let Ok(proc::Fork::Child) = proc::rfork(Rfork::PROC | Rfork::NOWAIT) {
            let deep = deeper(1);
            proc::exits_now(if deep == 0 { "" } else { "deep" });
        }
    }
    hold();
}

fn deeper(n: u64) -> u64 {
    let room = core::hint::black_box([n; 256]);
    let below = if n < 60_000 { deeper(n + 1) } else { 0 };
    core::hint::black_box(room).iter().fold(below, |a, b| a ^ b)
}
