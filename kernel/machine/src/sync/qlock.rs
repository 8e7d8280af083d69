//! `QLock` and `RwQLock`: locks whose holders may sleep, strictly first come, first served.
//!
//! The lock is handed over: whoever lets go gives it to the longest waiter before that one runs, so nobody can slip in
//! between and nobody starves. Both are a [`Gate`] with the data beside it. A thread that has such a lock, or has been
//! given one, is run ahead of those that compute, since others may wait for what it has.

use alloc::collections::VecDeque;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

#[cfg(debug_assertions)]
use super::lockorder;
use crate::heap::for_threads;
use crate::ledger::as_kernel;
#[cfg(debug_assertions)]
use crate::lock;
use crate::lock::Lock;
use crate::thread::{self, ThreadRef};
use crate::types::Interrupted;
#[cfg(debug_assertions)]
use core::panic::Location;

/// Who is inside and who waits; knows nothing of the data.
struct Gate {
    #[cfg(debug_assertions)]
    made_at: &'static Location<'static>,
    state: Lock<GateState>,
}

struct GateState {
    /// Holders that only read.
    readers: usize,
    /// Id of the thread that holds it alone, 0 for none.
    writer: u64,
    next: u64,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    seq: u64,
    thread: ThreadRef,
    mode: Mode,
    /// It has been let in and counts in `readers` or `writer`.
    granted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
}

impl Gate {
    #[track_caller]
    const fn new() -> Gate {
        Gate {
            #[cfg(debug_assertions)]
            made_at: Location::caller(),
            state: Lock::new(GateState { readers: 0, writer: 0, next: 0, queue: VecDeque::new() }),
        }
    }

    fn try_enter(&self, mode: Mode) -> bool {
        let entered = self.state.lock().admit_newcomer(mode, thread::current_id());
        if entered {
            thread::has_taken();
            #[cfg(debug_assertions)]
            thread::current().held().push(&lockorder::SLEEPING, self.made_at);
        }
        entered
    }

    #[inline]
    fn enter(&self, mode: Mode, interruptible: bool) -> Result<(), Interrupted> {
        #[cfg(debug_assertions)]
        {
            assert_eq!(
                lock::held_here(),
                0,
                "the lock made at {} is waited for while a Lock is held",
                self.made_at
            );
            thread::current().held().check(&lockorder::SLEEPING, self.made_at);
        }
        if !self.state.lock().admit_newcomer(mode, thread::current_id()) {
            self.wait(mode, interruptible)?;
        }
        thread::has_taken();
        #[cfg(debug_assertions)]
        thread::current().held().push(&lockorder::SLEEPING, self.made_at);
        Ok(())
    }

    #[cold]
    fn wait(&self, mode: Mode, interruptible: bool) -> Result<(), Interrupted> {
        let me = thread::current();
        let seq = {
            let mut s = self.state.lock();
            if s.admit_newcomer(mode, me.id()) {
                return Ok(());
            }
            debug_assert_ne!(s.writer, me.id(), "thread {} waits for a QLock that it holds", me.name());
            let seq = s.next;
            s.next += 1;
            // A place is the kernel's, and not on the call: the queue grows for all who wait in it.
            if s.queue.len() == s.queue.capacity() {
                as_kernel(|| for_threads(|| s.queue.reserve(1)));
            }
            s.queue.push_back(Waiter { seq, thread: me.clone(), mode, granted: false });
            seq
        };
        loop {
            thread::park();
            let mut s = self.state.lock();
            let Some(at) = s.queue.iter().position(|w| w.seq == seq) else { return Ok(()) };
            let granted = s.queue[at].granted;
            if !(granted || interruptible && me.interrupted()) {
                continue;
            }
            // `me` is another reference to the same thread, so this one is never the last.
            s.queue.remove(at);
            if granted {
                me.is_given(false);
                return Ok(());
            }
            // Readers may have stood behind this writer.
            s.grant();
            return Err(Interrupted);
        }
    }

    #[inline]
    fn leave(&self, mode: Mode) {
        #[cfg(debug_assertions)]
        thread::current().held().pop(&lockorder::SLEEPING, self.made_at);
        thread::has_let_go();
        let mut s = self.state.lock();
        match mode {
            Mode::Read => s.readers -= 1,
            Mode::Write => s.writer = 0,
        }
        if !s.queue.is_empty() {
            s.grant();
        }
    }
}

impl GateState {
    /// Counts in somebody who has just come, if nobody waits before. (Those let in stay in the queue until they run.)
    #[inline]
    fn admit_newcomer(&mut self, mode: Mode, id: u64) -> bool {
        (self.queue.is_empty() || self.queue.iter().all(|w| w.granted)) && self.admit(mode, id)
    }

    /// Counts somebody in, if those inside allow it.
    #[inline]
    fn admit(&mut self, mode: Mode, id: u64) -> bool {
        match mode {
            Mode::Read if self.writer == 0 => self.readers += 1,
            Mode::Write if self.writer == 0 && self.readers == 0 => self.writer = id,
            _ => return false,
        }
        true
    }

