//! Cutting a long segment of TCP into packets, where the card does not do it.

use crate::sums;
use crate::talk::unsent::Slices;

/// Where the flags of TCP are, behind the beginning of its header, and those that only the last packet has.
const FLAGS: usize = 13;
const LAST_ONLY: u8 = 0x09;
/// Bytes of the longest headers of IP and TCP here.
const LONGEST: usize = 128;

/// Gives each packet of a segment: its head, and its part of the `data`, of which each has `most` bytes. Whether all
/// have gone.
pub(crate) fn each(
    head: &[u8],
    start: usize,
    data: &Slices<'_>,
    most: usize,
    mut give: impl FnMut(&[u8], &Slices<'_>) -> bool,
) -> bool {
    let mut bytes = [0; LONGEST];
    let Some(own) = bytes.get_mut(..head.len()) else { return false };
    let word = |at: usize| head.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_be_bytes(*b));
    let (Some(first), Some(flags)) = (word(start + 4), head.get(start + FLAGS)) else { return false };
    let is_v4 = head.first().is_some_and(|b| b >> 4 == 4);
    let mut seq = first;
    let mut all = true;
    let mut rest = *data;
    while rest.len() != 0 && most != 0 {
        let (now, later) = rest.split(rest.len().min(most));
        own.copy_from_slice(head);
        if is_v4 {
            sums::put(own, 2, (head.len() + now.len()) as u16);
            sums::put(own, 10, 0);
            let sum = sums::of_header(own.get(..start).unwrap_or(&[]));
            sums::put(own, 10, sum);
        } else {
            sums::put(own, 4, (head.len() - 40 + now.len()) as u16);
        }
        if let Some(place) = own.get_mut(start + 4..).and_then(|rest| rest.first_chunk_mut()) {
            *place = seq.to_be_bytes();
        }
        if let Some(place) = own.get_mut(start + FLAGS).filter(|_| later.len() != 0) {
            *place = flags & !LAST_ONLY;
        }
        sums::put(own, start + 16, 0);
        let sum = sums::of_pieces(own, start, now.pieces());
        sums::put(own, start + 16, sum);
        all &= give(own, &now);
        seq = seq.wrapping_add(now.len() as u32);
        rest = later;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket};
    use std::vec::Vec;

    /// From 10.0.0.1 to 10.0.0.2, or fd00::1 to fd00::2, number 1000, PSH, FIN and ACK.
    fn packet(is_v4: bool, len: usize) -> (Vec<u8>, usize) {
        let mut packet = if is_v4 {
            std::vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
        } else {
            let mut head = std::vec![0x60, 0, 0, 0, 0, 0, 6, 64];
            for last in [1, 2] {
                head.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
            }
            head
        };
        let start = packet.len();
        packet.extend([0, 80, 0, 81, 0, 0, 3, 0xe8, 0, 0, 0, 9, 0x50, 0x19, 1, 0, 0, 0, 0, 0]);
        packet.extend((0..len).map(|n| n as u8));
        (packet, start)
    }

    #[test]
    fn each_packet_is_whole_and_follows_the_one_before() {
        for (is_v4, len, count) in [(true, 3001, 3), (false, 2920, 2), (true, 1460, 1)] {
            let (whole, start) = packet(is_v4, len);
            let at = start + 20;
            let (mut seq, mut data, mut flags) = (1000, Vec::new(), Vec::new());
            // In two pieces, of which one is odd.
            let (first, second) = whole[at..].split_at((len / 2) | 1);
            let both = Slices::of(&[first, second]);
            let all = each(&whole[..at], start, &both, 1460, |head, payload| {
                let payload = payload.pieces().concat();
                let one = [head, &payload].concat();
                assert!(sums::is_right(&one) && sums::place(&one).is_some());
                if is_v4 {
                    assert!(Ipv4Packet::new_checked(&one).unwrap().verify_checksum());
                } else {
                    Ipv6Packet::new_checked(&one).unwrap();
                }
                let tcp = TcpPacket::new_checked(&one[start..]).unwrap();
                assert_eq!(tcp.seq_number().0, seq);
                flags.push((tcp.psh(), tcp.fin(), tcp.ack()));
                seq += payload.len() as i32;
                data.extend_from_slice(&payload);
                true
            });
            assert!(all && data == whole[at..]);
            let mut wanted = std::vec![(false, false, true); count];
            wanted[count - 1] = (true, true, true);
            assert_eq!(flags, wanted);
        }
    }
}
