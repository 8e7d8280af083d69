//! One structure per processor, found through GS, and the control registers.
//!
//! A `Cpu` belongs to its processor: everything in it that is neither atomic nor a Lock is touched only there, with
//! interrupts off. (`local`, what the scheduler knows of it, and `order` and `asked`, by which translations are thrown
//! away, are for all.) Processors are numbered from 0, the boot processor, in the order in which they came up; one that is
//! in the table stays. Sets of them are words with a bit for each. In the kernel GS holds its address; in user mode the address waits in the MSR that SWAPGS exchanges.

pub use crate::types::CpuStat;

use super::desc::{self, Tables};
use super::flush::Order;
use super::lock::Lock;
use super::sched::Local;
use super::space::AddressSpace;
use super::thread::Thread;
use super::{clock, processors, trap};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::cell::{Cell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, EferFlags, GsBase, KernelGsBase, LStar, Msr, SFMask};
use x86_64::registers::rflags::RFlags;

/// Most processors there can be: bits in a word.
pub(super) const MAX: usize = 64;

/// A processor's own data. The first four fields are reached from assembly by `offset_of!`.
#[repr(C)]
pub(super) struct Cpu {
    /// Its own address.
    this: Cell<*const Cpu>,
    /// The kernel stack to return to when user mode ends.
    pub kernel_sp: Cell<u64>,
    /// Where the registers of the running program are saved: the end of its `Ureg`.
    pub frame_end: Cell<u64>,
    /// The program's stack pointer for two instructions of the system call entry.
    pub scratch: Cell<u64>,
    /// Number, from 0; never changes once it is known to others.
    pub id: Cell<u32>,
    /// The thread that runs here; the scheduler keeps it alive.
    pub current: Cell<*const Thread>,
    /// The thread that runs when no other can.
    pub idle: Cell<*const Thread>,
    /// The program's address space that is loaded, kept alive until another is; or one that was until lately.
    pub space: UnsafeCell<Option<Arc<AddressSpace>>>,
    /// Physical address of the root table that is loaded, 0 for the kernel's own.
    pub root: Cell<u64>,
    /// What the scheduler knows of it.
    pub local: Lock<Local>,
    /// Threads that wait in `local`, for those who look without its lock.
    pub waiting: AtomicUsize,
    /// It runs a thread that is not its idle thread.
    pub busy: AtomicBool,
    /// There are dead threads in `local`.
    pub has_dead: AtomicBool,
    /// The Locks that it holds.
    #[cfg(debug_assertions)]
    pub held: crate::lockorder::Held,
    /// What it wants others to throw away.
    pub order: Order,
    /// The processors that want something thrown away here.
    pub asked: AtomicU64,
    /// CR0.TS is set: the next FPU instruction traps.
    pub fpu_traps: Cell<bool>,
    /// SMAP is on, so a program's AC flag must be cleared.
    pub smap: Cell<bool>,
    /// The current thread should give way when it can.
    pub need_resched: AtomicBool,
    /// When the current thread was switched to (ns).
    pub turn_start: Cell<u64>,
    /// When the current thread's turn is over (ns).
    pub slice_end: Cell<u64>,
    /// When the timer will fire (ns), `u64::MAX` when it is off.
    pub armed: Cell<u64>,
    pub tables: UnsafeCell<Tables>,
    /// Where its emergency stacks begin, for `processors`.
    pub stacks: Cell<u64>,
    /// How far its start has come, for `processors`.
    pub stage: AtomicU32,
    pub switches: AtomicU64,
    pub interrupts: AtomicU64,
    pub syscalls: AtomicU64,
    pub faults: AtomicU64,
    pub tlb_faults: AtomicU64,
    pub tlb_purges: AtomicU64,
    pub idle_cycles: AtomicU64,
    /// The time stamp when it halted, 0 while it does not.
    pub idle_since: AtomicU64,
    pub intr_cycles: AtomicU64,
    pub start_cycles: AtomicU64,
    pub apic: AtomicU32,
}

