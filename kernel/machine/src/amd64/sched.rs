//! The scheduler: who runs, who waits for a processor, who sleeps until when.
//!
//! `SCHED` guards all of it, and is held across a switch of stacks: the thread that is switched to releases it. So
//! nobody can find a thread "parked" whose stack is still in use, and a dead thread on the list of the dead is off
//! its stack. Waking is giving a token under the lock; a token given to a thread that is not parked waits for it.
//!
//! The timer is a single shot for whatever comes first: the end of the running thread's turn, when others wait, or
//! the next sleeper's deadline. An idle processor without sleepers halts without one.

use super::lock::{Lock, LockGuard};
use super::runq::RunQueue;
use super::thread::{self, Thread, ThreadRef};
use super::timers::TimerQueue;
use super::{clock, cpu, lapic, paging, trap};
use crate::types::State;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::Ordering;
use x86_64::instructions::interrupts;

/// A turn, when others want the processor.
const SLICE_NS: u64 = 10_000_000;

struct Sched {
    /// Every thread that is not dead and reaped, by id.
    all: BTreeMap<u64, ThreadRef>,
    ready: RunQueue<ThreadRef>,
    sleepers: TimerQueue<ThreadRef>,
    /// Threads that have ended, whose stacks can be freed.
    dead: Vec<ThreadRef>,
}

static SCHED: Lock<Sched> = Lock::new(Sched {
    all: BTreeMap::new(),
    ready: RunQueue::new(),
    sleepers: TimerQueue::new(),
    dead: Vec::new(),
});

/// Makes the calling context the boot processor's idle thread.
pub(super) fn init() {
    let idle = Arc::new(Thread::new("idle", 0, None, None));
    idle.set_state(State::Running);
    idle.stamp.store(clock::cycles(), Ordering::Relaxed);
    let cpu = cpu::this();
    let raw: *const Thread = Arc::into_raw(idle); // lives for good
    cpu.idle.set(raw);
    cpu.current.set(raw);
}

/// Lets a new thread run.
pub(super) fn start(thread: &ThreadRef) {
    let mut s = SCHED.lock();
    // SAFETY: the thread has not run and is not queued: it is the caller's alone.
    let own = unsafe { &mut *thread.own.get() };
    if let Some(stack) = &own.stack {
        // After the seven words are gone the stack is aligned to 16 bytes, as a call wants it.
        let frame = (stack.top() - 120) as *mut u64;
        // What `switch_stacks` pops: six registers, then where it returns to. Above lie zeros, where backtraces end.
        // SAFETY: the top of a mapped stack that nobody uses yet.
        unsafe {
            frame.write_bytes(0, 15);
            frame.add(6).write(trap::thread_entry as *const () as u64);
        }
        own.sp = frame as u64;
    }
    s.all.insert(thread.id(), thread.clone());
    s.make_ready(thread.clone());
}

/// First thing on a new thread's stack; called by `thread_entry`.
pub(super) extern "C" fn thread_main() {
    // SAFETY: whoever switched here holds the lock, on this processor, and its guard is on another stack.
    unsafe { SCHED.release_for_new_thread() };
    interrupts::enable();
    let me = thread::current_ref();
    // SAFETY: the running thread owns this.
    let body = unsafe { (*me.own.get()).body.take() };
    if let Some(f) = body {
        f();
    }
    end();
}

/// Ends the calling thread.
fn end() -> ! {
    release_space(true);
    let me = thread::current();
    let mut s = SCHED.lock();
    me.set_state(State::Dead);
    // SAFETY: the running thread owns this; what a dead program had in the FPU is of no use.
    drop(unsafe { (*me.own.get()).fpu.take() });
    s.all.remove(&me.id());
    s.dead.push(me); // `current` stays valid: this reference is dropped by `reap`, after the switch
    s.switch();
    unreachable!("a dead thread runs");
}

/// Frees the stacks of dead threads. None of them is the caller's.
pub(super) fn reap() {
    if SCHED.lock().dead.is_empty() {
        return;
    }
    let dead = mem::take(&mut SCHED.lock().dead);
    for thread in dead {
        // SAFETY: dead, and switched away from before the lock was released: nobody else touches it.
        drop(unsafe { (*thread.own.get()).stack.take() });
    }
}

/// Waits for a token, at most until the deadline.
pub(super) fn park(deadline: Option<u64>) {
    assert!(interrupts::are_enabled(), "park with a Lock held or in an interrupt");
    let me = thread::current_ref();
    let mut s = SCHED.lock();
    if me.token.swap(false, Ordering::Relaxed) {
        return;
    }
    assert!(!s.is_idle(me), "the boot context cannot park");
    if let Some(deadline) = deadline {
        if deadline <= clock::now_ns() {
            return;
        }
        s.sleepers.insert(deadline, me.id(), thread::current());
    }
    me.set_state(State::Parked);
    s.switch();
    me.token.store(false, Ordering::Relaxed);
    if let Some(deadline) = deadline {
        s.sleepers.remove(deadline, me.id());
    }
}

/// Gives a thread its token.
pub(super) fn unpark(thread: &Thread) {
    let mut s = SCHED.lock();
    thread.token.store(true, Ordering::Relaxed);
    if thread.state() == State::Parked
        && let Some(t) = s.all.get(&thread.id()).cloned()
    {
        s.make_ready(t);
        s.after_wake();
    }
}

/// Goes behind the others of its priority.
pub(super) fn yield_now() {
    assert!(interrupts::are_enabled(), "yield with a Lock held or in an interrupt");
    let me = thread::current();
    let mut s = SCHED.lock();
    cpu::this().need_resched.store(false, Ordering::Relaxed);
    if s.is_idle(&me) {
        return;
    }
    if s.ready.highest().is_none_or(|level| level < 2 * me.priority()) {
        s.new_turn();
        return;
    }
    s.queue(me, false);
    s.switch();
}

