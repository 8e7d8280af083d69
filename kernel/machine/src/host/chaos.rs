//! A seeded injector of yields, to shake races out of hosted tests.
//!
//! With a seed set, every Lock, park, unpark and yield point of the machine's threads sometimes yields the processor,
//! sometimes sleeps for some microseconds; park sometimes returns without a token, as its contract allows. The
//! operating system's scheduler still has its say, so a seed makes a failure likelier to return, not certain.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::machine::{Machine, machine};

/// Whether any machine of this process has a seed: keeps the usual path to one load.
static ANY: AtomicBool = AtomicBool::new(false);
/// Makes every thread's sequence differ.
static THREADS: AtomicU64 = AtomicU64::new(1);

std::thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Turns the injector on for the calling thread's machine; 0 turns it off.
pub fn chaos(seed: u64) {
    machine().chaos_seed.store(seed, Ordering::Relaxed);
    if seed != 0 {
        ANY.store(true, Ordering::Relaxed);
    }
}

/// A number that differs from call to call, or `None` when the injector is off.
fn roll() -> Option<u64> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    let seed = Machine::seed_here();
    if seed == 0 {
        return None;
    }
    let mut x = STATE.get();
    if x == 0 {
        x = seed ^ THREADS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    STATE.set(x);
    Some(x >> 20)
}

/// A place where the running thread may lose the processor.
pub(super) fn point() {
    match roll() {
        Some(n) if n % 64 == 0 => std::thread::sleep(Duration::from_micros(n / 64 % 100)),
        Some(n) if n % 8 == 1 => std::thread::yield_now(),
        _ => {}
    }
}

/// True one time in `one_in` when the injector is on, else false.
pub(super) fn sometimes(one_in: u64) -> bool {
    roll().is_some_and(|n| n % one_in == 0)
}
