//! The scheduler: who runs, who waits for a processor, who sleeps until when.
//!
//! Each processor has a `Local` (`local`): its run queue, its timer queue, its dead. A thread belongs to one of them,
//! its *home*, whose lock guards its state and token. That lock is held across a switch of stacks: the thread that is
//! switched to releases it. So nobody can find a thread "parked" whose stack is still in use, and a dead thread on the
//! list of the dead is off its stack. Waking is giving a token under the home's lock; a token given to a thread that is
//! not parked waits for it.
//!
//! No two of these locks are ever held together. A thread moves in three steps: it is made ready, or taken out of a
//! queue, under the lock of its old home; its home is changed; it is queued under the lock of the new one. Who looks
//! for it in between finds it ready, and has nothing to do.
//!
//! A thread that parks until a deadline is put into the timer queue of its processor, as its *alarm*, and stays there
//! when it is woken before: the next wait with a deadline that is not earlier needs no other. So an alarm may wake a
//! thread that waits for something later, which then puts in another one; and who waits for answers that come soon,
//! each until half a minute from then, puts in one in half a minute.
//!
//! Who is woken goes home, unless that processor is busy and another idles (`balance`). The timer of each processor is
//! a single shot for whatever comes first: the end of the running thread's turn, when others wait, the next sleeper's
//! deadline, or a tick, when somebody wants those (`ticks`). An idle processor without sleepers halts without one.

use super::balance;
use super::local::Local;
use super::switch;
use super::thread::{self, Thread, ThreadRef};
use super::ticks;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::dev::lapic;
use crate::amd64::interrupts;
use crate::amd64::lock::LockGuard;
use crate::amd64::mem::frames;
use crate::amd64::mem::stack::Stack;
use crate::amd64::time::clock;
use crate::ledger::{self, as_kernel};
use crate::types::State;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{Ordering, fence};

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
    // SAFETY: nobody else touches these two while the thread runs. (Of all of `switched` there is no reference here:
    // where it was queued is read by others, who hold the lock of its home.)
    let (body, owner) = unsafe {
        let switched = me.switched.get();
        ((*switched).body.take(), (*switched).stack.as_ref().map_or(0, Stack::owner))
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
    leave_alarm(me, cpu);
    let mut local = cpu.local.lock();
    let last = local.take_alarm(cpu, me);
    me.set_state(State::Dead);
    // SAFETY: the running thread owns this; what a dead program had in the FPU is of no use.
    drop(unsafe { (*me.switched.get()).fpu.take() });
    // `current` stays valid: this reference is dropped by `reap`, after the switch.
    // SAFETY: the reference that `start` forgot, taken back once.
    as_kernel(|| local.dead.push(unsafe { Arc::from_raw(me) }));
    drop(last); // not the last reference: that is on the list
    cpu.has_dead.store(true, Ordering::Relaxed);
    switch(local);
    unreachable!("a dead thread runs");
}

/// So many dead threads of a processor are seen to at a time: who does it may have others to run.
const REAPED: usize = 16;

/// Frees the stacks of some dead threads. None of them is the caller's. True when there are more.
pub(crate) fn reap() -> bool {
    for cpu in cpu::among(cpu::all_bits()) {
        for _ in 0..REAPED {
            if !cpu.has_dead.load(Ordering::Relaxed) {
                break;
            }
            let mut local = cpu.local.lock();
            let thread = local.dead.pop();
            let list = if local.dead.is_empty() {
                cpu.has_dead.store(false, Ordering::Relaxed);
                mem::take(&mut local.dead)
            } else {
                Vec::new()
            };
            drop(local);
            drop(list);
            if let Some(thread) = thread {
                // SAFETY: dead, and switched away from before the lock was released: nobody else touches it.
                drop(unsafe { (*thread.switched.get()).stack.take() });
            }
        }
    }
    cpu::among(cpu::all_bits()).any(|cpu| cpu.has_dead.load(Ordering::Relaxed))
}

