//! The floating-point unit, which only programs use: the kernel is built without it.
//!
//! A program's registers live in its `Area`, with its general ones beside them, or in the processor while its thread
//! runs. They go back to memory when the thread is switched away, and come back at its next entry to user mode. They
//! are not left for a trap (#NM) of who uses them: every program does, and soon, and QEMU translates all code twice
//! that runs with CR0.TS set and clear.

use crate::amd64::cpu::Cpu;
use crate::types::{FpuState, Frame};
use abi::ureg::Ureg;
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where a program's registers are kept.
#[repr(C)]
pub struct Area {
    /// The general ones.
    pub frame: Frame,
    state: UnsafeCell<FpuState>,
    /// The id of the thread in whose registers the state is; 0 when it is here.
    live: AtomicU64,
}

// SAFETY: `state` is touched only by who has the `UserContext` (exclusively), or, while it is live, by the processor
// that runs the thread named in `live`.
unsafe impl Sync for Area {}
// SAFETY: plain bytes.
unsafe impl Send for Area {}

impl Area {
    /// The start values of the FPU, and these registers.
    pub fn new(regs: &Ureg) -> Area {
        Area { frame: Frame::new(regs), state: UnsafeCell::new(FpuState::new()), live: AtomicU64::new(0) }
    }

    /// The id of the thread whose registers hold the state, or 0.
    #[inline]
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Forgets what is in the registers: the state here is what counts.
    pub fn discard(&self) {
        self.live.store(0, Ordering::Relaxed);
    }

    /// Stores the registers here.
    ///
    /// # Safety
    /// They are this program's: the calling processor runs the thread named in `live`, interrupts off.
    pub unsafe fn save(&self) {
        if self.live() == 0 {
            return;
        }
        // SAFETY: the caller's promise; the area is 512 bytes, aligned to 64; CR0.TS is clear.
        unsafe { asm!("fxsave64 [{}]", in(reg) self.state.get(), options(nostack, preserves_flags)) };
        self.discard();
    }

    /// Loads the registers from here, for the thread `id`, which the calling processor runs with interrupts off.
    pub fn load(&self, cpu: &Cpu, id: u64) {
        self.live.store(id, Ordering::Relaxed);
        if cpu.fpu_leaks.get() {
            forget_last_instruction();
        }
        // SAFETY: the area holds what FXSAVE stored, or `FpuState`'s constructors, which clear what could fault.
        unsafe { asm!("fxrstor64 [{}]", in(reg) self.state.get(), options(nostack, preserves_flags)) };
    }

    /// The state, which is here.
    ///
    /// # Safety
    /// The caller has the program's `UserContext` to itself, and the state is not live.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn state(&self) -> &mut FpuState {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.state.get() }
    }
}

/// Whether this processor keeps what the x87 unit did last (its address, that of its operand, the operation) over an
/// FXRSTOR of a state in which no exception is pending. AMD's do, until those that say by a bit of their own that
/// they do not (AMD64 Architecture Programmer's Manual 2, section 11.4.4.3, and 3, CPUID 8000_0008 EBX bit 2).
pub fn leaks() -> bool {
    leaks_by(__cpuid(0).ebx, __cpuid(0x8000_0000).eax, || __cpuid(0x8000_0008).ebx)
}

/// The same by what the processor says: the beginning of its maker's name, the last of its numbers, and EBX of the one
/// with that bit, if there is such a number.
pub fn leaks_by(maker: u32, most: u32, features: impl FnOnce() -> u32) -> bool {
    let clears = most >= 0x8000_0008 && features() >> 2 & 1 != 0;
    // Intel's have no such bit, and no such habit: "GenuineIntel".
    maker != u32::from_le_bytes(*b"Genu") && !clears
}

/// Has the x87 unit remember an instruction of the kernel's in place of a program's. What it has in its registers is
/// lost.
pub fn forget_last_instruction() {
    static ZERO: u32 = 0;
    // SAFETY: the registers are about to be loaded with others. The unit may be asked: CR0.TS is clear. A pending
    // exception of the program before is dropped first, and loading a zero makes none.
    unsafe {
        asm!("fnclex", "emms", "fild dword ptr [{}]", in(reg) &raw const ZERO, options(nostack, preserves_flags));
    }
}
