//! Virtio devices in memory: which slots a machine has, and what is in them.
//!
//! `-M microvm` has 24 slots (8 without a second I/O APIC) that `-device virtio-9p-device,...` fills, the highest
//! first unless `bus=virtio-mmio-bus.N` says which. Follows virtio 1.3 section 4.2.2 (registers), and Linux's
//! convention for the command line, which Firecracker and others keep too:
//! `virtio_mmio.device=512@0xfeb02e00:12`, size, address, interrupt.
//!
//! Three sources say where slots are, and the first that says anything is believed: the command line, the device tree
//! that QEMU has for the guest ([`machine::firmware::fdt`]), and trying the addresses of QEMU's board. An empty slot is
//! no error; a slot in which something else sits is told.

mod registers;
mod shared_pin;

pub use registers::MmioTransport;
pub use shared_pin::SharedPin;

use crate::Failure;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use machine::IoError;
use machine::firmware::fdt::{Fdt, Node};
use machine::places::virtio_slot;

/// Registers of a slot before its device's configuration, in bytes.
const REGISTERS: u64 = 0x100;
/// A slot larger than that is not believed.
const MOST: u64 = 1 << 20;
/// Where QEMU's board has its slots, how far apart they are, and how many there are at most.
const BOARD: u64 = 0xFEB0_0000;
const STRIDE: u64 = 0x200;
const SLOTS: u64 = 24;
/// Slots of the board when they are all on its first I/O APIC.
const FEW: u64 = 8;
/// The word of the command line that tells of a slot.
const WORD: &str = "virtio_mmio.device";
/// What the device tree calls a slot.
const COMPATIBLE: &str = "virtio,mmio";

/// A slot: where it is, and the interrupt it has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Physical address of the registers.
    pub base: u64,
    /// Bytes of them, the device's configuration included.
    pub size: u64,
    /// Global system interrupt, level-triggered.
    pub gsi: u32,
}

impl fmt::Display for Slot {
    /// `mmio 0xfeb02e00 slot 23`; the number only for slots of QEMU's board.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mmio {:#x}", self.base)?;
        match self.base.checked_sub(BOARD) {
            Some(off) if off.is_multiple_of(STRIDE) && off / STRIDE < SLOTS => {
                write!(f, " slot {}", off / STRIDE)
            }
            _ => Ok(()),
        }
    }
}

impl Slot {
    fn new(base: u64, size: u64, gsi: u32) -> Option<Slot> {
        let fits = (REGISTERS..=MOST).contains(&size) && base.checked_add(size).is_some();
        (fits && base != 0 && base.is_multiple_of(4)).then_some(Slot { base, size, gsi })
    }
}

/// What can be known of a machine's slots before they are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// The firmware has ACPI tables.
    pub acpi: bool,
    /// Address and first GSI of each I/O APIC that those tell of: at most two matter.
    pub ioapics: [Option<(u64, u32)>; 2],
}

impl Board {
    /// First GSI of the I/O APIC with registers at `base`.
    fn first_gsi(&self, base: u64) -> Option<u32> {
        let told = self.ioapics.iter().flatten().find(|(at, _)| *at == base).map(|(_, gsi)| *gsi);
        // Without tables there is one, at the usual slot.
        told.or_else(|| (!self.acpi && base == 0xFEC0_0000).then_some(0))
    }
}

/// The slots that the words of a command line tell of, and a line for each that makes no sense.
pub fn from_words(words: &[(String, String)]) -> (Vec<Slot>, Vec<String>) {
    let (mut slots, mut wrong) = (Vec::new(), Vec::new());
    for (_, value) in words.iter().filter(|(name, _)| name == WORD) {
        match parse(value) {
            Some(slot) => slots.push(slot),
            None => wrong.push(format!("{WORD}={value} ignored: it is size@address:interrupt")),
        }
    }
    (slots, wrong)
}

/// `512@0xfeb00e00:12`, perhaps with `:id` behind; sizes may end in K or M.
fn parse(value: &str) -> Option<Slot> {
    let (size, rest) = value.split_once('@')?;
    let mut rest = rest.split(':');
    let (base, gsi) = (number(rest.next()?)?, number(rest.next()?)?);
    if rest.next().is_some_and(|id| number(id).is_none()) || rest.next().is_some() {
        return None;
    }
    let size = match size.char_indices().last()? {
        (at, 'K' | 'k') => number(size.get(..at)?)?.checked_mul(1 << 10)?,
        (at, 'M' | 'm') => number(size.get(..at)?)?.checked_mul(1 << 20)?,
        _ => number(size)?,
    };
    Slot::new(base, size, u32::try_from(gsi).ok()?)
}

/// A number as C writes it.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The slots of a device tree: those with devices in them, as QEMU lists no others.
pub fn from_tree(tree: &Fdt, board: &Board) -> Vec<Slot> {
    let nodes = tree.nodes().iter().filter(|n| n.is_compatible(COMPATIBLE));
    let slot = |node: &Node| {
        let (base, size) = node.reg()?;
        let apic = tree.nodes().iter().find(|n| n.phandle() == node.interrupt_parent())?;
        let gsi = board.first_gsi(apic.reg()?.0)?.checked_add(node.interrupt()?)?;
        Slot::new(base, size, gsi)
    };
    nodes.filter_map(slot).collect()
}

/// The slots of QEMU's board, found by trying whether one begins at an address. They end where nothing answers, and how
/// many there are says which interrupts they have.
pub fn from_board(board: &Board, is_slot: impl Fn(u64) -> bool) -> Vec<Slot> {
    let count = (0..SLOTS).take_while(|n| is_slot(BOARD + n * STRIDE)).count() as u64;
    let first = match (count > FEW, board.acpi) {
        (true, _) => 24,
        (false, true) => 16,
        (false, false) => 5,
    };
    let slot = |n: u64| Slot::new(BOARD + n * STRIDE, STRIDE, first + n as u32);
    (0..count).filter_map(slot).collect()
}

/// Looks into a slot: the virtio id of the device in it, `None` when there is none.
///
/// # Errors
/// Something that is no virtio slot, or one of a version that is not known; no memory to map it.
pub fn look(slot: &Slot) -> Result<Option<u16>, Failure> {
    let registers = virtio_slot(slot.base, slot.size as usize).map_err(|e| match e {
        IoError::NoSlot(_) => Failure::text(format!("{slot}: {e}")),
        _ => Failure::text(format!("{slot}: cannot be mapped: {e}")),
    })?;
    match (registers.read32(4), registers.read32(8)) {
        (1 | 2, 0) => Ok(None),
        (1 | 2, id) => Ok(Some(u16::try_from(id).unwrap_or(u16::MAX))),
        (version, _) => Err(Failure::text(format!("{slot}: version {version:#x}: not a virtio slot"))),
    }
}

#[cfg(test)]
mod tests;