/// The timer interrupt: wakes whose time has come and ends turns.
pub(super) fn timer_fired() {
    let mut s = SCHED.lock();
    let cpu = cpu::this();
    cpu.armed.set(u64::MAX);
    let now = clock::now_ns();
    let mut woken = false;
    while let Some(t) = s.sleepers.expired(now) {
        if t.state() == State::Parked {
            s.make_ready(t);
            woken = true;
        }
    }
    if woken {
        s.after_wake();
    }
    if now >= cpu.slice_end.get() && s.ready.highest().is_some() {
        cpu.need_resched.store(true, Ordering::Relaxed);
    }
    s.arm();
}

/// The idle thread's life: run whoever is ready, else halt until an interrupt.
pub(super) fn idle() -> ! {
    loop {
        reap();
        release_space(false);
        interrupts::disable();
        let mut s = SCHED.lock();
        if s.ready.highest().is_some() {
            s.switch();
        }
        s.arm();
        if s.ready.highest().is_none() {
            drop(s);
            let start = clock::cycles();
            interrupts::enable_and_hlt();
            cpu::this().idle_cycles.fetch_add(clock::cycles().saturating_sub(start), Ordering::Relaxed);
        }
    }
}

/// Lets go of the loaded address space, `always` or when nobody else has it any more, so that a dead program's
/// memory is free at once.
fn release_space(always: bool) {
    let gone = interrupts::without_interrupts(|| {
        // SAFETY: this processor's, with interrupts off.
        let space = unsafe { &mut *cpu::this().space.get() };
        if !space.as_ref().is_some_and(|s| always || Arc::strong_count(s) == 1) {
            return None;
        }
        // SAFETY: the kernel's own tables.
        unsafe { paging::load(paging::root()) };
        space.take()
    });
    drop(gone);
}

impl Sched {
    fn is_idle(&self, thread: &Thread) -> bool {
        core::ptr::eq(cpu::this().idle.get(), thread)
    }

    /// Queues a thread that was parked: ahead of those that compute, if it has used little lately, since it may
    /// be one that a person waits for.
    fn make_ready(&mut self, thread: ThreadRef) {
        self.queue(thread, true);
    }

    fn queue(&mut self, thread: ThreadRef, has_slept: bool) {
        thread.set_state(State::Ready);
        // SAFETY: a thread that does not run, or is about to stop: its own part is the scheduler's.
        let own = unsafe { &mut *thread.own.get() };
        let bonus = u8::from(has_slept && own.recent.is_little(clock::now_ns()));
        own.level = 2 * thread.priority() + bonus;
        self.ready.push(own.level, thread);
    }

    /// Somebody has become ready: may the running thread go on, and for how long?
    fn after_wake(&mut self) {
        let cpu = cpu::this();
        let me = thread::current_ref();
        if self.is_idle(me) {
            return; // it looks at the queue before it halts
        }
        // SAFETY: written only under the lock, which is held.
        let level = unsafe { (*me.own.get()).level };
        if self.ready.highest() > Some(level) {
            cpu.need_resched.store(true, Ordering::Relaxed);
        } else {
            self.arm();
        }
    }

    fn new_turn(&mut self) {
        cpu::this().slice_end.set(clock::now_ns() + SLICE_NS);
        self.arm();
    }

    /// Sets the timer for what comes next, if it is not set early enough.
    fn arm(&mut self) {
        let cpu = cpu::this();
        let slice = match self.ready.highest() {
            Some(_) if !self.is_idle(thread::current_ref()) && !cpu.need_resched.load(Ordering::Relaxed) => {
                cpu.slice_end.get()
            }
            _ => u64::MAX,
        };
        let next = slice.min(self.sleepers.next().unwrap_or(u64::MAX));
        if next < cpu.armed.get() {
            cpu.armed.set(next);
            lapic::fire_in(next.saturating_sub(clock::now_ns()));
        }
    }
}

/// Switching is done on the guard: the lock stays held, and the guard of the thread switched to releases it.
impl LockGuard<'_, Sched> {
    /// Runs the next ready thread, or the idle thread. Returns when somebody switches back to the caller, which has
    /// queued itself, or is parked, dead or idle.
    fn switch(&mut self) {
        let cpu = cpu::this();
        let old = thread::current_ref();
        let next: *const Thread = match self.ready.pop() {
            Some(t) => Arc::as_ptr(&t), // `all` keeps it alive
            None => cpu.idle.get(),
        };
        // SAFETY: `all` keeps every thread that is not dead; the idle thread lives for good.
        let new = unsafe { &*next };
        new.set_state(State::Running);
        cpu.need_resched.store(false, Ordering::Relaxed);
        if core::ptr::eq(old, new) {
            self.new_turn();
            return;
        }
        cpu.switches.fetch_add(1, Ordering::Relaxed);
        old.charge(&old.sys_cycles);
        let now = clock::now_ns();
        let ran = now.saturating_sub(cpu.turn_start.replace(now));
        new.stamp.store(clock::cycles(), Ordering::Relaxed);
        cpu.current.set(next);
        self.new_turn();
        // SAFETY: the lock is held, so both threads' own parts are the scheduler's: `old` has just stopped being the
        // running one and `new` stands in `switch_stacks` or is new.
        unsafe {
            let old = &mut *old.own.get();
            old.recent.add(ran, now);
            if let Some(area) = old.fpu.take() {
                area.save();
            }
            trap::switch_stacks(&raw mut old.sp, (*new.own.get()).sp);
        }
    }
}
