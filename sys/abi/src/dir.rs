//! `Qid`, `Dir` and the stat record of 9P2000 (section 5, `stat`).

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

/// Bytes of a stat record without its strings' contents, with the leading size.
pub const STATFIXLEN: usize = 49;

/// What `stat` says of a file. Times are seconds since 1970, the length is 0 for a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dir {
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
    pub name: String,
    /// Owner.
    pub uid: String,
    /// Group.
    pub gid: String,
    /// Who changed it last.
    pub muid: String,
}

impl Dir {
    /// The `Dir` that tells `wstat` to change nothing: all ones and empty strings.
    pub fn untouched() -> Self {
        Dir {
            kind: !0,
            dev: !0,
            qid: Qid { kind: !0, vers: !0, path: !0 },
            mode: !0,
            atime: !0,
            mtime: !0,
            length: !0,
            ..Dir::default()
        }
    }

    /// Size of the encoded record in bytes.
    pub fn size(&self) -> usize {
        STATFIXLEN + self.name.len() + self.uid.len() + self.gid.len() + self.muid.len()
    }

    /// The record as it travels and as `stat` returns it. Strings over 65,535 bytes are cut.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.append_to(&mut out);
        out
    }

    /// Appends the record to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.dev.to_le_bytes());
        out.push(self.qid.kind);
        out.extend_from_slice(&self.qid.vers.to_le_bytes());
        out.extend_from_slice(&self.qid.path.to_le_bytes());
        out.extend_from_slice(&self.mode.to_le_bytes());
        out.extend_from_slice(&self.atime.to_le_bytes());
        out.extend_from_slice(&self.mtime.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        for s in [&self.name, &self.uid, &self.gid, &self.muid] {
            let bytes = &s.as_bytes()[..s.len().min(0xffff)];
            out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        let size = (out.len() - start - 2).min(0xffff) as u16;
        out[start..start + 2].copy_from_slice(&size.to_le_bytes());
    }

    /// Reads one record from the front of `bytes`; also says how many bytes it took.
    ///
    /// # Errors
    /// `malformed stat buffer` when the record is cut short, its strings do not fit in it or are not UTF-8.
    /// (Invalid UTF-8 is kept by replacing what cannot be read.)
    pub fn parse(bytes: &[u8]) -> Result<(Dir, usize), &'static str> {
        let bad = error::EBADSTAT;
        let size = usize::from(u16::from_le_bytes(take(bytes, 0)?)) + 2;
        if size < STATFIXLEN {
            return Err(bad);
        }
        let record = bytes.get(..size).ok_or(bad)?;
        let mut at = 41;
        let mut strings: [String; 4] = Default::default();
        for s in &mut strings {
            let n = usize::from(u16::from_le_bytes(take(record, at)?));
            at += 2;
            *s = String::from_utf8_lossy(record.get(at..at + n).ok_or(bad)?).into_owned();
            at += n;
        }
        let [name, uid, gid, muid] = strings;
        let dir = Dir {
            kind: u16::from_le_bytes(take(record, 2)?),
            dev: u32::from_le_bytes(take(record, 4)?),
            qid: Qid {
                kind: record[8],
                vers: u32::from_le_bytes(take(record, 9)?),
                path: u64::from_le_bytes(take(record, 13)?),
            },
            mode: u32::from_le_bytes(take(record, 21)?),
            atime: u32::from_le_bytes(take(record, 25)?),
            mtime: u32::from_le_bytes(take(record, 29)?),
            length: u64::from_le_bytes(take(record, 33)?),
            name,
            uid,
            gid,
            muid,
        };
        Ok((dir, size))
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

    /// Is it a directory?
    pub fn is_dir(&self) -> bool {
        self.mode & crate::DMDIR != 0
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], &'static str> {
    bytes.get(at..at + N).and_then(|s| s.try_into().ok()).ok_or(error::EBADSTAT)
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
