//! Joining what has come by TCP: of frames that go on with one another's bytes one long one is made before the stack
//! sees them, as some cards do. What is done for a packet costs the stack more than what is done for its bytes.
//!
//! Only what is nothing but data is joined, between the same two ends, with the same headers but for what follows from
//! the bytes: all that the stack would learn of the frames one by one it learns of the long one. Each has been summed
//! up before. And of frames that only acknowledge, each more than the one before, the last one says it all. There is
//! nothing to lock here.

use alloc::vec::Vec;

use machine::{OutOfMemory, heap};

use crate::link::{Came, IPV4, IPV6};
use crate::sums;
use crate::wire::ETHERNET;

/// Bytes of the longest frame that is made, for which room is made when the first two are joined: more than half of a
/// connection's window, so that what comes for one is two.
pub const LONGEST: usize = 36 << 10;
/// Where a header of TCP has its length and flags, and some of those.
const LENGTH: usize = 12;
const FLAGS: usize = 13;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const TCP: u8 = 6;
/// Bytes before a header of TCP.
const BEFORE_V4: usize = ETHERNET + 20;
const BEFORE_V6: usize = ETHERNET + 40;

/// A frame of TCP that is nothing but data, or nothing but an acknowledgement.
pub struct Piece<'a> {
    frame: &'a [u8],
    shape: Shape,
}

/// Where TCP begins in such a frame, and where the data do, or would.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    start: usize,
    data: usize,
}

/// A frame that may grow by those which follow it.
pub struct Growing {
    bytes: Vec<u8>,
    is_summed: bool,
    /// What it is shaped like, if it is such a piece and known to be right.
    shape: Option<Shape>,
    /// It has grown, and its headers do not say so yet.
    has_grown: bool,
}

impl<'a> Piece<'a> {
    /// That of a frame, if it is one and its sum, where that is not known to be right, is.
    pub fn of(frame: &'a [u8], is_summed: bool) -> Option<Piece<'a>> {
        let piece = Piece { frame, shape: Shape::of(frame)? };
        let ip = || frame.get(ETHERNET..).unwrap_or(&[]);
        (is_summed || sums::is_right_tcp(ip(), piece.shape.start - ETHERNET)).then_some(piece)
    }

    fn payload(&self) -> &'a [u8] {
        self.frame.get(self.shape.data..).unwrap_or(&[])
    }
}

impl Shape {
    fn of(frame: &[u8]) -> Option<Shape> {
        let word = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
        // No frame of TCP is shorter.
        let head: &[u8; BEFORE_V4 + 20] = frame.first_chunk()?;
        let (start, len) =
            match (u16::from_be_bytes([head[ETHERNET - 2], head[ETHERNET - 1]]), head[ETHERNET]) {
                // Whole, and without options.
                (IPV4, 0x45)
                    if head[ETHERNET + 6] & 0x3f == 0
                        && head[ETHERNET + 7] == 0
                        && head[ETHERNET + 9] == TCP
                        && frame.get(ETHERNET..).is_some_and(sums::is_right_header) =>
                {
                    (BEFORE_V4, usize::from(word(ETHERNET + 2)?))
                }
                (IPV6, 0x60..=0x6f) if head[ETHERNET + 6] == TCP => {
                    (BEFORE_V6, 40 + usize::from(word(ETHERNET + 4)?))
                }
                _ => return None,
            };
        let tcp: &[u8; 20] = frame.get(start..)?.first_chunk()?;
        let data = start + usize::from(tcp[LENGTH] >> 4) * 4;
        let is_plain = tcp[FLAGS] & !PSH == ACK;
        let is_whole = ETHERNET + len == frame.len() && (start + 20..=frame.len()).contains(&data);
        (is_plain && is_whole).then_some(Shape { start, data })
    }
}

fn number(tcp: &[u8; 20]) -> u32 {
    u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]])
}

fn acknowledged(tcp: &[u8; 20]) -> u32 {
    u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]])
}

fn tcp(bytes: &[u8], shape: Shape) -> Option<[u8; 20]> {
    bytes.get(shape.start..)?.first_chunk().copied()
}

/// Whether two go the same way: what is before TCP is the same, but for the length, the number of the packet and its
/// sum.
fn go_alike(one: &[u8], other: &[u8], shape: Shape) -> bool {
    let same = |from: usize, to: usize| one.get(from..to) == other.get(from..to);
    if shape.start == BEFORE_V6 {
        return same(0, ETHERNET + 4) && same(ETHERNET + 6, BEFORE_V6);
    }
    match (one.first_chunk(), other.first_chunk()) {
        (Some(one), Some(other)) => are_alike_v4(one, other),
        _ => false,
    }
}

