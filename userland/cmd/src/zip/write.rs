//! Making an archive.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::{Result, error};

use super::{BEHIND, CENTRAL, DEFLATED, END, Entry, LOCAL, STORED, SUMS_BEHIND, Stamp, UTF8};
use crate::gzip::{Read, Write, deflate};

/// The oldest reader that understands it: one that knows directories and deflated files.
const VERSION: u16 = 20;
/// Attributes of MS-DOS: a directory.
const DIRECTORY: u32 = 0x10;

/// An archive that is being made: bytes go out as they are known.
pub struct Writer<'a> {
    write: Write<'a>,
    at: u64,
    list: Vec<Entry>,
}

impl<'a> Writer<'a> {
    /// One that is written so.
    pub fn new(write: Write<'a>) -> Writer<'a> {
        Writer { write, at: 0, list: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        (self.write)(bytes)
    }

    /// Adds a file with what `read` gives, from `level` 1, fast, to 9, small. A name that ends with a slash is a
    /// directory, which has nothing in it.
    ///
    /// # Errors
    /// Those of `read` and of writing; the archive would be too large.
    pub fn add(&mut self, name: &str, time: Stamp, level: u8, read: Read<'_>) -> Result<()> {
        if name.len() > usize::from(u16::MAX) || self.list.len() >= usize::from(u16::MAX) - 1 {
            return Err(error!("too much for an archive"));
        }
        let is_dir = name.ends_with('/');
        let flags = UTF8 | if is_dir { 0 } else { SUMS_BEHIND };
        let way = if is_dir { STORED } else { DEFLATED };
        let at = self.at;
        let mut entry =
            Entry { name: String::from(name), length: 0, time, flags, way, sum: 0, packed: 0, at };
        let mut head = LOCAL.to_le_bytes().to_vec();
        common(&mut head, &entry);
        head.extend_from_slice(name.as_bytes());
        self.put(&head)?;
        if !is_dir {
            let begun = self.at;
            let whole = deflate(level, read, &mut |bytes| self.put(bytes))?;
            (entry.sum, entry.length, entry.packed) = (whole.sum, whole.length, self.at - begun);
            let mut behind = BEHIND.to_le_bytes().to_vec();
            sums(&mut behind, &entry);
            self.put(&behind)?;
        }
        if self.at.max(entry.length) >= u64::from(u32::MAX) {
            return Err(error!("too much for an archive"));
        }
        self.list.push(entry);
        Ok(())
    }

    /// Ends it with the list.
    ///
    /// # Errors
    /// Those of writing; the archive would be too large.
    pub fn finish(mut self) -> Result<()> {
        let at = self.at;
        let list = core::mem::take(&mut self.list);
        for entry in &list {
            let mut part = CENTRAL.to_le_bytes().to_vec();
            part.extend_from_slice(&VERSION.to_le_bytes());
            common(&mut part, entry);
            // No comment, one disk, nothing that only MS-DOS knows.
            part.extend_from_slice(&[0; 6]);
            part.extend_from_slice(&(if entry.is_dir() { DIRECTORY } else { 0 }).to_le_bytes());
            part.extend_from_slice(&(entry.at as u32).to_le_bytes());
            part.extend_from_slice(entry.name.as_bytes());
            self.put(&part)?;
        }
        let len = self.at - at;
        if self.at >= u64::from(u32::MAX) {
            return Err(error!("too much for an archive"));
        }
        let mut end = END.to_le_bytes().to_vec();
        let count = (list.len() as u16).to_le_bytes();
        end.extend_from_slice(&[0; 4]);
        end.extend_from_slice(&count);
        end.extend_from_slice(&count);
        end.extend_from_slice(&(len as u32).to_le_bytes());
        end.extend_from_slice(&(at as u32).to_le_bytes());
        end.extend_from_slice(&[0; 2]);
        self.put(&end)
    }
}

/// What a file's head and the list both say of it.
fn common(part: &mut Vec<u8>, entry: &Entry) {
    let Entry { flags, way, time, name, .. } = entry;
    for number in [VERSION, *flags, *way, time.time, time.day] {
        part.extend_from_slice(&number.to_le_bytes());
    }
    sums(part, entry);
    part.extend_from_slice(&(name.len() as u16).to_le_bytes());
    part.extend_from_slice(&[0; 2]);
}

fn sums(part: &mut Vec<u8>, entry: &Entry) {
    for number in [entry.sum, entry.packed as u32, entry.length as u32] {
        part.extend_from_slice(&number.to_le_bytes());
    }
}
