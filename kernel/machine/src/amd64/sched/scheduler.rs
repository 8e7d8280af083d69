//! The scheduler: who runs, who waits for a processor, who sleeps until when.
//!
//! Each processor has a `Local`: its run queue, its timer queue, its dead. A thread belongs to one of them, its *home*,
//! whose lock guards its state and token. That lock is held across a switch of stacks: the thread that is switched to
//! releases it. So nobody can find a thread "parked" whose stack is still in use, and a dead thread on the list of the
//! dead is off its stack. Waking is giving a token under the home's lock; a token given to a thread that is not parked
//! waits for it.
//!
//! No two of these locks are ever held together. A thread moves in three steps: it is made ready, or taken out of a
//! queue, under the lock of its old home; its home is changed; it is queued under the lock of the new one. Who looks
//! for it in between finds it ready, and has nothing to do.
//!
//! Who is woken goes home, unless that processor is busy and another idles (`balance`). The timer of each processor
//! is a single shot for whatever comes first: the end of the running thread's turn, when others wait, or the next
//! sleeper's deadline. An idle processor without sleepers halts without one.

use super::balance;
use super::runq::RunQueue;
use super::switch;
use super::thread::{self, Thread, ThreadRef};
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::dev::lapic;
use crate::amd64::lock::LockGuard;
use crate::amd64::mem::frames;
use crate::amd64::mem::stack::Stack;
use crate::amd64::time::clock;
use crate::amd64::time::timers::TimerQueue;
use crate::ledger::{self, as_kernel};
use crate::types::State;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{Ordering, fence};
use x86_64::instructions::interrupts;

/// A turn, when others want the processor.
const SLICE_NS: u64 = 10_000_000;

/// What the scheduler knows of one processor.
pub(crate) struct Local {
    ready: RunQueue<ThreadRef>,
    sleepers: TimerQueue<ThreadRef>,
    /// Threads that have ended, whose stacks can be freed.
    dead: Vec<ThreadRef>,
}

/// A processor's own queue, locked.
pub(crate) type Guard = LockGuard<'static, Local>;

/// Makes the calling context the idle thread of `cpu`, which is the calling processor or has not started.
pub(crate) fn init(cpu: &Cpu) {
    let idle = Arc::new(Thread::new("idle", 0, None, None));
    idle.set_state(State::Running);
    idle.stamp.store(clock::cycles(), Ordering::Relaxed);
    let raw: *const Thread = Arc::into_raw(idle); // lives for good
    cpu.idle.set(raw);
    cpu.current.set(raw);
    // SAFETY: the idle thread lives for good.
    cpu.payer.set(unsafe { &raw const (*raw).payer });
}

/// Lets a new thread run.
pub(crate) fn start(thread: &ThreadRef) {
    // SAFETY: the thread has not run and is not queued: it is the caller's alone.
    let switched = unsafe { &mut *thread.switched.get() };
    if let Some(stack) = &switched.stack {
        // After the seven words are gone the stack is aligned to 16 bytes, as a call wants it.
        let frame = (stack.top() - 120) as *mut u64;
        // What `switch_stacks` pops: six registers, then where it returns to. Above lie zeros, where backtraces end.
        // SAFETY: the top of a mapped stack that nobody uses yet.
        unsafe {
            frame.write_bytes(0, 15);
            frame.add(6).write(switch::thread_entry as *const () as u64);
        }
        switched.sp = frame as u64;
    }
    mem::forget(thread.clone()); // the scheduler's own reference: `end` finds it again
    let home = balance::idle_processor().unwrap_or(cpu::this());
    send_to(home, thread.clone());
}

/// First thing on a new thread's stack; called by `thread_entry`.
pub(crate) extern "C" fn thread_main() {
    // SAFETY: whoever switched here kept the guard of this processor's queue.
    unsafe { cpu::this().local.release() };
    interrupts::enable();
    let me = thread::current_ref();
    // SAFETY: the running thread owns this.
    let (body, owner) = unsafe {
        let switched = &mut *me.switched.get();
        (switched.body.take(), switched.stack.as_ref().map_or(0, Stack::owner))
    };
    if let Some(f) = body {
        ledger::pay(owner, f);
    }
    end();
}

/// Ends the calling thread.
fn end() -> ! {
    balance::release_space(true);
    frames::end_grant();
    let me = thread::current_ref();
    let cpu = cpu::this();
    let mut local = cpu.local.lock();
    me.set_state(State::Dead);
    // SAFETY: the running thread owns this; what a dead program had in the FPU is of no use.
    drop(unsafe { (*me.switched.get()).fpu.take() });
    // `current` stays valid: this reference is dropped by `reap`, after the switch.
    // SAFETY: the reference that `start` forgot, taken back once.
    as_kernel(|| local.dead.push(unsafe { Arc::from_raw(me) }));
    cpu.has_dead.store(true, Ordering::Relaxed);
    switch(local);
    unreachable!("a dead thread runs");
}

