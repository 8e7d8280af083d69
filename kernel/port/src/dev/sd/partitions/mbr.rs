//! The partition table of PCs: four entries in the first sector, and a chain of further sectors inside of an extended
//! partition, each with one partition and the place of the next.

use alloc::format;
use alloc::vec::Vec;

use machine::heap::try_push;
use machine::types::OutOfMemory;

use super::{Disk, Found, number, plan9};

/// Where the entries are, and how long one is.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
/// The last two bytes of the first 512.
const SIGNATURE: [u8; 2] = [0x55, 0xAA];

/// Types of partitions with a meaning here.
const PLAN9: u8 = 0x39;
const PROTECTIVE: u8 = 0xEE;
const EXTENDED: [u8; 3] = [0x05, 0x0F, 0x85];

/// Most sectors in the chain of an extended partition.
const CHAIN_MOST: usize = 64;

/// One entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What the partition is for; 0 when there is none.
    pub(crate) kind: u8,
    /// First sector.
    pub(crate) start: u64,
    /// Number of sectors.
    pub(crate) len: u64,
}

/// A table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(pub [Entry; 4]);

impl Table {
    /// Are there no partitions?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|e| e.kind == 0)
    }

    /// Does it only say that the disk has a GPT?
    pub(crate) fn is_protective(&self) -> bool {
        self.0.iter().any(|e| e.kind == PROTECTIVE)
    }
}

/// The table in a first sector. `None` when there is none, as in the first sector of a file system, which may have the
/// same signature.
pub(crate) fn parse(sector: &[u8]) -> Option<Table> {
    let mut table = Table::default();
    if sector.get(510..512)? != SIGNATURE {
        return None;
    }
    for (n, place) in table.0.iter_mut().enumerate() {
        let entry = sector.get(ENTRIES + n * ENTRY..)?.get(..ENTRY)?;
        let &[active, _, _, _, kind, ..] = entry else { return None };
        if !matches!(active, 0 | 0x80) {
            return None;
        }
        *place = Entry { kind, start: number::<4>(entry, 8), len: number::<4>(entry, 12) };
    }
    Some(table)
}

/// What a partition of this type is called, after what Plan 9's fdisk(8) calls them.
fn name_of(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x01 | 0x04 | 0x06 | 0x0B | 0x0C | 0x0E => "dos",
        0x07 => "ntfs",
        PLAN9 => "plan9",
        0x82 => "linuxswap",
        0x83 => "linux",
        0xA5 => "freebsd",
        0xA6 => "openbsd",
        0xA8 | 0xAF => "osx",
        0xEF => "esp",
        _ => return None,
    })
}

/// Takes up what the table of the first sector says.
///
/// # Errors
/// No memory.
pub(super) fn read(disk: &mut Disk<'_>, table: &Table, found: &mut Found) -> Result<(), OutOfMemory> {
    let mut extended = Vec::new();
    // All of a level first: what is nested must not be in the way of what contains it.
    let mut nested = Vec::new();
    for (n, entry) in table.0.iter().enumerate() {
        if EXTENDED.contains(&entry.kind) {
            extended.push(*entry);
        } else {
            take(disk, n + 1, entry, found, &mut nested)?;
        }
    }
    for container in extended {
        logical(disk, &container, found, &mut nested)?;
    }
    for (start, end) in nested {
        plan9::read(disk, start, end, found)?;
    }
    Ok(())
}

/// Takes up one partition, the `n`-th.
fn take(
    disk: &Disk<'_>,
    n: usize,
    entry: &Entry,
    found: &mut Found,
    nested: &mut Vec<(u64, u64)>,
) -> Result<(), OutOfMemory> {
    if entry.kind == 0 {
        return Ok(());
    }
    let (start, end) = (entry.start, entry.start.saturating_add(entry.len));
    let numbered = format!("p{n}");
    let name = name_of(entry.kind).unwrap_or(&numbered);
    // Sector 0 is the table's.
    if start == 0 {
        found.tell(format_args!("{name}: begins with the table"))?;
    } else if found.add(disk.sectors, 0, name, start, end)? && entry.kind == PLAN9 {
        try_push(nested, (start, end))?;
    }
    Ok(())
}

/// Follows the chain of an extended partition. A link is counted from the partition's start, and may go nowhere else.
fn logical(
    disk: &mut Disk<'_>,
    container: &Entry,
    found: &mut Found,
    nested: &mut Vec<(u64, u64)>,
) -> Result<(), OutOfMemory> {
    let end = container.start.saturating_add(container.len).min(disk.sectors);
    let mut visited = Vec::new();
    let mut at = container.start;
    loop {
        if at == 0 || !(container.start..end).contains(&at) {
            return found.tell(format_args!("extended partition: leads to sector {at}"));
        }
        if visited.contains(&at) || visited.len() >= CHAIN_MOST {
            return found.tell(format_args!("extended partition: leads in a circle at sector {at}"));
        }
        visited.push(at);
        let Some(table) = disk.sector(at)?.and_then(|sector| parse(&sector)) else {
            return found.tell(format_args!("extended partition: no table in sector {at}"));
        };
        let [first, link, ..] = table.0;
        let entry = Entry { start: at.saturating_add(first.start), ..first };
        if entry.kind != 0 && (first.start == 0 || entry.start.saturating_add(entry.len) > end) {
            found.tell(format_args!("extended partition: partition in sector {at} is not inside"))?;
        } else {
            take(disk, visited.len() + 4, &entry, found, nested)?;
        }
        if !EXTENDED.contains(&link.kind) {
            return Ok(());
        }
        at = container.start.saturating_add(link.start);
    }
}
