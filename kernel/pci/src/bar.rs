//! Base address registers: what a function decodes, how much, and where (PCI 3.0 section 6.2.5).
//!
//! The size is found by writing ones and reading which bits stuck. Decoding is switched off meanwhile, so that
//! the function does not answer at a nonsense address for a moment (host bridges excepted: they carry the
//! processor's own traffic and QEMU's have no registers to size).

use super::config::{Address, ConfigSpace};

/// Offset of the command register.
pub const COMMAND: u16 = 0x04;
/// Command: answer to I/O ports.
pub const IO: u16 = 1;
/// Command: answer to memory addresses.
pub const MEMORY: u16 = 2;
/// Command: may start transfers of its own.
pub const MASTER: u16 = 4;
/// Offset of the first base address register.
pub const FIRST: u16 = 0x10;

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
    pub fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.size)
    }

    /// What the register holds: address and flags together, as Plan 9 prints it.
    pub fn register(&self) -> u64 {
        self.address | u64::from(self.flags)
    }
}

/// Registers of a header: six for a device, two for a bridge, none for anything else.
fn registers(header: u8) -> usize {
    match header {
        0 => 6,
        1 => 2,
        _ => 0,
    }
}

/// Reads and sizes the base address registers of a function.
pub fn read(space: &dyn ConfigSpace, at: Address, header: u8, host_bridge: bool) -> [Option<Bar>; 6] {
    let mut bars = [None; 6];
    let registers = registers(header);
    let command = space.read16(at, COMMAND);
    let quiet = command & !(IO | MEMORY);
    let silence = !host_bridge && quiet != command;
    if silence {
        space.write16(at, COMMAND, quiet);
    }
    let mut n = 0;
    while n < registers {
        let (bar, wide) = read_one(space, at, n, n + 1 < registers);
        if let Some(slot) = bars.get_mut(n) {
            *slot = bar;
        }
        n += if wide { 2 } else { 1 };
    }
    if silence {
        space.write16(at, COMMAND, command);
    }
    bars
}

/// Reads and sizes register `n`; the second answer says that it took two registers.
fn read_one(space: &dyn ConfigSpace, at: Address, n: usize, room: bool) -> (Option<Bar>, bool) {
    let offset = FIRST + 4 * n as u16;
    let (low, ones) = probe(space, at, offset);
    if ones == 0 || ones == u32::MAX && low == u32::MAX {
        return (None, false);
    }
    if ones & 1 != 0 {
        // Many devices leave the upper half of an I/O register unimplemented: ports are 16 bits wide.
        let mask = (ones & !3) | 0xFFFF_0000;
        if ones & 0xFFFC == 0 {
            return (None, false);
        }
        let size = u64::from(mask & mask.wrapping_neg());
        let bar = Bar { kind: Kind::Io, flags: (low & 3) as u8, address: u64::from(low & 0xFFFC), size };
        return (Some(bar), false);
    }
    let wide = ones & 6 == 4 && room;
    let (high, high_ones) = if wide { probe(space, at, offset + 4) } else { (0, u32::MAX) };
    let mask = (u64::from(high_ones) << 32) | u64::from(ones & !0xF);
    if ones & !0xF == 0 && (!wide || high_ones == 0) {
        return (None, wide);
    }
    let bar = Bar {
        kind: if wide { Kind::Memory64 } else { Kind::Memory },
        flags: (low & 0xF) as u8,
        address: (u64::from(high) << 32) | u64::from(low & !0xF),
        size: mask & mask.wrapping_neg(),
    };
    (Some(bar), wide)
}

/// The value of a register, and what it holds after ones were written; the value is put back.
fn probe(space: &dyn ConfigSpace, at: Address, offset: u16) -> (u32, u32) {
    let value = space.read32(at, offset);
    space.write32(at, offset, u32::MAX);
    let ones = space.read32(at, offset);
    space.write32(at, offset, value);
    (value, ones)
}

/// Gives register `n` the address that `bar` holds. Decoding is off meanwhile.
pub fn write(space: &dyn ConfigSpace, at: Address, n: usize, bar: &Bar) {
    let offset = FIRST + 4 * n as u16;
    let command = space.read16(at, COMMAND);
    let decode = command & (IO | MEMORY) != 0;
    if decode {
        space.write16(at, COMMAND, command & !(IO | MEMORY));
    }
    space.write32(at, offset, bar.register() as u32);
    if bar.kind == Kind::Memory64 {
        space.write32(at, offset + 4, (bar.address >> 32) as u32);
    }
    if decode {
        space.write16(at, COMMAND, command);
    }
}
