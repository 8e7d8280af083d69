//! What a processor is given before it runs anything else: its own data, its descriptor tables, and the modes that the
//! kernel is written for.

use crate::amd64::cpu::{self, Cpu};
use crate::amd64::sched::fpu;
use crate::amd64::trap::{desc, entry};
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::Ordering;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, EferFlags, GsBase, KernelGsBase, LStar, Msr, SFMask};
use x86_64::registers::rflags::RFlags;

/// What the kernel and programs cannot do without: the words for its lack, and the leaf of CPUID and the bit of EDX
/// that tell of it. (`boot/entry.S` has looked for a 64-bit mode and conditional moves.)
const NEEDED: [(&str, u32, u32); 10] = [
    ("no floating point unit", 1, 0),
    ("no time stamp counter", 1, 4),
    ("no model-specific registers", 1, 5),
    ("no CMPXCHG8B instruction", 1, 8),
    ("no APIC", 1, 9),
    ("no MMX", 1, 23),
    ("no FXSAVE instruction", 1, 24),
    ("no SSE", 1, 25),
    ("no SSE2", 1, 26),
    ("no SYSCALL instruction", 0x8000_0001, 11),
];

/// What the calling processor lacks, if it lacks something: one that somebody has made up, as `-cpu qemu64,-apic`.
pub(crate) fn lack() -> Option<&'static str> {
    // SYSCALL is told in 64-bit mode only, by Intel's processors. Leaf 0x8000_0001 is there, or else nobody were here.
    let lacks = |leaf: u32, bit: u32| __cpuid(leaf).edx >> bit & 1 == 0;
    NEEDED.iter().find(|(_, leaf, bit)| lacks(*leaf, *bit)).map(|(what, ..)| *what)
}

/// Lets GS lead to the boot processor's data, of which nobody needs more yet than where interrupts are put off.
///
/// # Safety
/// Once, on the boot processor, before any Lock is taken.
pub(crate) unsafe fn ground() {
    GsBase::write(VirtAddr::from_ptr(&raw const cpu::BOOT));
}

/// Makes the boot processor's tables and registers ours.
///
/// # Safety
/// Once, on the boot processor, before anything calls `this`.
pub(crate) unsafe fn init_boot() {
    // SAFETY: the caller's promise.
    unsafe { install(&cpu::BOOT, 0, desc::boot_stacks()) };
    cpu::publish(&cpu::BOOT);
}

/// Gives the calling processor its data, descriptor tables and control registers. `stacks` is where its emergency
/// stacks begin. Takes no locks.
///
/// # Safety
/// Once per processor, interrupts off, with a `Cpu` and `desc::STACKS` bytes that no other processor uses.
pub(crate) unsafe fn install(cpu: &'static Cpu, id: u32, stacks: u64) {
    cpu.this.set(cpu);
    cpu.id.set(id);
    if cpu.payer.get().is_null() {
        cpu.payer.set(&raw const cpu.nobody); // until it has a thread
    }
    cpu.start_cycles.store(cpu::cycles(), Ordering::Relaxed);
    let address = VirtAddr::from_ptr(cpu);
    // SAFETY: this processor's own tables, once, before they are used.
    unsafe { desc::load(cpu.tables.get(), id, stacks) };
    GsBase::write(address);
    KernelGsBase::write(VirtAddr::zero());
    // SAFETY: the values below are the modes the kernel is written for.
    unsafe { control_registers(cpu) };
}

/// # Safety
/// Changes how the processor executes; to be called once per processor by `install`.
unsafe fn control_registers(cpu: &Cpu) {
    let max = __cpuid(0).eax;
    let structured = if max >= 7 { __cpuid_count(7, 0) } else { __cpuid_count(0, 0) };
    let has = |bit: u32, word: u32| max >= 7 && word >> bit & 1 == 1;
    let mut cr4 = Cr4::read() | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    // Programs may read the time stamp; they may not set FS and GS, and see no XSAVE, which nobody would save.
    cr4.remove(Cr4Flags::TIMESTAMP_DISABLE | Cr4Flags::FSGSBASE | Cr4Flags::OSXSAVE);
    // Nor do they see what the processor counts.
    cr4.remove(Cr4Flags::PERFORMANCE_MONITOR_COUNTER);
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, has(7, structured.ebx));
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, has(20, structured.ebx));
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, has(2, structured.ecx));
    cpu.smap.set(has(20, structured.ebx));
    let mut cr0 =
        Cr0::read() | Cr0Flags::NUMERIC_ERROR | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::WRITE_PROTECT;
    cr0.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::ALIGNMENT_MASK | Cr0Flags::CACHE_DISABLE);
    cr0.remove(Cr0Flags::NOT_WRITE_THROUGH | Cr0Flags::TASK_SWITCHED);
    cpu.fpu_leaks.set(fpu::leaks());
    // SAFETY: paging, protection and long mode stay as they are; the rest is what the kernel is written for.
    unsafe {
        Cr4::write(cr4);
        Cr0::write(cr0);
        Efer::update(|e| e.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
        // STAR: where SYSCALL and SYSRET take their selectors from.
        Msr::new(0xc000_0081).write(u64::from(desc::STAR_USER) << 48 | u64::from(desc::KERNEL_CODE) << 32);
    }
    LStar::write(VirtAddr::new(entry::syscall_entry as *const () as u64));
    SFMask::write(
        RFlags::INTERRUPT_FLAG
            | RFlags::TRAP_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::NESTED_TASK
            | RFlags::IOPL_LOW
            | RFlags::IOPL_HIGH
            | RFlags::RESUME_FLAG
            | RFlags::ALIGNMENT_CHECK,
    );
}
