//! When this processor ticks next, while ticks are wanted (`crate::sampling`). The timer is set with that in mind, and
//! its interrupt asks whether it was for a tick.

use super::scheduler;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::dev::lapic;
use crate::amd64::time::clock;
use crate::sampling::{LATEST, PERIOD_NS, is_wanted};
use core::sync::atomic::Ordering;

/// When the timer is to fire for a tick, `u64::MAX` for never. Interrupts are off.
pub(crate) fn next(cpu: &Cpu) -> u64 {
    let next = match is_wanted() && !cpu::is_idle_here() {
        true => cpu.tick_at.get().min(clock::now_ns() + PERIOD_NS),
        false => u64::MAX,
    };
    cpu.tick_at.set(next);
    next
}

/// The timer has fired: how many ticks have been due; one that came late stands for those that did not come.
pub(crate) fn take(cpu: &Cpu, now: u64) -> u32 {
    let due = cpu.tick_at.get();
    if due > now {
        return 0;
    }
    cpu.tick_at.set(u64::MAX);
    (1 + (now - due) / PERIOD_NS).min(LATEST) as u32
}

/// All processors set their timers anew, because ticks are wanted now.
pub(crate) fn begin() {
    let me = cpu::this();
    for other in cpu::among(cpu::all_bits() & !me.bit()) {
        lapic::send(other.apic.load(Ordering::Relaxed), lapic::LOOK);
    }
    scheduler::look();
}
