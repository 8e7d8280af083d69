//! The host half: the machine's interface on `std`, for tests.
//!
//! A kernel thread is a `std` thread, a [`lock::Lock`] a mutex, a page boxed words with a made-up physical
//! address. What belongs to one computer (memory budget, interrupt table, console, fake devices) is in a
//! [`Machine`]: each test thread gets its own on first use and the kernel threads it spawns share it, so tests run
//! side by side without seeing each other.
//!
//! Extra entrances for tests: [`limit_pages`], [`chaos`], [`set_user_program`], [`dma::peek`] and [`dma::poke`]
//! (a fake device's view of memory, by physical address, from any thread), [`irq::host_raise`],
//! [`io::Mmio::fake`] and [`io::host_register_mmio`].

pub mod boot;
mod chaos;
pub mod clock;
pub mod console;
pub mod cpu;
pub mod dma;
mod failures;
pub mod heap;
pub mod io;
pub mod irq;
pub mod lock;
mod machine;
pub mod mem;
pub mod page;
pub mod power;
pub mod program;
pub mod random;
pub mod space;
pub mod thread;
pub mod uart;
pub mod user;
mod words;

pub(crate) use thread::with_payer;

pub use boot::set_boot_info;
pub use chaos::chaos;
pub(crate) use machine::counted;
pub use machine::{DEFAULT_PAGES, KERNEL_RESERVE, Machine, limit_pages, machine, new_machine};
pub use program::{Cpu, program_at};
pub use user::{set_default_user_program, set_user_program};

/// Where a test's kernel has its text, as far as those are concerned who count where it is.
pub(crate) fn kernel_text() -> core::ops::Range<u64> {
    0xffff_ffff_8010_0000..0xffff_ffff_8010_4000
}

/// Ticks are made by tests: [`thread::Thread::tick`].
pub(crate) fn begin_ticking() {}
