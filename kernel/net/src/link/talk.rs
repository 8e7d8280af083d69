//! What neighbours ask one another: messages of ARP and those of IPv6, both ways. Who asks for an address of ours is
//! answered, and who says his own is remembered in [`near`](crate::near); what has waited for him goes. Nothing is
//! believed of who says that he has an address of ours, or one that is not of our networks.
//!
//! All of it is under the stack's lock, as the rest of a link.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpAddress, IpCidr,
    IpProtocol, Ipv4Address, Ipv6Address, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

use super::{ARP, EVERYBODY, IPV4, IPV6, Link, Open, group, group_v6};
use crate::near::Mac;

impl Link {
    /// Asks for a neighbour: all of them, or the card that it is believed to have.
    pub(crate) fn ask(&mut self, addr: IpAddress, mac: Option<Mac>) {
        self.asked += 1;
        match addr {
            IpAddress::Ipv4(target) => {
                let Some(from) = self.asker_v4(&target) else { return };
                self.send_arp(ArpOperation::Request, mac.unwrap_or(EVERYBODY), from, target, [0; 6]);
            }
            IpAddress::Ipv6(target) => {
                let Some(from) = self.asker_v6(&target) else { return };
                let lladdr = Some(EthernetAddress(self.mac).into());
                let solicit = NdiscRepr::NeighborSolicit { target_addr: target, lladdr };
                let to = if mac.is_some() { target } else { solicited(&target) };
                let mac = mac.unwrap_or_else(|| group_v6(&to));
                self.send_nd(solicit, from, to, mac);
            }
        }
    }

