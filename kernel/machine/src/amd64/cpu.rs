//! One structure per processor, found through GS.
//!
//! A `Cpu` belongs to its processor: everything in it that is neither atomic nor a Lock is touched only there, with
//! interrupts off. (`local`, what the scheduler knows of it, and `order` and `asked`, by which translations are
//! thrown away, are for all.) Processors are numbered from 0, the boot processor, in the order in which they came up;
//! one that is in the table stays. Sets of them are words with a bit for each. In the kernel GS holds its address; in
//! user mode the address waits in the MSR that SWAPGS exchanges.
//!
//! All rooms stand on this file, and it names types of most of them: a processor's data is in one place, so that one
//! instruction finds any of it. Except for their types and constructors nothing of theirs is used here, but for the
//! clock's arithmetic in [`stats`].

pub use crate::types::CpuStat;

use super::interrupts::NONE_WAITS;
use super::lock::Lock;
use super::mem::flush::Order;
use super::mem::space::AddressSpace;
use super::mem::spare::Spare;
use super::sched::local::Local;
use super::sched::thread::Thread;
use super::time::clock::cycles_to_ns;
use super::trap::desc::Tables;
use crate::ledger::Payer;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::{Cell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Most processors there can be: bits in a word.
pub(crate) const MAX: usize = 64;
/// The stage of a processor whose start has just been asked for.
pub(crate) const CALLED: u32 = 0;

/// A processor's own data. The first five fields are reached from assembly by `offset_of!`.
#[repr(C)]
pub(crate) struct Cpu {
    /// Its own address.
    pub this: Cell<*const Cpu>,
    /// The kernel stack to return to when user mode ends.
    pub kernel_sp: Cell<u64>,
    /// Where the registers of the running program are saved: the end of its `Ureg`.
    pub frame_end: Cell<u64>,
    /// The program's stack pointer for two instructions of the system call entry.
    pub scratch: Cell<u64>,
    /// Sections in which interrupts are put off, and whether one waits for their end: see `interrupts`.
    pub sections: Cell<u32>,
    /// Which one, and what it has interrupted.
    pub late: Cell<(u8, u64)>,
    /// Number, from 0; never changes once it is known to others.
    pub id: Cell<u32>,
    /// The thread that runs here; the scheduler keeps it alive.
    pub current: Cell<*const Thread>,
    /// Who pays for what is allocated here: the running thread, or `nobody` while an interrupt is served.
    pub payer: Cell<*const Payer>,
    /// The kernel, on behalf of no thread.
    pub nobody: Payer,
    /// Blocks of the heap that nobody uses.
    pub spare: Spare,
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
    pub held: crate::sync::lockorder::Held,
    /// What it wants others to throw away.
    pub order: Order,
    /// The processors that want something thrown away here.
    pub asked: AtomicU64,
    /// DS, ES, FS and GS, as programs have left them here.
    pub selectors: Cell<u64>,
    /// Some of a program's accesses trap: see `sched::watch`.
    pub watching: Cell<bool>,
    /// SMAP is on, so a program's AC flag must be cleared.
    pub smap: Cell<bool>,
    /// The x87 unit remembers the last instruction of another program: see `fpu::leaks`.
    pub fpu_leaks: Cell<bool>,
    /// The current thread should give way when it can.
    pub need_resched: AtomicBool,
    /// When the current thread was switched to (ns).
    pub turn_start: Cell<u64>,
    /// When the current thread's turn is over (ns).
    pub slice_end: Cell<u64>,
    /// When the next tick is due (ns), `u64::MAX` when none is wanted.
    pub tick_at: Cell<u64>,
    /// Ticks that were due when the timer fired last, for who knows what was interrupted.
    pub ticked: Cell<u32>,
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

// SAFETY: by the module's rule, fields that are neither atomic nor a Lock are touched by the owning processor only. Who
// starts a processor sets `id`, `stacks`, `idle` and `current` before it runs; `id`, which others read, stays as it is.
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
            sections: Cell::new(NONE_WAITS),
            late: Cell::new((0, 0)),
            id: Cell::new(0),
            current: Cell::new(ptr::null()),
            payer: Cell::new(ptr::null()),
            nobody: Payer::new(),
            spare: Spare::new(),
            idle: Cell::new(ptr::null()),
            space: UnsafeCell::new(None),
            root: Cell::new(0),
            local: Lock::new(Local::new()),
            waiting: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            has_dead: AtomicBool::new(false),
            #[cfg(debug_assertions)]
            held: crate::sync::lockorder::Held::new(),
            order: Order::new(),
            asked: AtomicU64::new(0),
            selectors: Cell::new(0), // as `desc` loads them
            watching: Cell::new(false),
            smap: Cell::new(false),
            fpu_leaks: Cell::new(false),
            need_resched: AtomicBool::new(false),
            turn_start: Cell::new(0),
            slice_end: Cell::new(u64::MAX),
            tick_at: Cell::new(u64::MAX),
            ticked: Cell::new(0),
            armed: Cell::new(u64::MAX),
            tables: UnsafeCell::new(Tables::new()),
            stacks: Cell::new(0),
            stage: AtomicU32::new(CALLED),
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

/// The boot processor's.
pub(crate) static BOOT: Cpu = Cpu::new();
static CPUS: [AtomicPtr<Cpu>; MAX] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The processor's time stamp counter.
#[inline]
pub fn cycles() -> u64 {
    // SAFETY: every 64-bit processor has the instruction; CR4.TSD does not concern the kernel.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether this processor has nothing to run.
pub(crate) fn is_idle_here() -> bool {
    let cpu = this();
    ptr::eq(cpu.current.get(), cpu.idle.get())
}

/// This processor. Ask again after anything that may switch threads.
pub(crate) fn this() -> &'static Cpu {
    let cpu: *const Cpu;
    // SAFETY: `install`, before which nothing asks, made GS point to this processor's `Cpu`, whose first field is its
    // own address; it lives for good.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) cpu, options(nostack, readonly, preserves_flags));
        &*cpu
    }
}

/// Uses what says who pays for what is allocated here and now.
#[inline]
pub(crate) fn with_payer<R>(f: impl FnOnce(&Payer) -> R) -> R {
    // SAFETY: `install`, before which nothing is allocated, set it; it is the running thread's, which the scheduler
    // keeps alive while it runs, or the processor's own.
    f(unsafe { &*this().payer.get() })
}

/// The same once the boot processor has one.
#[cfg(debug_assertions)]
pub(crate) fn if_ready() -> Option<&'static Cpu> {
    (COUNT.load(Ordering::Relaxed) > 0).then(this)
}

