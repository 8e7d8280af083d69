//! Plan 9's own table, as prep(8) writes it: text in the second sector of the partition, lines of `part name start end`
//! with sectors counted from the partition's start, ended by a zero byte.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

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

/// The lines of a sector, until one is none. `None` when the sector is no table at all.
pub(crate) fn parse(sector: &[u8]) -> Option<Vec<Line>> {
    let text = sector.split(|b| *b == 0).next()?;
    let text = core::str::from_utf8(text).ok().filter(|t| t.starts_with("part "))?;
    Some(text.lines().map_while(line).collect())
}

fn line(text: &str) -> Option<Line> {
    let mut words = text.split_ascii_whitespace();
    let (part, name, start, end) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let whole = part == "part" && is_name(name) && words.next().is_none();
    whole.then_some(Line { name: name.into(), start: start.parse().ok()?, end: end.parse().ok()? })
}

/// Takes up what the table in the sectors `start..end` says, if there is one.
pub(super) fn read(disk: &mut Disk<'_>, start: u64, end: u64, found: &mut Found) {
    // A partition of one sector has no second.
    let second = start.saturating_add(1);
    let table = if second < end { disk.sector(second).and_then(|sector| parse(&sector)) } else { None };
    let since = found.parts.len();
    for line in table.unwrap_or_default() {
        let (from, to) = (start.saturating_add(line.start), start.saturating_add(line.end));
        if to > end {
            found.wrong.push(format!("{}: sectors {from} to {to} leave their partition", line.name));
        } else {
            found.add(disk.sectors, since, &line.name, from, to);
        }
    }
}
