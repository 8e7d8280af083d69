//! Cutting a long segment of TCP into packets, where the card does not do it.

use crate::sums;

/// Where the flags of TCP are, behind the beginning of its header, and those that only the last packet has.
const FLAGS: usize = 13;
const LAST_ONLY: u8 = 0x09;
/// Bytes of the longest headers of IP and TCP here.
const LONGEST: usize = 128;

/// Bytes of the headers of IP and TCP, the latter's beginning at `start`.
pub(crate) fn headers(packet: &[u8], start: usize) -> Option<usize> {
    let tcp = usize::from(packet.get(start + 12)? >> 4) * 4;
    (tcp >= 20 && start + tcp <= packet.len().min(LONGEST)).then_some(start + tcp)
}

/// In a packet that begins a connection, says that no more may come in a segment than fits into packets of `mtu` bytes.
pub(crate) fn lower_mss(packet: &mut [u8], start: usize, mtu: usize) {
    let is_syn = packet.get(start + FLAGS).is_some_and(|flags| flags & 2 != 0);
    let Some(end) = headers(packet, start).filter(|_| is_syn) else { return };
    let most = u16::try_from(mtu.saturating_sub(start + 20)).unwrap_or(u16::MAX);
    let mut at = start + 20;
    while let Some([kind, len]) = packet.get(at..end).and_then(|rest| rest.first_chunk()).copied() {
        match (kind, len) {
            (0, _) => return,
            (1, _) => at += 1,
            (2, 4) => {
                if let Some(place) = packet.get_mut(at + 2..).and_then(|rest| rest.first_chunk_mut()) {
                    *place = u16::from_be_bytes(*place).min(most).to_be_bytes();
                }
                return;
            }
            (_, 2..) => at += usize::from(len),
            _ => return,
        }
    }
}

/// Gives each packet of a segment: its head, and its part of the `data`, of which each has `most` bytes. Whether all
/// have gone.
pub(crate) fn each(
    head: &[u8],
    start: usize,
    data: &[u8],
    most: usize,
    mut give: impl FnMut(&[u8], &[u8]) -> bool,
) -> bool {
    let mut bytes = [0; LONGEST];
    let Some(own) = bytes.get_mut(..head.len()) else { return false };
    let word = |at: usize| head.get(at..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_be_bytes(*b));
    let (Some(first), Some(flags)) = (word(start + 4), head.get(start + FLAGS)) else { return false };
    let is_v4 = head.first().is_some_and(|b| b >> 4 == 4);
    let mut seq = first;
    let mut all = true;
    let mut rest = data;
    while !rest.is_empty() && most != 0 {
        let (now, later) = rest.split_at(rest.len().min(most));
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
        if let Some(place) = own.get_mut(start + FLAGS).filter(|_| !later.is_empty()) {
            *place = flags & !LAST_ONLY;
        }
        sums::put(own, start + 16, 0);
        let sum = sums::of_pieces(own, start, now);
        sums::put(own, start + 16, sum);
        all &= give(own, now);
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
            let at = headers(&whole, start).unwrap();
            let (mut seq, mut data, mut flags) = (1000, Vec::new(), Vec::new());
            let all = each(&whole[..at], start, &whole[at..], 1460, |head, payload| {
                let one = [head, payload].concat();
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
                data.extend_from_slice(payload);
                true
            });
            assert!(all && data == whole[at..]);
            let mut wanted = std::vec![(false, false, true); count];
            wanted[count - 1] = (true, true, true);
            assert_eq!(flags, wanted);
        }
    }

    #[test]
    fn a_call_says_what_fits() {
        let (mut call, start) = packet(true, 0);
        call[start + 12] = 0x70;
        call[start + 13] = 2;
        call.extend([1, 2, 4, 0xff, 0xd7, 3, 3, 7]);
        let whole = call.clone();
        lower_mss(&mut call, start, 1500);
        assert_eq!(call[start + 20..], [1, 2, 4, 0x05, 0xb4, 3, 3, 7]);
        lower_mss(&mut call, start, 9000);
        assert_eq!(call[start + 20..], [1, 2, 4, 0x05, 0xb4, 3, 3, 7]);
        // What is no call stays as it is, and so do options that cannot be.
        for (at, value) in [(start + 13, 16), (start + 21, 4), (start + 20, 0), (start + 12, 0x20)] {
            let mut other = whole.clone();
            other[at] = value;
            let before = other.clone();
            lower_mss(&mut other, start, 1500);
            assert_eq!(other, before, "{at}");
        }
    }

    #[test]
    fn headers_that_cannot_be_are_none() {
        let (mut whole, start) = packet(true, 1);
        whole[start + 12] = 0x40;
        assert_eq!(headers(&whole, start), None);
        whole[start + 12] = 0xf0;
        assert_eq!(headers(&whole, start), None);
        assert_eq!(headers(&whole[..start], start), None);
    }
}