/// All bits of eight bytes, and those of four.
const ALL: [u8; 8] = [0xff; 8];
const FIRST: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
const LAST: [u8; 8] = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];

/// In which of these bits of the eight bytes from there on two differ.
#[inline]
fn differ(one: &[u8], other: &[u8], at: usize, bits: [u8; 8]) -> u64 {
    let word =
        |bytes: &[u8]| bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u64::from_ne_bytes(*b));
    match (word(one), word(other)) {
        (Some(one), Some(other)) => (one ^ other) & u64::from_ne_bytes(bits),
        _ => u64::MAX,
    }
}

/// Whether what is before TCP is the same for IPv4, but for the length, the number of the packet and the sum.
fn are_alike_v4(one: &[u8; BEFORE_V4], other: &[u8; BEFORE_V4]) -> bool {
    let differ = |at, bits| differ(one, other, at, bits);
    differ(0, ALL) | differ(8, ALL) | differ(16, LAST) | differ(26, ALL) == 0
}

/// Whether headers of TCP are the same, but for the number, whether it is pushed, and the sum.
fn are_alike_tcp(one: &[u8; 20], other: &[u8; 20]) -> bool {
    const BUT: [u8; 8] = [0xff, !PSH, 0xff, 0xff, 0, 0, 0xff, 0xff];
    let differ = |at, bits| differ(one, other, at, bits);
    differ(0, FIRST) | differ(8, FIRST) | differ(12, BUT) == 0
}

impl Growing {
    /// A frame that has come, with the piece that it is if it is one.
    pub fn new(bytes: Vec<u8>, is_summed: bool, piece: Option<&Piece<'_>>) -> Growing {
        Growing { bytes, is_summed, shape: piece.map(|piece| piece.shape), has_grown: false }
    }

    /// Bytes of memory that it has.
    pub fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether a piece goes on where this ends.
    pub fn is_followed_by(&self, piece: &Piece<'_>) -> bool {
        let (ours, theirs, shape, more) = (&self.bytes, piece.frame, piece.shape, piece.payload().len());
        if self.shape != Some(shape) || more == 0 || ours.len() + more > LONGEST {
            return false;
        }
        let (Some(one), Some(other)) = (tcp(ours, shape), tcp(theirs, shape)) else { return false };
        let options = shape.start + 20..shape.data;
        number(&one).wrapping_add((ours.len() - shape.data) as u32) == number(&other)
            && are_alike_tcp(&one, &other)
            && go_alike(ours, theirs, shape)
            && (options.is_empty() || ours.get(options.clone()) == theirs.get(options))
    }

    /// Whether this acknowledges, and a piece does so after it, and more: this need not be looked at any more.
    pub fn is_superseded_by(&self, piece: &Piece<'_>) -> bool {
        // Ports and number; length and flags, and what is urgent.
        const BUT: [u8; 8] = [0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff];
        let (ours, theirs, shape) = (&self.bytes, piece.frame, piece.shape);
        if self.shape != Some(shape) || ours.len() != shape.data || theirs.len() != shape.data {
            return false;
        }
        let (Some(one), Some(other)) = (tcp(ours, shape), tcp(theirs, shape)) else { return false };
        let more = acknowledged(&other).wrapping_sub(acknowledged(&one));
        (1..1 << 31).contains(&more)
            && differ(&one, &other, 0, ALL) | differ(&one, &other, 12, BUT) == 0
            && go_alike(ours, theirs, shape)
    }

    /// Puts a piece in its place, which [supersedes](Growing::is_superseded_by) it. Nothing is allocated.
    pub fn supersede(&mut self, piece: &Piece<'_>) {
        self.bytes.iter_mut().zip(piece.frame).for_each(|(place, byte)| *place = *byte);
    }

    /// Whether there is room for a piece without more memory.
    pub fn has_room(&self, piece: &Piece<'_>) -> bool {
        self.bytes.capacity() - self.bytes.len() >= piece.payload().len()
    }

    /// Puts a piece behind it, by which [it is followed](Growing::is_followed_by). Where [there is
    /// room](Growing::has_room) nothing is allocated.
    ///
    /// # Errors
    /// No memory; it is as it was.
    pub fn join(&mut self, piece: &Piece<'_>) -> Result<(), OutOfMemory> {
        if !self.has_room(piece) {
            let more = LONGEST.saturating_sub(self.bytes.len()).max(piece.payload().len());
            heap::try_reserve_exact(&mut self.bytes, more)?;
        }
        heap::try_extend(&mut self.bytes, piece.payload())?;
        let at = piece.shape.start + FLAGS;
        if let (Some(place), Some(flags)) = (self.bytes.get_mut(at), piece.frame.get(at)) {
            *place |= flags & PSH;
        }
        self.has_grown = true;
        Ok(())
    }

