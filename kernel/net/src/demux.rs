//! Whose a packet is: its protocol, addresses and ports, read without believing anything else of it. What cannot be
//! read here goes to smoltcp with no conversation, which drops it or answers that there is nobody.

use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, UdpPacket};

use crate::table::Proto;
use crate::wire::ETHERNET;

/// What is written on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) proto: Proto,
    pub(crate) from: IpAddress,
    pub(crate) to: IpAddress,
    /// For an echo of ICMP none; its number is the other port.
    pub(crate) from_port: u16,
    pub(crate) to_port: u16,
    /// The first packet of a connection.
    pub(crate) is_call: bool,
}

/// What a packet is to the stack.
pub(crate) enum Kind<'a> {
    /// A packet of IP with such a label, without a header of Ethernet.
    Labelled(Label, &'a [u8]),
    /// A part of a packet, which is not put together.
    Fragment,
    /// Anything else: ARP, neighbours, what is broken.
    Other,
}

/// Reads the label of a frame.
pub(crate) fn read(frame: &[u8], is_ethernet: bool) -> Kind<'_> {
    let packet = if is_ethernet {
        match (frame.get(12..ETHERNET), frame.get(ETHERNET..)) {
            (Some([0x08, 0x00] | [0x86, 0xdd]), Some(packet)) => packet,
            _ => return Kind::Other,
        }
    } else {
        frame
    };
    let read = match packet.first().map(|b| b >> 4) {
        Some(4) => match Ipv4Packet::new_checked(packet) {
            Ok(ip) if ip.more_frags() || ip.frag_offset() != 0 => return Kind::Fragment,
            Ok(ip) => transport(ip.next_header(), ip.src_addr().into(), ip.dst_addr().into(), ip.payload()),
            Err(_) => None,
        },
        Some(6) => match Ipv6Packet::new_checked(packet) {
            Ok(ip) if ip.next_header() == IpProtocol::Ipv6Frag => return Kind::Fragment,
            // Nobody sends such an address by a wire; here it would be one of IPv4.
            Ok(ip) if [ip.src_addr(), ip.dst_addr()].iter().any(|a| a.to_ipv4_mapped().is_some()) => None,
            Ok(ip) => transport(ip.next_header(), ip.src_addr().into(), ip.dst_addr().into(), ip.payload()),
            Err(_) => None,
        },
        _ => None,
    };
    read.map_or(Kind::Other, |label| Kind::Labelled(label, packet))
}

/// Whether the sum of a datagram is right. One that is not there, as by IPv4 and the loopback, is.
pub(crate) fn is_whole(label: &Label, packet: &[u8]) -> bool {
    let header = match packet.first().map(|b| b >> 4) {
        Some(4) => usize::from(packet.first().map_or(0, |b| b & 15)) * 4,
        _ => 40,
    };
    let udp = packet.get(header..).and_then(|rest| UdpPacket::new_checked(rest).ok());
    udp.is_some_and(|udp| udp.checksum() == 0 || udp.verify_checksum(&label.from, &label.to))
}

/// Whether a frame says which card an address is at: an answer of ARP, or an advertisement of a neighbour.
pub(crate) fn tells_of_neighbour(frame: &[u8]) -> bool {
    match frame.get(12..ETHERNET) {
        Some([0x08, 0x06]) => frame.get(20..22) == Some(&[0, 2]),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&58) && frame.get(54) == Some(&136),
        _ => false,
    }
}

fn transport(protocol: IpProtocol, from: IpAddress, to: IpAddress, rest: &[u8]) -> Option<Label> {
    let word = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let label =
        |proto, from_port, to_port, is_call| Some(Label { proto, from, to, from_port, to_port, is_call });
    match protocol {
        IpProtocol::Tcp => {
            // SYN, without ACK and RST.
            let is_call = rest.get(13)? & 0x16 == 0x02;
            label(Proto::Tcp, word(0)?, word(2)?, is_call)
        }
        IpProtocol::Udp => label(Proto::Udp, word(0)?, word(2)?, false),
        // Answers to an echo.
        IpProtocol::Icmp if rest.first() == Some(&0) => label(Proto::Icmp, 0, word(4)?, false),
        IpProtocol::Icmpv6 if rest.first() == Some(&129) => label(Proto::Icmpv6, 0, word(4)?, false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 10.0.0.1 to 10.0.0.2.
    fn packet(protocol: u8, rest: &[u8]) -> std::vec::Vec<u8> {
        let mut p = std::vec![0x45, 0, 0, 20 + rest.len() as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
        p.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        p.extend(rest);
        p
    }

    #[test]
    fn ports_are_read() {
        let syn = [0x30, 0x39, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0];
        let frame = packet(6, &syn);
        let Kind::Labelled(label, _) = read(&frame, false) else { panic!("no label") };
        assert_eq!((label.proto, label.from_port, label.to_port), (Proto::Tcp, 12345, 80));
        assert!(label.is_call);
        let mut ethernet = std::vec![0; 12];
        ethernet.extend([8, 0]);
        ethernet.extend(&frame);
        assert!(matches!(read(&ethernet, true), Kind::Labelled(same, _) if same == label));
        let mut answer = syn;
        answer[13] = 0x12;
        assert!(matches!(read(&packet(6, &answer), false), Kind::Labelled(l, _) if !l.is_call));
    }

    #[test]
    fn what_is_short_or_in_pieces_has_no_label() {
        let whole = packet(17, &[0, 1, 0, 2, 0, 8, 0, 0]);
        for end in 0..whole.len() {
            assert!(!matches!(read(&whole[..end], false), Kind::Labelled(..)), "{end}");
        }
        let mut part = whole.clone();
        part[6] = 0x20;
        assert!(matches!(read(&part, false), Kind::Fragment));
        let mut later = whole;
        later[7] = 1;
        assert!(matches!(read(&later, false), Kind::Fragment));
        assert!(matches!(read(&packet(6, &[0, 1, 0, 2]), false), Kind::Other));
        assert!(matches!(read(&[0; 14], true), Kind::Other));
    }
}
