//! The stat record of 9P2000 and 9P2000.u.
//!
//! The first is [`Dir`]'s, which knows what stands in front of the strings. In 9P2000.u `extension[s] n_uid[4] n_gid[4]
//! n_muid[4]` come after them.

use alloc::vec::Vec;
use core::ops::Deref;

use crate::dialect::set;
use crate::wire::{Reader, WireError, Writer};
use crate::{Dialect, NONUM, Str};
use abi::Dir;

/// Mode bits that only 9P2000.u has.
pub mod dm {
    /// A symbolic link; the extension is its target.
    pub const SYMLINK: u32 = 0x0200_0000;
    /// In a create: a further name for the file whose fid is the extension.
    pub const LINK: u32 = 0x0100_0000;
    /// A device; the extension is `c` or `b` and two numbers.
    pub const DEVICE: u32 = 0x0080_0000;
    /// A fifo.
    pub const NAMEDPIPE: u32 = 0x0020_0000;
    /// A socket.
    pub const SOCKET: u32 = 0x0010_0000;
    /// Runs as its owner.
    pub const SETUID: u32 = 0x0008_0000;
    /// Runs as its group.
    pub const SETGID: u32 = 0x0004_0000;
    /// Sticky.
    pub const SETVTX: u32 = 0x0001_0000;
    /// The bits that make a file special.
    pub const SPECIAL: u32 = DEVICE | NAMEDPIPE | SOCKET;
    /// The three that Plan 9 has no place for.
    pub const SETBITS: u32 = SETUID | SETGID | SETVTX;
}

/// A stat record, its strings borrowed. The fields that all dialects have are [`Dir`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// What 9P2000 says of a file.
    pub dir: Dir<Str<'a>>,
    /// 9P2000.u: target of a link, numbers of a device.
    pub extension: Str<'a>,
    /// 9P2000.u: the owner's number.
    pub n_uid: u32,
    /// 9P2000.u: the group's number.
    pub n_gid: u32,
    /// 9P2000.u: the number of who changed it last.
    pub n_muid: u32,
}

impl<'a> Deref for Stat<'a> {
    type Target = Dir<Str<'a>>;

    fn deref(&self) -> &Self::Target {
        &self.dir
    }
}

impl<'a> From<Dir<Str<'a>>> for Stat<'a> {
    /// The record of a file of which 9P2000.u would know no more, or of a change.
    fn from(dir: Dir<Str<'a>>) -> Self {
        Stat { dir, extension: Str(&[]), n_uid: NONUM, n_gid: NONUM, n_muid: NONUM }
    }
}

impl Default for Stat<'_> {
    /// The record that tells `Twstat` to change nothing.
    fn default() -> Self {
        Dir::untouched().into()
    }
}

impl<'a> Stat<'a> {
    /// Reads one record from the front of `bytes`; also says how many bytes it takes.
    /// In 9P2000 the fields of 9P2000.u come out empty or `NONUM`.
    ///
    /// # Errors
    /// When the record is not whole, or its size is not that of its fields.
    pub fn parse(dialect: Dialect, bytes: &'a [u8]) -> Result<(Self, usize), WireError> {
        let (size, _) = bytes.split_first_chunk().ok_or(WireError::Short)?;
        let size = usize::from(u16::from_le_bytes(*size)) + 2;
        let mut r = Reader::new(bytes.get(..size).ok_or(WireError::Short)?);
        let head = r.array()?;
        let mut stat = Stat::from(Dir::from_head(&head, [r.get()?, r.get()?, r.get()?, r.get()?]));
        if set::u(dialect) {
            stat.extension = r.get()?;
            stat.n_uid = r.get()?;
            stat.n_gid = r.get()?;
            stat.n_muid = r.get()?;
        }
        r.end()?;
        Ok((stat, size))
    }

    /// Encodes the record at the front of `buf` and says how long it is.
    ///
    /// # Errors
    /// [`WireError::Room`] with the size needed when `buf` is too small, `TooLong` when a string or the
    /// record exceeds 65,535 bytes.
    pub fn encode(&self, dialect: Dialect, buf: &mut [u8]) -> Result<usize, WireError> {
        let mut w = Writer::new(buf);
        // The size is filled in when it is known.
        w.bytes(&self.head(0));
        for s in self.strings() {
            w.put(s);
        }
        if set::u(dialect) {
            w.put(&self.extension);
            w.put(&self.n_uid);
            w.put(&self.n_gid);
            w.put(&self.n_muid);
        }
        w.finish_record()
    }

    /// The encoded record.
    ///
    /// # Errors
    /// `TooLong`, as [`encode`](Self::encode).
    pub fn to_vec(&self, dialect: Dialect) -> Result<Vec<u8>, WireError> {
        let size = match self.encode(dialect, &mut []) {
            Err(WireError::Room(n)) => n,
            other => other?,
        };
        let mut out = alloc::vec![0; size];
        self.encode(dialect, &mut out)?;
        Ok(out)
    }
}

/// Goes through the records of a directory read.
///
/// A record whose inside is wrong is given as an error and the next one follows; one that reaches past the end
/// is an error and the last. So a listing loses one entry to a bad record, not everything, and always ends.
#[derive(Clone, Debug)]
pub struct Stats<'a> {
    dialect: Dialect,
    rest: &'a [u8],
}

impl<'a> Stats<'a> {
    /// The records in the data of a read.
    pub fn new(dialect: Dialect, data: &'a [u8]) -> Self {
        Stats { dialect, rest: data }
    }
}

impl<'a> Iterator for Stats<'a> {
    type Item = Result<Stat<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let Some(size) = rest.first_chunk().map(|n| usize::from(u16::from_le_bytes(*n)) + 2) else {
            return Some(Err(WireError::Short));
        };
        let Some((record, rest)) = rest.split_at_checked(size) else {
            return Some(Err(WireError::Short));
        };
        self.rest = rest;
        Some(Stat::parse(self.dialect, record).map(|(stat, _)| stat))
    }
}
