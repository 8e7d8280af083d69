//! Devices that are taken out of the running machine, and those that are put in.
//!
//! QEMU: `device_del` and `device_add` on pc and q35. A device whose slot is to be emptied is let go, which QEMU tells
//! with `DEVICE_DELETED`. Its driver meets a device that needs a reset and does not come out of it, so all that was
//! under way comes back as an error, and so does everything later. Where the slot's place is known (pc's root bus, and
//! PCI Express ports that ACPI does not look after) it is reset first, so that QEMU takes none away that is at work.
//! What is put in is not used: it is let go at once, and QEMU tells that, too.
//!
//! One thread does it, whom [`Removals::serve`] is for; no lock is needed.

use crate::inventory::names::Location;
use crate::inventory::table::{Row, Table};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Arguments;
use machine::clock;
use machine::firmware::acpi;
use machine::thread;
use pci::hotplug::express::Port;
use pci::hotplug::{Change, Present, Slots};
use pci::{Pci, PciAddress};

/// How often it is looked for more, once there was something: a machine that always wants something gets no more.
const ROUNDS: usize = 32;
/// How long a driver has for the reset of a device that is to go, in nanoseconds, and how often that is looked for.
const RESET_NS: u64 = 1_000_000_000;
const LOOK_NS: u64 = 1_000_000;

/// Says something on the console.
pub type Tell<'a> = &'a dyn Fn(Arguments<'_>);

/// The slots of a machine and what is in them.
pub struct Removals {
    pci: Arc<Pci>,
    table: Arc<Table>,
    slots: Option<Slots>,
    ports: Vec<Port>,
    present: Present,
}

impl Removals {
    /// Those of this machine; `None` when its slots keep what they have.
    pub fn new(pci: Option<&Arc<Pci>>, table: &Arc<Table>) -> Option<Removals> {
        let pci = pci?.clone();
        let slots = Slots::find(&**pci.space());
        if let Some(slots) = &slots {
            // What was put in before the kernel looked has been found like everything else.
            slots.buses().for_each(|bus| slots.changes(bus).for_each(drop));
        }
        let ports = Port::find(&pci, acpi::madt().map_or(0, |m| m.ioapics.len()));
        let present = Present::at_boot(&pci);
        (slots.is_some() || !ports.is_empty()).then_some(Removals {
            pci,
            table: table.clone(),
            slots,
            ports,
            present,
        })
    }

    /// Has `wake` called, in interrupt context, when a port of PCI Express wants something. (What ACPI looks after is
    /// told as `machine::events::Event::PciSlots`.)
    pub fn listen(&mut self, wake: &Arc<dyn Fn() + Send + Sync>, tell: Tell<'_>) {
        for port in &mut self.ports {
            let wake = wake.clone();
            if let Err(why) = port.connect(Box::new(move || wake())) {
                tell(format_args!("pci: the slot of bus {} keeps what it has: {why}\n", port.bus));
            }
        }
    }

    /// Does what is wanted of the slots, and tells it.
    pub fn serve(&mut self, tell: Tell<'_>) {
        for _ in 0..ROUNDS {
            let mut done = false;
            for bus in self.slots.as_ref().map(Slots::buses).unwrap_or_default() {
                for change in self.slots.as_ref().map(|slots| slots.changes(bus)).into_iter().flatten() {
                    done |= if change.empty { self.empty(change, tell) } else { self.refuse(change, tell) };
                }
            }
            for n in 0..self.ports.len() {
                done |= self.serve_port(n, tell);
            }
            self.notice(None, tell);
            if !done {
                return;
            }
        }
    }

    /// Lets a slot be emptied that ACPI looks after.
    fn empty(&mut self, change: Change, tell: Tell<'_>) -> bool {
        let Some(slots) = &self.slots else { return false };
        let place = slots.on_root_bus(change).map(|slot| (0, slot));
        if let Some(place) = place {
            self.stop(|at| (at.bus(), at.device()) == place);
        }
        slots.let_go(change);
        self.notice(place, tell);
        true
    }

    /// Lets go what was put into such a slot. What was there at boot is not meant.
    fn refuse(&mut self, change: Change, tell: Tell<'_>) -> bool {
        let Some(slots) = &self.slots else { return false };
        if !self.present.has_newcomer(&self.pci, slots.on_root_bus(change)) {
            return false;
        }
        tell(format_args!(
            "pci: a device put into slot {} of the running machine is not used\n",
            change.slot
        ));
        slots.let_go(change);
        true
    }

    /// Lets go what is in the slot of a port, if that is wanted, or was put in.
    fn serve_port(&mut self, n: usize, tell: Tell<'_>) -> bool {
        let Some(port) = self.ports.get(n).filter(|port| port.wants()) else { return false };
        let bus = port.bus;
        if self.present.is_on(bus) {
            self.stop(|at| at.bus() == bus);
        } else {
            tell(format_args!("pci: a device put on bus {bus} of the running machine is not used\n"));
        }
        port.let_go();
        self.notice(Some((bus, 0)), tell);
        true
    }

    /// Has the drivers of devices that are to go reset them, and waits for it, but not for long.
    fn stop(&self, here: impl Fn(PciAddress) -> bool) {
        for row in self.rows().filter(|(at, _)| here(*at)).map(|(_, row)| row) {
            let Some(recorder) = &row.recorder else { continue };
            recorder.take_out();
            let deadline = clock::now_ns().saturating_add(RESET_NS);
            while recorder.is_at_work() && clock::now_ns() < deadline {
                thread::park_until(clock::now_ns().saturating_add(LOOK_NS));
            }
        }
    }

    /// Tells the drivers whose device does not answer any more, or was in the place that was `emptied`.
    fn notice(&mut self, emptied: Option<(u8, u8)>, tell: Tell<'_>) {
        for at in self.present.gone(&self.pci, emptied) {
            let Some((_, row)) = self.rows().find(|(place, _)| *place == at) else {
                let (bus, device, function) = (at.bus(), at.device(), at.function());
                tell(format_args!("pci: {bus}.{device}.{function} was taken out\n"));
                continue;
            };
            if let Some(recorder) = &row.recorder {
                recorder.take_out();
            }
            tell(format_args!("pci: {} was taken out\n", row.found.name));
        }
    }

    /// The devices on PCI.
    fn rows(&self) -> impl Iterator<Item = (PciAddress, &Row)> {
        self.table.rows().iter().filter_map(|row| match row.found.location {
            Location::Pci(at) => Some((at, row)),
            Location::Mmio(_) => None,
        })
    }
}