// SAFETY: by the module's rule, fields that are not atomic are touched by the owning processor only.
unsafe impl Sync for Cpu {}

impl Cpu {
    /// Its bit in a set.
    pub fn bit(&self) -> u64 {
        1 << self.id.get()
    }

    pub const fn new() -> Cpu {
        Cpu {
            this: Cell::new(ptr::null()),
            kernel_sp: Cell::new(0),
            frame_end: Cell::new(0),
            scratch: Cell::new(0),
            id: Cell::new(0),
            current: Cell::new(ptr::null()),
            idle: Cell::new(ptr::null()),
            space: UnsafeCell::new(None),
            root: Cell::new(0),
            local: Lock::new(Local::new()),
            waiting: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            has_dead: AtomicBool::new(false),
            #[cfg(debug_assertions)]
            held: crate::lockorder::Held::new(),
            order: Order::new(),
            asked: AtomicU64::new(0),
            fpu_traps: Cell::new(false),
            smap: Cell::new(false),
            need_resched: AtomicBool::new(false),
            turn_start: Cell::new(0),
            slice_end: Cell::new(u64::MAX),
            armed: Cell::new(u64::MAX),
            tables: UnsafeCell::new(Tables::new()),
            stacks: Cell::new(0),
            stage: processors::first_stage(),
            switches: AtomicU64::new(0),
            interrupts: AtomicU64::new(0),
            syscalls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            tlb_faults: AtomicU64::new(0),
            tlb_purges: AtomicU64::new(0),
            idle_cycles: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            intr_cycles: AtomicU64::new(0),
            start_cycles: AtomicU64::new(0),
            apic: AtomicU32::new(0),
        }
    }
}

static BOOT: Cpu = Cpu::new();
static CPUS: [AtomicPtr<Cpu>; MAX] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// This processor. Ask again after anything that may switch threads.
pub(super) fn this() -> &'static Cpu {
    let cpu: *const Cpu;
    // SAFETY: `install` made GS point to this processor's `Cpu`, whose first field is its own address; it
    // lives for good.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) cpu, options(nostack, readonly, preserves_flags));
        &*cpu
    }
}

/// The same once the boot processor has one.
#[cfg(debug_assertions)]
pub(super) fn if_ready() -> Option<&'static Cpu> {
    (COUNT.load(Ordering::Relaxed) > 0).then(this)
}

/// Processor number `id`, which has been installed: threads and sets of processors name no other.
pub(super) fn by_id(id: u32) -> &'static Cpu {
    let cpu = CPUS.get(id as usize).map_or(ptr::null_mut(), |slot| slot.load(Ordering::Acquire));
    // SAFETY: a `Cpu` in the table is never freed; the module's rule says what others may touch.
    match unsafe { cpu.as_ref() } {
        Some(cpu) => cpu,
        None => panic!("there is no processor {id}"),
    }
}

/// The processors in a set.
pub(super) fn among(mut set: u64) -> impl Iterator<Item = &'static Cpu> {
    core::iter::from_fn(move || {
        let id = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (id < u64::BITS).then(|| by_id(id))
    })
}

/// The set of all.
pub(super) fn all_bits() -> u64 {
    u64::MAX >> (u64::BITS - count() as u32)
}

/// Makes the boot processor's tables and registers ours.
///
/// # Safety
/// Once, on the boot processor, before anything calls `this`.
pub(super) unsafe fn init_boot() {
    // SAFETY: the caller's promise.
    unsafe { install(&BOOT, 0, desc::boot_stacks()) };
    publish(&BOOT);
}

