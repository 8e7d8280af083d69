//! The entries of directories: how they are found by their names, and what is known of a file by its own.

use alloc::string::String;
use alloc::vec::Vec;

use lamfat::{Date, DateTime, Dir, DirEntry, Error, FileAttributes, FileSystem, LossyOemCpConverter, Time};
use lib9::date::gmtime;

use super::disk::{Device, Disk, Fault};
use super::volume::Clock;

/// Most pieces of a file that are kept.
const PIECES: usize = 1 << 16;
pub(super) type Fs<D> = FileSystem<Disk<D>, Clock, LossyOemCpConverter>;
pub(super) type Folder<'a, D> = Dir<'a, Disk<D>, Clock, LossyOemCpConverter>;
pub(super) type Entry<'a, D> = DirEntry<'a, Disk<D>, Clock, LossyOemCpConverter>;
pub(super) type Told<T> = core::result::Result<T, Error<Fault>>;

/// What is told of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name; of the root a slash.
    pub name: String,
    /// It is a directory.
    pub is_dir: bool,
    /// It may not be written.
    pub is_readonly: bool,
    /// Bytes.
    pub len: u64,
    /// Seconds since 1970 when it was read.
    pub atime: u32,
    /// And written.
    pub mtime: u32,
    /// A number for its path.
    pub number: u64,
}

/// A name in the form by which it is compared.
pub(super) fn folded(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().flat_map(char::to_uppercase)
}

/// Whether an entry is one that has a name of its own: not the directory, nor the one above.
pub(super) fn is_named<D: Device>(entry: &Told<Entry<'_, D>>) -> bool {
    entry.as_ref().map_or(true, |entry| !matches!(entry.short_file_name_as_bytes(), b"." | b".."))
}

/// The name that an entry is shown by: old ones in small letters, since they have no others.
pub(super) fn name_of<D: Device>(entry: &Entry<'_, D>) -> String {
    let name = entry.file_name();
    let name = if entry.long_file_name_as_ucs2_units().is_some() { name } else { name.to_lowercase() };
    // What cannot be in a name of Plan 9's.
    name.replace(['/', '\0'], "_")
}

pub(super) fn entry<'a, D: Device>(dir: &Folder<'a, D>, name: &str) -> Told<Entry<'a, D>> {
    for entry in dir.iter().filter(is_named) {
        let entry = entry?;
        if folded(&name_of(&entry)).eq(folded(name)) {
            return Ok(entry);
        }
    }
    Err(Error::NotFound)
}

pub(super) fn folder<'a, D: Device>(fs: &'a Fs<D>, path: &[String]) -> Told<Folder<'a, D>> {
    let mut dir = fs.root_dir();
    for name in path {
        let entry = entry(&dir, name)?;
        if !entry.is_dir() {
            return Err(Error::NotFound);
        }
        dir = entry.to_dir();
    }
    Ok(dir)
}

/// The entry of a plain file.
pub(super) fn entry_at<'a, D: Device>(fs: &'a Fs<D>, path: &[String]) -> Told<Entry<'a, D>> {
    let Some((name, before)) = path.split_last() else { return Err(Error::InvalidInput) };
    let entry = entry(&folder(fs, before)?, name)?;
    if entry.is_dir() { Err(Error::InvalidInput) } else { Ok(entry) }
}

/// The pieces of the disk that a file is in; neighbours are one.
pub(super) fn collect<D: Device>(fs: &Fs<D>, path: &[String]) -> Told<Vec<(u64, u64)>> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for piece in entry_at(fs, path)?.to_file().extents() {
        let piece = piece?;
        if piece.size == 0 {
            break;
        }
        let is_full = pieces.len() == PIECES;
        match pieces.last_mut() {
            Some((at, len)) if *at + *len == piece.offset => *len += u64::from(piece.size),
            _ if is_full => return Err(Error::CorruptedFileSystem),
            _ => pieces.push((piece.offset, piece.size.into())),
        }
    }
    Ok(pieces)
}

pub(super) fn root_known() -> Known {
    Known { name: "/".into(), is_dir: true, is_readonly: false, len: 0, atime: 0, mtime: 0, number: 0 }
}

pub(super) fn known<D: Device>(entry: &Entry<'_, D>, before: &[String]) -> Known {
    let name = name_of(entry);
    let is_dir = entry.is_dir();
    let mtime = entry.modified();
    let number = before.iter().chain([&name]).fold(0xcbf2_9ce4_8422_2325, |sum: u64, name| {
        folded(name).chain(['/']).fold(sum, |sum, c| (sum ^ u64::from(c)).wrapping_mul(0x100_0000_01b3))
    });
    Known {
        is_dir,
        is_readonly: entry.attributes().contains(FileAttributes::READ_ONLY),
        len: if is_dir { 0 } else { entry.len() },
        atime: seconds(entry.accessed(), None),
        mtime: seconds(mtime.date, Some(mtime.time)),
        number,
        name,
    }
}

/// Seconds since 1970 of a date that may be none at all.
pub(super) fn seconds(date: Date, time: Option<Time>) -> u32 {
    let (year, month) = (i64::from(date.year), i64::from(date.month.clamp(1, 12)));
    let day = i64::from(date.day.clamp(1, 31));
    // Years begin in March, so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    let time =
        time.map_or(0, |time| i64::from(time.hour) * 3600 + i64::from(time.min) * 60 + i64::from(time.sec));
    u32::try_from(days * 86400 + time).unwrap_or(0)
}

/// The date that FAT can tell, which is of 1980 to 2107.
pub(super) fn from_seconds(seconds: i64) -> DateTime {
    const FIRST: i64 = 315_532_800;
    const LAST: i64 = 4_354_819_199;
    let tm = gmtime(seconds.clamp(FIRST, LAST));
    let date = Date::new(tm.year as u16, u16::from(tm.mon) + 1, tm.mday.into());
    DateTime::new(date, Time::new(tm.hour.into(), tm.min.into(), tm.sec.into(), 0))
}
