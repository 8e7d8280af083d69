//! PCI configuration space: the two ways to it, and the face that `pci_types` wants.
//!
//! PCI Local Bus Specification 3.0 section 3.2.2.3.2 (mechanism 1: ports 0xCF8 and 0xCFC), PCI Express Base
//! Specification section 7.2.2 (the enhanced mechanism, ECAM: a window in memory). QEMU's `pc` has only the ports,
//! `q35` has both, `microvm,pcie=on` only the window.
//!
//! `pci_types` reads and writes through its [`ConfigRegionAccess`], whose methods are unsafe: who calls them vouches
//! for the address. [`ConfigSpace`] is the safe side of it. What implements that takes every address and offset, and
//! answers with ones where nothing is, so that [`access`] can vouch for all of them. The machine's bus is one, and so
//! are a test's bus and a copy of a few registers.
//!
//! Who has a segment of the machine's bus has found its functions, and is given their registers: [`Segment::memory`]
//! and [`Segment::ports`] read themselves where a base address register says that they are. On the real machine there
//! are no other segments than the two of this module, so nobody can make up what they read.

mod bar;
mod ecam;
mod mechanism1;

pub use ecam::{Ecam, microvm_window, q35_window, window_range};
pub use mechanism1::Mechanism1;

use crate::io::{Mmio, Ports};
use crate::types::IoError;
use pci_types::{ConfigRegionAccess, PciAddress};

/// How many bytes one access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte = 1,
    /// Two bytes, at an even offset.
    Word = 2,
    /// Four bytes, at an offset divisible by four.
    Long = 4,
}

/// Configuration space, or some of it.
///
/// Reading what does not exist gives all ones, writing there does nothing: as on the bus itself.
pub trait ConfigSpace {
    /// Reads at `offset`, which is aligned to the width.
    fn read(&self, at: PciAddress, offset: u16, width: Width) -> u32;

    /// Writes at `offset`, which is aligned to the width.
    fn write(&self, at: PciAddress, offset: u16, width: Width, value: u32);

    /// Reads one byte.
    fn read8(&self, at: PciAddress, offset: u16) -> u8 {
        self.read(at, offset, Width::Byte) as u8
    }

    /// Reads two bytes.
    fn read16(&self, at: PciAddress, offset: u16) -> u16 {
        self.read(at, offset, Width::Word) as u16
    }

    /// Reads four bytes.
    fn read32(&self, at: PciAddress, offset: u16) -> u32 {
        self.read(at, offset, Width::Long)
    }

    /// Writes one byte.
    fn write8(&self, at: PciAddress, offset: u16, value: u8) {
        self.write(at, offset, Width::Byte, u32::from(value));
    }

    /// Writes two bytes.
    fn write16(&self, at: PciAddress, offset: u16, value: u16) {
        self.write(at, offset, Width::Word, u32::from(value));
    }

    /// Writes four bytes.
    fn write32(&self, at: PciAddress, offset: u16, value: u32) {
        self.write(at, offset, Width::Long, value);
    }
}

/// Whose word about base address registers is the machine's own: only this crate can say so, but on the host, where
/// registers are fake.
mod real {
    pub trait Real {}
    #[cfg(not(target_os = "none"))]
    impl<T> Real for T {}
}
#[cfg(target_os = "none")]
impl real::Real for Mechanism1 {}
#[cfg(target_os = "none")]
impl real::Real for Ecam {}

/// The configuration space of a whole PCI segment.
pub trait Segment: ConfigSpace + real::Real + Send + Sync {
    /// Makes the functions of `bus` reachable. False when they cannot be. Called by the scan, once a bus.
    fn reach(&mut self, bus: u8) -> bool;

    /// Whether this segment's bridges pass port I/O, so that an I/O base address register is of use.
    fn has_ports(&self) -> bool;

    /// Claims `len` bytes from `offset` on of the memory behind base address register `bar` of a function, and maps
    /// them. How many there are is the caller's word, as far as the address allows it (`bar`).
    ///
    /// # Errors
    /// There is no such register, or it has no address, or not so much can be behind it; as [`IoError`] says.
    fn memory(&self, at: PciAddress, bar: u8, offset: u64, len: usize) -> Result<Mmio, IoError> {
        let base = bar::memory(&|register| self.read32(at, register), bar).ok_or(IoError::NoSuchAddress)?;
        Mmio::map(bar::inside(base, offset, len).ok_or(IoError::NoSuchAddress)?, len)
    }

    /// Claims the first `len` ports behind base address register `bar` of a function.
    ///
    /// # Errors
    /// As for [`Segment::memory`].
    fn ports(&self, at: PciAddress, bar: u8, len: u16) -> Result<Ports, IoError> {
        let base = bar::ports(&|register| self.read32(at, register), bar).ok_or(IoError::NoSuchAddress)?;
        bar::inside(u64::from(base), 0, usize::from(len)).ok_or(IoError::NoSuchAddress)?;
        Ports::claim(base, len)
    }
}

/// Offset of the command register, which shares four bytes with the status register.
const COMMAND: u16 = 0x04;

/// A configuration space as `pci_types` takes it: see [`access`].
#[derive(Clone, Copy)]
pub struct Access<'a>(&'a dyn ConfigSpace);

/// Lets `pci_types` read and write a configuration space.
pub fn access(space: &dyn ConfigSpace) -> Access<'_> {
    Access(space)
}

impl ConfigRegionAccess for Access<'_> {
    // Nothing is asked of the caller, as a `ConfigSpace` takes every address and offset; the offset is aligned here.
    unsafe fn read(&self, at: PciAddress, offset: u16) -> u32 {
        self.0.read32(at, offset & !3)
    }

    // As above. What is written next to the command register is the status register as it was read, whose bits are
    // cleared by writing ones; zeros leave them as they are.
    unsafe fn write(&self, at: PciAddress, offset: u16, value: u32) {
        let value = if offset == COMMAND { value & 0xFFFF } else { value };
        self.0.write32(at, offset & !3, value);
    }
}

/// Device and function in the eight bits in which both mechanisms take them.
fn device_and_function(at: PciAddress) -> u16 {
    u16::from(at.device()) << 3 | u16::from(at.function())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use pci_types::{CommandRegister, PciHeader};
    use std::sync::Mutex;

    #[test]
    fn a_change_of_the_command_register_leaves_the_status_alone() {
        struct Written(Mutex<Vec<u32>>);
        impl ConfigSpace for Written {
            fn read(&self, _at: PciAddress, _offset: u16, _width: Width) -> u32 {
                0xF810_0001
            }
            fn write(&self, _at: PciAddress, _offset: u16, _width: Width, value: u32) {
                self.0.lock().unwrap().push(value);
            }
        }
        let space = Written(Mutex::default());
        let mut header = PciHeader::new(PciAddress::new(0, 0, 1, 0));
        header.update_command(access(&space), |command| command | CommandRegister::MEMORY_ENABLE);
        assert_eq!(*space.0.lock().unwrap(), [3]);
    }
}
