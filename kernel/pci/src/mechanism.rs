//! Which of the two configuration mechanisms a machine has ([`machine::pci_config`]), and where its window is.

use crate::address;
use alloc::boxed::Box;
use core::ops::Range;
use machine::firmware::acpi;
use machine::pci_config::{ConfigSpace, Ecam, Mechanism1, Segment, access, window_range};
use pci_types::PciHeader;

/// Vendor and device id of the host bridge of `q35`, which says where its window is even when there is no MCFG table.
const Q35_HOST: (u16, u16) = (0x8086, 0x29C0);
/// PCIEXBAR of that bridge: 64 bits; bit 0 enables, bits 2:1 give the length.
const Q35_PCIEXBAR: u16 = 0x60;

/// The window of `microvm,pcie=on`, whose ACPI has no MCFG table (QEMU 7.2 tells it only in its device tree).
const MICROVM: acpi::Ecam = acpi::Ecam { base: 0xE000_0000, segment: 0, bus_start: 0, bus_end: 255 };
/// QEMU's generic host bridge, by which that window is known.
const GENERIC_HOST: (u16, u16) = (0x1B36, 0x0008);

/// The window that the host bridge of a q35 machine decodes, read through the ports.
fn q35_window(ports: &Mechanism1) -> Option<acpi::Ecam> {
    let host = address(0, 0, 0);
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

/// Whether the machine has the ports of PCI's first configuration mechanism, as every PC but `microvm` has.
pub fn has_ports() -> bool {
    Mechanism1::probe().is_some()
}

/// A way to the machine's configuration space.
pub struct Mechanism {
    /// The space.
    pub segment: Box<dyn Segment>,
    /// Physical addresses of the window through which it is reached, if it is one.
    pub window: Option<Range<u64>>,
}

/// The best way to reach the machine's configuration space.
///
/// `windows` are those of ACPI's MCFG table, possibly none; `taken` is the memory map. A window is used only when a
/// host bridge answers in it. `None`: a machine without PCI.
pub fn find(windows: &[acpi::Ecam], taken: &[Range<u64>]) -> Option<Mechanism> {
    let ports = Mechanism1::probe();
    let told = windows.iter().copied().find(|w| w.segment == 0 && w.bus_start == 0);
    let window = told.or_else(|| ports.as_ref().and_then(q35_window));
    if let Some(window) = window
        && let Some(segment) = open(window, ports.is_some(), |(vendor, _)| !matches!(vendor, 0 | 0xFFFF))
    {
        return Some(Mechanism { segment, window: Some(window_range(&window)) });
    }
    if let Some(ports) = ports {
        return Some(Mechanism { segment: Box::new(ports), window: None });
    }
    let used = window_range(&MICROVM);
    if taken.iter().any(|t| t.start < used.end && used.start < t.end) {
        return None;
    }
    let segment = open(MICROVM, false, |host| host == GENERIC_HOST)?;
    Some(Mechanism { segment, window: Some(used) })
}

/// A window, if the ids of its host bridge are some that will do.
fn open(window: acpi::Ecam, ports: bool, will_do: impl Fn((u16, u16)) -> bool) -> Option<Box<dyn Segment>> {
    let mut ecam = Ecam::new(window, ports);
    let there = ecam.reach(0) && will_do(PciHeader::new(address(0, 0, 0)).id(access(&ecam)));
    there.then(|| Box::new(ecam) as Box<dyn Segment>)
}
