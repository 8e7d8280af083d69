//! What the scheduler knows of one processor: who is ready there, who sleeps, who is dead, and when its timer is
//! wanted.
//!
//! Lock: all of it is behind `Cpu::local`, which also guards the states of the threads that are at home here and what
//! is `switched` of those that do not run (`scheduler`).

use super::ready::{Place, Ready};
use super::thread::{self, Thread, ThreadRef};
use super::ticks;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::dev::lapic;
use crate::amd64::mem::grant;
use crate::amd64::time::clock;
use crate::amd64::time::timers::TimerQueue;
use crate::ledger::{self, Group, as_kernel};
use crate::threads::NORMAL;
use crate::types::State;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// A turn, when others want the processor.
const SLICE_NS: u64 = 10_000_000;

/// What the scheduler knows of one processor.
pub(crate) struct Local {
    pub(super) ready: Ready<ThreadRef>,
    pub(super) sleepers: TimerQueue<ThreadRef>,
    /// Threads that have ended, whose stacks can be freed.
    pub(super) dead: Vec<ThreadRef>,
}

impl Local {
    /// Nobody is there.
    pub const fn new() -> Local {
        Local { ready: Ready::new(), sleepers: TimerQueue::new(), dead: Vec::new() }
    }

    /// Whether nobody waits to run.
    pub fn is_empty(&self) -> bool {
        self.ready.len() == 0
    }

    /// Queues a thread of this home with its group (`ready`). One that was parked goes ahead of those that compute, if
    /// it has used little lately, since it may be one that a person waits for. One that has locks goes ahead of both:
    /// somebody may wait for it who is not to wait behind others' programs.
    pub(super) fn queue(&mut self, cpu: &Cpu, thread: ThreadRef, has_slept: bool, now: u64) {
        thread.set_state(State::Ready);
        // SAFETY: a thread that does not run, or is about to stop: its `switched` is the scheduler's.
        let switched = unsafe { &mut *thread.switched.get() };
        let level = 2 * thread.priority() + u8::from(has_slept && switched.usage.is_little(now));
        switched.place = Place { group: ledger::group(thread.account), level };
        switched.queued_at = match thread.has_locks() {
            true => Place { group: Group::Kernel, level: level.max(2 * NORMAL + 1) },
            false => switched.place,
        };
        if self.ready.is_full(switched.queued_at) {
            // A place for a thread, not for who wakes it: that may be thousands of them in one call.
            as_kernel(|| grant::for_threads(|| self.ready.make_room(switched.queued_at)));
        }
        self.ready.push(switched.queued_at, thread, now);
        cpu.waiting.store(self.ready.len(), Ordering::SeqCst);
    }

    /// Sees to it that the running thread wakes at `deadline` or before: its alarm, if it has one, is in this queue.
    pub(super) fn set_alarm(&mut self, cpu: &Cpu, thread: &Thread, deadline: u64) {
        // SAFETY: the lock of its home is held.
        let alarm = unsafe { (*thread.switched.get()).alarm };
        if alarm.is_some_and(|(_, at)| at <= deadline) {
            return;
        }
        drop(self.take_alarm(cpu, thread)); // not the last reference: it runs
        as_kernel(|| self.sleepers.insert(deadline, thread.id(), thread.counted()));
        // SAFETY: as above.
        unsafe { (*thread.switched.get()).alarm = Some((cpu.id.get(), deadline)) };
    }

    /// Whether the running thread's alarm is in the queue of another processor, which it has left.
    pub(super) fn has_alarm_elsewhere(&self, cpu: &Cpu, thread: &Thread) -> bool {
        // SAFETY: the lock of its home is held.
        let alarm = unsafe { (*thread.switched.get()).alarm };
        alarm.is_some_and(|(at, _)| at != cpu.id.get())
    }

    /// Takes the running thread's alarm out of this queue, if it is there.
    pub(super) fn take_alarm(&mut self, cpu: &Cpu, thread: &Thread) -> Option<ThreadRef> {
        // SAFETY: the lock of its home is held.
        let alarm = unsafe { &mut (*thread.switched.get()).alarm };
        let (_, at) = alarm.take_if(|(at, _)| *at == cpu.id.get())?;
        self.sleepers.remove(at, thread.id())
    }

    /// Adds what the running thread has had of the processor since it was switched to, or since it was last added. It
    /// counts for the group in which it was chosen: the account of one that ends says no more whom it has worked for.
    pub(super) fn settle(&mut self, cpu: &Cpu, thread: &Thread, now: u64) {
        let ran = now.saturating_sub(cpu.turn_start.replace(now));
        // SAFETY: written only under the lock, which is held.
        let switched = unsafe { &mut *thread.switched.get() };
        self.ready.has_run(switched.place.group, ran, now);
        switched.usage.add(ran, now);
    }

    /// Takes the next one.
    pub fn pop(&mut self, cpu: &Cpu, now: u64) -> Option<ThreadRef> {
        let thread = self.ready.pop(now).map(|(thread, is_late)| {
            if is_late {
                // It has all of its turn: who was ahead of it does not take that away at the first wakeup.
                // SAFETY: a thread that does not run: its `switched` is the scheduler's.
                unsafe { (*thread.switched.get()).place.level |= 1 };
            }
            thread
        });
        cpu.waiting.store(self.ready.len(), Ordering::SeqCst);
        thread
    }

    /// Somebody has become ready here: may the running thread go on, and for how long?
    pub(super) fn after_wake(&mut self, cpu: &Cpu, now: u64) {
        if cpu::is_idle_here() {
            return; // it looks at the queue before it halts
        }
        // SAFETY: written only under the lock, which is held.
        let place = unsafe { (*thread::current_ref().switched.get()).place };
        if self.is_ahead_of(place, now) {
            cpu.need_resched.store(true, Ordering::Relaxed);
        } else {
            self.arm(cpu);
        }
    }

    /// Whether the next one is ahead of who is running and belongs to that place.
    pub(super) fn is_ahead_of(&mut self, place: Place, now: u64) -> bool {
        self.ready.is_ahead_of(place, now)
    }

    pub(super) fn new_turn(&mut self, cpu: &Cpu, now: u64) {
        cpu.slice_end.set(now + SLICE_NS);
        self.arm(cpu);
    }

    /// Sets the timer of the calling processor for what comes next, if it is not set early enough.
    pub fn arm(&mut self, cpu: &Cpu) {
        let slice = match self.ready.len() {
            1.. if !cpu::is_idle_here() && !cpu.need_resched.load(Ordering::Relaxed) => cpu.slice_end.get(),
            _ => u64::MAX,
        };
        let next = slice.min(self.sleepers.next().unwrap_or(u64::MAX)).min(ticks::next(cpu));
        if next < cpu.armed.get() {
            cpu.armed.set(next);
            lapic::fire_in(next.saturating_sub(clock::now_ns()));
        }
    }
}
