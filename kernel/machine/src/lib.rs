//! The machine under the portable kernel: everything that is `unsafe`, and everything that differs between a
//! real amd64 machine and a test on the host.
//!
//! # Two halves, one interface
//!
//! `src/amd64/` is the hardware: page tables, traps, the APIC, context switches. It is compiled when
//! `target_os = "none"`. `src/host/` is the same interface on `std` threads, condition variables and boxed pages,
//! and is compiled everywhere else, so that `kernel/port` and `kernel/virtio` run under `cargo test`. Both give
//! the modules re-exported below with exactly the same names and signatures, and `src/interface.rs` lets the compiler
//! say so. Where the host has more, the extra names live in `host` or begin with `host_` or `fake`.
//!
//! What is the same on both is written once: [`sync`] (sleeping and waking on top of `park` and `unpark`),
//! [`firmware`] (tables as bytes), [`types`] (plain values), `threads` (what every thread is), `wall` (the time of
//! day), `board_clock` (when that has to jump) and `claims` (who has which device registers).
//!
//! | module | what it gives |
//! |---|---|
//! | [`lock`] | `Lock`: mutual exclusion for some instructions, interrupts put off |
//! | [`thread`] | kernel threads: spawn, park and unpark, interrupt, times |
//! | [`sync`] | `Rendez`, `QLock`, `RwQLock`, `Completion` |
//! | [`clock`] | monotonic time, cycles, time of day |
//! | [`page`], [`space`], [`user`] | pages, a program's address space, running it |
//! | [`dma`], [`io`], [`irq`] | memory shared with devices, their registers, their interrupts |
//! | [`heap`] | kernel memory that can say no |
//! | [`sampling`] | ticks, and where they met programs and the kernel |
//! | [`sole`] | what will be shared and is its maker's alone until then |
//! | [`text_word`] | a text in one word, as errors are |
//! | [`census`] | how many values of a kind live |
//! | [`ledger`] | who pays for memory |
//! | [`mem`], [`cpu`], [`boot`] | what the machine has and has done |
//! | [`firmware`] | what its firmware and its maker say of it |
//! | [`pci_config`] | PCI configuration space, as `pci_types` takes it |
//! | [`console`], [`uart`], [`power`], [`random`] | the first line out, the serial line, the way out, chance |
//!
//! # Testing on the host half
//!
//! Each test thread has a machine of its own, which the kernel threads that it spawns share: memory budget, interrupt
//! table, fake devices, console. `host::limit_pages` makes memory run out, `host::heap` watches what a call
//! allocates and makes allocations fail, `host::chaos` shakes races,
//! `host::program_at` runs user programs written as closures, `host::dma::peek` and `poke` are a fake device's way to
//! memory, `host::irq::host_raise_msi` its way to interrupt, `host::io::host_register_mmio` puts it on the bus.
//!
//! # What a half has to give beyond the documented interface
//!
//! * `page::Page::pin` and `unpin` (`pub(crate)`), on which the shared [`page::Pinned`] stands;
//! * `mem::read_phys`, through which [`firmware`] reads the firmware's tables;
//! * `thread::Thread::common`, `recall` and `requeue`, on which `threads` stands.
//!
//! # What safe code cannot do, and what it is trusted with
//!
//! No safe function of this crate reaches memory that is not the caller's: pages and DMA memory are copied and never
//! borrowed, device registers are given to one owner, RAM is never mapped as a device, the kernel's own ports and
//! those of the ISA DMA controllers are given to nobody. A driver is trusted with two things that no check can see:
//! it tells its device only addresses of its own [`dma::Dma`] and [`page::Pinned`], and keeps those until the device
//! has let go of them.
//!
//! # Rules
//!
//! A [`lock::Lock`] is for short sections: its holder never parks, never drops a channel, never does I/O. What an
//! interrupt handler may do is take Locks and wake sleepers. Lock order inside this crate: a Lock of `sync` first,
//! then whatever the scheduler uses inside `unpark`. Every order, here and in the crates above, is learned and
//! checked in builds with debug assertions (`sync::lockorder`): each `cargo test`, and a kernel of `make
//! PROFILE=checked`.
#![no_std]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

#[cfg(target_os = "none")]
pub mod amd64;
#[cfg(target_os = "none")]
use amd64 as arch;

#[cfg(not(target_os = "none"))]
pub mod host;
#[cfg(not(target_os = "none"))]
use host as arch;

mod board_clock;
pub mod census;
mod claims;
pub mod firmware;
pub mod heap;
mod interface;
pub mod ledger;
pub mod pci_config;
mod pinned;
pub mod places;
pub mod sampling;
pub mod sole;
pub mod sync;
pub mod text_word;
mod threads;
pub mod types;
mod wall;

pub use arch::{
    boot, clock, console, cpu, dma, io, irq, lock, mem, page, power, random, space, thread, uart, user,
};
pub use types::{Interrupted, IoError, OutOfMemory, Wake};

#[cfg(target_os = "none")]
pub use amd64::{BootParams, Processors, events, init, schedule, start_others};
