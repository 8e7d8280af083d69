//! What the tests of this folder share: kernel threads that can be joined, and waiting with a limit.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::clock;
use crate::thread::{self, State, ThreadRef};

pub(super) const SECOND: u64 = 1_000_000_000;

/// Waits until `cond` holds; a test that waits for ten seconds has failed.
pub(super) fn eventually(what: &str, mut cond: impl FnMut() -> bool) {
    let end = clock::now_ns() + 10 * SECOND;
    while !cond() {
        assert!(clock::now_ns() < end, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

pub(super) fn spawn(f: impl FnOnce() + Send + 'static) -> ThreadRef {
    thread::spawn("test", 0, Box::new(f)).unwrap()
}

/// Waits until all are dead, and none by a panic.
pub(super) fn join(threads: &[ThreadRef]) {
    for t in threads {
        eventually("the end of a thread", || t.state() == State::Dead);
    }
    assert_eq!(crate::host::machine().panics(), 0, "a thread of the test panicked");
}

/// Starts `n` threads that run `f(i)`.
pub(super) fn team(n: usize, f: impl Fn(usize) + Send + Sync + 'static) -> Vec<ThreadRef> {
    let f = Arc::new(f);
    (0..n)
        .map(|i| {
            let f = f.clone();
            spawn(move || f(i))
        })
        .collect()
}

/// A counter that threads share.
#[derive(Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    pub(super) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
    pub(super) fn sub(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
    /// Takes one, if there is one.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }
}
