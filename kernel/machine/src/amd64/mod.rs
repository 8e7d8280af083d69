//! The machine on real amd64 hardware (and QEMU's idea of it).
//!
//! # Order of things at boot
//!
//! `boot/entry.S` leaves the firmware's world; [`init`] then builds ours: processor tables (so that a mistake
//! prints a register dump instead of resetting), the loader's information copied to safety, final page tables,
//! page frames, heap, ACPI, clock, interrupt controllers, scheduler. After it returns, threads may be spawned;
//! [`start_others`] starts the other processors, which wait; [`schedule`] turns the boot context into this processor's
//! idle thread and lets all of them run threads.
//!
//! # Who guards what (outermost lock first)
//!
//! | lock | guards |
//! |---|---|
//! | a vector's slot (`irq`) | the handlers of one interrupt vector, held while they run |
//! | a `Local` (`sched`), never two | a processor's run queue and timer queue, its threads' states, who stands on which stack |
//! | `space::AddressSpace` | one user address space's tables |
//! | `stack::POOL` | kernel stacks not in use |
//! | `paging::KERNEL` | the kernel's own page tables |
//! | heap, then `frames::FRAMES` | kernel memory, page frames |
//!
//! Every [`lock::Lock`] keeps interrupts off while it is held, so all of them may be taken in handlers. Whoever waits
//! with interrupts off serves other processors' `flush`es.

mod balance;
mod bitmap;
pub mod boot;
mod chacha;
pub mod clock;
pub mod console;
mod copy;
pub mod cpu;
mod date;
mod desc;
pub mod dma;
mod early;
mod flush;
mod fpu;
mod frames;
mod heap;
pub mod io;
mod ioapic;
pub mod irq;
mod lapic;
pub mod lock;
mod map;
pub mod mem;
mod modules;
mod oops;
pub mod page;
mod paging;
pub mod power;
mod processors;
pub mod random;
mod recent;
mod rtc;
mod runq;
mod sched;
pub mod space;
mod stack;
mod tables;
pub mod thread;
mod timers;
mod trap;
pub mod uart;
pub mod user;

/// What `boot/entry.S` hands over.
#[derive(Clone, Copy, Debug)]
pub struct BootParams {
    /// Physical address of the loader's start info.
    pub start_info: u64,
    /// The time stamp counter at the first instruction.
    pub entry_tsc: u64,
}

/// Makes a machine of the processor: everything up to the point where threads can be spawned.
///
/// # Safety
/// To be called once, on the boot processor, on the boot stack, with interrupts off, by `boot/entry.S`'s caller
/// with what the loader gave.
pub unsafe fn init(params: BootParams) {
    console::init(); // the serial line, polled
    // SAFETY: once, on the boot processor, before anything uses per-processor data.
    unsafe { cpu::init_boot() }; // GDT, TSS, IDT, GS, control registers
    let mut early = early::EARLY.lock();
    // SAFETY: the bootstrap tables map the loader's information, and nothing has been allocated yet.
    unsafe { early.copy(&params) }; // command line, modules, memory map
    // SAFETY: once; `early` describes this machine's memory.
    unsafe { paging::init(&mut early) }; // direct map, W^X, guard page
    // SAFETY: the direct map covers all memory in `early`, which nothing else uses.
    unsafe { frames::init(&early) }; // page frames; the heap works from here
    boot::publish(&early, &params);
    drop(early);
    clock::init(); // calibrates the time stamp counter and the APIC timer
    irq::init(); // PIC masked, local APIC and I/O APICs on
    sched::init(cpu::this()); // the boot context becomes the idle thread
    random::init();
}

pub use processors::{Processors, start_others};

/// Ends the boot: the calling context becomes the idle thread and the spawned threads run, on all processors.
pub fn schedule() -> ! {
    processors::release();
    balance::idle()
}
