//! Watchpoints: a program's accesses to chosen addresses trap (#DB), by the processor's debug registers (Intel SDM,
//! volume 3, section 17.2).
//!
//! A thread's registers are in `Switched::watch`, and in the processor while it runs, in the kernel as well: no address
//! of the kernel's can be watched, and it reaches programs' memory by addresses of its own. `Cpu::watching` says that
//! the processor has some; only then, or when the next thread has some, a switch of threads touches them. One that a
//! program meets on its way into the kernel is taken on a stack of its own and forgotten (`trap_debug`).

use super::thread;
use crate::amd64::cpu::{self, Cpu};
use crate::types::{Watch, WatchError, Watchpoint};
use core::arch::asm;
use x86_64::instructions::interrupts;

/// Debug registers: four addresses and the control word, 0 when nothing is watched.
#[derive(Clone, Copy, Default)]
pub(crate) struct Registers {
    at: [u64; 4],
    control: u64,
}

impl Registers {
    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.control == 0
    }

    fn of(points: &[Watchpoint]) -> Result<Registers, WatchError> {
        let mut registers = Registers::default();
        if points.len() > registers.at.len() {
            return Err(WatchError::TooMany);
        }
        for (n, (point, at)) in points.iter().zip(&mut registers.at).enumerate() {
            point.check()?;
            let kind = match point.on {
                Watch::Execute => 0,
                Watch::Write => 1,
                Watch::Access => 3,
            };
            let len = [0, 1, 0, 3, 0, 0, 0, 2][point.len as usize - 1];
            *at = point.addr;
            // Enabled, for good; its kind and length.
            registers.control |= 2 << (2 * n) | (kind | len << 2) << (16 + 4 * n);
        }
        Ok(registers)
    }

    /// Puts them into the processor. Interrupts are off.
    pub fn load(&self, cpu: &Cpu) {
        cpu.watching.set(!self.is_empty());
        // SAFETY: none of the addresses is the kernel's, so nothing that it does traps; what a program does may trap
        // when the kernel has begun, for which the trap's entry is made. Bits that are not set stay as the processor
        // has them at the start.
        unsafe {
            asm!("mov dr7, {}", in(reg) 0u64, options(nostack, preserves_flags));
            if !self.is_empty() {
                let [a, b, c, d] = self.at;
                asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}", "mov dr6, {}", "mov dr7, {}",
                    in(reg) a, in(reg) b, in(reg) c, in(reg) d, in(reg) 0u64, in(reg) self.control,
                    options(nostack, preserves_flags));
            }
        }
    }
}

/// Has the calling thread's program watched at these places, and no others.
///
/// # Errors
/// There are too many, or one that the processor cannot watch; then all is as it was.
pub fn watch(points: &[Watchpoint]) -> Result<(), WatchError> {
    let registers = Registers::of(points)?;
    interrupts::without_interrupts(|| {
        // SAFETY: the running thread owns this.
        unsafe { (*thread::current_ref().switched.get()).watch = registers };
        registers.load(cpu::this());
    });
    Ok(())
}

/// Which of the watchpoints the calling thread's program has met, by bits, after a #DB; they are forgotten. And whether
/// one of them is an instruction, before which the program stands.
pub(crate) fn met(cpu: &Cpu) -> (u64, bool) {
    if !cpu.watching.get() {
        return (0, false);
    }
    let status: u64;
    // SAFETY: reads and clears this processor's status; interrupts are off.
    unsafe {
        asm!("mov {0}, dr6", "mov dr6, {1}", out(reg) status, in(reg) 0u64, options(nostack, preserves_flags))
    };
    // SAFETY: the running thread owns this.
    let control = unsafe { (*thread::current_ref().switched.get()).watch.control };
    let is_before = (0..4).any(|n| status >> n & 1 != 0 && control >> (16 + 4 * n) & 3 == 0);
    (status & 0xf, is_before)
}
