//! A sleeping lock in the form in which portable code takes one: `lock_api`'s.

use core::sync::atomic::{AtomicBool, Ordering};

use super::Rendez;

/// Mutual exclusion for sections that may sleep, for `lock_api::Mutex`. Unlike [`QLock`](super::QLock) it is not
/// first come, first served: whoever runs when it is released takes it, which is right for short sections that are
/// often wanted.
#[derive(Default)]
pub struct RawQLock {
    held: AtomicBool,
    waiting: Rendez,
}

// SAFETY: `held` goes from false to true for one thread at a time, with acquire ordering, and back only in `unlock`,
// which the holder alone may call, with release ordering.
unsafe impl lock_api::RawMutex for RawQLock {
    // What `lock_api` needs to make one; it is never used twice.
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: RawQLock = RawQLock { held: AtomicBool::new(false), waiting: Rendez::new() };

    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        self.waiting.sleep(|| self.try_lock());
    }

    fn try_lock(&self) -> bool {
        self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// # Safety
    /// The caller holds it.
    unsafe fn unlock(&self) {
        self.held.store(false, Ordering::Release);
        self.waiting.wakeup_one();
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
