//! What the tests have instead of devices: virtio devices whose registers and rings behave as QEMU's, or do not
//! ([`device`]), the same in memory ([`mmio`]), and one with many queues ([`console`]).

pub mod console;
pub mod device;
pub mod mmio;

pub use console::FakeConsole;
pub use device::{Fake, Quirks, Taken};
pub use mmio::InSlot;
pub use pci::fake::{FakeSpace, Noise};
