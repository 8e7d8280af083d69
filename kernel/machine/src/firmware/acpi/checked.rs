//! Tables as copies that have been looked through, and the handler by which the `acpi` crate reads them.
//!
//! The crate reads as far as the length in a table says, steps from entry to entry by the lengths in them, and lays
//! its structures over whatever is there. A [`Table`] is a copy for which all of that is harmless: its length is that
//! of the copy, its entries lie inside, its checksum is right, and behind it are zeros, so that a structure that is
//! larger than the table lies inside the copy as well. [`Reader`] is the crate's handler; it answers every wish for
//! memory with such a copy.

use acpi::madt::{
    InterruptSourceOverrideEntry, IoApicEntry, LocalApicAddressOverrideEntry, LocalApicEntry,
    LocalX2ApicEntry, Madt,
};
use acpi::mcfg::Mcfg;
use acpi::rsdp::Rsdp;
use acpi::sdt::SdtHeader;
use acpi::{AcpiHandler, AcpiTable, AcpiTables, PhysicalMapping};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::RangeInclusive;
use core::pin::Pin;
use core::ptr::NonNull;

/// Reads physical memory; false when it cannot.
pub trait PhysRead {
    /// Fills `buf` from `phys` on.
    fn read(&self, phys: u64, buf: &mut [u8]) -> bool;
}

impl<F: Fn(u64, &mut [u8]) -> bool> PhysRead for F {
    fn read(&self, phys: u64, buf: &mut [u8]) -> bool {
        self(phys, buf)
    }
}

/// Longest table that is believed, in bytes.
const MAX_TABLE: usize = 1 << 20;
/// Bytes of the header every table begins with.
pub const HEADER: usize = size_of::<SdtHeader>();
/// Zeros behind a copy: more than any structure of the crate is long.
const SLACK: usize = 1024;
/// Where a header has its length, its checksum, and the names of who made the table.
const LENGTH: usize = 4;
const CHECKSUM: usize = 9;
const MAKER: core::ops::Range<usize> = 10..24;
/// The kind of a MADT's entry that nobody defines: the crate passes over it.
const NO_KIND: u8 = 0xff;
/// Where a FADT has the lengths of its blocks of registers, which the crate multiplies by 8 in a byte.
const BLOCK_LENGTHS: core::ops::Range<usize> = 88..94;

/// The firmware's list of tables, or one of the tables in it, is not what was once written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

fn sum(b: &[u8]) -> u8 {
    b.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte))
}

/// The length that a header gives its table, if it can be.
pub fn length(header: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*header.get(LENGTH..)?.first_chunk()?) as usize;
    (HEADER..=MAX_TABLE).contains(&len).then_some(len)
}

/// A copy of a table which the crate may read.
pub struct Table {
    /// The table and `SLACK` zeros.
    bytes: Vec<u8>,
}

impl Table {
    /// A table of these bytes, whose length in the header may be wrong, as may its checksum: whoever cares has looked.
    pub fn new(mut bytes: Vec<u8>) -> Option<Table> {
        if !(HEADER..=MAX_TABLE).contains(&bytes.len()) || core::str::from_utf8(bytes.get(MAKER)?).is_err() {
            return None;
        }
        match bytes.first_chunk()? {
            b"APIC" => {
                check_madt(&mut bytes)?;
            }
            b"MCFG" if bytes.len() < size_of::<Mcfg>() => return None,
            b"FACP" => {
                let lengths = BLOCK_LENGTHS.start.min(bytes.len())..BLOCK_LENGTHS.end.min(bytes.len());
                bytes[lengths].iter_mut().filter(|n| **n > u8::MAX / 8).for_each(|n| *n = 0);
            }
            _ => {}
        }
        let len = u32::try_from(bytes.len()).ok()?;
        bytes[LENGTH..LENGTH + 4].copy_from_slice(&len.to_le_bytes());
        bytes[CHECKSUM] = 0;
        bytes[CHECKSUM] = sum(&bytes).wrapping_neg();
        bytes.resize(bytes.len() + SLACK, 0);
        Some(Table { bytes })
    }

    /// The table at a physical address, when its length and checksum are right.
    fn read(memory: &dyn PhysRead, phys: u64) -> Option<Table> {
        let mut header = [0; HEADER];
        if !memory.read(phys, &mut header) {
            return None;
        }
        let mut bytes = vec![0; length(&header)?];
        // It is looked at once more: nobody says that memory is the same at the second time.
        if !memory.read(phys, &mut bytes) || sum(&bytes) != 0 || length(&bytes)? != bytes.len() {
            return None;
        }
        Table::new(bytes)
    }

    /// A header of zeros: no table that anybody looks for.
    fn nothing() -> Table {
        Table { bytes: vec![0; HEADER + SLACK] }
    }

    /// Bytes of the table.
    fn len(&self) -> usize {
        self.bytes.len() - SLACK
    }

    /// The table as the crate's structure, if it is of that kind.
    pub fn view<T: AcpiTable>(&self) -> Option<Pin<&T>> {
        const { assert!(size_of::<T>() <= SLACK && align_of::<T>() == 1) };
        // SAFETY: the structure lies inside the copy, whatever the table's length, and needs no alignment. It is made
        // of numbers, as every `AcpiTable` promises, for which any bytes are values.
        let table = unsafe { &*self.bytes.as_ptr().cast::<T>() };
        table.validate().ok()?;
        // SAFETY: the copy is not moved while it is borrowed, and a table is plain bytes, for which moving means
        // nothing.
        Some(unsafe { Pin::new_unchecked(table) })
    }
}