/// Frees the stacks of dead threads. None of them is the caller's.
pub(crate) fn reap() {
    for cpu in cpu::among(cpu::all_bits()) {
        if !cpu.has_dead.load(Ordering::Relaxed) {
            continue;
        }
        let dead = {
            let mut local = cpu.local.lock();
            cpu.has_dead.store(false, Ordering::Relaxed);
            mem::take(&mut local.dead)
        };
        for thread in dead {
            // SAFETY: dead, and switched away from before the lock was released: nobody else touches it.
            drop(unsafe { (*thread.switched.get()).stack.take() });
        }
    }
}

/// Waits for a token, at most until the deadline.
pub(crate) fn park(deadline: Option<u64>) {
    assert!(interrupts::are_enabled(), "park with a Lock held or in an interrupt");
    let me = thread::current_ref();
    let cpu = cpu::this();
    let mut local = cpu.local.lock();
    if me.token.swap(false, Ordering::SeqCst) {
        return;
    }
    assert!(!cpu::is_idle_here(), "the boot context cannot park");
    if let Some(deadline) = deadline {
        if deadline <= clock::now_ns() {
            return;
        }
        as_kernel(|| local.sleepers.insert(deadline, me.id(), me.counted()));
    }
    me.set_state(State::Parked);
    switch(local);
    // A token that comes from here on is for the next time; what its giver did before is seen by the caller, because
    // this is a locked instruction.
    me.token.swap(false, Ordering::SeqCst);
    if let Some(deadline) = deadline {
        let mine = cpu.local.lock().sleepers.remove(deadline, me.id());
        drop(mine);
    }
}

/// Locks the queue of the thread's home.
fn lock_home(thread: &Thread) -> (&'static Cpu, Guard) {
    loop {
        let home = thread.home.load(Ordering::Acquire);
        let cpu = cpu::by_id(home);
        let local = cpu.local.lock();
        if thread.home.load(Ordering::Acquire) == home {
            return (cpu, local);
        }
    }
}

/// Gives a thread its token.
pub(crate) fn unpark(thread: &Thread) {
    let (home, local) = lock_home(thread);
    thread.token.store(true, Ordering::SeqCst);
    wake(thread, home, local);
}

/// Makes a parked thread ready.
fn wake(thread: &Thread, home: &'static Cpu, mut local: Guard) {
    if thread.state() != State::Parked {
        return;
    }
    let thread = thread.counted();
    match balance::better_than(home) {
        None => {
            local.queue(home, thread, true);
            tell(home, local);
        }
        Some(other) => {
            thread.set_state(State::Ready);
            drop(local);
            send_to(other, thread);
        }
    }
}

/// Queues a ready thread that is in no queue at `cpu`.
pub(crate) fn send_to(cpu: &'static Cpu, thread: ThreadRef) {
    thread.home.store(cpu.id.get(), Ordering::Release);
    let mut local = cpu.local.lock();
    local.queue(cpu, thread, true);
    tell(cpu, local);
}

/// Somebody has become ready at `cpu`: sees to it that it learns of it.
fn tell(cpu: &'static Cpu, mut local: Guard) {
    if core::ptr::eq(cpu, cpu::this()) {
        local.after_wake(cpu);
        return;
    }
    drop(local);
    balance::take_idle(cpu);
    lapic::send(cpu.apic.load(Ordering::Relaxed), lapic::LOOK);
}

/// Another processor has queued something here, or wants the running program back in the kernel.
pub(crate) fn look() {
    let cpu = cpu::this();
    cpu.local.lock().after_wake(cpu);
}

/// Brings a thread that runs on another processor back from user mode.
pub(crate) fn recall(thread: &Thread) {
    // A thread that is being switched to looks for kicks after `switch` has marked it and fenced; so either it is seen
    // running here or it sees the kick.
    fence(Ordering::SeqCst);
    if thread.state() != State::Running {
        return;
    }
    let home = cpu::by_id(thread.home.load(Ordering::Acquire));
    if !core::ptr::eq(home, cpu::this()) {
        lapic::send(home.apic.load(Ordering::Relaxed), lapic::LOOK);
    }
}

/// Goes behind the others of its priority.
pub(crate) fn yield_now() {
    assert!(interrupts::are_enabled(), "yield with a Lock held or in an interrupt");
    let me = thread::current();
    let cpu = cpu::this();
    cpu.need_resched.store(false, Ordering::Relaxed);
    if cpu::is_idle_here() {
        return;
    }
    balance::share(cpu);
    let mut local = cpu.local.lock();
    if local.ready.highest().is_none_or(|level| level < 2 * me.priority()) {
        local.new_turn(cpu);
        return;
    }
    local.queue(cpu, me, false);
    switch(local);
}

