//! Waiting for a conversation: a counter that rises with every change, and a place to sleep until it has.
//!
//! Who waits reads the counter, tries under the stack's lock, lets go, and sleeps until the counter is another: no
//! change in between is missed, and the condition of the sleep takes no lock.

use core::sync::atomic::{AtomicU64, Ordering};

use machine::Interrupted;
use machine::sync::Rendez;

/// See the module comment.
#[derive(Default)]
pub(crate) struct Signal {
    changes: AtomicU64,
    place: Rendez,
}

impl Signal {
    /// How many changes there have been.
    pub(crate) fn seen(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Something has changed.
    pub(crate) fn raise(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.place.wakeup();
    }

    /// Sleeps until there has been a change after `seen`.
    ///
    /// # Errors
    /// `Interrupted`.
    pub(crate) fn wait(&self, seen: u64) -> Result<(), Interrupted> {
        self.place.sleep_intr(|| self.seen() != seen)
    }

    /// The same for who is not interrupted, until a time at the latest.
    pub(crate) fn wait_until(&self, seen: u64, deadline_ns: u64) {
        self.place.sleep_surely_until(deadline_ns, || self.seen() != seen);
    }
}
