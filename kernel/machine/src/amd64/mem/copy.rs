//! Moving memory that programs, devices or other processors may be writing at the same time: whole pages, and bytes.
//!
//! Two sides that write at once give a mixture, and the language knows no such thing of its own copies. So the
//! copying is done by instructions that the compiler does not look into: to it they are an access from outside, like
//! a device's.
//!
//! Whole pages go eight bytes at a time. Under QEMU's interpreter a `rep` instruction costs a loop of its own per
//! element; a plain unrolled loop zeroes in half the time and copies in four fifths, and loses nothing worth having
//! on a real processor. (The compiler would turn such a loop back into a call of `memset`.)

use super::tables::PAGE;
use core::arch::asm;

/// Zeroes a page.
///
/// # Safety
/// `page` is the address of 4096 writable bytes, aligned to 8, that nobody has references into.
pub unsafe fn zero_page(page: *mut u8) {
    // SAFETY: the caller's promise; 64 rounds of 64 bytes.
    unsafe {
        asm!(
            "2:",
            "mov [{to}], {zero}",
            "mov [{to} + 8], {zero}",
            "mov [{to} + 16], {zero}",
            "mov [{to} + 24], {zero}",
            "mov [{to} + 32], {zero}",
            "mov [{to} + 40], {zero}",
            "mov [{to} + 48], {zero}",
            "mov [{to} + 56], {zero}",
            "add {to}, 64",
            "dec {rounds:e}",
            "jnz 2b",
            to = inout(reg) page => _,
            zero = in(reg) 0u64,
            rounds = inout(reg) PAGE / 64 => _,
            options(nostack),
        );
    }
}

/// Copies a page.
///
/// # Safety
/// `to` as for `zero_page`; `from` is the address of 4096 readable bytes, another page.
pub unsafe fn copy_page(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise; 64 rounds of 64 bytes.
    unsafe {
        asm!(
            "2:",
            "mov {a}, [{from}]",
            "mov {b}, [{from} + 8]",
            "mov [{to}], {a}",
            "mov [{to} + 8], {b}",
            "mov {a}, [{from} + 16]",
            "mov {b}, [{from} + 24]",
            "mov [{to} + 16], {a}",
            "mov [{to} + 24], {b}",
            "mov {a}, [{from} + 32]",
            "mov {b}, [{from} + 40]",
            "mov [{to} + 32], {a}",
            "mov [{to} + 40], {b}",
            "mov {a}, [{from} + 48]",
            "mov {b}, [{from} + 56]",
            "mov [{to} + 48], {a}",
            "mov [{to} + 56], {b}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {rounds:e}",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            rounds = inout(reg) PAGE / 64 => _,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack),
        );
    }
}

/// Copies `len` bytes.
///
/// # Safety
/// `from` is the address of as many readable bytes, `to` of as many writable ones, and the two stretches have no byte
/// in common. To whichever of the two others write meanwhile, nobody has a reference.
#[inline]
pub unsafe fn bytes(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise; eight bytes at a time, then what is left. The direction is always forwards.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) len % 8,
            inout("rcx") len / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}
