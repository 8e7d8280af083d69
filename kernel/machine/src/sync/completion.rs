//! `Completion`: one value handed from one side to the other, used again as often as one likes.

use core::fmt;

use super::Rendez;
use crate::lock::Lock;
use crate::types::{Interrupted, Wake};

/// A place for one value, and for those who wait for it.
///
/// The value owns nothing of the place's while it is in it only if the users see to it: a request that holds its own
/// completion and is never taken out keeps itself alive.
pub struct Completion<T> {
    slot: Lock<Option<T>>,
    rendez: Rendez,
}

impl<T> Completion<T> {
    /// An empty place.
    pub const fn new() -> Completion<T> {
        Completion { slot: Lock::new(None), rendez: Rendez::new() }
    }

    /// Puts the value there and wakes who waits. May be called from an interrupt handler.
    ///
    /// A value that is still there is replaced and dropped; debug builds call that a bug.
    pub fn put(&self, value: T) {
        let old = self.slot.lock().replace(value);
        debug_assert!(old.is_none(), "a completion was given a second value");
        drop(old);
        self.rendez.wakeup();
    }

    /// Takes the value if it is there.
    pub fn take(&self) -> Option<T> {
        self.slot.lock().take()
    }

    /// A waiter's condition: it takes the value as soon as it sees it, so nobody else is faster.
    #[inline]
    fn take_to(&self, taken: &mut Option<T>) -> bool {
        *taken = self.take();
        taken.is_some()
    }

    /// Whether the value is there.
    pub fn ready(&self) -> bool {
        self.slot.lock().is_some()
    }

    /// Waits for the value and takes it; no note ends the wait.
    pub fn wait(&self) -> T {
        loop {
            let mut taken = None;
            self.rendez.sleep(|| self.take_to(&mut taken));
            if let Some(value) = taken {
                return value;
            }
        }
    }

    /// Waits for the value and takes it, until this thread is interrupted. A value that is there wins.
    ///
    /// # Errors
    /// `Interrupted` when the thread's flag is set; it stays set.
    pub fn wait_intr(&self) -> Result<T, Interrupted> {
        let mut taken = None;
        self.rendez.sleep_intr(|| self.take_to(&mut taken))?;
        taken.ok_or(Interrupted)
    }

    /// Waits for the value and takes it, until this thread is interrupted or `clock::now_ns() >= deadline_ns`.
    ///
    /// # Errors
    /// Which of the two it was. A value that is there wins, then the interruption.
    pub fn wait_until(&self, deadline_ns: u64) -> Result<T, Wake> {
        let mut taken = None;
        self.rendez.sleep_until(deadline_ns, || self.take_to(&mut taken))?;
        taken.ok_or(Wake::TimedOut)
    }

    /// Waits for the value and takes it, until `clock::now_ns() >= deadline_ns`; no note ends the wait.
    pub fn wait_surely_until(&self, deadline_ns: u64) -> Option<T> {
        let mut taken = None;
        self.rendez.sleep_surely_until(deadline_ns, || self.take_to(&mut taken));
        taken.or_else(|| self.take())
    }
}

impl<T> Default for Completion<T> {
    fn default() -> Completion<T> {
        Completion::new()
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completion({})", if self.ready() { "ready" } else { "empty" })
    }
}

#[cfg(test)]
mod tests;
