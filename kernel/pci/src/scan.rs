//! Finding every function: bus 0, the other root buses, and the buses behind bridges, depth first.
//!
//! PCI 3.0 section 6.1, PCI-to-PCI Bridge Architecture 1.2 section 3.2.5. Bridges number the buses behind them.
//! SeaBIOS numbers them in the order of this walk and that is kept; qboot numbers them from the last bridge to
//! the first. So that the order of devices, and with it their names, does not depend on the firmware, any
//! numbering that does not ascend in the order of this walk is done afresh.
//!
//! QEMU's further root buses (`pxb`, `pxb-pcie`, `pxb-cxl`) have numbers that its command line gives; fw_cfg says how
//! many there are, and they are where something answers that is behind no bridge.

use crate::{Function, address};
use alloc::vec::Vec;
use machine::pci_config::{Segment, access};
use pci_types::{BusNumber, PciAddress, PciHeader, PciPciBridgeHeader};

/// Bridges below bridges that are followed. QEMU's deepest sensible machine has four.
const DEPTH: usize = 12;

/// The firmware's bus numbers are missing, or not in the order of the walk.
struct Disorder;

/// All functions that answer, ascending by address, on a machine with so many root buses besides bus 0.
pub(super) fn scan(space: &mut dyn Segment, extra_roots: usize) -> Vec<Function> {
    let mut walk = Walk { space, found: Vec::new(), highest: 0, roots: Vec::new() };
    if walk.numbered(extra_roots).is_err() {
        walk.found.clear();
        walk.number_all(extra_roots);
    }
    let Walk { space, found, .. } = walk;
    let mut found = ascending(found);
    for function in &mut found {
        function.examine(space);
    }
    found
}

/// Sorts by address. A bridge stays before what is behind it, because numbers ascend in the order of the walk.
fn ascending(found: Vec<Function>) -> Vec<Function> {
    let above: Vec<Option<PciAddress>> =
        found.iter().map(|f| f.bridge.and_then(|i| found.get(i)).map(|b| b.address)).collect();
    let mut pairs: Vec<(Function, Option<PciAddress>)> = found.into_iter().zip(above).collect();
    pairs.sort_by_key(|(f, _)| f.address);
    let places: Vec<PciAddress> = pairs.iter().map(|(f, _)| f.address).collect();
    let place = |at: PciAddress| places.binary_search(&at).ok();
    pairs.into_iter().map(|(f, above)| Function { bridge: above.and_then(place), ..f }).collect()
}

struct Walk<'a> {
    space: &'a mut dyn Segment,
    found: Vec<Function>,
    /// Highest bus number in use so far. It only grows, so no bus is walked twice.
    highest: u8,
    /// The numbers of the further root buses, which no bridge may get. Known before numbers are given.
    roots: Vec<u8>,
}

