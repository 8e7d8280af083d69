//! Ports of PCI Express whose slot can be emptied and filled while the machine runs.
//!
//! QEMU: `-device pcie-root-port` on q35, with `-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off`. PCI Express
//! Base 4.0 sections 6.7 (hot-plug) and 7.5.3.9 to 7.5.3.11 (slot registers). What QEMU means by them: `device_del`
//! pushes the attention button, and the device is taken out when the guest switches the slot's power and its power
//! indicator off; `device_add` says that presence has changed, too.
//!
//! A port interrupts by its line, which must be let go in the handler: it takes what has happened out of the status
//! register and keeps it in `happened`. Everything else is the business of one thread.

use super::behind;
use crate::intx::{Connected, Line};
use crate::{Failure, Pci, PciAddress, capability};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering::SeqCst};
use machine::pci_config::Segment;
use pci_types::capability::PciCapability;

/// Offsets in the capability: what the port is, what its slot can, what it is told, how it is.
const FLAGS: u16 = 0x02;
const SLOT_CAPABILITIES: u16 = 0x14;
const CONTROL: u16 = 0x18;
const STATUS: u16 = 0x1a;
const LEN: u16 = 0x1c;
/// Flags: kind of port, and that it has a slot.
const KIND_SHIFT: u16 = 4;
const ROOT_PORT: u16 = 4;
const DOWNSTREAM_PORT: u16 = 6;
const HAS_SLOT: u16 = 1 << 8;
/// Slot capabilities: something can be put in and taken out at any time.
const HOT_PLUG: u32 = 1 << 6;
/// Status, and in control the same bit lets it interrupt: the attention button was pushed; presence has changed.
const BUTTON: u16 = 1;
const PRESENCE: u16 = 1 << 3;
/// Status: something is in the slot.
const OCCUPIED: u16 = 1 << 6;
/// Control: what is let through interrupts.
const INTERRUPTS: u16 = 1 << 5;
/// Control: the power indicator, which is on or off, and the power, which is off.
const INDICATOR: u16 = 3 << 8;
const INDICATOR_ON: u16 = 1 << 8;
const INDICATOR_OFF: u16 = 3 << 8;
const POWER_OFF: u16 = 1 << 10;

/// The slot registers of a port.
struct Registers {
    space: Arc<dyn Segment>,
    at: PciAddress,
    capability: u16,
    happened: AtomicU16,
}

impl Registers {
    fn read(&self, offset: u16) -> u16 {
        self.space.read16(self.at, self.capability + offset)
    }

    fn write(&self, offset: u16, value: u16) {
        self.space.write16(self.at, self.capability + offset, value);
    }

    /// Takes out of the status register what has happened: whether there was something.
    fn take(&self) -> bool {
        let status = self.read(STATUS);
        let happened = if status == u16::MAX { 0 } else { status & (BUTTON | PRESENCE) };
        if happened != 0 {
            // Only what was there: QEMU takes a write of more for a guest that wipes.
            self.write(STATUS, happened);
            self.happened.fetch_or(happened, SeqCst);
        }
        happened != 0
    }
}

/// A port with a slot.
pub struct Port {
    registers: Arc<Registers>,
    /// The bus behind it.
    pub bus: u8,
    line: Line,
    connected: Option<Connected>,
}

impl Port {
    /// All ports that can be served, on a machine with so many I/O APICs.
    pub fn find(pci: &Pci, ioapics: usize) -> Vec<Port> {
        let bridges = pci.functions().iter().filter(|f| f.is_bridge());
        bridges
            .filter_map(|f| {
                let mut all = f.capabilities.iter();
                let capability = all.find_map(|c| match c {
                    PciCapability::PciExpress(found) => Some(found.offset),
                    _ => None,
                })?;
                let (space, at) = (pci.space().clone(), f.address);
                let registers = Registers { space, at, capability, happened: AtomicU16::new(0) };
                if !capability::is_inside(capability, LEN) || !is_hot_plug(&registers) {
                    return None;
                }
                let line = Line::open(pci, f, ioapics).ok()?;
                Some(Port { registers: Arc::new(registers), bus: behind(pci, at)?, line, connected: None })
            })
            .collect()
    }

    /// Has `wake` called, in interrupt context, whenever something has happened.
    ///
    /// # Errors
    /// When the port's line cannot be had.
    pub fn connect(&mut self, wake: Box<dyn Fn() + Send + Sync>) -> Result<(), Failure> {
        let registers = self.registers.clone();
        let handler = Box::new(move || {
            if registers.take() {
                wake();
            }
        });
        self.connected = Some(self.line.connect("pcie-slot", handler)?);
        let control = self.registers.read(CONTROL);
        self.registers.write(CONTROL, control | BUTTON | PRESENCE | INTERRUPTS);
        Ok(())
    }

    /// Whether something has happened since this was asked last, and something is in the slot.
    pub fn wants(&self) -> bool {
        self.registers.happened.swap(0, SeqCst) != 0 && self.registers.read(STATUS) & OCCUPIED != 0
    }

    /// Lets go what is in the slot: when this returns it is there no more.
    pub fn let_go(&self) {
        let rest = self.registers.read(CONTROL) & !(INDICATOR | POWER_OFF);
        // QEMU takes it out when these two go off. They are off already where a slot was emptied before.
        self.registers.write(CONTROL, rest | INDICATOR_ON);
        self.registers.write(CONTROL, rest | INDICATOR_OFF | POWER_OFF);
    }
}

/// Whether it is a port with a slot of this kind.
fn is_hot_plug(registers: &Registers) -> bool {
    let flags = registers.read(FLAGS);
    let kind = flags >> KIND_SHIFT & 0xf;
    let slot = registers.space.read32(registers.at, registers.capability + SLOT_CAPABILITIES);
    matches!(kind, ROOT_PORT | DOWNSTREAM_PORT) && flags & HAS_SLOT != 0 && slot & HOT_PLUG != 0
}

#[cfg(all(test, not(target_os = "none")))]
mod tests {
    use super::*;
    use crate::Windows;
    use crate::fake::FakeSpace;
    use crate::fake::captured::PORTS;

    #[test]
    fn ports_of_q35_are_found() {
        let space = FakeSpace::new(PORTS);
        let pci = Pci::scan(space.boxed(), &Windows::below_4g(&[], true), 0);
        let ports = Port::find(&pci, 1);
        assert!(!ports.is_empty());
        for port in ports {
            assert!(!port.wants(), "nothing has happened");
            port.registers.happened.store(BUTTON, SeqCst);
            assert_eq!(port.wants(), port.registers.read(STATUS) & OCCUPIED != 0);
            assert!(!port.wants(), "told once");
        }
    }
}