/// Waits for a token, at most until the deadline.
pub(crate) fn park(deadline: Option<u64>) {
    assert!(interrupts::are_enabled(), "park with a Lock held or in an interrupt");
    let me = thread::current_ref();
    let cpu = cpu::this();
    let mut local = cpu.local.lock();
    if deadline.is_some() && local.has_alarm_elsewhere(cpu, me) {
        drop(local);
        leave_alarm(me, cpu);
        local = cpu.local.lock();
    }
    if me.token.swap(false, Ordering::SeqCst) {
        return;
    }
    assert!(!cpu::is_idle_here(), "the boot context cannot park");
    if let Some(deadline) = deadline {
        if deadline <= clock::now_ns() {
            return;
        }
        local.set_alarm(cpu, me, deadline);
    }
    me.set_state(State::Parked);
    switch(local);
    // A token that comes from here on is for the next time; what its giver did before is seen by the caller, because
    // this is a locked instruction.
    me.token.swap(false, Ordering::SeqCst);
}

/// Takes the alarm of the calling thread out of the queue of a processor that it has left, if it is in one.
#[cold]
fn leave_alarm(me: &Thread, cpu: &'static Cpu) {
    // Only this processor's lock, since the thread is at home here, guards what is noted of its alarm.
    let local = cpu.local.lock();
    // SAFETY: the lock of its home is held.
    let alarm = unsafe { (*me.switched.get()).alarm };
    drop(local);
    if let Some((other, at)) = alarm.filter(|(other, _)| *other != cpu.id.get()) {
        let taken = cpu::by_id(other).local.lock().sleepers.remove(at, me.id());
        let local = cpu.local.lock();
        // SAFETY: as above.
        unsafe { (*me.switched.get()).alarm = None };
        drop(local);
        drop(taken);
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

/// Where a thread that is parked goes on, and its stack pointer then. One that is ready may be on its way to another
/// home, and begin to run.
pub(crate) fn place_of(thread: &Thread) -> Option<(u64, u64)> {
    let (_, local) = lock_home(thread);
    if thread.state() != State::Parked {
        return None;
    }
    // SAFETY: it stays parked while its home's lock is held, so what is `switched` is the scheduler's, and so is the
    // stack, on which `switch_stacks` left six registers and where to return to.
    let place = unsafe {
        let sp = (*thread.switched.get()).sp;
        (*((sp + 48) as *const u64), sp + 56)
    };
    drop(local);
    Some(place)
}

/// Makes a parked thread ready.
fn wake(thread: &Thread, home: &'static Cpu, mut local: Guard) {
    if thread.state() != State::Parked {
        return;
    }
    let thread = thread.counted();
    match balance::better_than(home) {
        None => {
            let now = clock::now_ns();
            local.queue(home, thread, true, now);
            tell(home, local, now);
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
    let now = clock::now_ns();
    local.queue(cpu, thread, true, now);
    tell(cpu, local, now);
}

/// Somebody has become ready at `cpu`: sees to it that it learns of it.
fn tell(cpu: &'static Cpu, mut local: Guard, now: u64) {
    if core::ptr::eq(cpu, cpu::this()) {
        local.after_wake(cpu, now);
        return;
    }
    drop(local);
    balance::take_idle(cpu);
    lapic::send(cpu.apic.load(Ordering::Relaxed), lapic::LOOK);
}

/// Another processor has queued something here, or wants the running program back in the kernel.
pub(crate) fn look() {
    let cpu = cpu::this();
    cpu.local.lock().after_wake(cpu, clock::now_ns());
}

/// The priority of a thread has changed: if it is queued, it is queued anew.
pub(crate) fn requeue(thread: &Thread) {
    let (home, mut local) = lock_home(thread);
    // SAFETY: written only under the lock of its home, which is held.
    let place = unsafe { (*thread.switched.get()).queued_at };
    if thread.state() == State::Ready
        && let Some(thread) = local.ready.take(place, |t| core::ptr::eq(Arc::as_ptr(t), thread))
    {
        let now = clock::now_ns();
        local.queue(home, thread, true, now);
        tell(home, local, now);
    }
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
    // SAFETY: the running thread owns this.
    let place = unsafe { (*me.switched.get()).place };
    // Who is ahead runs here, and now.
    let now = clock::now_ns();
    if !cpu.local.lock().is_ahead_of(place, now) {
        balance::share(cpu);
    }
    let mut local = cpu.local.lock();
    if !local.ready.has(me.priority()) {
        local.new_turn(cpu, now);
        return;
    }
    local.settle(cpu, &me, now);
    local.queue(cpu, me, false, now);
    switch(local);
}

/// The timer interrupt: wakes whose time has come and ends turns.
pub(crate) fn timer_fired() {
    let cpu = cpu::this();
    cpu.armed.set(u64::MAX);
    let now = clock::now_ns();
    cpu.ticked.set(ticks::take(cpu, now));
    loop {
        let expired = cpu.local.lock().sleepers.expired(now);
        let Some(thread) = expired else { break };
        // It may have been woken and parked anew meanwhile: then it wakes without cause, which it can.
        let (home, local) = lock_home(&thread);
        // SAFETY: the lock of its home is held.
        let alarm = unsafe { &mut (*thread.switched.get()).alarm };
        // Or have another alarm by now.
        alarm.take_if(|(at, due)| *at == cpu.id.get() && *due <= now);
        wake(&thread, home, local);
    }
    let mut local = cpu.local.lock();
    if now >= cpu.slice_end.get() && !local.is_empty() {
        cpu.need_resched.store(true, Ordering::Relaxed);
    }
    local.arm(cpu);
}

/// Runs the next ready thread of this processor, or its idle thread. `local` is this processor's; the caller has queued
/// itself, or is parked, dead or idle. Returns when somebody switches back, perhaps on another processor, with no lock
/// held.
pub(crate) fn switch(mut local: Guard) {
    let cpu = cpu::this();
    let old = thread::current_ref();
    let now = clock::now_ns();
    let next: *const Thread = match local.pop(cpu, now) {
        Some(t) => Arc::as_ptr(&t), // the scheduler's own reference keeps it alive
        None => cpu.idle.get(),
    };
    // SAFETY: a thread that is not dead is kept by the scheduler's own reference; the idle thread lives for good.
    let new = unsafe { &*next };
    new.set_state(State::Running);
    // SAFETY: written only under the lock, which is held.
    let (place, queued_at) = unsafe { ((*new.switched.get()).place, (*new.switched.get()).queued_at) };
    // One that was ahead for the locks that it has goes on until it returns to user mode.
    let gives_way = place != queued_at && local.is_ahead_of(place, now);
    cpu.need_resched.store(gives_way, Ordering::Relaxed);
    if core::ptr::eq(old, new) {
        local.new_turn(cpu, now);
        return;
    }
    cpu.switches.fetch_add(1, Ordering::Relaxed);
    old.charge(&old.sys_cycles);
    if !cpu::is_idle_here() {
        local.settle(cpu, old, now);
    }
    cpu.turn_start.set(now);
    new.stamp.store(clock::cycles(), Ordering::Relaxed);
    cpu.current.set(next);
    cpu.payer.set(&raw const new.payer);
    cpu.busy.store(!cpu::is_idle_here(), Ordering::Relaxed);
    local.new_turn(cpu, now);
    balance::spread(cpu);
    fence(Ordering::SeqCst); // see `recall`
    let interrupts_on = local.keep();
    // SAFETY: the lock is held, so what is `switched` of both threads is the scheduler's: `old` is no longer the
    // running one and `new` stands in `switch_stacks` or is new. Whoever comes back here holds the lock of the
    // processor that it then runs on, which may be another: hence `this` again.
    unsafe {
        let old = &mut *old.switched.get();
        if let Some(area) = old.fpu.take() {
            area.save();
        }
        let new = &*new.switched.get();
        if cpu.watching.get() || !new.watch.is_empty() {
            new.watch.load(cpu);
        }
        switch::switch_stacks(&raw mut old.sp, new.sp);
        cpu::this().local.release();
    }
    if interrupts_on {
        interrupts::enable();
    }
}
