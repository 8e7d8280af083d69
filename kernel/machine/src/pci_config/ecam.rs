//! The enhanced mechanism: a window in memory (PCI Express section 7.2.2), and where a machine has it.
//!
//! Windows are found here: ACPI's MCFG tells of them, q35's host bridge, or QEMU's board is known to have one. Nobody
//! else can say that there is one.
//!
//! There is no lock: a window is mapped during the scan, bus by bus, and does not change afterwards.

use super::{ConfigSpace, Mechanism1, Segment, Width, access, device_and_function};
use crate::firmware::acpi;
use crate::io::Mmio;
use alloc::vec::Vec;
use core::ops::Range;
use pci_types::{PciAddress, PciHeader};

/// Vendor and device id of the host bridge of `q35`, which says where its window is even when there is no MCFG table.
const Q35_HOST: (u16, u16) = (0x8086, 0x29C0);
/// PCIEXBAR of that bridge: 64 bits; bit 0 enables, bits 2:1 give the length.
const Q35_PCIEXBAR: u16 = 0x60;

/// The window of `microvm,pcie=on`, whose ACPI has no MCFG table (QEMU 7.2 tells it only in its device tree).
const MICROVM: acpi::Ecam = acpi::Ecam { base: 0xE000_0000, segment: 0, bus_start: 0, bus_end: 255 };

/// Bytes of one bus in a window: 32 devices of 8 functions of 4096 bytes.
const BUS: u64 = 1 << 20;

/// The window that the host bridge of a q35 machine decodes, read through the ports.
pub fn q35_window(ports: &Mechanism1) -> Option<acpi::Ecam> {
    let host = PciAddress::new(0, 0, 0, 0);
    if PciHeader::new(host).id(access(ports)) != Q35_HOST {
        return None;
    }
    let low = ports.read32(host, Q35_PCIEXBAR);
    let high = ports.read32(host, Q35_PCIEXBAR + 4);
    let last = match (low >> 1) & 3 {
        0 => 255,
        1 => 127,
        2 => 63,
        _ => return None,
    };
    let base = (u64::from(high) << 32) | u64::from(low & 0xF000_0000);
    (low & 1 != 0 && base != 0).then_some(acpi::Ecam { base, segment: 0, bus_start: 0, bus_end: last })
}

/// Where a microvm would have its window, which nothing but the host bridge in it can confirm.
pub fn microvm_window() -> acpi::Ecam {
    MICROVM
}

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
}
