//! Kernel threads: what the rest of the kernel sees of the scheduler (`sched`).
//!
//! A thread has a stack of its own and runs until it parks, yields or ends; kernel code is never preempted. A
//! parked thread waits for a token; `unpark` gives one, from any context, and one given early is not lost.

pub use crate::threads::Observer;
pub use crate::types::{OutOfMemory, State, Times};

use super::fpu::Area;
use super::ready::Place;
use super::scheduler;
use super::usage::Usage;
use super::watch;
use crate::amd64::cpu;
use crate::amd64::interrupts;
use crate::amd64::mem::frames;
#[cfg(debug_assertions)]
use crate::amd64::mem::grant::Watch;
use crate::amd64::mem::stack::Stack;
use crate::amd64::time::clock;
use crate::ledger::Payer;
use crate::threads::Common;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// What a thread runs.
pub(crate) type Body = Box<dyn FnOnce() + Send>;

/// A kernel thread.
pub struct Thread {
    pub(crate) common: Common,
    /// The number of the processor whose queue it belongs to: where it runs, waits to run, or ran last. The lock of
    /// that queue guards `state` and `token`; it changes only while the thread is ready and in no queue.
    pub(crate) home: AtomicU32,
    /// A `State`.
    state: AtomicU8,
    /// The unpark token. Its own thread takes it without a lock too, when it wakes.
    pub(crate) token: AtomicBool,
    /// Locks that it has which sleepers wait for: its own thread counts.
    locks: AtomicU32,
    /// It has been given another, and has yet to run to know it.
    given: AtomicBool,
    /// It runs in user mode: time since `stamp` is the program's.
    pub(crate) in_user: AtomicBool,
    pub(crate) user_cycles: AtomicU64,
    pub(crate) sys_cycles: AtomicU64,
    /// The time stamp when its time was last accounted, while it runs.
    pub(crate) stamp: AtomicU64,
    /// The number of the account on which it was started: whom it works for.
    pub(crate) account: u16,
    /// Who pays for what it allocates.
    pub(crate) payer: Payer,
    /// What its call has allocated.
    #[cfg(debug_assertions)]
    pub(crate) watch: Watch,
    pub(crate) switched: UnsafeCell<Switched>,
}

/// What belongs to the thread while it runs and to the scheduler (under its home's lock) while it does not.
pub(crate) struct Switched {
    /// Saved stack pointer.
    pub sp: u64,
    /// The stack; taken away when the thread is dead.
    pub stack: Option<Stack>,
    /// What to run, until it starts.
    pub body: Option<Body>,
    /// The program's FPU state that is in the registers.
    pub fpu: Option<Arc<Area>>,
    /// How much of the processor it has used lately.
    pub usage: Usage,
    /// Its own place among those that are ready.
    pub place: Place,
    /// Where it was last queued: ahead of that, if it has what others may wait for.
    pub queued_at: Place,
    /// In which processor's timer queue it is, and for when. The lock of its home guards it, also while it runs.
    pub alarm: Option<(u32, u64)>,
    /// Where its program is watched.
    pub watch: watch::Registers,
}

// SAFETY: `switched` is touched by its owner only, as described there; all else is atomic or never changes.
unsafe impl Sync for Thread {}
// SAFETY: nothing in a thread depends on the processor it was made on.
unsafe impl Send for Thread {}

/// A counted reference to a thread.
pub type ThreadRef = Arc<Thread>;

/// Makes a thread that runs `f` and ends when it returns. `tag` is the process id it works for, or 0.
pub fn spawn(name: &str, tag: u64, f: Box<dyn FnOnce() + Send>) -> Result<ThreadRef, OutOfMemory> {
    let mut more_dead = scheduler::reap();
    let mut stack = Stack::new();
    // Theirs may be all the memory there is.
    while stack.is_err() && more_dead {
        more_dead = scheduler::reap();
        stack = Stack::new();
    }
    let stack = stack?;
    let thread = Arc::new(Thread::new(name, tag, Some(stack), Some(f)));
    frames::add_grant();
    scheduler::start(&thread);
    Ok(thread)
}

/// The calling thread.
pub fn current() -> ThreadRef {
    current_ref().counted()
}

/// The [tag](Thread::tag) of the calling thread.
#[inline]
pub fn tag() -> u64 {
    current_ref().tag()
}

/// Whether the calling thread [is interrupted](Thread::interrupted).
#[inline]
pub fn is_interrupted() -> bool {
    current_ref().interrupted()
}

/// The number of the calling thread.
#[inline]
pub(crate) fn current_id() -> u64 {
    current_ref().id()
}

/// The calling thread, borrowed: good until the caller ends.
#[inline]
pub(crate) fn current_ref() -> &'static Thread {
    // SAFETY: `scheduler::init` set it before threads exist; the scheduler keeps the running thread alive, and whoever
    // called is that thread. Kernel code is not preempted, so the processor does not change in between.
    unsafe { &*cpu::this().current.get() }
}

