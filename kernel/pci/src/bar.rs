//! Base address registers: what a function decodes, how much, and where (PCI 3.0 section 6.2.5).
//!
//! The size is found by writing ones and reading which bits stuck. Decoding is switched off meanwhile, so that
//! the function does not answer at a nonsense address for a moment (host bridges excepted: they carry the
//! processor's own traffic and QEMU's have no registers to size).
//!
//! `pci_types` decodes what was read. It does not survive every register (none of the bits stuck, a type that is
//! reserved) and knows those of endpoints only, so it is given a copy in which each register is an endpoint's and
//! sound. What it does not tell, the number of ports, is counted here.

use crate::function::change_command;
use core::cell::Cell;
use machine::pci_config::{ConfigSpace, Width, access};
use pci_types::{CommandRegister, EndpointHeader, HeaderType, MAX_BARS, PciAddress, PciHeader};

/// Offset of the first base address register.
pub(crate) const FIRST: u16 = 0x10;
/// What makes a function answer.
const DECODE: CommandRegister = CommandRegister::IO_ENABLE.union(CommandRegister::MEMORY_ENABLE);
/// Bits of a register of memory that say what kind it is, among them those of its width; and one of 64 bits.
const KIND: u32 = 0xF;
const TYPE: u32 = 0b0110;
const TYPE_64: u32 = 0b0100;
/// Bits of a register of ports that number a port.
const PORT: u32 = 0xFFFC;

/// Where a function answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory,
    /// Memory anywhere; the register is two registers wide.
    Memory64,
}

/// One base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Ports or memory.
    pub kind: Kind,
    /// The four (two for ports) low bits of the register, which say the kind.
    pub flags: u8,
    /// First port or byte; 0 when nobody has assigned one.
    pub address: u64,
    /// Bytes or ports, a power of two.
    pub size: u64,
}

impl Bar {
    /// Whether this is memory.
    pub fn is_memory(&self) -> bool {
        self.kind != Kind::Io
    }

    /// Whether `len` bytes from `offset` are inside.
    pub(crate) fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.size)
    }

    /// What the register holds: address and flags together, as Plan 9 prints it.
    pub fn register(&self) -> u64 {
        self.address | u64::from(self.flags)
    }
}

/// Base address registers as they read, and as they read after ones were written.
struct Registers {
    count: usize,
    values: [u32; MAX_BARS],
    ones: [u32; MAX_BARS],
    /// One bit for each register into which `pci_types` has written ones.
    sizing: Cell<u8>,
}

impl ConfigSpace for Registers {
    fn read(&self, _at: PciAddress, offset: u16, _width: Width) -> u32 {
        // Apart from these registers all is zero, as in the header of an endpoint.
        let Some(n) = register_at(offset) else { return 0 };
        let all = if self.sizing.get() & 1 << n == 0 { &self.values } else { &self.ones };
        all.get(n).map_or(0, |value| *value)
    }

    fn write(&self, _at: PciAddress, offset: u16, _width: Width, value: u32) {
        let Some(n) = register_at(offset) else { return };
        let others = self.sizing.get() & !(1 << n);
        self.sizing.set(others | u8::from(value == u32::MAX) << n);
    }
}

/// The number of the base address register at an offset.
fn register_at(offset: u16) -> Option<usize> {
    let n = usize::from(offset.checked_sub(FIRST)? / 4);
    (n < MAX_BARS).then_some(n)
}

impl Registers {
    /// Reads the registers of a function: six of a device, two of a bridge, none of anything else.
    fn read_from(space: &dyn ConfigSpace, at: PciAddress, header: HeaderType) -> Registers {
        let count = match header {
            HeaderType::Endpoint => MAX_BARS,
            HeaderType::PciPciBridge => 2,
            _ => 0,
        };
        let mut registers = Registers { count, values: [0; 6], ones: [0; 6], sizing: Cell::new(0) };
        let both = registers.values.iter_mut().zip(&mut registers.ones);
        for ((value, ones), offset) in both.zip((FIRST..).step_by(4)).take(count) {
            *value = space.read32(at, offset);
            space.write32(at, offset, u32::MAX);
            *ones = space.read32(at, offset);
            space.write32(at, offset, *value);
        }
        registers
    }

