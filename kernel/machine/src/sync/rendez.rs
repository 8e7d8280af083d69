//! `Rendez`: sleep until a condition holds, wake those who sleep.
//!
//! Why no wakeup is lost: a sleeper is on the list *before* it evaluates its condition, and its mark "woken" is
//! cleared *before* too. A waker changes the state, then takes the list's lock and marks. Either the sleeper's
//! evaluation sees the new state, or the mark (and the park token with it) comes after, and park returns at once.
//!
//! A single wakeup is a debt to all who sleep: it may stand for a state that its bearer does not take. One that has
//! come since its bearer last began to look is given to the next when it leaves, also when its condition was true: what
//! made it true may be what another, earlier wakeup was for.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::heap::for_threads;
use crate::ledger::as_kernel;
use crate::lock::Lock;
use crate::thread::{self, ThreadRef};
use crate::types::{Interrupted, Wake};

/// A place to sleep at. Any number of threads may.
#[derive(Default)]
pub struct Rendez {
    /// Who is in the list, for wakers, who find nobody most times. A sleeper counts before it evaluates its condition,
    /// a waker looks after it has changed the state, and both with a fence between: so one of them sees the other.
    sleepers: AtomicUsize,
    list: Lock<List>,
}

#[derive(Default)]
struct List {
    /// Number of the next waiter; never used twice.
    next: u64,
    /// In the order of arrival.
    waiters: Vec<Waiter>,
}

struct Waiter {
    seq: u64,
    thread: ThreadRef,
    /// A wakeup is meant for this one and it has not looked at its condition since.
    woken: bool,
}

/// What ends a sleep other than its condition.
#[derive(Clone, Copy)]
struct Until {
    interruptible: bool,
    deadline_ns: u64,
}

impl Rendez {
    /// A place where nobody sleeps.
    pub const fn new() -> Rendez {
        Rendez { sleepers: AtomicUsize::new(0), list: Lock::new(List { next: 0, waiters: Vec::new() }) }
    }

    /// Sleeps until `cond` is true. It is evaluated by this thread, without any Lock held: before the sleep, and
    /// after each wakeup. It may be evaluated more often than there were wakeups.
    pub fn sleep(&self, cond: impl FnMut() -> bool) {
        let forever = Until { interruptible: false, deadline_ns: u64::MAX };
        // Neither interruption nor a deadline can end it.
        let _ = self.wait(forever, cond);
    }

    /// Sleeps until `cond` is true or this thread is interrupted. A condition that is true wins.
    ///
    /// # Errors
    /// `Interrupted` when the thread's flag is set; it stays set.
    pub fn sleep_intr(&self, cond: impl FnMut() -> bool) -> Result<(), Interrupted> {
        self.wait(Until { interruptible: true, deadline_ns: u64::MAX }, cond).map_err(|_| Interrupted)
    }

    /// Sleeps until `cond` is true, this thread is interrupted or `clock::now_ns() >= deadline_ns`.
    ///
    /// # Errors
    /// Which of the other two it was. A condition that is true wins, then the interruption.
    pub fn sleep_until(&self, deadline_ns: u64, cond: impl FnMut() -> bool) -> Result<(), Wake> {
        self.wait(Until { interruptible: true, deadline_ns }, cond)
    }

    /// Sleeps until `cond` is true or `clock::now_ns() >= deadline_ns`, whatever interrupts this thread. Says whether
    /// the condition came true.
    pub fn sleep_surely_until(&self, deadline_ns: u64, cond: impl FnMut() -> bool) -> bool {
        self.wait(Until { interruptible: false, deadline_ns }, cond).is_ok()
    }

    fn wait(&self, until: Until, mut cond: impl FnMut() -> bool) -> Result<(), Wake> {
        if cond() {
            return Ok(());
        }
        let seq = {
            let mut list = self.list.lock();
            let seq = list.next;
            list.next += 1;
            // A place is the kernel's, and not on the call: the list grows for all who wait.
            if list.waiters.len() == list.waiters.capacity() {
                as_kernel(|| for_threads(|| list.waiters.reserve(1)));
            }
            list.waiters.push(Waiter { seq, thread: thread::current(), woken: false });
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            seq
        };
        fence(Ordering::SeqCst);
        // Takes the entry off the list even when `cond` unwinds.
        let _entry = Entry { rendez: self, seq };
        loop {
            if cond() {
                return Ok(());
            }
            if until.interruptible && thread::is_interrupted() {
                return Err(Wake::Interrupted);
            }
            if until.deadline_ns == u64::MAX {
                thread::park();
            } else {
                if crate::clock::now_ns() >= until.deadline_ns {
                    return Err(Wake::TimedOut);
                }
                thread::park_until(until.deadline_ns);
            }
            self.list.lock().clear_mark(seq);
        }
    }

    /// Wakes all who sleep here; each evaluates its condition again. May be called from an interrupt handler.
    #[inline]
    pub fn wakeup(&self) {
        if self.has_sleepers() {
            self.wake_all();
        }
    }

    #[inline(never)]
    fn wake_all(&self) {
        let mut list = self.list.lock();
        for w in &mut list.waiters {
            w.wake();
        }
    }

    /// Wakes the one that has slept longest and is not woken yet. When it leaves without having begun to look since, it
    /// wakes the next in its place. May be called from an interrupt handler.
    #[inline]
    pub fn wakeup_one(&self) {
        if self.has_sleepers() {
            self.list.lock().wake_one();
        }
    }

    #[inline]
    fn has_sleepers(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleepers.load(Ordering::Relaxed) != 0
    }

    /// Threads that sleep here.
    pub fn sleepers(&self) -> usize {
        self.list.lock().waiters.len()
    }
}

impl Waiter {
    fn wake(&mut self) {
        self.woken = true;
        self.thread.unpark();
    }
}

impl List {
    fn wake_one(&mut self) {
        if let Some(w) = self.waiters.iter_mut().find(|w| !w.woken) {
            w.wake();
        }
    }

    fn clear_mark(&mut self, seq: u64) {
        if let Some(w) = self.waiters.iter_mut().find(|w| w.seq == seq) {
            w.woken = false;
        }
    }
}

struct Entry<'a> {
    rendez: &'a Rendez,
    seq: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut list = self.rendez.list.lock();
        let Some(at) = list.waiters.iter().position(|w| w.seq == self.seq) else { return };
        let gone = list.waiters.remove(at);
        self.rendez.sleepers.fetch_sub(1, Ordering::SeqCst);
        if gone.woken {
            list.wake_one();
        }
        drop(list);
        // The reference to the thread goes outside of the lock: it might be the last.
        drop(gone);
    }
}

#[cfg(test)]
mod tests;