    /// Asks whether somebody has an address that may become ours.
    pub(crate) fn ask_whether_free(&mut self, target: IpAddress) {
        match target {
            IpAddress::Ipv4(target) => {
                self.send_arp(ArpOperation::Request, EVERYBODY, Ipv4Address::UNSPECIFIED, target, [0; 6]);
            }
            IpAddress::Ipv6(target) => {
                let solicit = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: None };
                let to = solicited(&target);
                self.send_nd(solicit, Ipv6Address::UNSPECIFIED, to, group_v6(&to));
            }
        }
    }

    /// A neighbour has this card, whether or not anybody has asked.
    pub(crate) fn meet(&mut self, addr: IpAddress, mac: Mac, now_ns: u64) {
        let waiting = self.near.heard(addr, mac, true, now_ns);
        self.release(mac, waiting);
    }

    /// Asks for routers, as nobody where we have no address yet.
    pub(crate) fn ask_routers(&mut self, from: Option<Ipv6Address>) {
        let lladdr = from.map(|_| EthernetAddress(self.mac).into());
        let to = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let from = from.unwrap_or(Ipv6Address::UNSPECIFIED);
        self.send_nd(NdiscRepr::RouterSolicit { lladdr }, from, to, group_v6(&to));
    }

    /// The address that asks for one of IPv4.
    fn asker_v4(&self, target: &Ipv4Address) -> Option<Ipv4Address> {
        let ours = |all: bool| {
            self.nets.iter().find_map(move |net| match net {
                IpCidr::Ipv4(net) if all || net.contains_addr(target) => Some(net.address()),
                _ => None,
            })
        };
        ours(false).or_else(|| ours(true))
    }

    /// That for one of IPv6: as near as it.
    fn asker_v6(&self, target: &Ipv6Address) -> Option<Ipv6Address> {
        let ours = || {
            self.nets.iter().filter_map(|net| match net {
                IpCidr::Ipv6(net) => Some(net),
                IpCidr::Ipv4(_) => None,
            })
        };
        let near = ours().find(|net| net.contains_addr(target));
        near.or_else(|| ours().next()).map(|net| net.address())
    }

    /// Sends a packet that is whole to a group, as it is.
    pub(crate) fn send_to_group(&mut self, to: IpAddress, packet: &[u8]) {
        if let Some(mac) = group(&self.nets, &to) {
            let header = self.header(mac, if matches!(to, IpAddress::Ipv4(_)) { IPV4 } else { IPV6 });
            self.give(&[&header, packet], Open::default());
        }
    }

    fn send_arp(
        &mut self,
        operation: ArpOperation,
        to: Mac,
        from: Ipv4Address,
        target: Ipv4Address,
        mac: Mac,
    ) {
        let repr = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(self.mac),
            source_protocol_addr: from,
            target_hardware_addr: EthernetAddress(mac),
            target_protocol_addr: target,
        };
        let mut bytes = [0; 28];
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
        let header = self.header(to, ARP);
        self.give(&[&header, &bytes], Open::default());
    }

    fn send_nd(&mut self, repr: NdiscRepr<'_>, from: Ipv6Address, to: Ipv6Address, mac: Mac) {
        let icmp = Icmpv6Repr::Ndisc(repr);
        let (next_header, payload_len) = (IpProtocol::Icmpv6, icmp.buffer_len());
        let ip = Ipv6Repr { src_addr: from, dst_addr: to, next_header, payload_len, hop_limit: 255 };
        let mut bytes = [0; 128];
        let Some(packet) = bytes.get_mut(..ip.buffer_len() + payload_len) else { return };
        ip.emit(&mut Ipv6Packet::new_unchecked(&mut packet[..]));
        let sums = ChecksumCapabilities::default();
        let Some(body) = packet.get_mut(ip.buffer_len()..) else { return };
        icmp.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(body), &sums);
        let header = self.header(mac, IPV6);
        self.give(&[&header, packet], Open::default());
    }

    /// Hears a message of ARP: who asks for us is answered and known, and who answers is known. What waits goes. The
    /// address that has spoken, if any has.
    pub(crate) fn hear_arp(&mut self, message: &[u8], now_ns: u64) -> Option<IpAddress> {
        let repr = ArpRepr::parse(&ArpPacket::new_checked(message).ok()?).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr: from,
            target_protocol_addr: target,
            ..
        } = repr
        else {
            return None;
        };
        let mac = source_hardware_addr;
        let is_near = self.nets.iter().any(|net| net.contains_addr(&from.into()));
        let is_ours = |addr: Ipv4Address| self.nets.iter().any(|net| net.address() == addr.into());
        let is_somebody = IpAddress::from(from).is_unicast() && mac.is_unicast() && mac.0 != self.mac;
        if !is_near || !is_somebody || is_ours(from) || matches!(operation, ArpOperation::Unknown(_)) {
            return None;
        }
        let asks = is_ours(target) && operation == ArpOperation::Request;
        let waiting = self.near.heard(from.into(), mac.0, asks, now_ns);
        self.release(mac.0, waiting);
        if asks {
            self.send_arp(ArpOperation::Reply, mac.0, target, from, mac.0);
        }
        Some(from.into())
    }

    /// Hears a message of neighbours of IPv6, as [`Link::hear_arp`]. The packet's hop limit and checksum are right.
    pub(crate) fn hear_nd(
        &mut self,
        repr: &NdiscRepr<'_>,
        from: Ipv6Address,
        now_ns: u64,
    ) -> Option<IpAddress> {
        let mac_of = |addr: &smoltcp::wire::RawHardwareAddress| {
            addr.as_bytes().first_chunk::<6>().copied().filter(|m| m[0] & 1 == 0 && *m != self.mac)
        };
        let is_ours = |addr: Ipv6Address| self.nets.iter().any(|net| net.address() == addr.into());
        match repr {
            NdiscRepr::NeighborSolicit { target_addr, lladdr } if is_ours(*target_addr) => {
                let is_somebody = IpAddress::from(from).is_unicast() && !is_ours(from);
                let mac = lladdr.as_ref().and_then(mac_of);
                let (to, mac) = match (is_somebody, mac) {
                    (true, Some(mac)) => {
                        let waiting = self.near.heard(from.into(), mac, true, now_ns);
                        self.release(mac, waiting);
                        (from, mac)
                    }
                    // Somebody asks whether he may have our address.
                    (false, _) if from.is_unspecified() => {
                        let all = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
                        (all, group_v6(&all))
                    }
                    _ => return None,
                };
                let solicited =
                    if is_somebody { NdiscNeighborFlags::SOLICITED } else { NdiscNeighborFlags::empty() };
                let lladdr = Some(EthernetAddress(self.mac).into());
                let flags = NdiscNeighborFlags::OVERRIDE | solicited;
                let advert = NdiscRepr::NeighborAdvert { flags, target_addr: *target_addr, lladdr };
                self.send_nd(advert, *target_addr, to, mac);
                is_somebody.then(|| from.into())
            }
            NdiscRepr::NeighborAdvert { flags, target_addr, lladdr: Some(lladdr) } => {
                let (target, mac) = (IpAddress::from(*target_addr), mac_of(lladdr)?);
                if !target.is_unicast() || is_ours(*target_addr) {
                    return None;
                }
                if !flags.contains(NdiscNeighborFlags::OVERRIDE) && self.near.doubt(&target, &mac) {
                    return Some(target);
                }
                let waiting = self.near.heard(target, mac, false, now_ns);
                self.release(mac, waiting);
                Some(target)
            }
            // Who sends routers' advertisements is one; their messages are looked at elsewhere.
            NdiscRepr::RouterAdvert { lladdr: Some(lladdr), .. } => {
                let mac = mac_of(lladdr)?;
                let waiting = self.near.heard(from.into(), mac, true, now_ns);
                self.release(mac, waiting);
                Some(from.into())
            }
            _ => None,
        }
    }
}

/// The group in which those are whose address ends as this one.
pub(crate) fn solicited(addr: &Ipv6Address) -> Ipv6Address {
    let [.., a, b, c] = addr.octets();
    let last = u16::from_be_bytes([b, c]);
    Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), last)
}
