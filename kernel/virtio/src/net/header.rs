//! The head of each frame in the rings (virtio 1.3 section 5.1.6): what is still to be done to it, and in how many
//! buffers it has come. Functions of bytes.

use io::ether::{Checksum, Ip, Sum, Unfinished};

/// Bytes of a head; on a legacy device without merged buffers the last two are not there.
pub const FULL: usize = 12;
pub const SHORT: usize = 10;

/// Flag: the checksum is to be made.
const NEEDS_CHECKSUM: u8 = 1;
/// Flag: the checksum is right.
const CHECKED: u8 = 2;
/// Kinds of what is to be cut; a bit beside them tells of congestion.
const UNCUT_V4: u8 = 1;
const UNCUT_V6: u8 = 4;
const CONGESTION: u8 = 0x80;

/// The head of a frame that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    flags: u8,
    kind: u8,
    start: u16,
    offset: u16,
    /// Buffers that the frame is in.
    pub buffers: u16,
}

impl Head {
    /// Reads a head, short or full. In how many buffers the frame is says only a device whose buffers are `merged`:
    /// what another one leaves there is to be 1, and QEMU's is 0.
    pub fn parse(bytes: &[u8], merged: bool) -> Head {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let word = |at: usize| u16::from_le_bytes([byte(at), byte(at + 1)]);
        let buffers = if merged && bytes.len() >= FULL { word(10) } else { 1 };
        Head { flags: byte(0), kind: byte(1), start: word(6), offset: word(8), buffers }
    }

    /// Whether it has more TCP than one frame of a wire.
    pub fn is_joined(&self) -> bool {
        self.kind != 0
    }

    /// Whether this may be said of a frame of `len` bytes: what is it that was joined, and is the checksum inside?
    pub fn is_possible(&self, len: usize, joins: bool, sums: bool) -> bool {
        let joined = match self.kind & !CONGESTION {
            0 => self.kind == 0,
            UNCUT_V4 | UNCUT_V6 => joins && self.flags & NEEDS_CHECKSUM != 0,
            _ => false,
        };
        let end = usize::from(self.start) + usize::from(self.offset) + 2;
        joined && (self.flags & NEEDS_CHECKSUM == 0 || sums && end <= len)
    }

    /// What it says of the checksum.
    pub fn sum(&self) -> Sum {
        let start = usize::from(self.start);
        match self.flags {
            f if f & NEEDS_CHECKSUM != 0 => {
                Sum::Missing(Checksum { start, field: start + usize::from(self.offset) })
            }
            f if f & CHECKED != 0 => Sum::Right,
            _ => Sum::Unknown,
        }
    }
}

/// The head of a frame of `len` bytes that is sent; `None` when no device can be told so.
pub fn encode(unfinished: Unfinished, len: usize) -> Option<[u8; FULL]> {
    let mut head = [0; FULL];
    let mut put = |at: usize, value: usize| {
        let value = u16::try_from(value).ok()?;
        head.get_mut(at..)?.first_chunk_mut().map(|word| *word = value.to_le_bytes())
    };
    if let Some(cut) = unfinished.cut {
        put(2, cut.headers)?;
        put(4, cut.payload)?;
        let ends = cut.headers.checked_add(cut.payload)?;
        if cut.payload == 0 || ends > len || unfinished.checksum.is_none() {
            return None;
        }
    }
    if let Some(Checksum { start, field }) = unfinished.checksum {
        put(6, start)?;
        put(8, field.checked_sub(start)?)?;
        if field.checked_add(2)? > len {
            return None;
        }
        head[0] = NEEDS_CHECKSUM;
    }
    head[1] = match unfinished.cut.map(|cut| cut.ip) {
        None => 0,
        Some(Ip::V4) => UNCUT_V4,
        Some(Ip::V6) => UNCUT_V6,
    };
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ether::Cut;

    #[test]
    fn what_is_to_be_done_is_where_the_specification_has_it() {
        assert_eq!(encode(Unfinished::default(), 60), Some([0; 12]));
        let checksum = Some(Checksum { start: 34, field: 50 });
        let unfinished = Unfinished { checksum, cut: None };
        assert_eq!(encode(unfinished, 60), Some([1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0]));
        let cut = Cut { ip: Ip::V6, headers: 74, payload: 1440 };
        let unfinished = Unfinished { checksum, cut: Some(cut) };
        assert_eq!(encode(unfinished, 60000), Some([1, 4, 74, 0, 0xa0, 5, 34, 0, 16, 0, 0, 0]));
    }

    #[test]
    fn what_makes_no_sense_is_not_sent() {
        let sum = |start, field| Unfinished { checksum: Some(Checksum { start, field }), cut: None };
        for (start, field) in [(34, 33), (34, 59), (0x10000, 0x10000), (0, usize::MAX)] {
            assert_eq!(encode(sum(start, field), 60), None, "{start} {field}");
        }
        let cut = |checksum, headers, payload| {
            let cut = Some(Cut { ip: Ip::V4, headers, payload });
            encode(Unfinished { cut, checksum }, 3000)
        };
        let checksum = Some(Checksum { start: 34, field: 50 });
        assert!(cut(checksum, 54, 1460).is_some());
        assert_eq!(cut(None, 54, 1460), None);
        assert_eq!(cut(checksum, 54, 0), None);
        assert_eq!(cut(checksum, 54, 3000), None);
        assert_eq!(cut(checksum, usize::MAX, 1), None);
    }

    #[test]
    fn of_a_frame_that_comes_only_what_is_possible_is_believed() {
        let head = |flags, kind, start: u16, offset: u16| {
            let mut bytes = [0; FULL];
            (bytes[0], bytes[1], bytes[10]) = (flags, kind, 3);
            bytes[6..8].copy_from_slice(&start.to_le_bytes());
            bytes[8..10].copy_from_slice(&offset.to_le_bytes());
            Head::parse(&bytes, true)
        };
        assert_eq!(head(0, 0, 0, 0).buffers, 3);
        assert_eq!(Head::parse(&[0; SHORT], true).buffers, 1);
        assert_eq!(Head::parse(&[0; FULL], false).buffers, 1);
        assert_eq!(head(2, 0, 0, 0).sum(), Sum::Right);
        assert_eq!(head(0, 0, 7, 7).sum(), Sum::Unknown);
        let missing = head(1, 0, 34, 16);
        assert_eq!(missing.sum(), Sum::Missing(Checksum { start: 34, field: 50 }));
        assert!(missing.is_possible(52, false, true));
        assert!(!missing.is_possible(51, false, true), "the field is outside");
        assert!(!missing.is_possible(52, false, false), "nobody took that");
        assert!(!head(1, 0, 0xffff, 0xffff).is_possible(65535, true, true));
        assert!(head(1, 1, 34, 16).is_possible(9000, true, true));
        assert!(head(1, 0x84, 34, 16).is_possible(9000, true, true));
        assert!(!head(1, 1, 34, 16).is_possible(9000, false, true), "nobody took that either");
        assert!(!head(0, 1, 34, 16).is_possible(9000, true, true));
        assert!(!head(1, 0x80, 34, 16).is_possible(9000, true, true));
        assert!(!head(1, 3, 34, 16).is_possible(9000, true, true), "UDP is not cut");
    }
}