/// Processor number `id`, which has been installed: threads and sets of processors name no other.
pub(crate) fn by_id(id: u32) -> &'static Cpu {
    let cpu = CPUS.get(id as usize).map_or(ptr::null_mut(), |slot| slot.load(Ordering::Acquire));
    // SAFETY: a `Cpu` in the table is never freed, and only shared references to it are made.
    match unsafe { cpu.as_ref() } {
        Some(cpu) => cpu,
        None => panic!("there is no processor {id}"),
    }
}

/// The processors in a set.
pub(crate) fn among(mut set: u64) -> impl Iterator<Item = &'static Cpu> {
    core::iter::from_fn(move || {
        let id = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (id < u64::BITS).then(|| by_id(id))
    })
}

/// The set of all.
pub(crate) fn all_bits() -> u64 {
    u64::MAX >> (u64::BITS - count() as u32)
}

/// Lets the others know a processor whose number is the next one.
pub(crate) fn publish(cpu: &'static Cpu) {
    CPUS[cpu.id.get() as usize].store(ptr::from_ref(cpu).cast_mut(), Ordering::Release);
    COUNT.fetch_add(1, Ordering::AcqRel);
}

/// What each processor has done.
pub fn stats() -> Vec<CpuStat> {
    let load = |v: &AtomicU64| v.load(Ordering::Relaxed);
    let mut all = Vec::with_capacity(count());
    for c in among(all_bits()) {
        let mut idle = load(&c.idle_cycles);
        match load(&c.idle_since) {
            0 => {}
            since => idle += cycles().saturating_sub(since),
        }
        all.push(CpuStat {
            id: c.id.get(),
            switches: load(&c.switches),
            interrupts: load(&c.interrupts),
            syscalls: load(&c.syscalls),
            faults: load(&c.faults),
            tlb_faults: load(&c.tlb_faults),
            tlb_purges: load(&c.tlb_purges),
            idle_ns: cycles_to_ns(idle),
            intr_ns: cycles_to_ns(load(&c.intr_cycles)),
            total_ns: cycles_to_ns(cycles().saturating_sub(load(&c.start_cycles))),
        });
    }
    all
}

/// Processors there are.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire).min(MAX)
}

/// Counts a system call on this processor.
#[inline]
pub fn count_syscall() {
    // Nobody else writes there, and no interrupt's handler.
    let calls = &this().syscalls;
    calls.store(calls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Counts a page fault of a program on this processor.
pub fn count_fault() {
    this().faults.fetch_add(1, Ordering::Relaxed);
}

/// Whether QEMU or KVM makes the local APIC, whose timer then counts nanoseconds. They say so in the leaf that
/// hypervisors have for their names.
pub(crate) fn emulated_apic() -> bool {
    matches!(&hypervisor(), TCG | b"KVMKVMKVM\0\0\0")
}

/// Whether QEMU translates all instructions, as far as that is said.
pub(crate) fn is_translated() -> bool {
    hypervisor() == *TCG
}

const TCG: &[u8; 12] = b"TCGTCGTCGTCG";

/// The hypervisor's name for itself; zeros when there is none.
fn hypervisor() -> [u8; 12] {
    let mut name = [0; 12];
    if __cpuid(1).ecx >> 31 != 0 {
        let leaf = __cpuid(0x4000_0000);
        for (place, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
    name
}
