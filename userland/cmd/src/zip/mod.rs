//! Archives of zip: files behind one another, each behind a head of its own, and a list of all at the end.
//!
//! [`list`] finds that list, [`extract`] brings a file of it, [`Writer`] makes an archive that nobody has to go
//! back in. Archives of more than 65,534 files or 4 GiB are of another kind and are refused.

mod read;
#[cfg(test)]
mod tests;
mod write;

use alloc::string::String;

use lib9::date::{Timezone, Tm};

pub use read::{ReadAt, extract, list};
pub use write::Writer;

/// What the parts begin with.
const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const BEHIND: u32 = 0x0807_4b50;
/// Bytes of the parts, without names and comments.
const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
/// Flags: it is secret; its sums are behind it; its name is UTF-8.
const SECRET: u16 = 1;
const SUMS_BEHIND: u16 = 8;
const UTF8: u16 = 0x800;
/// Ways to be in it: as it is, and deflated.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// A file or directory of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; that of a directory ends with a slash.
    pub name: String,
    /// Bytes when it is whole.
    pub length: u64,
    /// When it was changed: year, month and so on of the place where that was, as two numbers.
    pub time: Stamp,
    flags: u16,
    way: u16,
    sum: u32,
    /// Bytes in the archive, and where its head is.
    packed: u64,
    at: u64,
}

impl Entry {
    /// Is it a directory?
    pub fn is_dir(&self) -> bool {
        self.name.ends_with('/')
    }
}

/// A time as MS-DOS has it: of the place where the clock is, in steps of two seconds, from 1980 to 2107.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    day: u16,
    time: u16,
}

impl Stamp {
    /// That of a moment in a zone.
    pub fn new(seconds: i64, zone: &Timezone) -> Stamp {
        let Tm { sec, min, hour, mday, mon, year, .. } = zone.tm(seconds);
        let Ok(years @ 0..=127) = u16::try_from(year - 1980) else { return Stamp { day: 0x21, time: 0 } };
        let [sec, min, hour, mday, mon] = [sec, min, hour, mday, mon].map(u16::from);
        Stamp { day: years << 9 | (mon + 1) << 5 | mday, time: hour << 11 | min << 5 | (sec / 2) }
    }

    /// The moment, if the zone is that one.
    pub fn seconds(self, zone: &Timezone) -> i64 {
        let field = |bits: u16, from: u16, len: u16| i64::from(bits >> from & ((1 << len) - 1));
        let (year, month, mday) =
            (1980 + field(self.day, 9, 7), field(self.day, 5, 4), field(self.day, 0, 5));
        // Years that begin with March have their leap day at the end.
        let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
        let days =
            year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + mday - 1 - 719_468;
        let clock = (field(self.time, 11, 5) * 60 + field(self.time, 5, 6)) * 60 + field(self.time, 0, 5) * 2;
        let local = days * 86_400 + clock;
        // What the zone is off by is known at a moment, which is looked for twice.
        let off = |at| i64::from(zone.tm(at).tzoff);
        local - off(local - off(local))
    }
}
