//! The bus as `#$` shows it to programs.

use io::PciBus;
use io::pci::{Address, Function};

use crate::bar::Bar;
use crate::{Pci, PciAddress, address};

/// Bytes of configuration space that a program sees of a function: those that both ways to it reach.
const SHOWN: usize = 256;

fn ours(at: Address) -> PciAddress {
    address(at.bus, at.device, at.function)
}

fn place(f: &crate::Function) -> Address {
    Address { bus: f.address.bus(), device: f.address.device(), function: f.address.function() }
}

fn shown(f: &crate::Function) -> Function {
    let bar = |bar: &Option<Bar>| bar.as_ref().map(|b| (b.register(), b.size));
    Function {
        at: place(f),
        class: f.class,
        vendor: f.vendor,
        device: f.device,
        irq: f.line,
        bars: f.bars.each_ref().map(bar),
    }
}

impl PciBus for Pci {
    fn nth(&self, n: usize) -> Option<Function> {
        self.functions.get(n).map(shown)
    }

    fn find(&self, at: Address) -> Option<Function> {
        // An address that no function can have cannot be made one of ours.
        self.functions.iter().find(|f| place(f) == at).map(shown)
    }

    fn config_size(&self, _at: Address) -> usize {
        SHOWN
    }

    fn read_config(&self, at: Address, offset: usize) -> u8 {
        match u16::try_from(offset) {
            Ok(offset) if usize::from(offset) < SHOWN => self.space().read8(ours(at), offset),
            _ => 0xff,
        }
    }

    fn write_config(&self, at: Address, offset: usize, bytes: &[u8]) {
        if !offset.is_multiple_of(bytes.len().max(1)) {
            return;
        }
        let Ok(offset) = u16::try_from(offset) else { return };
        match *bytes {
            [a] => self.space().write8(ours(at), offset, a),
            [a, b] => self.space().write16(ours(at), offset, u16::from_le_bytes([a, b])),
            [a, b, c, d] => self.space().write32(ours(at), offset, u32::from_le_bytes([a, b, c, d])),
            _ => {}
        }
    }
}
