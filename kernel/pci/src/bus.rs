//! The bus as `#$` shows it to programs.

use alloc::vec::Vec;

use io::PciBus;
use io::pci::{Address, Function};

use crate::bar::Bar;
use crate::{Pci, PciAddress, address};

/// Bytes of configuration space that a program sees of a function: those that both ways to it reach.
const SHOWN: usize = 256;

fn ours(at: Address) -> PciAddress {
    address(at.bus, at.device, at.function)
}

fn shown(f: &crate::Function) -> Function {
    let bar = |(n, bar): (u8, &Option<Bar>)| bar.as_ref().map(|b| (n, b.register(), b.size));
    Function {
        at: Address { bus: f.address.bus(), device: f.address.device(), function: f.address.function() },
        class: f.class,
        vendor: f.vendor,
        device: f.device,
        irq: f.line,
        bars: (0..).zip(&f.bars).filter_map(bar).collect(),
    }
}

impl PciBus for Pci {
    fn functions(&self) -> Vec<Function> {
        self.functions.iter().map(shown).collect()
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