impl Walk<'_> {
    /// Walks everything as the firmware has numbered it. A further root bus is one above all that came before it on
    /// which something answers.
    fn numbered(&mut self, extra_roots: usize) -> Result<(), Disorder> {
        self.bus(0, None, false, 0)?;
        let mut missing = extra_roots;
        while missing > 0
            && let Some(bus) = self.highest.checked_add(1)
        {
            self.highest = bus;
            let before = self.found.len();
            self.bus(bus, None, false, 0)?;
            missing -= usize::from(self.found.len() > before);
        }
        Ok(())
    }

    /// Gives every bridge its numbers, and walks everything.
    fn number_all(&mut self, extra_roots: usize) {
        self.reset(0);
        for bus in 1..=u8::MAX {
            if self.roots.len() == extra_roots {
                break;
            }
            // Bridges lead nowhere at this time, so what answers is on a root bus.
            if self.reset(bus) {
                self.roots.push(bus);
            }
        }
        for bus in core::iter::once(0).chain(self.roots.clone()) {
            self.highest = bus;
            // Numbering cannot find disorder.
            let _ = self.bus(bus, None, true, 0);
        }
    }

    /// Takes the numbers of the bridges on a bus away, so that nothing behind them answers. False when there is
    /// nothing on it.
    fn reset(&mut self, bus: u8) -> bool {
        if !self.space.reach(bus) {
            return false;
        }
        let here = self.list(bus, None);
        // Old numbers below this bus would make two bridges answer for one bus.
        for function in here.iter().filter(|f| f.is_bridge()) {
            self.renumber(function.address, |_| BusNumber { primary: bus, secondary: 0, subordinate: 0 });
        }
        !here.is_empty()
    }

    /// Walks one bus and all behind it. With `number`, the bridges get their numbers on the way.
    fn bus(&mut self, bus: u8, bridge: Option<usize>, number: bool, depth: usize) -> Result<(), Disorder> {
        if !self.space.reach(bus) {
            return Ok(());
        }
        if number {
            self.reset(bus);
        }
        for function in self.list(bus, bridge) {
            let (at, is_bridge, index) = (function.address, function.is_bridge(), self.found.len());
            self.found.push(function);
            if !is_bridge || depth >= DEPTH {
                continue;
            }
            if number {
                self.number(at, index, depth)?;
            } else {
                self.follow(at, index, depth)?;
            }
        }
        Ok(())
    }

    /// Walks behind a bridge that the firmware has numbered.
    fn follow(&mut self, at: PciAddress, index: usize, depth: usize) -> Result<(), Disorder> {
        let Some(bridge) = self.bridge(at) else { return Ok(()) };
        let secondary = bridge.secondary_bus_number(access(self.space));
        let subordinate = bridge.subordinate_bus_number(access(self.space));
        if secondary <= self.highest || subordinate < secondary {
            return Err(Disorder);
        }
        self.highest = secondary;
        self.bus(secondary, Some(index), false, depth + 1)?;
        if self.highest > subordinate {
            return Err(Disorder);
        }
        self.highest = subordinate;
        Ok(())
    }

    /// Numbers the bus behind a bridge, and walks it. Where the numbers end at a further root bus, it stays closed.
    fn number(&mut self, at: PciAddress, index: usize, depth: usize) -> Result<(), Disorder> {
        let free = |bus: &u8| !self.roots.contains(bus);
        let Some(secondary) = self.highest.checked_add(1).filter(free) else { return Ok(()) };
        // Everything up to the next root bus belongs to this bridge until it is known how much there is.
        let last = self.roots.iter().find(|root| **root > secondary).map_or(u8::MAX, |root| root - 1);
        self.highest = secondary;
        self.renumber(at, |numbers| BusNumber { secondary, subordinate: last, ..numbers });
        self.bus(secondary, Some(index), true, depth + 1)?;
        let subordinate = self.highest;
        self.renumber(at, |numbers| BusNumber { subordinate, ..numbers });
        Ok(())
    }

    /// The header of a bridge; `None` when the function does not say any more that it is one.
    fn bridge(&self, at: PciAddress) -> Option<PciPciBridgeHeader> {
        PciPciBridgeHeader::from_header(PciHeader::new(at), access(self.space))
    }

    fn renumber(&self, at: PciAddress, numbers: impl FnOnce(BusNumber) -> BusNumber) {
        if let Some(bridge) = self.bridge(at) {
            bridge.update_bus_number(access(self.space), numbers);
        }
    }

    /// The functions on one bus.
    fn list(&self, bus: u8, bridge: Option<usize>) -> Vec<Function> {
        let mut here = Vec::new();
        for dev in 0..32 {
            for fun in 0..8 {
                let at = address(bus, dev, fun);
                let Some((function, multi)) = Function::identify(self.space, at, bridge) else {
                    if fun == 0 { break } else { continue }
                };
                here.push(function);
                if fun == 0 && !multi {
                    break;
                }
            }
        }
        here
    }
}
