//! `Qid`, `Dir` and the stat record of 9P2000 (section 5, `stat`).
//!
//! The record is `size[2] type[2] dev[4] qid[13] mode[4] atime[4] mtime[4] length[8] name[s] uid[s] gid[s] muid[s]`;
//! the size does not count its own two bytes. What is in front of the strings is read and written here for `ninep` as
//! well, whose `Stat` borrows its strings and may have more behind them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error;

/// A server's name for a file: two files are the same if device, instance and `path` are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Qid {
    /// `QTDIR` and friends: the top byte of the mode.
    pub kind: u8,
    /// Changes when the file does; 0 means "do not cache".
    pub vers: u32,
    /// Unique among the files of the server.
    pub path: u64,
}

impl Qid {
    /// A plain file.
    pub const fn file(path: u64) -> Self {
        Qid { kind: crate::QTFILE, vers: 0, path }
    }

    /// A directory.
    pub const fn dir(path: u64) -> Self {
        Qid { kind: crate::QTDIR, vers: 0, path }
    }

    /// Is it a directory?
    pub const fn is_dir(&self) -> bool {
        self.kind & crate::QTDIR != 0
    }
}

/// Bytes of a stat record in front of its strings, with the leading size.
pub const STATHEADLEN: usize = 41;

/// Bytes of a stat record without its strings' contents, with the leading size.
pub const STATFIXLEN: usize = STATHEADLEN + 4 * 2;

/// What `stat` says of a file. Times are seconds since 1970, the length is 0 for a directory. The strings are of any
/// type; programs have them as `String`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dir<S = String> {
    /// Device letter of the server, `'M'` for a mounted one.
    pub kind: u16,
    /// Instance of the device.
    pub dev: u32,
    /// The file.
    pub qid: Qid,
    /// Permissions and `DM` bits.
    pub mode: u32,
    /// Last read.
    pub atime: u32,
    /// Last change.
    pub mtime: u32,
    /// Bytes.
    pub length: u64,
    /// Last element of the name.
    pub name: S,
    /// Owner.
    pub uid: S,
    /// Group.
    pub gid: S,
    /// Who changed it last.
    pub muid: S,
}

impl<S> Dir<S> {
    /// The `Dir` that tells `wstat` to change nothing: all ones and empty strings.
    pub fn untouched() -> Self
    where
        S: Default,
    {
        Dir::from_head(&[0xff; STATHEADLEN], Default::default())
    }

    /// Is it a directory?
    pub fn is_dir(&self) -> bool {
        self.mode & crate::DMDIR != 0
    }

    /// The name, the owner, the group, and who changed it last: the strings in their order.
    #[inline]
    pub fn strings(&self) -> [&S; 4] {
        [&self.name, &self.uid, &self.gid, &self.muid]
    }

    /// The same file with other strings.
    #[inline]
    pub fn with_strings<T>(&self, [name, uid, gid, muid]: [T; 4]) -> Dir<T> {
        let &Dir { kind, dev, qid, mode, atime, mtime, length, .. } = self;
        Dir { kind, dev, qid, mode, atime, mtime, length, name, uid, gid, muid }
    }

    /// What stands in front of the strings of its record whose size field is `size`.
    #[inline]
    pub fn head(&self, size: u16) -> [u8; STATHEADLEN] {
        let mut head = [0; STATHEADLEN];
        head[0..2].copy_from_slice(&size.to_le_bytes());
        head[2..4].copy_from_slice(&self.kind.to_le_bytes());
        head[4..8].copy_from_slice(&self.dev.to_le_bytes());
        head[8] = self.qid.kind;
        head[9..13].copy_from_slice(&self.qid.vers.to_le_bytes());
        head[13..21].copy_from_slice(&self.qid.path.to_le_bytes());
        head[21..25].copy_from_slice(&self.mode.to_le_bytes());
        head[25..29].copy_from_slice(&self.atime.to_le_bytes());
        head[29..33].copy_from_slice(&self.mtime.to_le_bytes());
        head[33..41].copy_from_slice(&self.length.to_le_bytes());
        head
    }

    /// The file of a record with this in front of these strings. The size is not looked at.
    #[inline]
    pub fn from_head(head: &[u8; STATHEADLEN], [name, uid, gid, muid]: [S; 4]) -> Self {
        Dir {
            kind: u16::from_le_bytes(field(head, 2)),
            dev: u32::from_le_bytes(field(head, 4)),
            qid: Qid {
                kind: head[8],
                vers: u32::from_le_bytes(field(head, 9)),
                path: u64::from_le_bytes(field(head, 13)),
            },
            mode: u32::from_le_bytes(field(head, 21)),
            atime: u32::from_le_bytes(field(head, 25)),
            mtime: u32::from_le_bytes(field(head, 29)),
            length: u64::from_le_bytes(field(head, 33)),
            name,
            uid,
            gid,
            muid,
        }
    }
}

impl<S: AsRef<[u8]>> Dir<S> {
    /// Size of the encoded record in bytes.
    pub fn record_size(&self) -> usize {
        STATFIXLEN + self.strings().iter().map(|s| s.as_ref().len()).sum::<usize>()
    }

