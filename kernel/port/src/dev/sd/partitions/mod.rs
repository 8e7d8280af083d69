//! Partition tables: which parts of a disk somebody has given a name.
//!
//! [`find`] reads a disk, sector by sector, and tells what its tables say: an MBR with its extended partitions
//! ([`mbr`]), a GPT ([`gpt`]), and inside of Plan 9's partitions the table that Plan 9's prep(8) writes ([`plan9`]). A
//! disk comes from outside: nothing that is read is believed before it is checked, what lies outside of the disk or
//! upon another partition is left out and told of, the number of sectors read is bounded, and what is kept of them is
//! asked for.
//!
//! Pure functions of the bytes; no state, no locks.

pub mod gpt;
pub(crate) mod mbr;
pub(crate) mod plan9;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use machine::heap::{try_bytes, try_format, try_push, try_string};
use machine::types::OutOfMemory;

/// A named part of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called, different from all others.
    pub name: String,
    /// First sector.
    pub start: u64,
    /// First sector that is not of it any more.
    pub end: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The partitions, in the order of the tables.
    pub parts: Vec<Part>,
    /// What is wrong with the tables, a sentence each; the first [`WRONG_MOST`].
    pub(crate) wrong: Vec<String>,
}

/// A disk to read: sectors, all of one size.
pub struct Disk<'a> {
    /// Bytes of a sector, 512 to 4096.
    pub sector_size: usize,
    /// Number of sectors.
    pub sectors: u64,
    /// Reads one sector; false when that fails.
    pub read: &'a mut dyn FnMut(u64, &mut [u8]) -> bool,
}

/// Most partitions that are found on a disk.
pub const PARTS_MOST: usize = 128;
/// Most sentences on what is wrong.
pub(crate) const WRONG_MOST: usize = 16;
/// Most bytes of a name.
pub(crate) const NAME_MOST: usize = 64;
/// Names of files beside the partitions.
const TAKEN: [&str; 3] = ["ctl", "data", "raw"];

/// Reads the tables of a disk.
///
/// # Errors
/// No memory for what they say.
pub fn find(disk: &mut Disk<'_>) -> Result<Found, OutOfMemory> {
    let mut found = Found::default();
    let Some(first) = disk.sector(0)? else {
        found.tell(format_args!("cannot be read"))?;
        return Ok(found);
    };
    match mbr::parse(&first) {
        Some(table) if table.is_protective() => gpt::read(disk, &mut found)?,
        Some(table) if !table.is_empty() => mbr::read(disk, &table, &mut found)?,
        // Without one the whole disk may be Plan 9's.
        _ => plan9::read(disk, 0, disk.sectors, &mut found)?,
    }
    Ok(found)
}

impl Disk<'_> {
    /// A sector, if it is there and can be read.
    fn sector(&mut self, number: u64) -> Result<Option<Vec<u8>>, OutOfMemory> {
        let mut bytes = try_bytes(self.sector_size)?;
        Ok((number < self.sectors && (self.read)(number, &mut bytes)).then_some(bytes))
    }
}

impl Found {
    /// Takes up a partition of a disk of `sectors` sectors, if it does not lie upon one of those from `since` on; true
    /// when it is taken. A name that is taken already gets a number.
    ///
    /// # Errors
    /// No memory.
    fn add(
        &mut self,
        sectors: u64,
        since: usize,
        name: &str,
        start: u64,
        end: u64,
    ) -> Result<bool, OutOfMemory> {
        if start >= end || end > sectors {
            self.tell(format_args!("{name}: sectors {start} to {end} are no part of the disk"))?;
            return Ok(false);
        }
        let upon = self.parts.get(since..).unwrap_or(&[]).iter().find(|p| start < p.end && p.start < end);
        if let Some(other) = upon {
            let other = try_string(&other.name)?;
            self.tell(format_args!("{name}: sectors {start} to {end} lie upon {other}"))?;
            return Ok(false);
        }
        if self.parts.len() >= PARTS_MOST {
            self.tell(format_args!("{name}: more than {PARTS_MOST} partitions"))?;
            return Ok(false);
        }
        let free = |name: &str| !TAKEN.contains(&name) && self.parts.iter().all(|p| p.name != name);
        let mut fresh = try_string(name)?;
        let mut numbers = 1..=PARTS_MOST + TAKEN.len();
        while !free(&fresh) {
            let Some(n) = numbers.next() else { return Ok(false) };
            fresh = try_format(format_args!("{name}.{n}"))?;
        }
        try_push(&mut self.parts, Part { name: fresh, start, end })?;
        Ok(true)
    }

    /// Something is wrong with the tables.
    fn tell(&mut self, what: fmt::Arguments<'_>) -> Result<(), OutOfMemory> {
        match self.wrong.len() {
            WRONG_MOST.. => Ok(()),
            n if n + 1 == WRONG_MOST => try_push(&mut self.wrong, try_string("and more is wrong")?),
            _ => try_push(&mut self.wrong, try_format(what)?),
        }
    }
}

/// Can a partition be called so?
pub fn is_name(name: &str) -> bool {
    let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    !matches!(name, "" | "." | "..") && name.len() <= NAME_MOST && !name.contains(odd)
}

/// A little-endian number of `N` bytes at most 8, 0 when it is not there.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    if let (Some(from), Some(to)) = (at.checked_add(N).and_then(|end| bytes.get(at..end)), wide.get_mut(..N))
    {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(wide)
}