    fn both(&self, n: usize) -> (u32, u32) {
        (self.values.get(n).copied().unwrap_or(0), self.ones.get(n).copied().unwrap_or(0))
    }

    fn set_value(&mut self, n: usize, to: u32) {
        if let Some(value) = self.values.get_mut(n) {
            *value = to;
        }
    }

    /// Makes register `n` one that `pci_types` can decode. The answers: whether there is such a register, and whether
    /// it takes two.
    fn make_sound(&mut self, n: usize) -> (bool, bool) {
        let (value, ones) = self.both(n);
        if ones == 0 || ones == u32::MAX && value == u32::MAX {
            return (false, false);
        }
        if ones & 1 != 0 {
            self.set_value(n, value & PORT | 1);
            return (ones & PORT != 0, false);
        }
        // Of a type that is reserved, or without the second register, it is taken for one of 32 bits.
        let wide = ones & TYPE == TYPE_64 && n + 1 < self.count;
        self.set_value(n, value & !KIND | if wide { TYPE_64 } else { 0 });
        let (_, high_ones) = if wide { self.both(n + 1) } else { (0, 0) };
        (ones & !KIND != 0 || high_ones != 0, wide)
    }

    /// Decodes register `n`; the second answer says that it took two registers.
    fn decode(&mut self, at: PciAddress, n: usize) -> (Option<Bar>, bool) {
        let (value, ones) = self.both(n);
        let (exists, wide) = self.make_sound(n);
        let endpoint = EndpointHeader::from_header(PciHeader::new(at), access(self));
        let decoded = endpoint.filter(|_| exists).and_then(|e| e.bar(n as u8, access(self)));
        let flags = (value & KIND) as u8;
        let bar = decoded.map(|bar| match bar {
            pci_types::Bar::Io { port } => {
                // Many devices leave the upper half of an I/O register unimplemented: ports are 16 bits wide.
                let mask = ones & !3 | 0xFFFF_0000;
                let size = u64::from(mask & mask.wrapping_neg());
                Bar { kind: Kind::Io, flags: flags & 3, address: u64::from(port), size }
            }
            pci_types::Bar::Memory32 { address, size, .. } => {
                Bar { kind: Kind::Memory, flags, address: address.into(), size: size.into() }
            }
            pci_types::Bar::Memory64 { address, size, .. } => {
                Bar { kind: Kind::Memory64, flags, address, size }
            }
        });
        (bar, wide)
    }
}

/// Reads and sizes the base address registers of a function.
pub(crate) fn read(
    space: &dyn ConfigSpace,
    at: PciAddress,
    header: HeaderType,
    host_bridge: bool,
) -> [Option<Bar>; MAX_BARS] {
    let quiet = if host_bridge { CommandRegister::empty() } else { DECODE };
    let mut registers = while_quiet(space, at, quiet, || Registers::read_from(space, at, header));
    let mut bars = [None; MAX_BARS];
    let mut n = 0;
    while n < registers.count {
        let (bar, wide) = registers.decode(at, n);
        if let Some(place) = bars.get_mut(n) {
            *place = bar;
        }
        n += if wide { 2 } else { 1 };
    }
    bars
}

/// Gives register `n` the address that `bar` holds. Decoding is off meanwhile.
pub(crate) fn write(space: &dyn ConfigSpace, at: PciAddress, n: usize, bar: &Bar) {
    let offset = FIRST + 4 * n as u16;
    while_quiet(space, at, DECODE, || {
        space.write32(at, offset, bar.register() as u32);
        if bar.kind == Kind::Memory64 {
            space.write32(at, offset + 4, (bar.address >> 32) as u32);
        }
    });
}

/// Does something with a function while these bits of its command register are cleared.
fn while_quiet<T>(
    space: &dyn ConfigSpace,
    at: PciAddress,
    bits: CommandRegister,
    f: impl FnOnce() -> T,
) -> T {
    let before = change_command(space, at, CommandRegister::empty(), bits);
    let result = f();
    change_command(space, at, before & bits, CommandRegister::empty());
    result
}