    /// Puts the record at the front of `out`, if it has room for it, and says how many bytes it has.
    pub fn write_record(&self, out: &mut [u8]) -> Option<usize> {
        let size = self.record_size();
        let (head, mut rest) = out.get_mut(..size)?.split_first_chunk_mut::<STATHEADLEN>()?;
        *head = self.head(u16::try_from(size - 2).ok()?);
        for s in self.strings().map(|s| s.as_ref()) {
            let (len, room) = rest.split_first_chunk_mut::<2>()?;
            *len = (s.len() as u16).to_le_bytes();
            let (place, later) = room.split_at_mut_checked(s.len())?;
            place.copy_from_slice(s);
            rest = later;
        }
        Some(size)
    }

    /// Appends the record to `out`. Strings over 65,535 bytes are cut.
    pub fn append_record(&self, out: &mut Vec<u8>) {
        let strings = self.strings().map(|s| s.as_ref()).map(|s| &s[..s.len().min(0xffff)]);
        let size = STATFIXLEN - 2 + strings.iter().map(|s| s.len()).sum::<usize>();
        out.extend_from_slice(&self.head(size.min(0xffff) as u16));
        for s in strings {
            out.extend_from_slice(&(s.len() as u16).to_le_bytes());
            out.extend_from_slice(s);
        }
    }
}

impl<'a> Dir<&'a [u8]> {
    /// [`Dir::parse`], with strings as they are in the record.
    ///
    /// # Errors
    /// As of that.
    pub fn parse_in_place(bytes: &'a [u8]) -> Result<(Self, usize), &'static str> {
        let bad = error::EBADSTAT;
        let size = usize::from(u16::from_le_bytes(*bytes.first_chunk().ok_or(bad)?)) + 2;
        let record = bytes.get(..size).ok_or(bad)?;
        let (head, mut rest) = record.split_first_chunk().ok_or(bad)?;
        let mut strings: [&[u8]; 4] = Default::default();
        for s in &mut strings {
            let (n, behind) = rest.split_first_chunk().ok_or(bad)?;
            (*s, rest) = behind.split_at_checked(u16::from_le_bytes(*n).into()).ok_or(bad)?;
        }
        Ok((Dir::from_head(head, strings), size))
    }
}

impl Dir {
    /// Size of the encoded record in bytes.
    pub fn size(&self) -> usize {
        self.record_size()
    }

    /// The record as it travels and as `stat` returns it. Strings over 65,535 bytes are cut.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.append_record(&mut out);
        out
    }

    /// Appends the record to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        self.append_record(out);
    }

    /// Reads one record from the front of `bytes`; also says how many bytes it took.
    ///
    /// # Errors
    /// `malformed stat buffer` when the record is cut short, or its strings do not fit in it.
    /// (What is not UTF-8 in them is replaced.)
    pub fn parse(bytes: &[u8]) -> Result<(Dir, usize), &'static str> {
        let (dir, size) = Dir::parse_in_place(bytes)?;
        Ok((dir.with_strings(dir.strings().map(|s| String::from_utf8_lossy(s).into_owned())), size))
    }

    /// Reads all whole records of a directory read; what is left over at the end is an error.
    ///
    /// # Errors
    /// As [`Dir::parse`].
    pub fn parse_all(mut bytes: &[u8]) -> Result<Vec<Dir>, &'static str> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (dir, n) = Dir::parse(bytes)?;
            out.push(dir);
            bytes = bytes.get(n..).unwrap_or(&[]);
        }
        Ok(out)
    }
}

/// The field of the head that begins at `at`.
#[inline]
fn field<const N: usize>(head: &[u8; STATHEADLEN], at: usize) -> [u8; N] {
    head.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Dir {
        Dir {
            kind: u16::from(b'M'),
            dev: 3,
            qid: Qid { kind: 0x80, vers: 7, path: 0x1122_3344_5566_7788 },
            mode: crate::DMDIR | 0o755,
            atime: 1,
            mtime: 2,
            length: 0,
            name: "usr".into(),
            uid: "glenda".into(),
            gid: "sys".into(),
            muid: String::new(),
        }
    }

    #[test]
    fn the_name_stands_at_offset_41() {
        let b = sample().to_bytes();
        assert_eq!(usize::from(b[0]) + 2, b.len());
        assert_eq!(&b[41..46], b"\x03\0usr");
        assert_eq!(Dir::parse(&b), Ok((sample(), b.len())));
    }

    #[test]
    fn every_cut_is_malformed() {
        let b = sample().to_bytes();
        for n in 0..b.len() {
            assert!(Dir::parse(&b[..n]).is_err(), "{n}");
        }
        let mut lying = b.clone();
        lying[41] = 200;
        assert_eq!(Dir::parse(&lying), Err(error::EBADSTAT));
        assert_eq!(Dir::parse_all(&[&b[..], &b[..]].concat()).map(|d| d.len()), Ok(2));
    }

    #[test]
    fn untouched_is_all_ones() {
        let b = Dir::untouched().to_bytes();
        assert!(b[2..41].iter().all(|&x| x == 0xff));
        assert_eq!(b.len(), STATFIXLEN);
    }
}
