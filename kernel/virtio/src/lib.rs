//! PCI, and the virtio devices on it and elsewhere.
//!
//! [`init`] does everything that happens at boot: it finds every PCI function, gives addresses where the
//! firmware gave none, finds the virtio devices among the functions and in the slots of the memory, names them, and
//! starts a driver for each that has one. A device that fails at any step is left alone; it is in the table with the
//! reason, and the boot goes on.
//!
//! Layers, each knowing only those before it: [`pci`] (the bus), [`transport`] with [`modern`], [`legacy`],
//! [`wiring`] and [`mmio`] (how a device is attached), [`ring`] (how buffers are passed), [`p9`],
//! [`block`], [`console`], [`rng`] and [`balloon`] (what they mean). [`names`], [`identity`],
//! [`seen`] and [`table`] say what there is.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod balloon;
pub mod block;
pub mod console;
mod failure;
#[cfg(test)]
mod fake;
pub mod identity;
pub mod legacy;
pub mod mmio;
pub mod modern;
pub mod names;
pub mod p9;
pub mod pci;
pub mod ring;
pub mod rng;
pub mod seen;
mod system;
pub mod table;
pub mod transport;
pub mod wiring;

pub use failure::Failure;
pub use system::{Config, NinepDevice, System, init};
