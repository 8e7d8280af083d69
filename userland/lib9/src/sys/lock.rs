//! The mutex of processes that share memory: spins a little, then gives the processor to the holder.

use core::sync::atomic::{AtomicBool, Ordering};

/// The lock itself, for `lock_api`.
pub struct Raw(AtomicBool);

/// A mutex around a value.
pub type Lock<T> = lock_api::Mutex<Raw, T>;

// SAFETY: `lock` returns only after it changed false to true, and only the holder makes it false again.
unsafe impl lock_api::RawMutex for Raw {
    #[allow(clippy::declare_interior_mutable_const)] // It is the initial value of a static, as lock_api wants it.
    const INIT: Raw = Raw(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        let mut tries = 0u32;
        while !self.try_lock() {
            tries += 1;
            if tries.is_multiple_of(100) {
                // The holder may be waiting for this processor.
                let _ = super::sleep(0);
            } else {
                core::hint::spin_loop();
            }
        }
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        static N: Lock<u32> = Lock::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..1000).for_each(|_| *N.lock() += 1));
            }
        });
        assert_eq!(*N.lock(), 4000);
    }
}
