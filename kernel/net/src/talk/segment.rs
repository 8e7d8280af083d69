//! Headers of TCP, and of IP before it: what is written on a packet that has come, and those of packets that go.
//! Functions of bytes.

use core::ops::Range;

use smoltcp::wire::IpAddress;

use super::seq::Seq;
use crate::sums;

/// Flags.
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Bytes of the longest headers that are made.
pub(crate) const LONGEST: usize = 40 + 20 + 40;
/// Stretches that have come apart from the rest, as many as an acknowledgement has room for.
pub(crate) const STRETCHES: usize = 3;
/// The most that a window may be shifted.
const MOST_SHIFT: u8 = 14;

const TCP: u8 = 6;
/// Bytes of TCP's own header.
const HEADER: usize = 20;
/// Kinds of options.
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;
const SCALE: u8 = 3;
const SACK_MAY: u8 = 4;
const SACK: u8 = 5;

/// The beginning and the end of a stretch of a stream.
pub(crate) type Stretch = (Seq, Seq);

/// What is written on a packet that has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) seq: Seq,
    /// What it acknowledges.
    pub(crate) ack: Option<Seq>,
    pub(crate) flags: u8,
    /// As it is written, not shifted yet.
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    /// Stretches that have come apart may be told.
    pub(crate) may_tell: bool,
    pub(crate) told: [Option<Stretch>; STRETCHES + 1],
    /// Where in the packet its data are.
    pub(crate) data: Range<usize>,
}

impl Segment {
    /// Reads a whole packet of IP that has TCP.
    pub(crate) fn read(packet: &[u8]) -> Option<Segment> {
        let place = sums::place(packet).filter(sums::Place::is_tcp)?;
        let tcp = packet.get(place.start..place.end)?;
        let head: &[u8; HEADER] = tcp.first_chunk()?;
        let len = usize::from(head[12] >> 4) * 4;
        let options = tcp.get(HEADER..len)?;
        let flags = head[13];
        let mut segment = Segment {
            seq: Seq(word(head, 4)),
            ack: (flags & ACK != 0).then(|| Seq(word(head, 8))),
            flags,
            window: u16::from_be_bytes([head[14], head[15]]),
            data: place.start + len..place.end,
            ..Segment::default()
        };
        segment.read_options(options);
        Some(segment)
    }

    /// What is broken ends them; what is not known is passed over.
    fn read_options(&mut self, options: &[u8]) {
        let mut rest = options;
        while let Some((kind, behind)) = rest.split_first() {
            let len = match (*kind, behind.first()) {
                (END, _) | (_, None) => return,
                (NOTHING, _) => 1,
                (_, Some(len)) => usize::from(*len),
            };
            let Some((option, later)) = rest.split_at_checked(len).filter(|_| len != 0) else { return };
            match (*kind, option.get(2..).unwrap_or(&[])) {
                // That nothing fits is as if it were not said.
                (MSS, [high, low]) => self.mss = Some(u16::from_be_bytes([*high, *low])).filter(|n| *n != 0),
                (SCALE, [shift]) => self.scale = Some((*shift).min(MOST_SHIFT)),
                (SACK_MAY, []) => self.may_tell = true,
                (SACK, blocks) => {
                    let (blocks, _) = blocks.as_chunks::<8>();
                    self.told.iter_mut().zip(blocks).for_each(|(to, block)| {
                        *to = Some((Seq(word(block, 0)), Seq(word(block, 4))));
                    });
                }
                _ => {}
            }
            rest = later;
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// How many numbers it takes.
    pub(crate) fn len(&self) -> usize {
        self.data.len() + usize::from(self.has(SYN)) + usize::from(self.has(FIN))
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b))
}

/// Both ends of a connection, and how many routers a packet may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) here: (IpAddress, u16),
    pub(crate) there: (IpAddress, u16),
    pub(crate) hops: u8,
    /// The kind of service.
    pub(crate) service: u8,
}

/// What is to be written on a packet that goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said {
    pub(crate) seq: Seq,
    pub(crate) ack: Option<Seq>,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) may_tell: bool,
    pub(crate) told: [Option<Stretch>; STRETCHES],
}

