//! `Lock` on the host: a `std` mutex. A panic of its holder does not poison it.
//!
//! A thread-local count of held Locks stands for "interrupts are off", so that [`super::thread::park`] and
//! [`super::irq::host_raise`] can notice a caller that holds one.

use core::cell::Cell;
use core::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::chaos;
#[cfg(debug_assertions)]
use crate::sync::lockorder;
#[cfg(debug_assertions)]
use core::panic::Location;

/// A lock for short sections. On the real machine it spins with interrupts off.
pub struct Lock<T: ?Sized> {
    #[cfg(debug_assertions)]
    made_at: &'static Location<'static>,
    mutex: Mutex<T>,
}

/// Access to what a [`Lock`] guards; dropping it unlocks. It stays on the thread that made it.
pub struct LockGuard<'a, T: ?Sized> {
    inner: MutexGuard<'a, T>,
    // Declared after `inner`, so that the count goes down when the mutex is free again.
    _held: Held,
}

struct Held {
    #[cfg(debug_assertions)]
    made_at: &'static Location<'static>,
}

std::thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    /// Which they are.
    #[cfg(debug_assertions)]
    static WHICH: lockorder::Held = const { lockorder::Held::new() };
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = HELD.try_with(|h| h.set(h.get() - 1));
        #[cfg(debug_assertions)]
        let _ = WHICH.try_with(|h| h.pop(&lockorder::SPINNING, self.made_at));
        chaos::point();
    }
}

/// Locks that the calling thread holds.
pub(super) fn held() -> usize {
    HELD.try_with(Cell::get).unwrap_or(0)
}

/// Locks that the calling context holds.
#[cfg(debug_assertions)]
pub(crate) fn held_here() -> usize {
    held()
}

impl<T> Lock<T> {
    /// An unlocked lock around `value`.
    #[track_caller]
    pub const fn new(value: T) -> Lock<T> {
        Lock {
            #[cfg(debug_assertions)]
            made_at: Location::caller(),
            mutex: Mutex::new(value),
        }
    }

    /// The value, when the lock itself is owned.
    pub fn into_inner(self) -> T {
        self.mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits for the lock.
    pub fn lock(&self) -> LockGuard<'_, T> {
        chaos::point();
        #[cfg(debug_assertions)]
        let _ = WHICH.try_with(|h| h.check(&lockorder::SPINNING, self.made_at));
        let inner = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        LockGuard { inner, _held: self.note() }
    }

    /// The same for who has another one, until he has let go of this.
    pub fn lock_under<'a, U: ?Sized>(&'a self, _outer: &'a LockGuard<'_, U>) -> LockGuard<'a, T> {
        self.lock()
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        chaos::point();
        let inner = match self.mutex.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(p)) => p.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(LockGuard { inner, _held: self.note() })
    }

    fn note(&self) -> Held {
        // A thread that is being torn down has no count any more; it does not park either.
        let _ = HELD.try_with(|h| h.set(h.get() + 1));
        #[cfg(debug_assertions)]
        let _ = WHICH.try_with(|h| h.push(&lockorder::SPINNING, self.made_at));
        Held {
            #[cfg(debug_assertions)]
            made_at: self.made_at,
        }
    }

    /// The value without locking: the exclusive reference proves that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        self.mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Lock<T> {
    #[track_caller]
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;

    #[test]
    fn a_held_lock_is_counted_and_excludes() {
        let l = Lock::new(1);
        assert_eq!(held(), 0);
        let g = l.lock();
        assert_eq!(held(), 1);
        assert!(l.try_lock().is_none());
        drop(g);
        *l.try_lock().unwrap() += 1;
        assert_eq!(held(), 0);
        assert_eq!(l.into_inner(), 2);
    }

    #[test]
    fn a_panicking_holder_does_not_poison() {
        let l = Arc::new(Lock::new(7));
        let l2 = l.clone();
        let r = std::thread::spawn(move || {
            let _g = l2.lock();
            std::panic::resume_unwind(alloc::boxed::Box::new(()));
        })
        .join();
        assert!(r.is_err());
        assert_eq!(*l.lock(), 7);
        assert_eq!(*l.try_lock().unwrap(), 7);
    }
}
