//! What has been done to a process by way of `/proc/n/ctl`, and a lock for it that says without being taken whether
//! there is anything to see to: a process looks twice for each system call.
//!
//! Locks: a [`CtlLock`] is a leaf.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

use machine::lock::{Lock, LockGuard};

/// What `/proc/n/ctl` and a debugger's interest have made of a process.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ctl {
    /// Is not to return to user mode until it is started.
    pub(crate) stop: bool,
    /// Stands where it waits to be started.
    pub(crate) held: bool,
    /// `stop` sets itself when a note comes (`startstop`).
    pub(crate) stop_at_note: bool,
    /// `stop` sets itself before the next system call, or at the end of the one that it stands before
    /// (`startsyscall`).
    pub(crate) stop_at_call: bool,
    /// Its watchpoints have changed, and are not in the processor yet.
    pub(crate) watch: bool,
    /// Somebody waits to see its registers as they are now.
    pub(crate) look: bool,
    /// Died of a fault and is kept for a debugger.
    pub(crate) broken: bool,
    /// Was told that memory is out.
    pub(crate) starved: bool,
    /// Has to go for want of memory, which is being told, or was.
    pub(crate) condemned: bool,
    /// Dies at the next chance, without a word.
    pub(crate) kill: bool,
    /// Stops after exec (`hang`) or does not (`nohang`).
    pub(crate) hang: bool,
}

impl Ctl {
    /// Wants something of the process before it goes on.
    fn asks(&self) -> bool {
        self.stop || self.stop_at_note || self.stop_at_call || self.watch || self.kill
    }

    /// Stopped, so that its registers can be looked at and changed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.held && self.stop
    }
}

/// A [`Ctl`], and whether it asks for anything.
pub(crate) struct CtlLock {
    asks: AtomicBool,
    ctl: Lock<Ctl>,
}

/// Access to a [`Ctl`]; dropping it tells whether it asks for anything now.
pub(crate) struct CtlGuard<'a> {
    asks: &'a AtomicBool,
    ctl: LockGuard<'a, Ctl>,
}

impl CtlLock {
    /// A lock around `ctl`.
    pub(crate) fn new(ctl: Ctl) -> CtlLock {
        CtlLock { asks: AtomicBool::new(ctl.asks()), ctl: Lock::new(ctl) }
    }

    /// Waits for it and takes it.
    pub(crate) fn lock(&self) -> CtlGuard<'_> {
        CtlGuard { asks: &self.asks, ctl: self.ctl.lock() }
    }

    /// Whether the process has to stop, now or at its next call or note, to have its watchpoints loaded, or to die.
    /// Who has changed that interrupts the process afterwards, which therefore looks again.
    #[inline]
    pub(crate) fn asks(&self) -> bool {
        self.asks.load(Ordering::Acquire)
    }
}

impl Deref for CtlGuard<'_> {
    type Target = Ctl;

    fn deref(&self) -> &Ctl {
        &self.ctl
    }
}

impl DerefMut for CtlGuard<'_> {
    fn deref_mut(&mut self) -> &mut Ctl {
        &mut self.ctl
    }
}

impl Drop for CtlGuard<'_> {
    fn drop(&mut self) {
        // The lock is held still.
        self.asks.store(self.ctl.asks(), Ordering::Release);
    }
}