/// The timer interrupt: wakes whose time has come and ends turns.
pub(crate) fn timer_fired() {
    let cpu = cpu::this();
    cpu.armed.set(u64::MAX);
    let now = clock::now_ns();
    loop {
        let expired = cpu.local.lock().sleepers.expired(now);
        let Some(thread) = expired else { break };
        // It may have been woken and parked anew meanwhile: then it wakes without cause, which it can.
        let (home, local) = lock_home(&thread);
        wake(&thread, home, local);
    }
    let mut local = cpu.local.lock();
    if now >= cpu.slice_end.get() && local.ready.highest().is_some() {
        cpu.need_resched.store(true, Ordering::Relaxed);
    }
    local.arm(cpu);
}

impl Local {
    /// Nobody is there.
    pub const fn new() -> Local {
        Local { ready: RunQueue::new(), sleepers: TimerQueue::new(), dead: Vec::new() }
    }

    /// Whether nobody waits to run.
    pub fn is_empty(&self) -> bool {
        self.ready.highest().is_none()
    }

    /// Queues a thread of this home. One that was parked goes ahead of those that compute, if it has used little
    /// lately, since it may be one that a person waits for.
    fn queue(&mut self, cpu: &Cpu, thread: ThreadRef, has_slept: bool) {
        thread.set_state(State::Ready);
        // SAFETY: a thread that does not run, or is about to stop: its `switched` is the scheduler's.
        let switched = unsafe { &mut *thread.switched.get() };
        let bonus = u8::from(has_slept && switched.usage.is_little(clock::now_ns()));
        switched.level = 2 * thread.priority() + bonus;
        if self.ready.is_full(switched.level) {
            as_kernel(|| self.ready.make_room(switched.level));
        }
        self.ready.push(switched.level, thread);
        cpu.waiting.store(self.ready.len(), Ordering::SeqCst);
    }

    /// Takes the next one.
    pub fn pop(&mut self, cpu: &Cpu) -> Option<ThreadRef> {
        let thread = self.ready.pop();
        cpu.waiting.store(self.ready.len(), Ordering::SeqCst);
        thread
    }

    /// Somebody has become ready here: may the running thread go on, and for how long?
    fn after_wake(&mut self, cpu: &Cpu) {
        if cpu::is_idle_here() {
            return; // it looks at the queue before it halts
        }
        // SAFETY: written only under the lock, which is held.
        let level = unsafe { (*thread::current_ref().switched.get()).level };
        if self.ready.highest() > Some(level) {
            cpu.need_resched.store(true, Ordering::Relaxed);
        } else {
            self.arm(cpu);
        }
    }

    fn new_turn(&mut self, cpu: &Cpu) {
        cpu.slice_end.set(clock::now_ns() + SLICE_NS);
        self.arm(cpu);
    }

    /// Sets the timer of the calling processor for what comes next, if it is not set early enough.
    pub fn arm(&mut self, cpu: &Cpu) {
        let slice = match self.ready.highest() {
            Some(_) if !cpu::is_idle_here() && !cpu.need_resched.load(Ordering::Relaxed) => {
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

/// Runs the next ready thread of this processor, or its idle thread. `local` is this processor's; the caller has queued
/// itself, or is parked, dead or idle. Returns when somebody switches back, perhaps on another processor, with no lock
/// held.
pub(crate) fn switch(mut local: Guard) {
    let cpu = cpu::this();
    let old = thread::current_ref();
    let next: *const Thread = match local.pop(cpu) {
        Some(t) => Arc::as_ptr(&t), // the scheduler's own reference keeps it alive
        None => cpu.idle.get(),
    };
    // SAFETY: a thread that is not dead is kept by the scheduler's own reference; the idle thread lives for good.
    let new = unsafe { &*next };
    new.set_state(State::Running);
    cpu.need_resched.store(false, Ordering::Relaxed);
    if core::ptr::eq(old, new) {
        local.new_turn(cpu);
        return;
    }
    cpu.switches.fetch_add(1, Ordering::Relaxed);
    old.charge(&old.sys_cycles);
    let now = clock::now_ns();
    let ran = now.saturating_sub(cpu.turn_start.replace(now));
    new.stamp.store(clock::cycles(), Ordering::Relaxed);
    cpu.current.set(next);
    cpu.payer.set(&raw const new.payer);
    cpu.busy.store(!cpu::is_idle_here(), Ordering::Relaxed);
    local.new_turn(cpu);
    balance::spread(cpu);
    fence(Ordering::SeqCst); // see `recall`
    let interrupts_on = local.keep();
    // SAFETY: the lock is held, so what is `switched` of both threads is the scheduler's: `old` is no longer the
    // running one and `new` stands in `switch_stacks` or is new. Whoever comes back here holds the lock of the
    // processor that it then runs on, which may be another: hence `this` again.
    unsafe {
        let old = &mut *old.switched.get();
        old.usage.add(ran, now);
        if let Some(area) = old.fpu.take() {
            area.save();
        }
        switch::switch_stacks(&raw mut old.sp, (*new.switched.get()).sp);
        cpu::this().local.release();
    }
    if interrupts_on {
        interrupts::enable();
    }
}
