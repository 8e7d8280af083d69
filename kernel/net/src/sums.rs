//! The checksums of TCP and UDP, which smoltcp is told not to make: a card may make them, and where it does not they
//! are made here, eight bytes at a time.

/// Where a packet has its TCP or UDP, and the checksum of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the header of TCP or UDP begins.
    pub(crate) start: usize,
    /// Where the field is.
    pub(crate) field: usize,
    /// Where the packet ends; what is behind fills up a frame.
    pub(crate) end: usize,
    protocol: u8,
}

impl Place {
    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol == TCP
    }
}

/// Where a header of TCP has its checksum.
pub(crate) const TCP_FIELD: usize = 16;

const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

/// Where a whole packet of IP has TCP or UDP; none where it has something else, or only a part.
pub(crate) fn place(packet: &[u8]) -> Option<Place> {
    let (start, end, protocol) = match packet.first()? >> 4 {
        4 => {
            let is_part = word(packet, 6)? & 0x3fff != 0;
            let start = usize::from(packet.first()? & 15) * 4;
            if is_part || start < 20 {
                return None;
            }
            (start, word(packet, 2)?, *packet.get(9)?)
        }
        6 => {
            let end = 40 + word(packet, 4)?;
            match *packet.get(6)? {
                // The one header between that smoltcp takes.
                HOP_BY_HOP => (48 + usize::from(*packet.get(41)?) * 8, end, *packet.get(40)?),
                protocol => (40, end, protocol),
            }
        }
        _ => return None,
    };
    let (field, least, end) = match protocol {
        TCP => (start + TCP_FIELD, 20, end),
        // It says itself how long it is, which may be less.
        UDP => (start + 6, 8, end.min(start + word(packet, start + 4)?)),
        _ => return None,
    };
    (start + least <= end && end <= packet.len()).then_some(Place { start, field, end, protocol })
}

