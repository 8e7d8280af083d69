//! Plan 9's own table, as prep(8) writes it: text in the second sector of the partition, lines of `part name start end`
//! with sectors counted from the partition's start, ended by a zero byte.

use alloc::string::String;
use alloc::vec::Vec;

use machine::heap::{try_push, try_string};
use machine::types::OutOfMemory;

use super::{Disk, Found, is_name};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The name.
    pub(crate) name: String,
    /// First sector, and the first behind it.
    pub(crate) start: u64,
    /// See `start`.
    pub(crate) end: u64,
}

/// The lines of a sector, until one is none; none when the sector is no table at all.
///
/// # Errors
/// No memory.
pub(crate) fn parse(sector: &[u8]) -> Result<Vec<Line>, OutOfMemory> {
    let mut lines = Vec::new();
    let text = sector.split(|b| *b == 0).next().and_then(|text| core::str::from_utf8(text).ok());
    if let Some(text) = text.filter(|t| t.starts_with("part ")) {
        for (name, start, end) in text.lines().map_while(line) {
            try_push(&mut lines, Line { name: try_string(name)?, start, end })?;
        }
    }
    Ok(lines)
}

fn line(text: &str) -> Option<(&str, u64, u64)> {
    let mut words = text.split_ascii_whitespace();
    let (part, name, start, end) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let whole = part == "part" && is_name(name) && words.next().is_none();
    whole.then_some((name, start.parse().ok()?, end.parse().ok()?))
}

/// Takes up what the table in the sectors `start..end` says, if there is one.
///
/// # Errors
/// No memory.
pub(super) fn read(disk: &mut Disk<'_>, start: u64, end: u64, found: &mut Found) -> Result<(), OutOfMemory> {
    // A partition of one sector has no second.
    let second = start.saturating_add(1);
    let sector = if second < end { disk.sector(second)? } else { None };
    let since = found.parts.len();
    for line in parse(sector.as_deref().unwrap_or(&[]))? {
        let (from, to) = (start.saturating_add(line.start), start.saturating_add(line.end));
        if to > end {
            found.tell(format_args!("{}: sectors {from} to {to} leave their partition", line.name))?;
        } else {
            found.add(disk.sectors, since, &line.name, from, to)?;
        }
    }
    Ok(())
}
