//! The slots of pc and q35 that QEMU can empty and fill while the machine runs.
//!
//! QEMU: `device_del` and `device_add`. The registers are those of its docs/specs/acpi_pci_hotplug: a selector of the
//! bus, and for the selected one a bit for each slot that was filled, that is to be emptied, and that the guest lets
//! go. ACPI's general purpose event 1 says when to look; which bus has which number stands in AML only, but for pc's
//! root bus, which is the first. Whoever asks looks at all of them.
//!
//! The registers have one owner, the thread that serves them, so no lock is needed. Ports of PCI Express have registers
//! of their own for their one slot, which QEMU uses where ACPI does not look after them: see [`express`].

pub mod express;

use crate::{Pci, address};
use alloc::vec::Vec;
use core::ops::Range;
use machine::io::Ports;
use machine::pci_config::ConfigSpace;
use machine::places::pc_ports;
use pci_types::PciAddress;

/// Host bridges of pc and q35, vendor above device, and where the registers are.
const PC: (u32, u16) = (0x1237_8086, 0xae00);
const Q35: (u32, u16) = (0x29c0_8086, 0x0cc0);
const LEN: u16 = 0x18;
/// Registers of 32 bits: slots that were filled, slots to be emptied, slots that are let go, and the bus.
const FILLED: u16 = 0x00;
const TO_EMPTY: u16 = 0x04;
const LET_GO: u16 = 0x08;
/// Of 32 bits: slots that can be emptied at all.
const CAN_GO: u16 = 0x0c;
const SELECT: u16 = 0x10;
/// Numbers that a bus may have.
const BUSES: u32 = 256;
/// Bridge: the number of the bus behind it.
const SECONDARY: u16 = 0x19;

/// What is wanted of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// QEMU's number of the bus, which is not its bus number.
    pub bus: u32,
    /// The device number.
    pub slot: u8,
    /// To empty it; else it was filled.
    pub empty: bool,
}

/// The registers.
pub struct Slots {
    ports: Ports,
    buses: u32,
    first_is_root: bool,
}

impl Slots {
    /// Those of this board, if it is one that has them.
    pub fn find(space: &dyn ConfigSpace) -> Option<Slots> {
        let host = space.read32(address(0, 0, 0), 0);
        let (_, port) = [PC, Q35].into_iter().find(|(id, _)| *id == host)?;
        let ports = pc_ports(port, LEN).ok()?;
        ports.out32(SELECT, 0);
        // A pc whose bridges are not looked after has its root bus alone, and nothing to select.
        let buses = if ports.in32(SELECT) == 0 { BUSES } else { 1 };
        // One whose root bus is not looked after begins with a bridge's. The root bus has the host's bridge in its
        // first slot, which nobody can take out.
        let first_is_root = port == PC.1 && (buses == 1 || ports.in32(CAN_GO) & 1 == 0);
        Some(Slots { ports, buses, first_is_root })
    }

    /// QEMU's numbers of the buses.
    pub fn buses(&self) -> Range<u32> {
        0..self.buses
    }

    /// Everything that is wanted now of the slots of a bus. What was filled is told once only.
    pub fn changes(&self, bus: u32) -> impl Iterator<Item = Change> + use<> {
        self.ports.out32(SELECT, bus);
        let wanted = [(TO_EMPTY, true), (FILLED, false)].map(|(register, empty)| {
            // All of them: nobody is there.
            (Some(self.ports.in32(register)).filter(|bits| *bits != u32::MAX).unwrap_or(0), empty)
        });
        let slots = |(bits, empty): (u32, bool)| {
            (0..32).filter(move |slot| bits >> slot & 1 != 0).map(move |slot| (slot, empty))
        };
        wanted.into_iter().flat_map(slots).map(move |(slot, empty)| Change { bus, slot, empty })
    }

    /// Lets the device in a slot go: when this returns it is there no more.
    pub fn let_go(&self, change: Change) {
        self.ports.out32(SELECT, change.bus);
        self.ports.out32(LET_GO, 1 << (change.slot & 31));
    }

    /// The device number on the root bus, if that is where the slot is known to be.
    pub fn on_root_bus(&self, change: Change) -> Option<u8> {
        (self.first_is_root && change.bus == 0).then_some(change.slot)
    }
}

/// Whether a function answers.
fn answers(pci: &Pci, at: PciAddress) -> bool {
    !matches!(pci.space().read16(at, 0), 0 | 0xffff)
}

/// Bus number behind a bridge, if it has one.
fn behind(pci: &Pci, bridge: PciAddress) -> Option<u8> {
    Some(pci.space().read8(bridge, SECONDARY)).filter(|bus| !matches!(bus, 0 | 0xff))
}

/// The functions of the boot that are there still.
pub struct Present(Vec<PciAddress>);

impl Present {
    /// All of them.
    pub fn at_boot(pci: &Pci) -> Present {
        Present(pci.functions().iter().map(|f| f.address).collect())
    }

    /// Those that do not answer any more, and those on `emptied`, a bus and a device number that were let go. Each is
    /// told once.
    pub fn gone(&mut self, pci: &Pci, emptied: Option<(u8, u8)>) -> Vec<PciAddress> {
        let is_gone = |at: &PciAddress| emptied == Some((at.bus(), at.device())) || !answers(pci, *at);
        let gone = self.0.iter().copied().filter(is_gone).collect();
        self.0.retain(|at| !is_gone(at));
        gone
    }

    /// Whether a function of the boot is on this bus.
    pub fn is_on(&self, bus: u8) -> bool {
        self.0.iter().any(|at| at.bus() == bus)
    }

    /// Whether there is a function that was not there at boot: on the root bus in this slot, or, where no slot is
    /// given, behind a bridge.
    pub fn has_newcomer(&self, pci: &Pci, slot: Option<u8>) -> bool {
        let bridges = self.0.iter().filter_map(|at| pci.find(*at)).filter(|f| f.is_bridge());
        let buses = bridges.filter_map(|f| behind(pci, f.address));
        let is_new = |bus: u8, slot: u8| {
            let at = address(bus, slot, 0);
            !self.0.contains(&at) && answers(pci, at)
        };
        match slot {
            Some(slot) => is_new(0, slot),
            None => buses.into_iter().any(|bus| (0..32).any(|slot| is_new(bus, slot))),
        }
    }
}

#[cfg(all(test, not(target_os = "none")))]
mod tests;
