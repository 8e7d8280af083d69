//! The first bytes of a message alone, for transfers whose data lie elsewhere.
//!
//! A `Twrite` is 23 bytes and then its data; an `Rread` is 11 bytes and then its data. A transport with scatter
//! lists gives those bytes and the data in separate pieces, so that data are never copied into a message. The
//! requests that read (`Tread`, `Treaddir`) are 23 bytes as a whole, and `Rreaddir` is made as `Rread` is.

use crate::kind;
use crate::wire::{Reader, WireError};

/// Bytes that every message begins with: `size[4] type[1] tag[2]`.
pub const HEADSZ: usize = 7;
/// Bytes of a `Tread` or `Treaddir`, and of a `Twrite` before its data.
pub const TIOSZ: usize = 23;
/// Bytes of an `Rread` or `Rreaddir` before its data.
pub const RIOSZ: usize = 11;

/// What every message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the whole message, these included; at least 7.
    pub size: u32,
    /// The message type.
    pub kind: u8,
    /// The request it belongs to.
    pub tag: u16,
}

impl Head {
    /// Reads the first seven bytes of a message.
    ///
    /// # Errors
    /// When there are fewer, or the size says that there are.
    pub fn parse(bytes: &[u8]) -> Result<Head, WireError> {
        let mut r = Reader::new(bytes);
        let head = Head { size: r.get()?, kind: r.get()?, tag: r.get()? };
        if (head.size as usize) < HEADSZ { Err(WireError::Size(head.size)) } else { Ok(head) }
    }

    /// The seven bytes.
    pub fn to_bytes(self) -> [u8; HEADSZ] {
        let [a, b, c, d] = self.size.to_le_bytes();
        let [t, u] = self.tag.to_le_bytes();
        [a, b, c, d, self.kind, t, u]
    }
}

/// A request that moves data: all of a `Tread` or `Treaddir`, or a `Twrite` without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tio {
    /// `TREAD`, `TWRITE` or `TREADDIR`.
    pub kind: u8,
    /// The request's tag.
    pub tag: u16,
    /// The open file.
    pub fid: u32,
    /// Where, in bytes; for `TREADDIR` a cookie.
    pub offset: u64,
    /// How many bytes: most to read, or exactly those to write.
    pub count: u32,
}

impl Tio {
    /// A `Tread`.
    pub const fn read(tag: u16, fid: u32, offset: u64, count: u32) -> Tio {
        Tio { kind: kind::TREAD, tag, fid, offset, count }
    }

    /// The head of a `Twrite`.
    pub const fn write(tag: u16, fid: u32, offset: u64, count: u32) -> Tio {
        Tio { kind: kind::TWRITE, tag, fid, offset, count }
    }

    /// A `Treaddir`.
    pub const fn readdir(tag: u16, fid: u32, cookie: u64, count: u32) -> Tio {
        Tio { kind: kind::TREADDIR, tag, fid, offset: cookie, count }
    }

    /// Bytes of the whole message. A write of nearly 4 GiB has no such number and gets the largest.
    pub const fn size(&self) -> u32 {
        let data = if self.kind == kind::TWRITE { self.count } else { 0 };
        data.saturating_add(TIOSZ as u32)
    }

    /// The 23 bytes.
    pub fn to_bytes(&self) -> [u8; TIOSZ] {
        let [s0, s1, s2, s3, kind, t0, t1] =
            Head { size: self.size(), kind: self.kind, tag: self.tag }.to_bytes();
        let [f0, f1, f2, f3] = self.fid.to_le_bytes();
        let [o0, o1, o2, o3, o4, o5, o6, o7] = self.offset.to_le_bytes();
        let [c0, c1, c2, c3] = self.count.to_le_bytes();
        [s0, s1, s2, s3, kind, t0, t1, f0, f1, f2, f3, o0, o1, o2, o3, o4, o5, o6, o7, c0, c1, c2, c3]
    }

    /// Reads the first 23 bytes of such a request; what follows them is the caller's.
    ///
    /// # Errors
    /// When it is another request, or its size is not what it must be.
    pub fn parse(bytes: &[u8]) -> Result<Tio, WireError> {
        let head = Head::parse(bytes)?;
        if !matches!(head.kind, kind::TREAD | kind::TWRITE | kind::TREADDIR) {
            return Err(WireError::Kind(head.kind));
        }
        let mut r = Reader::new(bytes.get(HEADSZ..).unwrap_or_default());
        let io = Tio { kind: head.kind, tag: head.tag, fid: r.get()?, offset: r.get()?, count: r.get()? };
        if io.size() == head.size { Ok(io) } else { Err(WireError::Count(io.count)) }
    }
}

