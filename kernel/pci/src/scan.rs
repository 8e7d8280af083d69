//! Finding every function: bus 0, and the buses behind bridges, depth first.
//!
//! PCI 3.0 section 6.1, PCI-to-PCI Bridge Architecture 1.2 section 3.2.5. Bridges number the buses behind them.
//! SeaBIOS numbers them in the order of this walk and that is kept; qboot numbers them from the last bridge to
//! the first. So that the order of devices, and with it their names, does not depend on the firmware, any
//! numbering that does not ascend in the order of this walk is done afresh.

use super::config::{Address, ConfigSpace};
use super::{Function, bar, cap};
use alloc::vec::Vec;

/// Offset of a bridge's bus numbers: primary, secondary, subordinate, one byte each.
const BUSES: u16 = 0x18;
/// Bridges below bridges that are followed. QEMU's deepest sensible machine has four.
const DEPTH: usize = 12;
/// Base class and subclass of a host bridge.
const HOST_BRIDGE: [u8; 2] = [0x06, 0x00];

/// The firmware's bus numbers are missing, or not in the order of the walk.
struct Disorder;

/// All functions that answer, ascending by address.
pub(super) fn scan(space: &mut dyn ConfigSpace) -> Vec<Function> {
    let mut walk = Walk { space, found: Vec::new(), highest: 0 };
    if walk.bus(0, None, false, 0).is_err() {
        walk.found.clear();
        walk.highest = 0;
        // Numbering cannot find disorder.
        let _ = walk.bus(0, None, true, 0);
    }
    let Walk { space, found, .. } = walk;
    let mut found = ascending(found);
    for function in &mut found {
        let host_bridge = function.class[..2] == HOST_BRIDGE;
        function.bars = bar::read(space, function.address, function.header, host_bridge);
        function.capabilities = cap::list(space, function.address);
    }
    found
}

/// Sorts by address. A bridge stays before what is behind it, because numbers ascend in the order of the walk.
fn ascending(found: Vec<Function>) -> Vec<Function> {
    let above: Vec<Option<Address>> =
        found.iter().map(|f| f.bridge.and_then(|i| found.get(i)).map(|b| b.address)).collect();
    let mut pairs: Vec<(Function, Option<Address>)> = found.into_iter().zip(above).collect();
    pairs.sort_by_key(|(f, _)| f.address);
    let places: Vec<Address> = pairs.iter().map(|(f, _)| f.address).collect();
    let place = |at: Address| places.binary_search(&at).ok();
    pairs.into_iter().map(|(f, above)| Function { bridge: above.and_then(place), ..f }).collect()
}

struct Walk<'a> {
    space: &'a mut dyn ConfigSpace,
    found: Vec<Function>,
    /// Highest bus number in use so far. It only grows, so no bus is walked twice.
    highest: u8,
}

impl Walk<'_> {
    /// Walks one bus and all behind it. With `number`, the bridges get their numbers on the way.
    fn bus(&mut self, bus: u8, bridge: Option<usize>, number: bool, depth: usize) -> Result<(), Disorder> {
        if !self.space.reach(bus) {
            return Ok(());
        }
        let here = self.list(bus, bridge);
        if number {
            // Old numbers below this bus would make two bridges answer for one bus.
            for function in here.iter().filter(|f| f.is_bridge()) {
                let latency = self.space.read32(function.address, BUSES) & 0xFF00_0000;
                self.space.write32(function.address, BUSES, latency | u32::from(bus));
            }
        }
        for function in here {
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
    fn follow(&mut self, at: Address, index: usize, depth: usize) -> Result<(), Disorder> {
        let secondary = self.space.read8(at, BUSES + 1);
        let subordinate = self.space.read8(at, BUSES + 2);
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

    /// Numbers the bus behind a bridge, and walks it.
    fn number(&mut self, at: Address, index: usize, depth: usize) -> Result<(), Disorder> {
        let Some(secondary) = self.highest.checked_add(1) else { return Ok(()) };
        self.highest = secondary;
        self.space.write8(at, BUSES + 1, secondary);
        // Everything above belongs to this bridge until it is known how much there is.
        self.space.write8(at, BUSES + 2, 255);
        self.bus(secondary, Some(index), true, depth + 1)?;
        self.space.write8(at, BUSES + 2, self.highest);
        Ok(())
    }

    /// The functions on one bus.
    fn list(&self, bus: u8, bridge: Option<usize>) -> Vec<Function> {
        let mut here = Vec::new();
        for dev in 0..32 {
            for fun in 0..8 {
                let at = Address::new(bus, dev, fun);
                let Some((function, multi)) = self.identify(at, bridge) else {
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

    /// Reads a function's header, if there is a function. The second answer says that the device may have more
    /// of them.
    fn identify(&self, at: Address, bridge: Option<usize>) -> Option<(Function, bool)> {
        let id = self.space.read32(at, 0x00);
        let vendor = id as u16;
        if vendor == 0 || vendor == 0xFFFF {
            return None;
        }
        let class = self.space.read32(at, 0x08).to_le_bytes();
        let header = self.space.read8(at, 0x0E);
        let function = Function {
            address: at,
            bridge,
            vendor,
            device: (id >> 16) as u16,
            revision: class[0],
            class: [class[3], class[2], class[1]],
            header: header & 0x7F,
            subsystem: if header & 0x7F == 0 {
                (self.space.read16(at, 0x2C), self.space.read16(at, 0x2E))
            } else {
                (0, 0)
            },
            line: self.space.read8(at, 0x3C),
            pin: self.space.read8(at, 0x3D),
            bars: [None; 6],
            capabilities: Vec::new(),
        };
        Some((function, header & 0x80 != 0))
    }
}
