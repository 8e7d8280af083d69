//! Which of the two configuration mechanisms of [`machine::pci_config`] a machine has.

use crate::address;
use alloc::boxed::Box;
use core::ops::Range;
use machine::firmware::acpi;
use machine::pci_config::{Ecam, Mechanism1, Segment, access, microvm_window, q35_window, window_range};
use pci_types::PciHeader;

/// QEMU's generic host bridge, by which that window is known.
const GENERIC_HOST: (u16, u16) = (0x1B36, 0x0008);

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
    let told = windows.iter().copied().find(acpi::Ecam::has_bus_0);
    let window = told.or_else(|| ports.as_ref().and_then(q35_window));
    if let Some(window) = window
        && let Some(segment) = open(window, ports.is_some(), |(vendor, _)| !matches!(vendor, 0 | 0xFFFF))
    {
        return Some(Mechanism { segment, window: Some(window_range(&window)) });
    }
    if let Some(ports) = ports {
        return Some(Mechanism { segment: Box::new(ports), window: None });
    }
    let used = window_range(&microvm_window());
    if taken.iter().any(|t| t.start < used.end && used.start < t.end) {
        return None;
    }
    let segment = open(microvm_window(), false, |host| host == GENERIC_HOST)?;
    Some(Mechanism { segment, window: Some(used) })
}

/// A window, if the ids of its host bridge are some that will do.
fn open(window: acpi::Ecam, ports: bool, will_do: impl Fn((u16, u16)) -> bool) -> Option<Box<dyn Segment>> {
    let mut ecam = Ecam::new(window, ports);
    let there = ecam.reach(0) && will_do(PciHeader::new(address(0, 0, 0)).id(access(&ecam)));
    there.then(|| Box::new(ecam) as Box<dyn Segment>)
}