/// Headers of IP and TCP; the checksum of TCP is not made.
pub(crate) struct Head {
    bytes: [u8; LONGEST],
    len: usize,
    /// Where TCP begins.
    pub(crate) start: usize,
}

impl Head {
    /// Those before `data` bytes.
    pub(crate) fn new(ends: &Ends, said: &Said, data: usize) -> Head {
        let mut head = Head { bytes: [0; LONGEST], len: 0, start: 0 };
        head.put_ip(ends);
        head.start = head.len;
        head.put(&ends.here.1.to_be_bytes());
        head.put(&ends.there.1.to_be_bytes());
        head.put(&said.seq.0.to_be_bytes());
        head.put(&said.ack.map_or(0, |ack| ack.0).to_be_bytes());
        let flags = said.flags | if said.ack.is_some() { ACK } else { 0 };
        head.put(&[0, flags]);
        head.put(&said.window.to_be_bytes());
        head.put(&[0; 4]);
        head.put_options(said);
        let words = (head.len - head.start) / 4;
        head.set(head.start + 12, (words as u8) << 4);
        let whole = (head.len + data) as u16;
        if head.start == 20 {
            sums::put(&mut head.bytes, 2, whole);
            let sum = sums::of_header(head.bytes.get(..20).unwrap_or(&[]));
            sums::put(&mut head.bytes, 10, sum);
        } else {
            sums::put(&mut head.bytes, 4, whole - 40);
        }
        head
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn set(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.bytes.get_mut(at) {
            *place = byte;
        }
    }

    fn put_ip(&mut self, ends: &Ends) {
        match (ends.here.0, ends.there.0) {
            (IpAddress::Ipv4(here), IpAddress::Ipv4(there)) => {
                // It is not to be cut on its way.
                self.put(&[0x45, ends.service, 0, 0, 0, 0, 0x40, 0, ends.hops, TCP, 0, 0]);
                self.put(&here.octets());
                self.put(&there.octets());
            }
            (here, there) => {
                self.put(&[0x60 | ends.service >> 4, ends.service << 4, 0, 0, 0, 0, TCP, ends.hops]);
                for addr in [here, there] {
                    match addr {
                        IpAddress::Ipv4(addr) => self.put(&addr.to_ipv6_mapped().octets()),
                        IpAddress::Ipv6(addr) => self.put(&addr.octets()),
                    }
                }
            }
        }
    }

    fn put_options(&mut self, said: &Said) {
        if let Some(mss) = said.mss {
            let [high, low] = mss.to_be_bytes();
            self.put(&[MSS, 4, high, low]);
        }
        if said.may_tell {
            self.put(&[NOTHING, NOTHING, SACK_MAY, 2]);
        }
        if let Some(scale) = said.scale {
            self.put(&[NOTHING, SCALE, 3, scale]);
        }
        let count = said.told.iter().flatten().count();
        if count != 0 {
            self.put(&[NOTHING, NOTHING, SACK, (2 + 8 * count) as u8]);
            for (from, to) in said.told.iter().flatten() {
                self.put(&from.0.to_be_bytes());
                self.put(&to.0.to_be_bytes());
            }
        }
    }

    /// Bytes of TCP's options.
    pub(crate) fn options(&self) -> usize {
        self.len - self.start - HEADER
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or(&mut [])
    }
}

/// What is answered to a packet that belongs to no connection, or to none that is so far; nothing to a reset.
pub(crate) fn refusal(segment: &Segment) -> Option<Said> {
    if segment.has(RST) {
        return None;
    }
    Some(match segment.ack {
        Some(ack) => Said { seq: ack, flags: RST, ..Said::default() },
        None => Said { ack: Some(segment.seq.plus(segment.len())), flags: RST, ..Said::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{Ipv4Address, Ipv6Address, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
    use std::vec::Vec;

    fn ends(is_v4: bool) -> Ends {
        let of = |n: u8| match is_v4 {
            true => IpAddress::from(Ipv4Address::new(10, 0, 0, n)),
            false => IpAddress::from(Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n))),
        };
        Ends { here: (of(1), 80), there: (of(2), 5000), hops: 64, service: 0 }
    }

    fn packet(ends: &Ends, said: &Said, data: &[u8]) -> Vec<u8> {
        let mut packet = [Head::new(ends, said, data.len()).bytes(), data].concat();
        let place = sums::place(&packet).unwrap();
        sums::finish(&mut packet, place);
        packet
    }

    /// Smoltcp reads what is written, and reads it as it is read here.
    #[test]
    fn others_read_what_is_written() {
        let call = Said {
            seq: Seq(7),
            flags: SYN,
            window: 900,
            mss: Some(1460),
            scale: Some(7),
            may_tell: true,
            ..Said::default()
        };
        let told = [Some((Seq(1), Seq(2))), Some((Seq(9), Seq(12))), None];
        let answer =
            Said { seq: Seq(7), ack: Some(Seq(3)), flags: PSH, window: 900, told, ..Said::default() };
        for is_v4 in [true, false] {
            for (said, data) in [(call, &b""[..]), (answer, b"hello")] {
                let ends = ends(is_v4);
                let bytes = packet(&ends, &said, data);
                assert!(sums::is_right(&bytes));
                let start = if is_v4 { 20 } else { 40 };
                let tcp = TcpPacket::new_checked(&bytes[start..]).unwrap();
                let sums = ChecksumCapabilities::default();
                let repr = TcpRepr::parse(&tcp, &ends.here.0, &ends.there.0, &sums).unwrap();
                assert_eq!((repr.src_port, repr.dst_port, repr.window_len), (80, 5000, 900));
                assert_eq!(repr.seq_number, TcpSeqNumber(7));
                assert_eq!((repr.max_seg_size, repr.window_scale), (said.mss, said.scale));
                assert_eq!((repr.sack_permitted, repr.payload), (said.may_tell, data));
                let control = if said.ack.is_none() { TcpControl::Syn } else { TcpControl::Psh };
                assert_eq!(repr.control, control);
                if said.ack.is_some() {
                    assert_eq!(repr.sack_ranges, [Some((1, 2)), Some((9, 12)), None]);
                }
                let read = Segment::read(&bytes).unwrap();
                assert_eq!((read.seq, read.ack, read.window), (said.seq, said.ack, 900));
                assert_eq!((read.mss, read.scale, read.may_tell), (said.mss, said.scale, said.may_tell));
                assert_eq!(read.told[..3], said.told);
                assert_eq!(&bytes[read.data.clone()], data);
                assert_eq!(read.len(), data.len() + usize::from(said.ack.is_none()));
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_broken_is_none_or_says_less() {
        let said = Said { flags: SYN, mss: Some(1460), scale: Some(99), may_tell: true, ..Said::default() };
        let whole = packet(&ends(true), &said, b"x");
        assert_eq!(Segment::read(&whole).unwrap().scale, Some(14));
        assert!((0..whole.len()).all(|end| Segment::read(&whole[..end]).is_none()));
        // A header that is shorter than one, or longer than the packet.
        for words in [0x40, 0xf0] {
            let mut other = whole.clone();
            other[32] = words;
            assert_eq!(Segment::read(&other), None);
        }
        // An option of no length, one that is longer than the rest, one that says that nothing fits.
        for (at, byte, mss) in [(41, 0, None), (41, 99, None), (42, 0, Some(180)), (40, 0, None)] {
            let mut other = whole.clone();
            other[at] = byte;
            let read = Segment::read(&other).unwrap();
            assert_eq!((read.mss, read.data.len()), (mss, 1), "{at}");
        }
        let mut other = whole.clone();
        (other[42], other[43]) = (0, 0);
        assert_eq!(Segment::read(&other).unwrap().mss, None);
    }

    #[test]
    fn who_is_nobody_is_told_so_by_what_was_said() {
        let read = |said: &Said, data: &[u8]| Segment::read(&packet(&ends(true), said, data)).unwrap();
        let call = read(&Said { seq: Seq(9), flags: SYN, ..Said::default() }, b"");
        let refused = refusal(&call).unwrap();
        assert_eq!((refused.seq, refused.ack, refused.flags), (Seq(0), Some(Seq(10)), RST));
        let more = read(&Said { seq: Seq(9), ack: Some(Seq(5)), ..Said::default() }, b"data");
        let refused = refusal(&more).unwrap();
        assert_eq!((refused.seq, refused.ack, refused.flags), (Seq(5), None, RST));
        assert!(refusal(&read(&Said { flags: RST, ..Said::default() }, b"")).is_none());
    }
}
