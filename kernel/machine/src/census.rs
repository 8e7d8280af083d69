//! How many there are: values that count themselves while they live.
//!
//! A value of a kind that somebody wants to know the number of has a [`Counted`] as a field. What has come back after a
//! test can be said so, and what has not (`/dev/pools` shows it). The crates above give numbers to their kinds; 0 is
//! this crate's own, the stretches of pages that are pinned.
//!
//! The numbers belong to the machine: on the host each test has its own.

use core::sync::atomic::{AtomicU64, Ordering};

/// Kinds that can be told apart.
pub const KINDS: usize = 16;

/// The kind of [`Pinned`](crate::page::Pinned).
pub const PINNED: usize = 0;

/// One of a kind, as long as it lives.
#[derive(Debug)]
pub struct Counted<const KIND: usize>(());

/// A number for each kind.
pub(crate) struct Counts([AtomicU64; KINDS]);

impl Counts {
    /// None of any.
    pub(crate) const fn new() -> Counts {
        Counts([const { AtomicU64::new(0) }; KINDS])
    }
}

#[cfg(target_os = "none")]
static COUNTS: Counts = Counts::new();

#[cfg(target_os = "none")]
#[inline]
fn with<R>(f: impl FnOnce(&Counts) -> R) -> Option<R> {
    Some(f(&COUNTS))
}

#[cfg(not(target_os = "none"))]
use crate::host::counted as with;

/// How many of a kind there are. 0 for a number that is none's.
pub fn count(kind: usize) -> u64 {
    let read = |counts: &Counts| counts.0.get(kind).map_or(0, |n| n.load(Ordering::Relaxed));
    with(read).unwrap_or(0)
}

impl<const KIND: usize> Counted<KIND> {
    /// One more.
    #[inline]
    pub fn new() -> Self {
        const { assert!(KIND < KINDS) };
        with(|counts| counts.0[KIND].fetch_add(1, Ordering::Relaxed));
        Counted(())
    }
}

impl<const KIND: usize> Default for Counted<KIND> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const KIND: usize> Clone for Counted<KIND> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<const KIND: usize> Drop for Counted<KIND> {
    #[inline]
    fn drop(&mut self) {
        with(|counts| counts.0[KIND].fetch_sub(1, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Page, Pinned};

    #[test]
    fn what_lives_is_counted() {
        crate::host::new_machine();
        let a = Counted::<5>::new();
        let b = a.clone();
        assert_eq!((count(5), count(4)), (2, 0));
        drop(a);
        assert_eq!(count(5), 1);
        let pinned = Pinned::new(Page::new_zeroed().unwrap(), 0, 10);
        let part = pinned.slice(2, 3);
        assert_eq!(count(PINNED), 2);
        drop((pinned, part, b));
        assert_eq!((count(PINNED), count(5), count(KINDS)), (0, 0, 0));
    }
}
