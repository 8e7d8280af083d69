//! Traps: the assembly entries, and what happens when the kernel itself is interrupted or at fault.
//!
//! Traps from user mode are not handled here: they return from `enter_user` to `user::run`.

use super::desc;
use super::irq;
use super::panic;
use crate::amd64::cpu::Cpu;
use crate::amd64::interrupts;
use abi::ureg::Ureg;
use core::mem::offset_of;

core::arch::global_asm!(
    include_str!("entry.S"),
    kernel_trap = sym kernel_trap,
    kernel_sp = const offset_of!(Cpu, kernel_sp),
    frame_end = const offset_of!(Cpu, frame_end),
    scratch = const offset_of!(Cpu, scratch),
    kernel_data = const desc::KERNEL_DATA,
    user_data = const desc::USER_DATA,
    user_code = const desc::USER_CODE,
    options(att_syntax)
);

unsafe extern "C" {
    static trap_stubs: u8;
    pub(crate) fn syscall_entry();
    /// Called with `frame: *mut Ureg` and `by_sysret: u32`, and not as the compiler would: see there.
    pub(crate) fn enter_user();
}

/// Bytes between two stubs.
const STUB: u64 = 16;

/// Address of a vector's stub.
pub(crate) fn stub(vector: u8) -> u64 {
    &raw const trap_stubs as u64 + u64::from(vector) * STUB
}

/// Names of the processor's exceptions, as `/dev/irqalloc` shows them.
pub(crate) const NAMES: [&str; 32] = [
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9", "#TS", "#NP", "#SS", "#GP", "#PF",
    "#15", "#MF", "#AC", "#MC", "#XF", "#VE", "#CP", "#22", "#23", "#24", "#25", "#26", "#27", "#HV", "#VC",
    "#SX", "#31",
];

/// How many of them, from the first on, have a line there before they have happened. Those behind them no processor of
/// QEMU's knows.
pub(crate) const KNOWN: usize = 20;

/// The flag with which interrupts come.
const INTERRUPTS: u64 = 1 << 9;

/// An interrupt or exception while the kernel runs. Interrupts are off here; they are when it returns, if this one was
/// put off.
extern "C" fn kernel_trap(frame: &mut Ureg) {
    match frame.kind {
        v @ 32..=255 => {
            if interrupts::may_come(v as u8, frame.pc) {
                irq::interrupted_kernel(v as u8, frame.pc);
            } else {
                frame.flags &= !INTERRUPTS;
            }
        }
        _ => panic::kernel_fault(frame),
    }
}
