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
//! # The rooms, lowest first
//!
//! | room | what is in it |
//! |---|---|
//! | [`cpu`], `interrupts`, [`lock`] | the ground: a processor's own data, what keeps interrupts away, exclusion |
//! | [`mem`] | frames, page tables, address spaces, heap, stacks |
//! | `dev` | registers, the interrupt controllers, COM1, chance, the way out |
//! | `time` | the clock, and the queue of those who sleep |
//! | `sched` | threads |
//! | `trap` | interrupts, faults, and running programs |
//! | [`boot`] | what the loader said, and the other processors |
//!
//! A room imports only rooms above it in this table. Three exceptions are explained where they are: `cpu` names the
//! types that a processor's data is made of, a `Lock` that is waited for serves [`mem`]'s `flush`, and `dev::uart`
//! takes interrupts. Of the crate's other rooms `firmware` reads through `mem`, `dev` and `boot::info`, and `trap`
//! and `boot` use what it finds.
//!
//! # Who guards what (outermost lock first)
//!
//! | lock | guards |
//! |---|---|
//! | a vector's slot (`trap::irq`) | the handlers of one interrupt vector, held while they run |
//! | a `Local` (`sched::local`), one at a time | its queues, its threads' states, who stands on which stack |
//! | `dev::io`'s `WINDOWS`, `PORTS` | who has which device registers |
//! | `mem::space::AddressSpace` | one user address space's tables |
//! | `mem::blank::POOL` | page tables not in use |
//! | `mem::heap` | the kernel's small blocks |
//! | `mem::paging::KERNEL` | the kernel's own page tables |
//! | `mem::window`, `mem::stack::POOL` | the kernel's large blocks, kernel stacks |
//! | `mem::frames::FRAMES` | page frames |
//!
//! Every [`lock::Lock`] puts interrupts off while it is held, so all of them may be taken in handlers. Whoever waits
//! with interrupts off, or put off, serves other processors' `flush`es.

pub mod boot;
pub mod cpu;
mod dev;
mod interrupts;
pub mod lock;
pub mod mem;
mod sched;
mod time;
mod trap;

pub(crate) use cpu::with_payer;

pub use boot::processors::{Processors, start_others};
pub use dev::{console, io, power, random, uart};
pub use mem::{dma, grant as heap, page, space};
pub use sched::thread;
pub use time::clock;
pub use trap::{events, irq, user};

use crate::firmware::acpi;
use boot::registers;
use core::fmt::Write as _;
use mem::{early, frames, paging};
use sched::{balance, scheduler};

pub(crate) use mem::paging::text as kernel_text;
pub(crate) use sched::ticks::begin as begin_ticking;

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
    // SAFETY: once, on the boot processor.
    unsafe { registers::ground() }; // where a Lock counts
    console::init(); // the serial line, polled
    if let Some(lack) = registers::lack() {
        refuse(format_args!("this processor has {lack}")); // one that somebody has made up
    }
    mem::copy::init(cpu::is_translated());
    // SAFETY: once, on the boot processor, before anything uses per-processor data.
    unsafe { registers::init_boot() }; // GDT, TSS, IDT, GS, control registers
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
    irq::init(acpi::madt()); // PIC masked, local APIC and I/O APICs on
    power::init(acpi::power()); // the ways out
    scheduler::init(cpu::this()); // the boot context becomes the idle thread
    random::init();
}

/// Says why the kernel cannot run here, and ends the machine.
fn refuse(why: core::fmt::Arguments<'_>) -> ! {
    let _ = writeln!(console::Console, "\nelwood: {why}");
    power::exit_qemu(0);
    power::off()
}

/// Ends the boot: the calling context becomes the idle thread and the spawned threads run, on all processors.
///
/// # Panics
/// In a thread: only the boot can end.
pub fn schedule() -> ! {
    assert!(cpu::is_idle_here(), "the boot has ended already");
    boot::processors::release();
    balance::idle()
}
