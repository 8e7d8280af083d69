//! Interrupts, and how they are kept away for a few instructions.
//!
//! There are two ways. They are *off* by the processor's flag where nothing may come at all: on the way to user mode,
//! while stacks are switched, in handlers. They are *put off* by a count in the processor's own data, as every
//! [`Lock`](super::lock::Lock) does: what comes meanwhile goes no further than [`may_come`], which notes it and leaves
//! the flag off, so that nothing else comes; who counts down to none serves it, and turns the flag on again. So a
//! section costs one instruction at its beginning and two at its end, unless something comes. Turning the flag off and
//! on costs QEMU's translator two ends of a block, and a processor more than a lock does.
//!
//! A section that begins with the flag off ends with the flag off: then nothing can have come.

use super::cpu::{self, Cpu};
use core::arch::asm;
use core::mem::offset_of;
use spin::Once;

pub(crate) use x86_64::instructions::interrupts::{disable, enable, without_interrupts};

/// In `Cpu::sections`: nothing waits. The bits below are the count. (So there is one case in which counting down gives
/// zero: it was the last section, and something waits.)
pub(crate) const NONE_WAITS: u32 = 1 << 31;

/// What serves an interrupt, given its vector and what it has interrupted: it stands above this room.
static HANDLER: Once<fn(u8, u64)> = Once::new();

/// Says what serves interrupts that were put off; before the flag is turned on for the first time.
pub(crate) fn init(handler: fn(u8, u64)) {
    HANDLER.call_once(|| handler);
}

/// Puts interrupts off until [`let_in`], which is to be called as often.
#[inline(always)]
pub(crate) fn put_off() {
    // SAFETY: counts up in this processor's `Cpu`, where GS leads.
    unsafe { asm!("inc dword ptr gs:[{}]", const offset_of!(Cpu, sections), options(nostack)) };
}

/// Ends what [`put_off`] has begun. What has come since is served here.
#[inline(always)]
pub(crate) fn let_in() {
    // SAFETY: counts down in this processor's `Cpu`, where GS leads.
    unsafe {
        asm!("dec dword ptr gs:[{}]", "jz {}", const offset_of!(Cpu, sections), label { late() },
            options(nostack));
    }
}

/// The same for who has turned the flag off meanwhile, with [`turn_off`]: it stays off.
pub(crate) fn let_in_later() {
    let sections = &cpu::this().sections;
    sections.set(sections.get() - 1);
    if sections.get() == 0 {
        serve();
    }
}

/// Turns the flag off in a section; says whether it was on before that, and no other section had begun.
pub(crate) fn turn_off() -> bool {
    let was_on = x86_64::instructions::interrupts::are_enabled();
    disable();
    let sections = cpu::this().sections.get();
    // What has come has turned the flag off.
    (was_on || sections & NONE_WAITS == 0) && sections & !NONE_WAITS == 1
}

/// Whether interrupts are neither off nor put off.
pub(crate) fn are_enabled() -> bool {
    cpu::this().sections.get() == NONE_WAITS && x86_64::instructions::interrupts::are_enabled()
}

/// An interrupt has come while the kernel ran at `pc`. Whether it may be served; if not, it is noted, and the flag has
/// to stay off.
pub(crate) fn may_come(vector: u8, pc: u64) -> bool {
    let cpu = cpu::this();
    let sections = cpu.sections.get();
    if sections == NONE_WAITS {
        return true;
    }
    cpu.late.set((vector, pc));
    cpu.sections.set(sections & !NONE_WAITS);
    false
}

/// The last section is over, and an interrupt has come in it.
#[cold]
#[inline(never)]
fn late() {
    serve();
    enable();
}

/// Serves what was put off. The flag is off.
fn serve() {
    let cpu = cpu::this();
    cpu.sections.set(NONE_WAITS);
    let (vector, pc) = cpu.late.get();
    if let Some(handler) = HANDLER.get() {
        handler(vector, pc);
    }
}