/// The head of a reply that brings data: an `Rread` or `Rreaddir` without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rio {
    /// `RREAD` or `RREADDIR`.
    pub kind: u8,
    /// The request's tag.
    pub tag: u16,
    /// Bytes of data.
    pub count: u32,
}

impl Rio {
    /// The head of an `Rread`.
    pub const fn read(tag: u16, count: u32) -> Rio {
        Rio { kind: kind::RREAD, tag, count }
    }

    /// Bytes of the whole message. Nearly 4 GiB of data have no such number and get the largest.
    pub const fn size(&self) -> u32 {
        self.count.saturating_add(RIOSZ as u32)
    }

    /// The 11 bytes.
    pub fn to_bytes(&self) -> [u8; RIOSZ] {
        let mut out = [0; RIOSZ];
        let head = Head { size: self.size(), kind: self.kind, tag: self.tag };
        let fields = [&head.to_bytes()[..], &self.count.to_le_bytes()];
        fields.into_iter().flatten().zip(&mut out).for_each(|(from, to)| *to = *from);
        out
    }

    /// Reads the first 11 bytes of such a reply; what follows them is the caller's. An error reply is
    /// [`WireError::Kind`]: then the message must be put together and given to [`Rmsg`](crate::Rmsg).
    ///
    /// # Errors
    /// When it is another reply, or its size is not that of the data it announces.
    pub fn parse(bytes: &[u8]) -> Result<Rio, WireError> {
        let head = Head::parse(bytes)?;
        if !matches!(head.kind, kind::RREAD | kind::RREADDIR) {
            return Err(WireError::Kind(head.kind));
        }
        let mut r = Reader::new(bytes.get(HEADSZ..).unwrap_or_default());
        let io = Rio { kind: head.kind, tag: head.tag, count: r.get()? };
        if io.size() == head.size { Ok(io) } else { Err(WireError::Count(io.count)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Data;
    use crate::{Dialect, Rmsg, Tmsg};

    #[test]
    fn heads_are_the_front_of_the_messages() {
        let whole = Tmsg::Read { fid: 3, offset: 1 << 40, count: 9 }.to_vec(Dialect::U, 5);
        assert_eq!(Ok(Tio::read(5, 3, 1 << 40, 9).to_bytes().to_vec()), whole);
        let whole = Tmsg::Readdir { fid: 3, offset: 7, count: 9 }.to_vec(Dialect::L, 5);
        assert_eq!(Ok(Tio::readdir(5, 3, 7, 9).to_bytes().to_vec()), whole);
        let whole = Tmsg::Write { fid: 3, offset: 7, data: Data(b"abc") }.to_vec(Dialect::P9, 5).unwrap();
        assert_eq!(Tio::write(5, 3, 7, 3).to_bytes(), whole[..TIOSZ]);
        assert_eq!(Tio::parse(&whole), Ok(Tio::write(5, 3, 7, 3)));
        let whole = Rmsg::Read { data: Data(b"abc") }.to_vec(Dialect::P9, 5).unwrap();
        assert_eq!(Rio::read(5, 3).to_bytes(), whole[..RIOSZ]);
        assert_eq!(Rio::parse(&whole), Ok(Rio::read(5, 3)));
    }

    #[test]
    fn a_lying_size_is_seen() {
        let mut t = Tio::write(1, 2, 3, 4).to_bytes();
        t[0] -= 1;
        assert_eq!(Tio::parse(&t), Err(WireError::Count(4)));
        let mut r = Rio::read(1, 4096).to_bytes();
        r[1] = 0;
        assert_eq!(Rio::parse(&r), Err(WireError::Count(4096)));
        assert_eq!(Rio::parse(&[6, 0, 0, 0, 117, 0, 0, 0, 0, 0, 0]), Err(WireError::Size(6)));
        // A count near 4 GiB must not wrap round to a small size.
        let wrap = [&[10u8, 0, 0, 0, 117, 0, 0][..], &u32::MAX.to_le_bytes()].concat();
        assert_eq!(Rio::parse(&wrap), Err(WireError::Count(u32::MAX)));
        assert_eq!(Rio::parse(&[9, 0, 0, 0, 107, 0, 0, 0, 0]), Err(WireError::Kind(107)));
    }

    #[test]
    fn every_cut_is_short() {
        let t = Tio::write(1, 2, 3, 4).to_bytes();
        let r = Rio::read(1, 4).to_bytes();
        for n in 0..TIOSZ {
            assert_eq!(Tio::parse(&t[..n]), Err(WireError::Short));
        }
        for n in 0..RIOSZ {
            assert_eq!(Rio::parse(&r[..n]), Err(WireError::Short));
        }
    }
}
