//! What the tests have instead of devices: virtio devices whose registers and rings behave as QEMU's, or do not
//! ([`device`], its [`registers`], the [`chain`]s that it takes), the same in memory ([`mmio`]), and one with many
//! queues at the other side of a transport ([`transport`]).

pub mod chain;
pub mod device;
pub mod mmio;
pub mod registers;
pub mod transport;

pub use chain::Taken;
pub use device::{Fake, Quirks};
pub use mmio::MmioRegisters;
pub use pci::fake::{FakeSpace, Noise};
pub use transport::FakeTransport;
