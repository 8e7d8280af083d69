//! The PCI bus, as far as a program may see it.

use alloc::sync::Arc;

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

/// Base address registers of a function, at most.
pub const BARS: usize = 6;

/// What a function is.
#[derive(Clone, Copy, Debug)]
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
    /// Base address registers by their numbers: what is in it, size in bytes; none where there is none.
    pub bars: [Option<(u64, u64)>; BARS],
}

/// The bus with all buses behind it.
pub trait PciBus: Send + Sync {
    /// The function that comes so many behind the first one, in the order of their addresses. There may be thousands:
    /// no list is made.
    fn nth(&self, n: usize) -> Option<Function>;
    /// The function at this address.
    fn find(&self, at: Address) -> Option<Function>;
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
    fn nth(&self, _n: usize) -> Option<Function> {
        None
    }

    fn find(&self, _at: Address) -> Option<Function> {
        None
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
