//! What drivers and the portable kernel agree on: a trait for each kind of device, and the plain values in it.
//!
//! `virtio`, `pci` and `pc` implement these traits, `port` uses them, and neither knows the other; `pc64` hands the
//! one to the other. There is nothing here but agreements: no state, no locks.
//!
//! | module | what a device is to the kernel |
//! |---|---|
//! | [`message`] | a way to a 9P server: [`Transport`] |
//! | [`port`] | a byte pipe to the host: [`Port`] |
//! | [`disk`] | sectors: [`Disk`] |
//! | [`ether`] | frames of a network: [`Ether`] |
//! | [`serial`] | a serial line: [`Serial`] |
//! | [`pci`] | the bus that `#$` shows: [`PciBus`] |
//! | [`console`] | where the console's output goes: [`ConsoleOut`] |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod console;
pub mod disk;
pub mod ether;
pub mod message;
pub mod pci;
pub mod port;
pub mod serial;

pub use console::ConsoleOut;
pub use disk::{Disk, DiskError};
pub use ether::Ether;
pub use message::{Request, Transport, TransportError};
pub use pci::PciBus;
pub use port::Port;
pub use serial::Serial;
