//! Mechanism 1: ports 0xCF8 and 0xCFC (PCI 3.0 section 3.2.2.3.2).
//!
//! Lock: one around both ports, a leaf, because an access is two port operations.

use super::{ConfigSpace, Segment, Width, device_and_function};
use crate::io::Ports;
use crate::lock::Lock;
use pci_types::PciAddress;

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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;
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
}
