//! The PCI bus, as far as a program may see it.

use alloc::sync::Arc;
use alloc::vec::Vec;

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Bus, 0 to 255.
    pub bus: u8,
    /// Device, 0 to 31.
    pub device: u8,
    /// Function, 0 to 7.
    pub function: u8,
}

/// What a function is.
#[derive(Clone, Debug)]
pub struct Function {
    /// Where it is.
    pub at: Address,
    /// Class, subclass, programming interface.
    pub class: [u8; 3],
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Interrupt line as the firmware left it.
    pub irq: u8,
    /// Base address registers that are there: number, what is in it, size in bytes.
    pub bars: Vec<(u8, u64, u64)>,
}

/// The bus with all buses behind it.
pub trait PciBus: Send + Sync {
    /// All functions, ascending by address.
    fn functions(&self) -> Vec<Function>;
    /// Bytes of configuration space that a function has: 256 or 4096.
    fn config_size(&self, at: Address) -> usize;
    /// Reads the byte at `offset`; 0xff where there is none.
    fn read_config(&self, at: Address, offset: usize) -> u8;
    /// Writes 1, 2 or 4 bytes at a multiple of their number. Anything else has no effect.
    fn write_config(&self, at: Address, offset: usize, bytes: &[u8]);
}

/// A machine without the bus.
struct NoPci;

impl PciBus for NoPci {
    fn functions(&self) -> Vec<Function> {
        Vec::new()
    }

    fn config_size(&self, _at: Address) -> usize {
        0
    }

    fn read_config(&self, _at: Address, _offset: usize) -> u8 {
        0xff
    }

    fn write_config(&self, _at: Address, _offset: usize, _bytes: &[u8]) {}
}

/// The bus, or one without functions where there is none.
pub fn or_none<B: PciBus + 'static>(bus: Option<Arc<B>>) -> Arc<dyn PciBus> {
    match bus {
        Some(bus) => bus,
        None => Arc::new(NoPci),
    }
}