/// The calling thread has taken a lock that sleepers wait for.
#[inline]
pub(crate) fn has_taken() {
    let locks = &current_ref().locks;
    locks.store(locks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// It has let go of one.
#[inline]
pub(crate) fn has_let_go() {
    let locks = &current_ref().locks;
    locks.store(locks.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
}

/// Waits for a token; takes it. May return without one.
pub fn park() {
    scheduler::park(None);
}

/// Waits for a token until `clock::now_ns()` is `deadline_ns`.
pub fn park_until(deadline_ns: u64) {
    scheduler::park(Some(deadline_ns));
}

/// Whether the calling context can park: it is a thread, no Lock is held, and it is not an interrupt's.
pub fn may_park() -> bool {
    interrupts::are_enabled() && !cpu::is_idle_here()
}

/// Lets other threads of the same or a higher priority run first.
pub fn yield_now() {
    scheduler::yield_now();
}

/// Whether the calling thread's turn is over, or a more important one is ready.
#[inline]
pub fn need_resched() -> bool {
    cpu::this().need_resched.load(Ordering::Relaxed)
}

impl Thread {
    pub(crate) fn new(name: &str, tag: u64, stack: Option<Stack>, body: Option<Body>) -> Thread {
        Thread {
            common: Common::new(name, tag),
            home: AtomicU32::new(0),
            state: AtomicU8::new(State::Ready as u8),
            token: AtomicBool::new(false),
            locks: AtomicU32::new(0),
            given: AtomicBool::new(false),
            in_user: AtomicBool::new(false),
            user_cycles: AtomicU64::new(0),
            sys_cycles: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            account: stack.as_ref().map_or(0, Stack::owner),
            payer: Payer::new(),
            #[cfg(debug_assertions)]
            watch: Watch::new(),
            switched: UnsafeCell::new(Switched {
                sp: 0,
                stack,
                body,
                fpu: None,
                usage: Usage::default(),
                place: Place::LAST,
                queued_at: Place::LAST,
                alarm: None,
                watch: watch::Registers::default(),
            }),
        }
    }

    /// A counted reference to it.
    pub(crate) fn counted(&self) -> ThreadRef {
        let me: *const Thread = self;
        // SAFETY: every thread lives in an `Arc` (`spawn` and the idle threads see to that), which whoever lent
        // `self` keeps alive.
        unsafe {
            Arc::increment_strong_count(me);
            Arc::from_raw(me)
        }
    }

    /// Gives the thread its token: it wakes, or does not fall asleep next time. From any context.
    pub fn unpark(&self) {
        scheduler::unpark(self);
    }

    /// Says whether it has been given a lock that it waited for, and does not know it yet.
    pub(crate) fn is_given(&self, given: bool) {
        self.given.store(given, Ordering::Relaxed);
    }

    /// Whether it has something that others may wait for.
    pub(crate) fn has_locks(&self) -> bool {
        self.locks.load(Ordering::Relaxed) != 0 || self.given.load(Ordering::Relaxed)
    }

    /// Its priority has changed.
    pub(crate) fn requeue(&self) {
        scheduler::requeue(self);
    }

    /// Brings it out of user mode, if it is there on another processor.
    pub(crate) fn recall(&self) {
        scheduler::recall(self);
    }

    /// Where it goes on in the kernel and where its stack is then, if it is parked.
    pub fn kernel_place(&self) -> Option<(u64, u64)> {
        scheduler::place_of(self)
    }

    /// What the thread is doing.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Running,
            1 => State::Ready,
            2 => State::Parked,
            _ => State::Dead,
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
        self.begins(state);
    }

    /// Processor time so far. What a running thread has used since it was last accounted counts as well.
    pub fn times(&self) -> Times {
        let stamp = self.stamp.load(Ordering::Relaxed);
        let mut user = self.user_cycles.load(Ordering::Relaxed);
        let mut sys = self.sys_cycles.load(Ordering::Relaxed);
        if self.state() == State::Running {
            let since = clock::cycles().saturating_sub(stamp);
            *(if self.in_user.load(Ordering::Relaxed) { &mut user } else { &mut sys }) += since;
        }
        Times { user_ns: clock::cycles_to_ns(user), sys_ns: clock::cycles_to_ns(sys) }
    }

    /// Adds the time since the last stamp to `account` and stamps anew. Only the thread itself, while it runs, and who
    /// switches to or from it change either.
    #[inline]
    pub(crate) fn charge(&self, account: &AtomicU64) {
        let now = clock::cycles();
        let before = self.stamp.load(Ordering::Relaxed);
        self.stamp.store(now, Ordering::Relaxed);
        let sum = account.load(Ordering::Relaxed).wrapping_add(now.saturating_sub(before));
        account.store(sum, Ordering::Relaxed);
    }
}