/// The sum of bytes as words of sixteen bits, folded.
fn sum(bytes: &[u8]) -> u16 {
    let (blocks, rest) = bytes.as_chunks::<64>();
    let (words, rest) = rest.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    // In whatever order the bytes are: the sum comes out in the same. So wide that nothing is carried out of it.
    let add = |sum: u128, word: &[u8; 8]| sum + u128::from(u64::from_ne_bytes(*word));
    let eight = |sum: u128, block: &[u8; 64]| block.as_chunks::<8>().0.iter().fold(sum, add);
    let all = words.iter().fold(blocks.iter().fold(add(0, &last), eight), add);
    let (low, high) = (all as u64, (all >> 64) as u64);
    u16::from_be(fold((low >> 32) + (low & 0xffff_ffff) + high))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of what stands for the addresses, the protocol, and `len` bytes.
fn pseudo(packet: &[u8], protocol: u8, len: usize) -> u16 {
    let addrs = match packet.first().map(|b| b >> 4) {
        Some(4) => packet.get(12..20),
        _ => packet.get(8..40),
    };
    fold(u64::from(sum(addrs.unwrap_or(&[]))) + u64::from(protocol) + len as u64)
}

/// Whether the checksum of a packet is right, as far as it has one that is looked at here.
pub(crate) fn is_right(packet: &[u8]) -> bool {
    let Some(place) = place(packet) else { return true };
    let is_v4 = packet.first().is_some_and(|b| b >> 4 == 4);
    if place.protocol == UDP && word(packet, place.field) == Some(0) {
        // Where the packet itself has a sum none is needed.
        return is_v4;
    }
    let Some(data) = packet.get(place.start..place.end) else { return false };
    let all = u64::from(pseudo(packet, place.protocol, data.len())) + u64::from(sum(data));
    fold(all) == 0xffff
}

/// Whether the checksum of IPv4's header is right; what is no packet of IPv4 has none. Of one that is cut off others
/// say that it is nothing.
pub(crate) fn is_right_header(packet: &[u8]) -> bool {
    match packet.first() {
        Some(first) if first >> 4 == 4 => {
            packet.get(..usize::from(first & 15) * 4).is_none_or(|header| sum(header) == 0xffff)
        }
        _ => true,
    }
}

/// Whether the checksum of a whole packet of TCP is right, whose header begins at `start` and which has nothing behind
/// it.
pub(crate) fn is_right_tcp(packet: &[u8], start: usize) -> bool {
    let data = packet.get(start..).unwrap_or(&[]);
    fold(u64::from(pseudo(packet, TCP, data.len())) + u64::from(sum(data))) == 0xffff
}

/// Writes what a card wants where the checksum will be: the sum of what is not in the packet.
pub(crate) fn begin(packet: &mut [u8], place: Place) {
    let seed = pseudo(packet, place.protocol, place.end - place.start);
    put(packet, place.field, seed);
}

/// Writes the checksum.
pub(crate) fn finish(packet: &mut [u8], place: Place) {
    put(packet, place.field, 0);
    let data = sum(packet.get(place.start..place.end).unwrap_or(&[]));
    put(packet, place.field, whole(packet, place.protocol, place.end - place.start, data));
}

/// The checksum of TCP whose header is the end of `head`, a whole header of IP and TCP, and whose data are elsewhere,
/// in pieces.
pub(crate) fn of_pieces(head: &[u8], start: usize, data: &[&[u8]]) -> u16 {
    let tcp = head.get(start..).unwrap_or(&[]);
    let (mut all, mut len) = (u64::from(sum(tcp)), tcp.len());
    for piece in data {
        let piece_sum = sum(piece);
        // Behind an odd number of bytes the words lie across.
        all += u64::from(if len % 2 == 0 { piece_sum } else { piece_sum.swap_bytes() });
        len += piece.len();
    }
    whole(head, TCP, len, fold(all))
}

/// The sum of what is not in such a packet, of so many bytes behind its header of IP, as a card wants it.
pub(crate) fn seed(head: &[u8], len: usize) -> u16 {
    pseudo(head, TCP, len)
}

/// The checksum of IPv4's header, whose field is 0.
pub(crate) fn of_header(header: &[u8]) -> u16 {
    !sum(header)
}

fn whole(packet: &[u8], protocol: u8, len: usize, data: u16) -> u16 {
    match !fold(u64::from(pseudo(packet, protocol, len)) + u64::from(data)) {
        // 0 says that there is none, to UDP; both are the same sum.
        0 => 0xffff,
        sum => sum,
    }
}

pub(crate) fn put(packet: &mut [u8], at: usize, value: u16) {
    if let Some(place) = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{Ipv4Address, Ipv6Address, TcpPacket, UdpPacket};
    use std::vec::Vec;

    const A: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
    const B: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
    const C: Ipv6Address = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    const D: Ipv6Address = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

    fn v4(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let [high, low] = (20 + rest.len() as u16).to_be_bytes();
        let head = [0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
        [&head[..], &A.octets(), &B.octets(), rest].concat()
    }

    fn v6(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let [high, low] = (rest.len() as u16).to_be_bytes();
        [&[0x60, 0, 0, 0, high, low, protocol, 64], &C.octets()[..], &D.octets(), rest].concat()
    }

    fn tcp(len: usize) -> Vec<u8> {
        let mut rest: Vec<u8> = (0..20 + len).map(|n| (n * 7 + 3) as u8).collect();
        rest[12] = 0x50;
        rest
    }

    /// Smoltcp's own sums are those that others make.
    #[test]
    fn sums_are_those_of_smoltcp() {
        for len in [0, 1, 2, 7, 8, 9, 43, 44, 45, 100, 1459, 1460] {
            let (mut four, mut six) = (v4(TCP, &tcp(len)), v6(TCP, &tcp(len)));
            for packet in [&mut four, &mut six] {
                let at = place(packet).unwrap();
                assert!(!is_right(packet) && !is_right_tcp(packet, at.start), "{len}");
                finish(packet, at);
                assert!(is_right(packet) && is_right_tcp(packet, at.start), "{len}");
                let (head, data) = packet.split_at(at.start + 20);
                let mut head = head.to_vec();
                let made = word(&head, at.field).unwrap();
                put(&mut head, at.field, 0);
                assert_eq!(
                    usize::from(of_pieces(&head, at.start, &[&data[..len / 3], &data[len / 3..]])),
                    made
                );
                // What fills up a frame is not summed.
                packet.extend([1, 2, 3]);
                assert!(is_right(packet), "{len}");
                packet.truncate(packet.len() - 3);
            }
            let packet = TcpPacket::new_unchecked(&four[20..]);
            assert!(packet.verify_checksum(&A.into(), &B.into()), "{len}");
            let packet = TcpPacket::new_unchecked(&six[40..]);
            assert!(packet.verify_checksum(&C.into(), &D.into()), "{len}");
        }
    }

    #[test]
    fn what_a_card_finishes_is_the_same() {
        let mut ours = v4(TCP, &tcp(33));
        let at = place(&ours).unwrap();
        let mut cards = ours.clone();
        finish(&mut ours, at);
        begin(&mut cards, at);
        let sum = !sum(&cards[at.start..]);
        put(&mut cards, at.field, sum);
        assert_eq!(ours, cards);
    }

    #[test]
    fn datagrams_may_have_none_by_ipv4_only() {
        let datagram = [0, 9, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
        assert!(is_right(&v4(UDP, &datagram)));
        assert!(!is_right(&v6(UDP, &datagram)));
        let mut good = v6(UDP, &datagram);
        UdpPacket::new_unchecked(&mut good[40..]).fill_checksum(&C.into(), &D.into());
        assert!(is_right(&good));
        // Behind a header for routers as well.
        let rest = [&[UDP, 0, 1, 4, 0, 0, 0, 0], &good[40..]].concat();
        let mut behind = v6(HOP_BY_HOP, &rest);
        assert!(is_right(&behind));
        *behind.last_mut().unwrap() ^= 1;
        assert!(!is_right(&behind));
    }

    #[test]
    fn what_is_in_parts_or_cut_off_has_no_place() {
        let whole = v4(TCP, &tcp(5));
        for end in 0..whole.len() {
            assert_eq!(place(&whole[..end]), None, "{end}");
        }
        for (at, value) in [(6, 0x20), (7, 1), (0, 0x44), (9, 1)] {
            let mut other = whole.clone();
            other[at] = value;
            assert_eq!(place(&other), None);
        }
    }
}
