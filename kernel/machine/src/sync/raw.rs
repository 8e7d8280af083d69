//! A sleeping lock in the form in which portable code takes one: `lock_api`'s.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Rendez;

/// Mutual exclusion for sections that may sleep, for `lock_api::Mutex`. Unlike [`QLock`](super::QLock) it is not
/// first come, first served: whoever runs when it is released takes it, which is right for short sections that are
/// often wanted.
#[derive(Default)]
pub struct RawQLock {
    held: AtomicBool,
    /// Threads that wait, or are about to: counted before they look a last time, so that who unlocks wakes one of them,
    /// or was seen to have unlocked.
    waiters: AtomicUsize,
    waiting: Rendez,
}

// SAFETY: `held` goes from false to true for one thread at a time, with acquire ordering, and back only in `unlock`,
// which the holder alone may call, with release ordering.
unsafe impl lock_api::RawMutex for RawQLock {
    // What `lock_api` needs to make one; it is never used twice.
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: RawQLock =
        RawQLock { held: AtomicBool::new(false), waiters: AtomicUsize::new(0), waiting: Rendez::new() };

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.waiters.fetch_add(1, Ordering::SeqCst);
            self.waiting.sleep(|| self.try_lock());
            self.waiters.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.held.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// # Safety
    /// The caller holds it.
    #[inline]
    unsafe fn unlock(&self) {
        self.held.swap(false, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) != 0 {
            self.waiting.wakeup_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host, thread};
    use alloc::boxed::Box;
    use alloc::sync::Arc;

    #[test]
    fn one_at_a_time_and_none_is_forgotten() {
        host::new_machine();
        let sum = Arc::new(lock_api::Mutex::<RawQLock, u64>::new(0));
        let done = Arc::new(Rendez::new());
        let left = Arc::new(core::sync::atomic::AtomicUsize::new(8));
        for _ in 0..8 {
            let (sum, done, left) = (sum.clone(), done.clone(), left.clone());
            let add = move || {
                for _ in 0..500 {
                    let mut sum = sum.lock();
                    let was = *sum;
                    thread::yield_now();
                    *sum = was + 1;
                }
                left.fetch_sub(1, Ordering::SeqCst);
                done.wakeup();
            };
            thread::spawn("adder", 0, Box::new(add)).unwrap();
        }
        done.sleep(|| left.load(Ordering::SeqCst) == 0);
        assert_eq!(*sum.lock(), 4000);
    }
}
