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
//! Lock: [`Mechanism1`] guards its two ports with one, because an access is two port operations. [`Ecam`] needs none:
//! its windows are mapped during the scan and do not change afterwards.

use crate::firmware::acpi;
use crate::io::{Mmio, Ports};
use crate::lock::Lock;
use alloc::vec::Vec;
use core::ops::Range;
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

/// The configuration space of a whole PCI segment.
pub trait Segment: ConfigSpace + Send + Sync {
    /// Makes the functions of `bus` reachable. False when they cannot be. Called by the scan, once a bus.
    fn reach(&mut self, bus: u8) -> bool;

    /// Whether this segment's bridges pass port I/O, so that an I/O base address register is of use.
    fn has_ports(&self) -> bool;
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

/// Mechanism 1: an address into port 0xCF8, then the data at 0xCFC. It reaches 256 bytes of each function.
pub struct Mechanism1 {
    ports: Lock<Ports>,
}

impl Mechanism1 {
    /// Enable bit of the address register.
    const ENABLE: u32 = 0x8000_0000;
    /// The data register behind the address register.
    const DATA: u16 = 4;

    /// The two ports, if the machine has them (`microvm` has not).
    pub fn probe() -> Option<Mechanism1> {
        Mechanism1::on(Ports::claim(0xCF8, 8).ok()?)
    }

    /// Mechanism 1 on these eight ports, if the address register holds what is written to it.
    fn on(ports: Ports) -> Option<Mechanism1> {
        let before = ports.in32(0);
        ports.out32(0, Mechanism1::ENABLE);
        let there = ports.in32(0) == Mechanism1::ENABLE;
        ports.out32(0, before);
        there.then(|| Mechanism1 { ports: Lock::new(ports) })
    }

    /// What the address register holds for an access; `None` for what this mechanism does not reach.
    fn select(at: PciAddress, offset: u16) -> Option<u32> {
        let place =
            u32::from(at.bus()) << 16 | u32::from(device_and_function(at)) << 8 | u32::from(offset & 0xFC);
        (at.segment() == 0 && offset <= 0xFF).then_some(Mechanism1::ENABLE | place)
    }
}

impl ConfigSpace for Mechanism1 {
    fn read(&self, at: PciAddress, offset: u16, width: Width) -> u32 {
        let Some(selected) = Mechanism1::select(at, offset) else { return u32::MAX };
        let ports = self.ports.lock();
        ports.out32(0, selected);
        match width {
            Width::Byte => u32::from(ports.in8(Mechanism1::DATA + (offset & 3))),
            Width::Word => u32::from(ports.in16(Mechanism1::DATA + (offset & 2))),
            Width::Long => ports.in32(Mechanism1::DATA),
        }
    }

    fn write(&self, at: PciAddress, offset: u16, width: Width, value: u32) {
        let Some(selected) = Mechanism1::select(at, offset) else { return };
        let ports = self.ports.lock();
        ports.out32(0, selected);
        match width {
            Width::Byte => ports.out8(Mechanism1::DATA + (offset & 3), value as u8),
            Width::Word => ports.out16(Mechanism1::DATA + (offset & 2), value as u16),
            Width::Long => ports.out32(Mechanism1::DATA, value),
        }
    }
}

impl Segment for Mechanism1 {
    fn reach(&mut self, _bus: u8) -> bool {
        true
    }

    fn has_ports(&self) -> bool {
        true
    }
}

/// Bytes of one bus in a window: 32 devices of 8 functions of 4096 bytes.
const BUS: u64 = 1 << 20;

/// Physical addresses that a window occupies.
pub fn window_range(window: &acpi::Ecam) -> Range<u64> {
    let start = window.base.saturating_add(u64::from(window.bus_start) * BUS);
    start..window.base.saturating_add((u64::from(window.bus_end) + 1) * BUS)
}

/// The enhanced mechanism: 4096 bytes a function in memory, mapped bus by bus as the scan finds them.
pub struct Ecam {
    window: acpi::Ecam,
    ports: bool,
    buses: Vec<Option<Mmio>>,
}

impl Ecam {
    /// A window with nothing mapped yet. `ports` says whether the machine also passes port I/O to its functions.
    pub fn new(window: acpi::Ecam, ports: bool) -> Ecam {
        Ecam { window, ports, buses: Vec::new() }
    }

