//! Many processors, one set of threads: where a thread runs, and what a processor does that has none.
//!
//! `IDLE` is the set of processors that halt, or are about to and have yet to look a last time. Who wakes one takes
//! its bit away, so that two who have work find two processors.
//!
//! * A woken thread goes to an idle processor if its home is busy with something else than waking it. (When the waker
//!   itself runs there it may be about to sleep, as at a pipe; so the thread waits at home until the waker returns to
//!   user mode or somebody else runs, and then an idle processor is told: [`spread`].) A new thread goes to an idle
//!   processor at once.
//! * A processor that runs out of work takes the first thread of another's queue ([`steal`]), before it halts.
//! * At the end of a turn a processor with two more than another gives it one ([`share`]), so that those who compute
//!   without a pause get the same.

use super::scheduler;
use super::thread::ThreadRef;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::dev::lapic;
use crate::amd64::mem::spare;
use crate::amd64::time::clock;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::instructions::interrupts;

static IDLE: AtomicU64 = AtomicU64::new(0);

/// Some idle processor, which is the caller's to wake; nothing when all work.
pub(crate) fn idle_processor() -> Option<&'static Cpu> {
    let cpu = cpu::among(IDLE.load(Ordering::SeqCst)).next()?;
    take_idle(cpu).then_some(cpu)
}

/// Takes a processor out of the set of the idle ones: it is the caller's to wake. Whether it was there.
pub(crate) fn take_idle(cpu: &Cpu) -> bool {
    IDLE.fetch_and(!cpu.bit(), Ordering::SeqCst) & cpu.bit() != 0
}

/// A processor that should run a woken thread in place of its home.
pub(crate) fn better_than(home: &Cpu) -> Option<&'static Cpu> {
    if core::ptr::eq(home, cpu::this()) || !home.busy.load(Ordering::Relaxed) {
        return None;
    }
    idle_processor()
}

/// Somebody waits here while another thread runs: an idle processor may have it.
pub(crate) fn spread(cpu: &Cpu) {
    if cpu.waiting.load(Ordering::SeqCst) > 0
        && IDLE.load(Ordering::SeqCst) != 0
        && let Some(other) = idle_processor()
    {
        lapic::send(other.apic.load(Ordering::Relaxed), lapic::LOOK);
    }
}

/// Takes a thread that waits at another processor.
fn steal(cpu: &Cpu) -> Option<ThreadRef> {
    let after = u64::MAX.checked_shl(cpu.id.get() + 1).unwrap_or(0);
    let others = cpu::all_bits() & !cpu.bit();
    for victim in cpu::among(others & after).chain(cpu::among(others & !after)) {
        if victim.waiting.load(Ordering::SeqCst) == 0 {
            continue;
        }
        if let Some(thread) = victim.local.lock().pop(victim, clock::now_ns()) {
            return Some(thread);
        }
    }
    None
}

/// Threads that want a processor: the waiting ones and the running one.
fn load(cpu: &Cpu) -> usize {
    cpu.waiting.load(Ordering::Relaxed) + usize::from(cpu.busy.load(Ordering::Relaxed))
}

/// Gives a waiting thread of this processor to one that has at least two less to do.
pub(crate) fn share(cpu: &'static Cpu) {
    let others = cpu::among(cpu::all_bits() & !cpu.bit());
    let Some(other) = others.min_by_key(|c| load(c)) else { return };
    if load(other) + 1 >= load(cpu) {
        return;
    }
    let thread = cpu.local.lock().pop(cpu, clock::now_ns());
    if let Some(thread) = thread {
        scheduler::send_to(other, thread);
    }
}

/// The idle thread's life: run whoever is ready here or elsewhere, else halt until an interrupt.
pub(crate) fn idle() -> ! {
    let cpu = cpu::this();
    loop {
        interrupts::enable();
        // Whoever is ready does not wait for that: it is done when he has run.
        let (mut more_to_do, mut rest_at) = (true, None);
        if cpu.waiting.load(Ordering::SeqCst) == 0 {
            more_to_do = scheduler::reap();
            release_space(false);
            rest_at = spare::rest(clock::now_ns);
        }
        interrupts::disable();
        let local = cpu.local.lock();
        if !local.is_empty() {
            scheduler::switch(local);
            continue;
        }
        drop(local);
        if let Some(thread) = steal(cpu) {
            scheduler::send_to(cpu, thread);
            continue;
        }
        if more_to_do {
            continue;
        }
        IDLE.fetch_or(cpu.bit(), Ordering::SeqCst);
        // Who queues something after this look finds the bit.
        if cpu::among(cpu::all_bits()).all(|c| c.waiting.load(Ordering::SeqCst) == 0) {
            cpu.local.lock().arm(cpu);
            wake_at(cpu, rest_at);
            let start = clock::cycles();
            cpu.idle_since.store(start, Ordering::Relaxed);
            interrupts::enable_and_hlt();
            cpu.idle_since.store(0, Ordering::Relaxed);
            cpu.idle_cycles.fetch_add(clock::cycles().saturating_sub(start), Ordering::Relaxed);
        }
        take_idle(cpu);
    }
}

/// Has this processor, which is about to halt, woken at that time, if nothing wakes it before. Interrupts are off.
fn wake_at(cpu: &Cpu, at: Option<u64>) {
    if let Some(at) = at.filter(|at| *at < cpu.armed.get()) {
        cpu.armed.set(at);
        lapic::fire_in(at.saturating_sub(clock::now_ns()));
    }
}

/// Lets go of the loaded address space, `always`, or when it is not loaded any more, or when nobody else has it, so
/// that a dead program's memory is free at once.
pub(crate) fn release_space(always: bool) {
    let gone = interrupts::without_interrupts(|| {
        let cpu = cpu::this();
        // SAFETY: this processor's, with interrupts off.
        let slot = unsafe { &mut *cpu.space.get() };
        let space = slot.as_ref()?;
        if !(always || cpu.root.get() == 0 || space.is_abandoned()) {
            return None;
        }
        space.unload(cpu);
        slot.take()
    });
    drop(gone);
}
