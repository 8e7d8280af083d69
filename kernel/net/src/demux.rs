//! Whose a packet is: its protocol, addresses and ports, read without believing anything else of it. What cannot be
//! read here goes to smoltcp with no conversation, which drops it or answers that there is nobody.

use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet};

use crate::table::Proto;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A packet with such a label.
    Labelled(Label),
    /// A part of a packet.
    Fragment,
    /// Anything else: what is for nobody in particular, or broken.
    Other,
}

/// Reads the label of a packet of IP.
pub(crate) fn read(packet: &[u8]) -> Kind {
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
    read.map_or(Kind::Other, Kind::Labelled)
}

pub(crate) fn transport(protocol: IpProtocol, from: IpAddress, to: IpAddress, rest: &[u8]) -> Option<Label> {
    let word = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let label =
        |proto, from_port, to_port, is_call| Some(Label { proto, from, to, from_port, to_port, is_call });
    match protocol {
        IpProtocol::Tcp => {
            // SYN, without ACK and RST.
            let is_call = rest.get(13)? & 0x16 == 0x02;
            label(Proto::Tcp, word(0)?, word(2)?, is_call)
        }
        IpProtocol::Udp => {
            // Its length is that of a datagram that is there.
            (8..=rest.len()).contains(&usize::from(word(4)?)).then_some(())?;
            label(Proto::Udp, word(0)?, word(2)?, false)
        }
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
        let Kind::Labelled(label) = read(&frame) else { panic!("no label") };
        assert_eq!((label.proto, label.from_port, label.to_port), (Proto::Tcp, 12345, 80));
        assert!(label.is_call);
        let mut answer = syn;
        answer[13] = 0x12;
        assert!(matches!(read(&packet(6, &answer)), Kind::Labelled(l) if !l.is_call));
    }

    #[test]
    fn what_is_short_or_in_pieces_has_no_label() {
        let whole = packet(17, &[0, 1, 0, 2, 0, 8, 0, 0]);
        assert!(matches!(read(&whole), Kind::Labelled(..)));
        for len in [7, 9] {
            assert!(matches!(read(&packet(17, &[0, 1, 0, 2, 0, len, 0, 0])), Kind::Other));
        }
        for end in 0..whole.len() {
            assert!(!matches!(read(&whole[..end]), Kind::Labelled(..)), "{end}");
        }
        let mut part = whole.clone();
        part[6] = 0x20;
        assert!(matches!(read(&part), Kind::Fragment));
        let mut later = whole;
        later[7] = 1;
        assert!(matches!(read(&later), Kind::Fragment));
        assert!(matches!(read(&packet(6, &[0, 1, 0, 2])), Kind::Other));
        assert!(matches!(read(&[0; 14]), Kind::Other));
    }
}
