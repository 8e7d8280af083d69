//! The virtio devices of the machine, on PCI and elsewhere.
//!
//! [`init`] does everything that happens at boot: it lets [`pci`] find every PCI function and give addresses where the
//! firmware gave none, finds the virtio devices among the functions and in the slots of the memory, names them, and
//! starts a driver for each that has one. A device that fails at any step is left alone; it is in the table with the
//! reason, and the boot goes on.
//!
//! Rooms, lowest first, each knowing only those before it: `transport/` (how a device is attached), `ring/` (how
//! buffers are passed), `requests/` (what devices have in common that are given requests), `inventory/` (which devices
//! there are, for `/dev/virtio`), one room a driver, `p9/`, `block/`, `console/`, `net/`, `rng/` and `balloon/`
//! (what the buffers mean), and `system/` (what happens at boot).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod balloon;
mod block;
mod console;
#[cfg(test)]
mod fake;
mod inventory;
mod net;
mod p9;
mod requests;
mod ring;
mod rng;
mod system;
mod transport;

pub use console::{Console, finder};
pub use inventory::names::Location;
pub use inventory::table::Table;
pub use pci::Failure;
pub use system::{Config, NinepDevice, Removals, System, init};
