//! What a kernel thread is on both halves: who it is, how important, and whether somebody wants its attention.
//!
//! Everything here is atomic or never changes. What a half adds (its stack, its home, its condition variable) is
//! beside `common` in its own `Thread`, with the four things that it does in its own way: `unpark`, `recall`, `state`
//! and `times`.

use crate::thread::Thread;
use crate::types::State;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use spin::Once;

/// Normal priority, and the highest.
pub(crate) const NORMAL: u8 = 10;
const HIGHEST: u8 = 20;

/// Who is told what a thread does, as it begins to do it. The scheduler calls with locks of its own in hand: only locks
/// may be taken that are leaves, and memory neither taken nor given back.
pub trait Observer: Send + Sync {
    /// The thread runs, is ready to, or waits.
    fn state(&self, state: State);
}

/// The part of a thread that both halves have.
pub(crate) struct Common {
    id: u64,
    /// The QLocks that it holds.
    #[cfg(debug_assertions)]
    held: crate::sync::lockorder::Held,
    tag: u64,
    name: String,
    priority: AtomicU8,
    interrupted: AtomicBool,
    /// User mode is to be left; `user::run` takes it.
    kicked: AtomicBool,
    /// Ticks that have met its program: see `sampling`.
    pub(crate) ticks: AtomicU32,
    /// Who is told what it does. Most threads have none, and look at one word at each switch.
    observer: Once<Arc<dyn Observer>>,
}

impl Common {
    /// A new thread's, of normal priority.
    pub(crate) fn new(name: &str, tag: u64) -> Common {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Common {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            #[cfg(debug_assertions)]
            held: crate::sync::lockorder::Held::new(),
            tag,
            name: String::from(name),
            priority: AtomicU8::new(NORMAL),
            interrupted: AtomicBool::new(false),
            kicked: AtomicBool::new(false),
            ticks: AtomicU32::new(0),
            observer: Once::new(),
        }
    }
}

impl Thread {
    /// The QLocks that it holds: itself may ask.
    #[cfg(debug_assertions)]
    pub(crate) fn held(&self) -> &crate::sync::lockorder::Held {
        &self.common.held
    }

    /// A number that no other thread has or had.
    #[inline]
    pub fn id(&self) -> u64 {
        self.common.id
    }

    /// The process id given to `spawn`, or 0.
    #[inline]
    pub fn tag(&self) -> u64 {
        self.common.tag
    }

    /// The name given to `spawn`.
    pub fn name(&self) -> String {
        self.common.name.clone()
    }

    /// The same without a copy, for a panic.
    #[cfg(target_os = "none")]
    pub(crate) fn name_here(&self) -> &str {
        &self.common.name
    }

    /// Sets the interrupted flag, wakes the thread if it is parked, and makes it leave user mode soon if it is there.
    pub fn interrupt(&self) {
        self.common.interrupted.store(true, Ordering::Release);
        self.kick();
        self.unpark();
    }

    /// Whether `interrupt` was called since the flag was cleared.
    #[inline]
    pub fn interrupted(&self) -> bool {
        self.common.interrupted.load(Ordering::Acquire)
    }

    /// Clears the interrupted flag.
    pub fn clear_interrupt(&self) {
        self.common.interrupted.store(false, Ordering::Release);
    }

    /// Makes the thread's `user::run` return `Event::Interrupt` soon, now or when it is next called.
    pub fn kick(&self) {
        self.common.kicked.store(true, Ordering::SeqCst);
        // It looks before it goes to user mode; where it is there already the half brings it back.
        self.recall();
    }

    /// Takes a pending kick.
    #[inline]
    pub(crate) fn take_kick(&self) -> bool {
        self.common.kicked.load(Ordering::Relaxed) && self.common.kicked.swap(false, Ordering::Acquire)
    }

    /// Whether a kick waits.
    #[inline]
    pub(crate) fn kick_pending(&self) -> bool {
        self.common.kicked.load(Ordering::Acquire)
    }

    /// Has somebody told what the thread does from now on. There is one: who comes later is told nothing.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.common.observer.call_once(|| observer);
    }

    /// It begins to do this.
    #[inline]
    pub(crate) fn begins(&self, state: State) {
        if let Some(observer) = self.common.observer.get() {
            observer.state(state);
        }
    }

    /// Sets the priority: 0 to 20, higher runs first, 10 is normal. A thread that waits to run is queued anew.
    /// The host only remembers it.
    pub fn set_priority(&self, priority: u8) {
        self.common.priority.store(priority.min(HIGHEST), Ordering::Relaxed);
        self.requeue();
    }

    /// The priority.
    #[inline]
    pub fn priority(&self) -> u8 {
        self.common.priority.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {} {:?} ({:?})", self.id(), self.common.name, self.state())
    }
}