    /// The frame that it has become.
    pub fn done(mut self) -> Came {
        if self.has_grown {
            self.retell();
        }
        Came { bytes: self.bytes, is_summed: self.is_summed }
    }

    /// Has the headers say how long it is now.
    fn retell(&mut self) {
        let len = self.bytes.len() - ETHERNET;
        let Some(ip) = self.bytes.get_mut(ETHERNET..) else { return };
        if self.shape.is_some_and(|shape| shape.start == BEFORE_V4) {
            sums::put(ip, 2, len as u16);
            sums::put(ip, 10, 0);
            let sum = sums::of_header(ip.get(..20).unwrap_or(&[]));
            sums::put(ip, 10, sum);
        } else {
            sums::put(ip, 4, (len - 40) as u16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket};
    use std::vec;
    use std::vec::Vec;

    /// A frame with so many bytes of data, of which the first has this number, with right sums.
    fn frame(is_v4: bool, seq: u32, len: usize) -> Vec<u8> {
        let data: Vec<u8> = (0..len).map(|n| (seq as usize + n) as u8).collect();
        let mut tcp = vec![0, 80, 0x1f, 0x40];
        tcp.extend(seq.to_be_bytes());
        tcp.extend([0, 0, 0, 9, 0x60, ACK, 1, 2, 0, 0, 0, 0, 1, 1, 1, 1]);
        tcp.extend(data);
        let mut ip = if is_v4 {
            let mut head = vec![0x45, 0, 0, 0, 0, seq as u8, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
            sums::put(&mut head, 2, (20 + tcp.len()) as u16);
            Ipv4Packet::new_unchecked(&mut head[..]).fill_checksum();
            head
        } else {
            let mut head = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
            sums::put(&mut head, 4, tcp.len() as u16);
            for last in [1, 2] {
                head.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
            }
            head
        };
        let kind = if is_v4 { [8, 0] } else { [0x86, 0xdd] };
        ip.extend(tcp);
        let place = sums::place(&ip).unwrap();
        sums::finish(&mut ip, place);
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &kind[..], &ip].concat()
    }

    fn growing(bytes: Vec<u8>) -> Growing {
        let piece = Piece::of(&bytes, true).map(|piece| piece.shape);
        Growing { bytes, is_summed: true, shape: piece, has_grown: false }
    }

    #[test]
    fn frames_that_follow_one_another_are_one() {
        for is_v4 in [true, false] {
            let mut whole = growing(frame(is_v4, 0xffff_fc00, 1400));
            let (mut seq, mut count) = (0xffff_fc00u32.wrapping_add(1400), 1);
            loop {
                let mut next = frame(is_v4, seq, 1400);
                let at = if is_v4 { 34 } else { 54 };
                if count == 5 {
                    next[at + FLAGS] |= PSH;
                    let place = sums::place(&next[14..]).unwrap();
                    sums::put(&mut next[14..], place.field, 0);
                    sums::finish(&mut next[14..], place);
                }
                let piece = Piece::of(&next, false).unwrap();
                if !whole.is_followed_by(&piece) {
                    break;
                }
                assert_eq!(whole.has_room(&piece), count > 1);
                whole.join(&piece).unwrap();
                (seq, count) = (seq.wrapping_add(1400), count + 1);
            }
            assert_eq!(count, (LONGEST - if is_v4 { 58 } else { 78 }) / 1400);
            let whole = whole.done();
            let ip = &whole.bytes[14..];
            let tcp = if is_v4 {
                let ip = Ipv4Packet::new_checked(ip).unwrap();
                assert!(ip.verify_checksum() && usize::from(ip.total_len()) == whole.bytes.len() - 14);
                ip.into_inner().get(20..).unwrap()
            } else {
                let ip = Ipv6Packet::new_checked(ip).unwrap();
                assert_eq!(usize::from(ip.payload_len()), whole.bytes.len() - 54);
                ip.into_inner().get(40..).unwrap()
            };
            let tcp = TcpPacket::new_checked(tcp).unwrap();
            assert!(tcp.psh() && tcp.seq_number().0 == 0xffff_fc00u32 as i32);
            assert_eq!(tcp.payload().len(), count * 1400);
            // 0xfc00 is 0 in one byte.
            assert!(tcp.payload().iter().enumerate().all(|(n, b)| *b == n as u8));
        }
    }

    #[test]
    fn what_differs_in_anything_else_stays_alone() {
        for is_v4 in [true, false] {
            let first = growing(frame(is_v4, 1000, 100));
            let next = frame(is_v4, 1100, 50);
            assert!(first.is_followed_by(&Piece::of(&next, true).unwrap()));
            let tcp = if is_v4 { 34 } else { 54 };
            // What may differ: the length, the packet's number, the sums, whether it is pushed, and the data.
            let may_v4 = [16, 17, 18, 19, 24, 25];
            let may_v6 = [18, 19];
            let may = if is_v4 { &may_v4[..] } else { &may_v6 };
            for at in 0..tcp + 24 {
                for bit in 0..8 {
                    let mut other = next.clone();
                    other[at] ^= 1 << bit;
                    let is_free = may.contains(&at) || at == tcp + 16 || at == tcp + 17;
                    let is_push = (at, 1 << bit) == (tcp + FLAGS, PSH);
                    let joins = Piece::of(&other, true).is_some_and(|piece| first.is_followed_by(&piece));
                    assert!(!joins || is_free || is_push, "{at} {bit}");
                }
            }
            // Neither does what was not summed up, has come twice, or leaves something out.
            let unknown = Growing::new(first.bytes.clone(), false, None);
            assert!(!unknown.is_followed_by(&Piece::of(&next, true).unwrap()));
            for seq in [1000, 1099, 1101] {
                let other = frame(is_v4, seq, 50);
                assert!(!first.is_followed_by(&Piece::of(&other, true).unwrap()), "{seq}");
            }
            // What was sent is not what the header says: what is joined would have a right sum over it.
            let mut wrong = next.clone();
            wrong[24] ^= 1;
            assert_eq!(Piece::of(&wrong, true).is_none(), is_v4);
            let mut broken = next.clone();
            *broken.last_mut().unwrap() ^= 1;
            assert!(Piece::of(&broken, false).is_none() && Piece::of(&next, false).is_some());
            // What is filled up, cut off, or has no data.
            assert!(Piece::of(&[&next[..], &[0; 4]].concat(), true).is_none());
            assert!(!first.is_followed_by(&Piece::of(&frame(is_v4, 1100, 0), true).unwrap()));
            assert!((0..next.len()).all(|len| Piece::of(&next[..len], true).is_none()));
        }
    }

    #[test]
    fn of_acknowledgements_the_last_one_says_it_all() {
        for is_v4 in [true, false] {
            let tcp = if is_v4 { 34 } else { 54 };
            let said = |ack: u32| {
                let mut frame = frame(is_v4, 1000, 0);
                frame[tcp + 8..tcp + 12].copy_from_slice(&ack.to_be_bytes());
                frame
            };
            let first = || growing(said(0xffff_ff00));
            let supersedes =
                |frame: &[u8]| Piece::of(frame, true).is_some_and(|piece| first().is_superseded_by(&piece));
            // Not one that says the same again, which is told of, nor an older one.
            for (more, is_more) in [(0, false), (1, true), (300, true), (1 << 30, true), (u32::MAX, false)] {
                assert_eq!(supersedes(&said(0xffff_ff00u32.wrapping_add(more))), is_more, "{more}");
            }
            // Only what it says, how much room there is, and the packet's number and sums may be others.
            let may_v4 = [18, 19, 24, 25];
            let may = if is_v4 { &may_v4[..] } else { &[] };
            for at in 0..tcp + 20 {
                for bit in 0..8 {
                    let mut other = said(0);
                    other[at] ^= 1 << bit;
                    let is_free =
                        may.contains(&at) || [8, 9, 10, 11, 14, 15, 16, 17].contains(&at.wrapping_sub(tcp));
                    assert!(is_free || !supersedes(&other), "{at} {bit}");
                }
            }
            let mut windows = said(5);
            windows[tcp + 14] = 9;
            assert!(supersedes(&windows));
            // What has data is no such thing, and neither is what goes on behind one.
            assert!(!supersedes(&frame(is_v4, 1000, 1)));
            let data = growing(frame(is_v4, 1000, 1));
            assert!(!data.is_superseded_by(&Piece::of(&said(5), true).unwrap()));
            let mut last = first();
            last.supersede(&Piece::of(&windows, true).unwrap());
            assert!(last.done().bytes == windows);
        }
    }
}
