//! Sleeping and waking, on top of `park` and `unpark`.
//!
//! * [`Rendez`]: wait for a condition that somebody else makes true.
//! * [`QLock`] and [`RwQLock`]: mutual exclusion for sections that may sleep.
//! * [`RawQLock`]: the same for portable code that is told which lock to use.
//! * [`Completion`]: one value handed from one side to the other.
//! * [`Patience`]: for how long to wait, on a machine that may stand still.
//!
//! Each has one [`Lock`](crate::lock::Lock) around its list of waiters. It is held for a few instructions, is
//! taken by interrupt handlers too, and `unpark` is called under it: so a waiter cannot leave, and its thread cannot be
//! freed, while it is being woken.

// `lockorder` is the ground that both kinds of lock stand on, the halves' `Lock` too; it stands on nothing.
mod completion;
#[cfg(debug_assertions)]
pub(crate) mod lockorder;
mod patience;
mod qlock;
mod raw;
mod rendez;
#[cfg(test)]
mod testing;

pub use crate::types::{Interrupted, OutOfMemory, Wake};
pub use completion::Completion;
pub use patience::Patience;
pub use qlock::{QGuard, QLock, ReadGuard, RwQLock, WriteGuard};
pub use raw::RawQLock;
pub use rendez::Rendez;