/// Gives the calling processor its data, descriptor tables and control registers. `stacks` is where its emergency stacks
/// begin. Takes no locks.
///
/// # Safety
/// Once per processor, interrupts off, with a `Cpu` and `desc::STACKS` bytes that no other processor uses.
pub(super) unsafe fn install(cpu: &'static Cpu, id: u32, stacks: u64) {
    cpu.this.set(cpu);
    cpu.id.set(id);
    cpu.start_cycles.store(clock::cycles(), Ordering::Relaxed);
    let address = VirtAddr::from_ptr(cpu);
    // SAFETY: this processor's own tables, once, before they are used.
    unsafe { desc::load(cpu.tables.get(), id, stacks) };
    GsBase::write(address);
    KernelGsBase::write(VirtAddr::zero());
    // SAFETY: the values below are the modes the kernel is written for.
    unsafe { control_registers(cpu) };
}

/// Lets the others know a processor whose number is the next one.
pub(super) fn publish(cpu: &'static Cpu) {
    CPUS[cpu.id.get() as usize].store(ptr::from_ref(cpu).cast_mut(), Ordering::Release);
    COUNT.fetch_add(1, Ordering::AcqRel);
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
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, has(7, structured.ebx));
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, has(20, structured.ebx));
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, has(2, structured.ecx));
    cpu.smap.set(has(20, structured.ebx));
    let mut cr0 =
        Cr0::read() | Cr0Flags::NUMERIC_ERROR | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::WRITE_PROTECT;
    cr0.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::ALIGNMENT_MASK | Cr0Flags::CACHE_DISABLE);
    cr0.remove(Cr0Flags::NOT_WRITE_THROUGH);
    cr0.insert(Cr0Flags::TASK_SWITCHED);
    cpu.fpu_traps.set(true);
    // SAFETY: paging, protection and long mode stay as they are; the rest is what the kernel is written for.
    unsafe {
        Cr4::write(cr4);
        Cr0::write(cr0);
        Efer::update(|e| e.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
        // STAR: where SYSCALL and SYSRET take their selectors from.
        Msr::new(0xc000_0081).write(u64::from(desc::STAR_USER) << 48 | u64::from(desc::KERNEL_CODE) << 32);
    }
    LStar::write(VirtAddr::new(trap::syscall_entry as *const () as u64));
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

/// What each processor has done.
pub fn stats() -> Vec<CpuStat> {
    let load = |v: &AtomicU64| v.load(Ordering::Relaxed);
    let mut all = Vec::with_capacity(count());
    for c in among(all_bits()) {
        let mut idle = load(&c.idle_cycles);
        match load(&c.idle_since) {
            0 => {}
            since => idle += clock::cycles().saturating_sub(since),
        }
        all.push(CpuStat {
            id: c.id.get(),
            switches: load(&c.switches),
            interrupts: load(&c.interrupts),
            syscalls: load(&c.syscalls),
            faults: load(&c.faults),
            tlb_faults: load(&c.tlb_faults),
            tlb_purges: load(&c.tlb_purges),
            idle_ns: clock::cycles_to_ns(idle),
            intr_ns: clock::cycles_to_ns(load(&c.intr_cycles)),
            total_ns: clock::cycles_to_ns(clock::cycles().saturating_sub(load(&c.start_cycles))),
        });
    }
    all
}

/// Processors there are.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire).min(MAX)
}

/// Counts a system call on this processor.
pub fn count_syscall() {
    this().syscalls.fetch_add(1, Ordering::Relaxed);
}

/// Counts a page fault of a program on this processor.
pub fn count_fault() {
    this().faults.fetch_add(1, Ordering::Relaxed);
}

/// Whether QEMU or KVM makes the local APIC, whose timer then counts nanoseconds. They say so in the leaf that
/// hypervisors have for their names.
pub(super) fn emulated_apic() -> bool {
    if __cpuid(1).ecx >> 31 == 0 {
        return false;
    }
    let leaf = __cpuid(0x4000_0000);
    let mut name = [0; 12];
    for (place, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    matches!(&name, b"TCGTCGTCGTCG" | b"KVMKVMKVM\0\0\0")
}
