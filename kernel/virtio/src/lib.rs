//! The virtio devices of the machine, on PCI and elsewhere.
//!
//! [`init`] does everything that happens at boot: it lets [`pci`] find every PCI function and give addresses where the
//! firmware gave none, finds the virtio devices among the functions and in the slots of the memory, names them, and
//! starts a driver for each that has one. A device that fails at any step is left alone; it is in the table with the
//! reason, and the boot goes on.
//!
//! Layers, each knowing only those before it: [`transport`] (how a device is attached), [`ring`] (how buffers are
//! passed), `requests` (what devices have in common that are given requests), [`p9`], [`block`], [`console`], [`rng`] and [`balloon`] (what they mean), [`inventory`] (what there is).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod balloon;
pub mod block;
pub mod console;
#[cfg(test)]
mod fake;
pub mod inventory;
pub mod p9;
mod requests;
pub mod ring;
pub mod rng;
mod system;
pub mod transport;

pub use pci::Failure;
pub use system::{Config, NinepDevice, System, init};
