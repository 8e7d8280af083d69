//! Counters of the host's one simulated processor.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::clock;
use super::machine::machine;
pub use crate::types::CpuStat;

/// What each processor has done.
pub fn stats() -> Vec<CpuStat> {
    let m = machine();
    vec![CpuStat {
        switches: m.switches.load(Ordering::Relaxed),
        interrupts: m.interrupts.load(Ordering::Relaxed),
        syscalls: m.syscalls.load(Ordering::Relaxed),
        faults: m.faults.load(Ordering::Relaxed),
        total_ns: clock::now_ns(),
        ..CpuStat::default()
    }]
}

/// Processors there are.
pub fn count() -> usize {
    1
}

/// Counts a system call.
pub fn count_syscall() {
    machine().syscalls.fetch_add(1, Ordering::Relaxed);
}

/// Counts a page fault of a program.
pub fn count_fault() {
    machine().faults.fetch_add(1, Ordering::Relaxed);
}