    /// Lets in whoever may come in, from the front of the queue, and wakes them.
    fn grant(&mut self) {
        for at in 0..self.queue.len() {
            if self.queue[at].granted {
                continue;
            }
            let (mode, id) = (self.queue[at].mode, self.queue[at].thread.id());
            if !self.admit(mode, id) {
                return;
            }
            self.queue[at].granted = true;
            self.queue[at].thread.is_given(true);
            self.queue[at].thread.unpark();
            // A note may have woken it before: then it is ready, behind everybody who computes.
            self.queue[at].thread.requeue();
        }
    }
}

/// A lock for sections that may sleep. Waiters get it in the order in which they came.
pub struct QLock<T: ?Sized> {
    gate: Gate,
    data: UnsafeCell<T>,
}

// SAFETY: the gate lets one thread at a time reach the data, so sharing the lock only ever moves the data from thread
// to thread.
unsafe impl<T: ?Sized + Send> Sync for QLock<T> {}

/// Access to what a [`QLock`] guards; dropping it unlocks.
pub struct QGuard<'a, T: ?Sized> {
    lock: &'a QLock<T>,
    /// Makes the guard shareable only where `&mut T` is.
    _data: PhantomData<&'a mut T>,
}

impl<T> QLock<T> {
    /// An unlocked lock around `value`.
    #[track_caller]
    pub const fn new(value: T) -> QLock<T> {
        QLock { gate: Gate::new(), data: UnsafeCell::new(value) }
    }

    /// The value, when the lock itself is owned.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> QLock<T> {
    /// Waits for the lock; no note ends the wait.
    pub fn lock(&self) -> QGuard<'_, T> {
        // Only an interruptible wait can fail.
        let _ = self.gate.enter(Mode::Write, false);
        QGuard { lock: self, _data: PhantomData }
    }

    /// Waits for the lock until this thread is interrupted. A lock already handed over wins.
    ///
    /// # Errors
    /// `Interrupted` when the thread's flag is set; it stays set.
    pub fn lock_intr(&self) -> Result<QGuard<'_, T>, Interrupted> {
        self.gate.enter(Mode::Write, true)?;
        Ok(QGuard { lock: self, _data: PhantomData })
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<QGuard<'_, T>> {
        self.gate.try_enter(Mode::Write).then(|| QGuard { lock: self, _data: PhantomData })
    }

    /// The value without locking: the exclusive reference proves that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

impl<T: Default> Default for QLock<T> {
    #[track_caller]
    fn default() -> QLock<T> {
        QLock::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for QLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QLock")
    }
}

impl<T: ?Sized> Deref for QGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while the guard lives the gate lets nobody else in, and `&self` allows only shared access.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for QGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: while the guard lives the gate lets nobody else in, and `&mut self` is the only access through it.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for QGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.gate.leave(Mode::Write);
    }
}

/// A lock that many may hold to read, or one to write. Waiters get it in the order in which they came, so a thread that
/// reads must not ask to read again: a writer may stand between.
pub struct RwQLock<T: ?Sized> {
    gate: Gate,
    data: UnsafeCell<T>,
}

// SAFETY: the gate lets in one writer alone or readers only. Readers share `&T` between threads, hence `T: Sync`;
// a writer may move the value out of its thread, hence `T: Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwQLock<T> {}

/// Shared access to what a [`RwQLock`] guards.
pub struct ReadGuard<'a, T: ?Sized> {
    lock: &'a RwQLock<T>,
    _data: PhantomData<&'a T>,
}

/// Exclusive access to what a [`RwQLock`] guards.
pub struct WriteGuard<'a, T: ?Sized> {
    lock: &'a RwQLock<T>,
    _data: PhantomData<&'a mut T>,
}

impl<T> RwQLock<T> {
    /// An unlocked lock around `value`.
    #[track_caller]
    pub const fn new(value: T) -> RwQLock<T> {
        RwQLock { gate: Gate::new(), data: UnsafeCell::new(value) }
    }

    /// The value, when the lock itself is owned.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwQLock<T> {
    /// Waits until no writer is inside or before this thread in the queue.
    pub fn read(&self) -> ReadGuard<'_, T> {
        // Only an interruptible wait can fail.
        let _ = self.gate.enter(Mode::Read, false);
        ReadGuard { lock: self, _data: PhantomData }
    }

    /// Waits until nobody is inside or before this thread in the queue.
    pub fn write(&self) -> WriteGuard<'_, T> {
        // Only an interruptible wait can fail.
        let _ = self.gate.enter(Mode::Write, false);
        WriteGuard { lock: self, _data: PhantomData }
    }

    /// Takes the lock to read, if that needs no waiting.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.gate.try_enter(Mode::Read).then(|| ReadGuard { lock: self, _data: PhantomData })
    }

    /// Takes the lock to write, if that needs no waiting.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.gate.try_enter(Mode::Write).then(|| WriteGuard { lock: self, _data: PhantomData })
    }

    /// The value without locking: the exclusive reference proves that nobody else is here.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

impl<T: Default> Default for RwQLock<T> {
    #[track_caller]
    fn default() -> RwQLock<T> {
        RwQLock::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for RwQLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwQLock")
    }
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while the guard lives the gate lets no writer in.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.gate.leave(Mode::Read);
    }
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: while the guard lives the gate lets nobody else in, and `&self` allows only shared access.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: while the guard lives the gate lets nobody else in, and `&mut self` is the only access through it.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.gate.leave(Mode::Write);
    }
}

#[cfg(test)]
mod tests;
