//! Steps that fail because a test wants it: allocations that may be refused, pages, `Dma`, threads, and the question
//! whether memory is plentiful.
//!
//! Each machine counts its own steps. [`fail_nth`] makes one of them fail ([`fail_nth_in`]: one in calls of a name),
//! [`fail_from`] one and all that follow, [`fail_every`] every so many; [`steps`] says how many there were.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::heap;
use super::machine::{Machine, machine};

/// Which steps of a machine fail.
#[derive(Debug, Default)]
pub(super) struct Failures {
    steps: AtomicU64,
    failed: AtomicU64,
    /// The first that fails; 0 for none.
    first: AtomicU64,
    /// How many steps behind it the next one fails; 0 for none.
    every: AtomicU64,
    /// If this is given, only steps in calls of this name count.
    only: Mutex<Option<&'static str>>,
}

/// Whether any machine of this process was ever told to fail: keeps the usual path to one load.
static ANY: AtomicBool = AtomicBool::new(false);

impl Failures {
    /// A step is taken. True when it is to fail.
    pub(super) fn step(&self) -> bool {
        if !ANY.load(Ordering::Relaxed) || heap::is_aside() {
            return false;
        }
        let only = *self.only.lock().unwrap_or_else(PoisonError::into_inner);
        if only.is_some() && only != heap::call() {
            return false;
        }
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let (first, every) = (self.first.load(Ordering::Relaxed), self.every.load(Ordering::Relaxed));
        let fails = first != 0
            && match step.checked_sub(first) {
                Some(0) => true,
                Some(behind) => every != 0 && behind.is_multiple_of(every),
                None => false,
            };
        self.failed.fetch_add(u64::from(fails), Ordering::Relaxed);
        fails
    }

    fn set(&self, first: u64, every: u64, only: Option<&'static str>) {
        ANY.store(true, Ordering::Relaxed);
        self.first.store(0, Ordering::Relaxed);
        self.every.store(every, Ordering::Relaxed);
        *self.only.lock().unwrap_or_else(PoisonError::into_inner) = only;
        self.failed.store(0, Ordering::Relaxed);
        self.steps.store(0, Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
    }
}

/// Whether the allocation that the thread asks for is to fail.
pub(super) fn refuses() -> bool {
    ANY.load(Ordering::Relaxed) && Machine::with_here(|m| m.failures.step()).unwrap_or(false)
}

/// The `n`th step of the calling thread's machine from now on fails, and no other; with 0 none does. Steps are counted
/// from here on.
pub fn fail_nth(n: u64) {
    machine().failures.set(n, 0, None);
}

/// The same, but only steps in calls of this name count, as it was given to [`Call::enter`](heap::Call::enter).
pub fn fail_nth_in(name: &'static str, n: u64) {
    machine().failures.set(n, 0, Some(name));
}

/// The `n`th step of the calling thread's machine from now on and all that follow fail.
pub fn fail_from(n: u64) {
    machine().failures.set(n, 1, None);
}

/// Every `n`th step of the calling thread's machine from now on fails.
pub fn fail_every(n: u64) {
    machine().failures.set(n, n, None);
}

/// Steps since one of the above was last called, and how many of them failed.
pub fn steps() -> (u64, u64) {
    let failures = &machine().failures;
    (failures.steps.load(Ordering::Relaxed), failures.failed.load(Ordering::Relaxed))
}
