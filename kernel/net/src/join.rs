//! Joining what has come by TCP: of frames that go on with one another's bytes one long one is made before the stack
//! sees them, as some cards do. What is done for a packet costs the stack more than what is done for its bytes.
//!
//! Only what is nothing but data is joined, between the same two ends, with the same headers but for what follows from
//! the bytes: all that the stack would learn of the frames one by one it learns of the long one. Each has been summed
//! up before. There is nothing to lock here.

use machine::{OutOfMemory, heap};

use crate::link::{Came, IPV4, IPV6};
use crate::sums;
use crate::wire::ETHERNET;

/// Bytes of the longest frame that is made.
const LONGEST: usize = 65535;
/// Bytes that are made room for when the first two are joined: those of a batch of a card.
const ROOM: usize = 24 << 10;
/// Where a header of TCP has its length and flags, and some of those.
const LENGTH: usize = 12;
const FLAGS: usize = 13;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const TCP: u8 = 6;

/// A frame of TCP that is nothing but data.
pub struct Piece<'a> {
    frame: &'a [u8],
    /// Where TCP begins, and where the data do.
    start: usize,
    data: usize,
}

impl<'a> Piece<'a> {
    /// That of a frame, if it is one and its sum, where that is not known to be right, is.
    pub fn of(frame: &'a [u8], is_summed: bool) -> Option<Piece<'a>> {
        Piece::shaped(frame).filter(|piece| is_summed || sums::is_right(piece.ip()))
    }

    fn shaped(frame: &'a [u8]) -> Option<Piece<'a>> {
        let word = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
        let ip = frame.get(ETHERNET..)?;
        let (start, len) = match (word(ETHERNET - 2)?, *ip.first()?) {
            // Whole, and without options.
            (IPV4, 0x45) if word(ETHERNET + 6)? & 0x3fff == 0 && *ip.get(9)? == TCP => {
                (ETHERNET + 20, usize::from(word(ETHERNET + 2)?))
            }
            (IPV6, 0x60..=0x6f) if *ip.get(6)? == TCP => {
                (ETHERNET + 40, 40 + usize::from(word(ETHERNET + 4)?))
            }
            _ => return None,
        };
        let data = start + usize::from(*frame.get(start + LENGTH)? >> 4) * 4;
        let is_data = *frame.get(start + FLAGS)? & !PSH == ACK;
        let is_whole = ETHERNET + len == frame.len() && (start + 20..frame.len()).contains(&data);
        (is_data && is_whole).then_some(Piece { frame, start, data })
    }

    fn ip(&self) -> &'a [u8] {
        self.frame.get(ETHERNET..).unwrap_or(&[])
    }

    fn number(&self) -> u32 {
        let bytes = self.frame.get(self.start + 4..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    fn payload(&self) -> &'a [u8] {
        self.frame.get(self.data..).unwrap_or(&[])
    }

    /// Whether it goes on where `came` ends.
    pub fn follows(&self, came: &Came) -> bool {
        let Some(first) = Piece::shaped(&came.bytes).filter(|_| came.is_summed) else { return false };
        let same = |from: usize, to: usize| self.frame.get(from..to) == first.frame.get(from..to);
        let same_ip = match self.start - ETHERNET {
            // Not the length, the number of the packet and the sum.
            20 => {
                same(0, ETHERNET + 2) && same(ETHERNET + 6, ETHERNET + 10) && same(ETHERNET + 12, self.start)
            }
            _ => same(0, ETHERNET + 4) && same(ETHERNET + 6, self.start),
        };
        let at = self.start;
        // Of TCP not its number, whether it is pushed, and the sum.
        let same_tcp = same(at, at + 4)
            && same(at + 8, at + FLAGS)
            && same(at + 14, at + 16)
            && same(at + 18, self.data);
        (self.start, self.data) == (first.start, first.data)
            && same_ip
            && same_tcp
            && first.number().wrapping_add(first.payload().len() as u32) == self.number()
            && came.bytes.len() + self.payload().len() <= LONGEST
    }

    /// Puts it behind a frame that it follows.
    ///
    /// # Errors
    /// No memory; the frame is as it was.
    pub fn join(&self, came: &mut Came) -> Result<(), OutOfMemory> {
        let (bytes, more) = (&mut came.bytes, self.payload());
        if bytes.capacity() < ROOM {
            heap::try_reserve_exact(bytes, ROOM - bytes.len())?;
        }
        heap::try_extend(bytes, more)?;
        self.retell(bytes);
        Ok(())
    }

    /// Has the headers say how long it is now, and that it is pushed if the last one is.
    fn retell(&self, bytes: &mut [u8]) {
        let flags = self.frame.get(self.start + FLAGS).copied().unwrap_or(0);
        if let Some(place) = bytes.get_mut(self.start + FLAGS) {
            *place |= flags & PSH;
        }
        let len = bytes.len() - ETHERNET;
        let Some(ip) = bytes.get_mut(ETHERNET..) else { return };
        if self.start == ETHERNET + 20 {
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

    fn came(bytes: Vec<u8>) -> Came {
        Came { bytes, is_summed: true }
    }

    #[test]
    fn frames_that_follow_one_another_are_one() {
        for is_v4 in [true, false] {
            let mut whole = came(frame(is_v4, 0xffff_fc00, 1400));
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
                if !piece.follows(&whole) {
                    break;
                }
                piece.join(&mut whole).unwrap();
                (seq, count) = (seq.wrapping_add(1400), count + 1);
            }
            assert_eq!(count, (LONGEST - if is_v4 { 58 } else { 78 }) / 1400);
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
            let first = came(frame(is_v4, 1000, 100));
            let next = frame(is_v4, 1100, 50);
            assert!(Piece::of(&next, true).unwrap().follows(&first));
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
                    let joins = Piece::of(&other, true).is_some_and(|piece| piece.follows(&first));
                    assert!(!joins || is_free || is_push, "{at} {bit}");
                }
            }
            // Neither does what was not summed up, has come twice, or leaves something out.
            let unknown = Came { bytes: first.bytes.clone(), is_summed: false };
            assert!(!Piece::of(&next, true).unwrap().follows(&unknown));
            for seq in [1000, 1099, 1101] {
                let other = frame(is_v4, seq, 50);
                assert!(!Piece::of(&other, true).unwrap().follows(&first), "{seq}");
            }
            let mut broken = next.clone();
            *broken.last_mut().unwrap() ^= 1;
            assert!(Piece::of(&broken, false).is_none() && Piece::of(&next, false).is_some());
            // What is filled up, cut off, or has no data.
            assert!(Piece::of(&[&next[..], &[0; 4]].concat(), true).is_none());
            assert!(Piece::of(&frame(is_v4, 1100, 0), true).is_none());
            assert!((0..next.len()).all(|len| Piece::of(&next[..len], true).is_none()));
        }
    }
}
