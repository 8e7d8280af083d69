//! From the loader's hands to `main`: the only module of this crate that may use `unsafe`.
//!
//! `boot/entry.S` is assembled into the kernel here; it calls [`kernel_entry`] on the boot stack, in 64-bit mode,
//! with interrupts off.
#![allow(unsafe_code)]

use machine::BootParams;

core::arch::global_asm!(include_str!("../../../boot/entry.S"), options(att_syntax));

// What is checked is more functions, whose names `boot/kernel.ld` is to make room for.
#[cfg(debug_assertions)]
core::arch::global_asm!(".globl room_for_more_names", ".set room_for_more_names, 0x8000");

/// Called by `boot/entry.S` with the start info's physical address and the time stamp at the first instruction.
#[unsafe(no_mangle)]
extern "C" fn kernel_entry(start_info: u64, entry_tsc: u64) -> ! {
    // SAFETY: entry.S calls this once, as `init` demands, with what the loader gave.
    unsafe { machine::init(BootParams { start_info, entry_tsc }) };
    crate::main_on_metal();
    machine::schedule()
}