    fn place(&self, at: PciAddress, offset: u16, width: Width) -> Option<(&Mmio, usize)> {
        let bus = self.buses.get(usize::from(at.bus()))?.as_ref()?;
        if at.segment() != 0 || usize::from(offset) + width as usize > 4096 {
            return None;
        }
        Some((bus, usize::from(device_and_function(at)) << 12 | usize::from(offset)))
    }
}

impl ConfigSpace for Ecam {
    fn read(&self, at: PciAddress, offset: u16, width: Width) -> u32 {
        let Some((bus, place)) = self.place(at, offset, width) else { return u32::MAX };
        match width {
            Width::Byte => u32::from(bus.read8(place)),
            Width::Word => u32::from(bus.read16(place)),
            Width::Long => bus.read32(place),
        }
    }

    fn write(&self, at: PciAddress, offset: u16, width: Width, value: u32) {
        let Some((bus, place)) = self.place(at, offset, width) else { return };
        match width {
            Width::Byte => bus.write8(place, value as u8),
            Width::Word => bus.write16(place, value as u16),
            Width::Long => bus.write32(place, value),
        }
    }
}

impl Segment for Ecam {
    fn reach(&mut self, bus: u8) -> bool {
        if bus < self.window.bus_start || bus > self.window.bus_end {
            return false;
        }
        let n = usize::from(bus);
        if self.buses.len() <= n {
            self.buses.resize_with(n + 1, || None);
        }
        let phys = self.window.base.saturating_add(u64::from(bus) * BUS);
        match self.buses.get_mut(n) {
            Some(place @ None) => {
                *place = Mmio::map(phys, BUS as usize).ok();
                place.is_some()
            }
            Some(Some(_)) => true,
            None => false,
        }
    }

    fn has_ports(&self) -> bool {
        self.ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;
    use pci_types::{CommandRegister, PciHeader};
    use std::sync::Mutex;

    #[test]
    fn mechanism_one_through_its_ports() {
        struct Bridge(Mutex<u32>);
        impl crate::io::PortBackend for Bridge {
            fn read(&self, off: u16, width: usize) -> u32 {
                let address = *self.0.lock().unwrap();
                match off {
                    0 => address,
                    _ => (address & 0xFFFF | 0x1234_0000) >> (8 * (off & 3)) & (u32::MAX >> (32 - 8 * width)),
                }
            }
            fn write(&self, off: u16, _width: usize, value: u32) {
                if off == 0 {
                    *self.0.lock().unwrap() = value;
                }
            }
        }
        let space = Mechanism1::on(Ports::fake(Arc::new(Bridge(Mutex::new(0))))).unwrap();
        let at = PciAddress::new(0, 1, 2, 3);
        // Bus, device and function: 1, 2 << 3 | 3. The fake answers with the low half of the address it was given.
        assert_eq!(space.read32(at, 0x54), 0x1234_1354);
        assert_eq!((space.read16(at, 0x56), space.read8(at, 0x55)), (0x1234, 0x13));
        assert_eq!(space.read32(at, 0x100), u32::MAX, "beyond what this mechanism reaches");
        assert_eq!(space.read32(PciAddress::new(1, 1, 2, 3), 0x54), u32::MAX, "another segment");
        // Where nobody holds the address register there is no such mechanism.
        assert!(Mechanism1::on(Ports::claim(0xCF8, 8).unwrap()).is_none());
    }

    #[test]
    fn a_window_ends_where_its_buses_do() {
        crate::host::new_machine();
        let mut space =
            Ecam::new(acpi::Ecam { base: 0xB000_0000, segment: 0, bus_start: 0, bus_end: 1 }, true);
        assert_eq!((space.reach(0), space.reach(1), space.reach(2)), (true, true, false));
        assert_eq!(space.read32(PciAddress::new(0, 2, 0, 0), 0), u32::MAX);
        assert_eq!(space.read32(PciAddress::new(0, 1, 31, 7), 0xFFE), u32::MAX, "the end of a function");
        space.write32(PciAddress::new(0, 7, 0, 0), 0, 1);
    }

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
