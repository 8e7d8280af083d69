//! When the kernel itself is wrong: say what is known on COM1 and where last words are heard, and end.
//!
//! The first processor with something to say stops the others, by an interrupt that cannot be masked, and has the
//! word alone. Nothing here takes a lock, allocates, or trusts a stack or processor-local data: a processor is told
//! by its APIC id.

use crate::amd64::dev::console::Console;
use crate::amd64::dev::lapic;
use crate::amd64::dev::power;
use crate::amd64::mem::paging;
use crate::amd64::mem::stack;
use abi::ureg::Ureg;
use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr2, Cr3};

/// Status that QEMU's debug exit gets; its exit status is then 7.
const EXIT: u8 = 3;
/// Callers listed at most.
const DEPTH: usize = 32;

static TIMES: AtomicU32 = AtomicU32::new(0);
/// The APIC id, plus one, of the processor that has the word; 0 while none has.
static SPEAKER: AtomicU32 = AtomicU32::new(0);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    interrupts::disable();
    take_the_word();
    let _ = writeln!(Console, "\nkernel panic: {}", info.message());
    if let Some(at) = info.location() {
        let _ = writeln!(Console, "at {at}");
    }
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    backtrace(frame);
    end()
}

/// An exception that the kernel itself caused, or one that nobody can handle.
pub(crate) fn kernel_fault(r: &Ureg) -> ! {
    take_the_word();
    let name = super::entry::NAMES.get(r.kind as usize).unwrap_or(&"?");
    let address = Cr2::read_raw();
    let faulted = matches!(r.kind, 8 | 14);
    if faulted && (stack::is_guard(address) || stack::is_guard(r.sp)) {
        let _ = writeln!(Console, "\nkernel panic: stack overflow");
    } else {
        let _ = writeln!(Console, "\nkernel panic: trap {name}");
    }
    let _ = writeln!(
        Console,
        "trap {} error {:#x} cr2 {address:#x} cr3 {:#x}",
        r.kind,
        r.error,
        Cr3::read_raw().0.start_address()
    );
    let _ = writeln!(
        Console,
        "pc {:016x} cs {:04x} flags {:08x} sp {:016x} ss {:04x}",
        r.pc, r.cs, r.flags, r.sp, r.ss
    );
    let _ = writeln!(Console, "ax {:016x} bx {:016x} cx {:016x} dx {:016x}", r.ax, r.bx, r.cx, r.dx);
    let _ = writeln!(Console, "si {:016x} di {:016x} bp {:016x} r8 {:016x}", r.si, r.di, r.bp, r.r8);
    let _ = writeln!(Console, "r9 {:016x} 10 {:016x} 11 {:016x} 12 {:016x}", r.r9, r.r10, r.r11, r.r12);
    let _ = writeln!(Console, "13 {:016x} 14 {:016x} 15 {:016x}", r.r13, r.r14, r.r15);
    backtrace(r.bp);
    end()
}

/// Makes this processor the only one that runs. One that comes second, or was stopped, stays here.
fn take_the_word() {
    let me = lapic::id_if_known() + 1;
    match SPEAKER.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => lapic::send_nmi_to_others(),
        Err(speaker) if speaker == me => {}
        Err(_) => loop {
            interrupts::disable();
            x86_64::instructions::hlt();
        },
    }
    once_only();
}

/// A fault while reporting one: no more words.
fn once_only() {
    match TIMES.fetch_add(1, Ordering::Relaxed) {
        0 => {}
        1 => {
            let _ = writeln!(Console, "\nkernel panic during a kernel panic");
            end()
        }
        _ => power::reset(),
    }
}

/// Return addresses along the frame pointers. `addr2line -e build/kernel.elf` names them.
fn backtrace(mut frame: u64) {
    let _ = write!(Console, "on the processor with APIC id {}, called from", lapic::id_if_known());
    for _ in 0..DEPTH {
        if !paging::is_readable(frame) || !paging::is_readable(frame + 8) {
            break;
        }
        // SAFETY: mapped kernel memory and no device, aligned; another processor may be writing there, hence volatile.
        let (next, from) = unsafe {
            (ptr::read_volatile(frame as *const u64), ptr::read_volatile((frame + 8) as *const u64))
        };
        if !paging::is_text(from) {
            break;
        }
        let _ = write!(Console, " {from:#x}");
        if next <= frame {
            break;
        }
        frame = next;
    }
    let _ = writeln!(Console);
}

fn end() -> ! {
    power::exit_qemu(EXIT);
    power::reset()
}
