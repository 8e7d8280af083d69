//! `Lock`: mutual exclusion for short sections, against other processors and against interrupt handlers.
//!
//! A guard puts interrupts off on its processor (see `interrupts`), so a handler can never find a lock that its own
//! processor holds. Who waits for one serves other processors' flushes meanwhile (see `flush`). Rule: never park, never
//! drop a channel, never do I/O while holding one; `park` checks it by whether interrupts are put off. With debug
//! assertions the order in which Locks are taken is checked as well (`sync::lockorder`).

#[cfg(debug_assertions)]
use super::cpu;
use super::interrupts;
use super::mem::flush;
#[cfg(debug_assertions)]
use crate::sync::lockorder;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
#[cfg(debug_assertions)]
use core::panic::Location;
use core::sync::atomic::{AtomicBool, Ordering};

/// After so many failed looks a lock counts as lost: nobody holds one for seconds.
const LOST: u64 = 1 << 32;

/// A value that one processor at a time may touch.
pub struct Lock<T: ?Sized> {
    held: AtomicBool,
    #[cfg(debug_assertions)]
    made_at: &'static Location<'static>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock lets one holder at a time reach the value.
unsafe impl<T: ?Sized + Send> Sync for Lock<T> {}
// SAFETY: owning the lock is owning the value.
unsafe impl<T: ?Sized + Send> Send for Lock<T> {}

/// Access to a locked value; dropping it releases the lock and lets interrupts in.
pub struct LockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// It has put interrupts off itself, and not who holds another one around it.
    puts_off: bool,
    // What a guard counts down is of the processor it was made on: it stays there.
    here: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value only.
unsafe impl<T: ?Sized + Sync> Sync for LockGuard<'_, T> {}

impl<T> Lock<T> {
    /// A free lock around `value`.
    #[track_caller]
    pub const fn new(value: T) -> Lock<T> {
        Lock {
            held: AtomicBool::new(false),
            #[cfg(debug_assertions)]
            made_at: Location::caller(),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, when nobody else can reach the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits for the lock with interrupts put off and takes it.
    #[inline]
    pub fn lock(&self) -> LockGuard<'_, T> {
        interrupts::put_off();
        #[cfg(debug_assertions)]
        if let Some(cpu) = cpu::if_ready() {
            cpu.held.check(&lockorder::SPINNING, self.made_at);
        }
        self.take();
        LockGuard { lock: self, puts_off: true, here: PhantomData }
    }

    /// The same for who has another one, until he has let go of this: interrupts are put off already.
    #[inline]
    pub fn lock_under<'a, U: ?Sized>(&'a self, _outer: &'a LockGuard<'_, U>) -> LockGuard<'a, T> {
        #[cfg(debug_assertions)]
        if let Some(cpu) = cpu::if_ready() {
            cpu.held.check(&lockorder::SPINNING, self.made_at);
        }
        self.take();
        LockGuard { lock: self, puts_off: false, here: PhantomData }
    }

    /// Waits for it and takes it, with interrupts put off.
    #[inline(always)]
    fn take(&self) {
        if self.held.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait();
        }
        self.note_taken();
    }

    #[cold]
    #[inline(never)]
    fn wait(&self) {
        let mut looks = 0u64;
        while self.held.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.held.load(Ordering::Relaxed) {
                flush::serve(); // the holder may be waiting for just that
                spin_loop();
                looks += 1;
                assert!(looks < LOST, "lock {:p} is never released", &self.held);
            }
        }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        interrupts::put_off();
        if self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.note_taken();
            return Some(LockGuard { lock: self, puts_off: true, here: PhantomData });
        }
        interrupts::let_in();
        None
    }

    /// The value without locking: the borrow proves that nobody else has it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Releases a lock whose guard was [kept](LockGuard::keep). Interrupts stay off; one that had been put off before
    /// that is served here.
    ///
    /// # Safety
    /// The calling processor holds the lock, and nobody else releases it for this taking.
    pub(crate) unsafe fn release(&self) {
        self.note_released();
        self.held.store(false, Ordering::Release);
        interrupts::let_in_later();
    }

    fn note_taken(&self) {
        #[cfg(debug_assertions)]
        if let Some(cpu) = cpu::if_ready() {
            cpu.held.push(&lockorder::SPINNING, self.made_at);
        }
    }

    fn note_released(&self) {
        #[cfg(debug_assertions)]
        if let Some(cpu) = cpu::if_ready() {
            cpu.held.pop(&lockorder::SPINNING, self.made_at);
        }
    }
}

/// Locks that the calling context holds.
#[cfg(debug_assertions)]
pub(crate) fn held_here() -> usize {
    cpu::if_ready().map_or(0, |cpu| cpu.held.len())
}

impl<T: ?Sized> LockGuard<'_, T> {
    /// Ends the guard without releasing the lock, and turns interrupts off. Says whether they are to be turned on again
    /// when it is [released](Lock::release): whether they were on before it was taken.
    pub(crate) fn keep(self) -> bool {
        debug_assert!(self.puts_off, "a guard is kept that stands under another");
        core::mem::forget(self);
        interrupts::turn_off()
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard's lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard's lock is held, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.note_released();
        self.lock.held.store(false, Ordering::Release);
        if self.puts_off {
            interrupts::let_in();
        }
    }
}

impl<T: Default> Default for Lock<T> {
    #[track_caller]
    fn default() -> Lock<T> {
        Lock::new(T::default())
    }
}