/// Cuts a MADT at the first entry that is not inside, and takes the kind from entries that are too short for it.
fn check_madt(bytes: &mut Vec<u8>) -> Option<()> {
    let mut at = size_of::<Madt>();
    if bytes.len() < at {
        return None;
    }
    while let Some(&[kind, len]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let needed = match kind {
            0 => size_of::<LocalApicEntry>(),
            1 => size_of::<IoApicEntry>(),
            2 => size_of::<InterruptSourceOverrideEntry>(),
            5 => size_of::<LocalApicAddressOverrideEntry>(),
            9 => size_of::<LocalX2ApicEntry>(),
            _ => 2,
        };
        let len = usize::from(len);
        if len < 2 || len > bytes.len() - at {
            break;
        }
        if len < needed {
            bytes[at] = NO_KIND;
        }
        at += len;
    }
    bytes.truncate(at);
    Some(())
}

/// The root table's address from the root pointer's bytes: `(address, entries are 64 bits wide)`.
pub fn parse_rsdp(b: &[u8]) -> Option<(u64, bool)> {
    let mut copy = [0; size_of::<Rsdp>()];
    let (old, new) = (b.get(..20)?, b.get(..36));
    copy[..old.len()].copy_from_slice(old);
    // Revision 2 has a 64-bit address under a checksum of its own. Where that is wrong the rest may still be right.
    let wide = new.filter(|new| old[15] >= 2 && sum(new) == 0 && new[20..24] == 36u32.to_le_bytes());
    match wide.filter(|new| new[24..32] != [0; 8]) {
        Some(new) => copy.copy_from_slice(new),
        None => {
            copy[8] = copy[8].wrapping_add(copy[15]);
            copy[15] = 0;
        }
    }
    // SAFETY: the structure is as long as the copy, needs no alignment, and is made of numbers. Of those the crate
    // reads as many bytes as the length says: 20 of revision 0, 36 otherwise.
    let pointer = unsafe { &*copy.as_ptr().cast::<Rsdp>() };
    const { assert!(align_of::<Rsdp>() == 1) };
    pointer.validate().ok()?;
    Some(match pointer.revision() {
        0 => (u64::from(pointer.rsdt_address()), false),
        _ => (pointer.xsdt_address(), true),
    })
}

/// Looks for the root pointer where a PC's firmware leaves it: on a 16-byte boundary below 1 MiB.
///
/// The crate can look for it too, but reads as far as a length there says, before anybody could have checked it.
pub fn find_rsdp(memory: &dyn PhysRead) -> Option<u64> {
    const PLACES: RangeInclusive<u64> = 0xe_0000..=0xf_ffdc;
    let (mut name, mut b) = ([0; 8], [0; 36]);
    PLACES.step_by(16).find(|&at| {
        // Most places hold something else, and each byte read may cost a trip to the hypervisor.
        memory.read(at, &mut name)
            && name == *b"RSD PTR "
            && memory.read(at, &mut b)
            && parse_rsdp(&b).is_some()
    })
}

/// The crate's way to memory.
#[derive(Clone)]
struct Reader<'a> {
    memory: &'a dyn PhysRead,
    /// What has been read, for as long as the crate may look at it.
    tables: &'a RefCell<Vec<Table>>,
    /// Something could not be read, or was not right.
    damaged: &'a Cell<bool>,
}

impl AcpiHandler for Reader<'_> {
    /// A copy of the table at an address, all of it, although the crate asks for the header first.
    unsafe fn map_physical_region<T>(&self, phys: usize, _: usize) -> PhysicalMapping<Self, T> {
        const { assert!(size_of::<T>() <= SLACK && align_of::<T>() == 1) };
        let mut table = Table::read(self.memory, phys as u64).unwrap_or_else(|| {
            self.damaged.set(true);
            Table::nothing()
        });
        let (start, len) = (NonNull::from(&mut table.bytes[..]).cast::<T>(), table.len());
        self.tables.borrow_mut().push(table);
        // SAFETY: the bytes are on the heap, where they stay as long as `tables`, which the handler in the mapping
        // borrows; nobody else touches them. `T` fits in them, and what the crate reads behind it are the `len` bytes
        // that the header has as its length.
        unsafe { PhysicalMapping::new(phys, start, len, len, self.clone()) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

/// The bytes of the first table of a kind; nothing when there is none.
pub fn find<T: AcpiTable>(memory: &dyn PhysRead, rsdp: u64) -> Result<Option<Vec<u8>>, Damaged> {
    let mut b = [0; 36];
    // A pointer of revision 0 may be the last 20 bytes that can be read.
    if !memory.read(rsdp, &mut b) && !memory.read(rsdp, &mut b[..20]) {
        return Err(Damaged);
    }
    let (root, wide) = parse_rsdp(&b).ok_or(Damaged)?;
    let root = usize::try_from(root).map_err(|_| Damaged)?;
    let (tables, damaged) = (RefCell::new(Vec::new()), Cell::new(false));
    let reader = Reader { memory, tables: &tables, damaged: &damaged };
    // SAFETY: an address means a wish to the handler, which answers every one with a checked copy.
    let found = match unsafe { AcpiTables::from_rsdt(reader, if wide { 2 } else { 0 }, root) } {
        Ok(all) => all.find_table::<T>().is_ok(),
        Err(_) => return Err(Damaged),
    };
    // The one that was looked for is the one that was read last.
    match tables.into_inner().pop().filter(|_| found) {
        Some(mut table) => {
            table.bytes.truncate(table.len());
            Ok(Some(table.bytes))
        }
        None if damaged.get() => Err(Damaged),
        None => Ok(None),
    }
}
