//! When the kernel itself is wrong: say what is known on COM1 and where last words are heard, and end.
//!
//! The first processor with something to say stops the others, by an interrupt that cannot be masked, and has the
//! word alone. Nothing here takes a lock, allocates, or trusts a stack or processor-local data: a processor is told
//! by its APIC id.

use super::backtrace::{self, At};
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::dev::console::{self, Console};
use crate::amd64::dev::lapic;
use crate::amd64::dev::power;
use crate::amd64::mem::paging;
use crate::amd64::mem::stack;
use crate::amd64::sched::thread::Thread;
use abi::ureg::Ureg;
use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr2, Cr3};

/// Status that QEMU's debug exit gets; its exit status is then 7.
const EXIT: u8 = 3;

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
    who();
    let _ = writeln!(Console, "called from");
    backtrace::tell(frame);
    end()
}

/// An exception that the kernel itself caused, or one that nobody can handle.
pub(crate) fn kernel_fault(r: &Ureg) -> ! {
    take_the_word();
    let name = super::entry::NAMES.get(r.kind as usize).unwrap_or(&"?");
    let address = Cr2::read_raw();
    let faulted = matches!(r.kind, 8 | 14);
    if faulted && (stack::is_guard(address) || stack::is_guard(r.sp)) {
        let _ = writeln!(Console, "\nkernel panic: stack overflow in {}", At(r.pc));
    } else {
        let _ = writeln!(Console, "\nkernel panic: trap {name} in {}", At(r.pc));
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
    who();
    let _ = writeln!(Console, "called from");
    backtrace::tell(r.bp);
    end()
}

/// Tells in whose name it happened: processor, thread, and the process that this works for.
fn who() {
    let id = lapic::id_if_known();
    let _ = write!(Console, "on the processor with APIC id {id}");
    let there = |cpu: &&'static Cpu| cpu.apic.load(Ordering::Relaxed) == id;
    let all = if cpu::count() > 0 { cpu::all_bits() } else { 0 };
    let current = cpu::among(all).find(there).map_or(0, |cpu| cpu.current.get() as u64);
    if current != 0 && paging::is_readable(current) {
        // SAFETY: the processor's own, which the scheduler keeps alive as long as it runs.
        let thread = unsafe { &*(current as *const Thread) };
        let _ = write!(Console, ", in the thread {:?}", thread.name_here());
        if thread.tag() != 0 {
            let _ = write!(Console, " of ");
            console::tell_of(thread.tag());
        }
    }
    let _ = writeln!(Console);
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

fn end() -> ! {
    power::exit_qemu(EXIT);
    power::reset()
}
