//! The machine under the portable kernel: everything that is `unsafe`, and everything that differs between a
//! real amd64 machine and a test on the host.
//!
//! # Two halves, one interface
//!
//! `src/amd64/` is the hardware: page tables, traps, the APIC, context switches. It is compiled when
//! `target_os = "none"`. `src/host/` is the same interface on `std` threads, condition variables and boxed pages,
//! and is compiled everywhere else, so that `kernel/port` and `kernel/virtio` run under `cargo test`. Both give
//! the modules re-exported below with exactly the same names and signatures; where the host has more (a fake
//! device's way in, a limit on memory), the extra names live in [`host`] or begin with `host_` or `fake`.
//!
//! What is the same on both is written once: [`sync`] (sleeping and waking on top of `park` and `unpark`),
//! [`message`] (what a 9P transport carries), [`acpi`] (tables as bytes), [`types`] (plain values).
//!
//! # What a half has to give beyond the documented interface
//!
//! * `page::Page::pin` and `unpin` (`pub(crate)`), on which the shared [`page::Pinned`] stands;
//! * `mem::read_phys`, through which [`acpi`] reads the firmware's tables.
//!
//! # Rules
//!
//! A [`lock::Lock`] is for short sections: its holder never parks, never drops a channel, never does I/O. What
//! an interrupt handler may do is take Locks and wake sleepers. Lock order inside this crate: a Lock of `sync`
//! first, then whatever the scheduler uses inside `unpark`.
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

pub mod acpi;
mod interface;
pub mod message;
mod pinned;
pub mod sync;
pub mod types;

pub use arch::{
    boot, clock, console, cpu, dma, io, irq, lock, mem, page, power, random, space, thread, uart, user,
};
pub use types::{Interrupted, OutOfMemory, Wake};

#[cfg(target_os = "none")]
pub use amd64::{BootParams, init, schedule};
