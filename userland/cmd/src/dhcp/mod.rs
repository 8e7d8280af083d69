//! How a machine asks for its address: the client's side of DHCP (RFC 2131), as frames of Ethernet.
//!
//! The machine has no address yet, so the frames are put together here, and not by the IP stack. The formats are
//! smoltcp's. [`Client`] is the state: [`Client::message`] is what to send now, and again when nobody answers;
//! [`Client::hear`] is given every frame that comes, whoever sent it.

mod lease;
mod pace;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use self::lease::lease;
pub use self::lease::{Became, Lease, Told, leads_out, others, ways_out};
pub use self::pace::{Pace, Turn};

/// Ports of servers and of clients.
const SERVER: u16 = 67;
const CLIENT: u16 = 68;
/// Bytes of headers before a message: Ethernet, IP, UDP.
const HEADERS: usize = 14 + 20 + 8;
/// Options: the machine's name, and those that are asked for: mask, router, name servers, domain.
const NAME: u8 = 12;
const WANTED: [u8; 4] = [1, 3, 6, 15];
/// What a frame meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing for us.
    Nothing,
    /// A server offers an address: [`Client::message`] asks for it now.
    Offer,
    /// The address is ours.
    Lease,
    /// The server does not give it: all begins anew.
    Refusal,
}

/// What has been agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Looking,
    /// This is asked for.
    Asking(Lease),
    /// This is ours, and asked for again.
    Having(Lease),
}

/// A machine that asks.
pub struct Client {
    mac: EthernetAddress,
    /// What tells our answers from others'.
    number: u32,
    name: Option<String>,
    state: State,
}

impl Client {
    /// One that has asked nobody. `number` is by chance.
    pub fn new(mac: [u8; 6], number: u32, name: Option<&str>) -> Client {
        // A longer one than an option can have is none.
        let name = name.filter(|name| (1..256).contains(&name.len())).map(String::from);
        Client { mac: EthernetAddress(mac), number, name, state: State::Looking }
    }

    /// The lease, once there is one.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Having(lease) => Some(lease),
            _ => None,
        }
    }

    /// What has become of the lease `old`, which was asked for again with an answer or none, and is over or not.
    pub fn became(&self, old: &Lease, answered: bool, is_over: bool) -> Became {
        let gives = |lease: &Lease| (lease.address, lease.bits, lease.router, lease.servers.clone());
        match self.lease() {
            Some(new) if answered && gives(new) != gives(old) => Became::Other,
            Some(_) if answered => Became::Longer,
            Some(_) if !is_over => Became::Same,
            _ => Became::Nothing,
        }
    }

    /// Begins anew, with another number.
    pub fn begin(&mut self, number: u32) {
        (self.number, self.state) = (number, State::Looking);
    }

    /// The frame to be sent now, `secs` seconds after the first one.
    pub fn message(&self, secs: u16) -> Vec<u8> {
        let none = Ipv4Addr::UNSPECIFIED;
        let (message_type, asked, server, have) = match &self.state {
            State::Looking => (DhcpMessageType::Discover, None, None, none),
            State::Asking(lease) => (DhcpMessageType::Request, Some(lease.address), Some(lease.server), none),
            // Whoever knows of it may answer.
            State::Having(lease) => (DhcpMessageType::Request, None, None, lease.address),
        };
        let name = self.name.as_ref().map(|name| DhcpOption { kind: NAME, data: name.as_bytes() });
        let message = DhcpRepr {
            message_type,
            transaction_id: self.number,
            secs,
            client_hardware_address: self.mac,
            client_ip: have,
            your_ip: none,
            server_ip: none,
            router: None,
            subnet_mask: None,
            relay_agent_ip: none,
            // It hears what is for its card.
            broadcast: false,
            requested_ip: asked,
            client_identifier: Some(self.mac),
            server_identifier: server,
            parameter_request_list: Some(&WANTED),
            dns_servers: None,
            max_size: Some(1500),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: name.as_slice(),
        };
        self.frame(&message)
    }

    /// A message as a frame to everybody.
    fn frame(&self, message: &DhcpRepr<'_>) -> Vec<u8> {
        let sums = ChecksumCapabilities::default();
        let len = message.buffer_len();
        let mut bytes = alloc::vec![0; HEADERS + len];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes);
        frame.set_dst_addr(EthernetAddress::BROADCAST);
        frame.set_src_addr(self.mac);
        frame.set_ethertype(EthernetProtocol::Ipv4);
        let udp = UdpRepr { src_port: CLIENT, dst_port: SERVER };
        let ip = Ipv4Repr {
            src_addr: message.client_ip,
            dst_addr: Ipv4Addr::BROADCAST,
            next_header: IpProtocol::Udp,
            payload_len: 8 + len,
            hop_limit: 64,
        };
        let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
        ip.emit(&mut packet, &sums);
        let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
        let (from, to) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        udp.emit(
            &mut datagram,
            &from,
            &to,
            len,
            |payload| {
                // There is as much room as it wants.
                let _ = message.emit(&mut DhcpPacket::new_unchecked(payload));
            },
            &sums,
        );
        bytes
    }

    /// A frame has come.
    pub fn hear(&mut self, frame: &[u8]) -> Heard {
        self.understand(frame).unwrap_or(Heard::Nothing)
    }

    fn understand(&mut self, bytes: &[u8]) -> Option<Heard> {
        let sums = ChecksumCapabilities::default();
        let frame = EthernetFrame::new_checked(bytes).ok()?;
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        let ip = Ipv4Repr::parse(&packet, &sums).ok()?;
        if ip.next_header != IpProtocol::Udp || packet.more_frags() || packet.frag_offset() != 0 {
            return None;
        }
        let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
        let (from, to) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        let udp = UdpRepr::parse(&datagram, &from, &to, &sums).ok()?;
        if (udp.src_port, udp.dst_port) != (SERVER, CLIENT) {
            return None;
        }
        let message = DhcpPacket::new_checked(datagram.payload()).ok()?;
        let message = DhcpRepr::parse(&message).ok()?;
        let ours = message.transaction_id == self.number && message.client_hardware_address == self.mac;
        if !ours {
            return None;
        }
        self.answer(&message)
    }

    /// What an answer means in this state.
    fn answer(&mut self, message: &DhcpRepr<'_>) -> Option<Heard> {
        match (&self.state, message.message_type) {
            (State::Looking, DhcpMessageType::Offer) => {
                self.state = State::Asking(lease(message)?);
                Some(Heard::Offer)
            }
            (State::Asking(of), DhcpMessageType::Ack) => {
                let lease = lease(message)?;
                if (lease.server, lease.address) != (of.server, of.address) {
                    return None;
                }
                self.state = State::Having(lease);
                Some(Heard::Lease)
            }
            (State::Having(of), DhcpMessageType::Ack) => {
                let lease = lease(message)?;
                if lease.address != of.address {
                    return None;
                }
                self.state = State::Having(lease);
                Some(Heard::Lease)
            }
            (State::Asking(of) | State::Having(of), DhcpMessageType::Nak) => {
                // One that somebody else refuses was not asked of him.
                if message.server_identifier != Some(of.server) {
                    return None;
                }
                self.state = State::Looking;
                Some(Heard::Refusal)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    /// A server's message, as a frame.
    fn from_server(change: impl FnOnce(&mut DhcpRepr<'_>)) -> Vec<u8> {
        let mut message = DhcpRepr {
            message_type: DhcpMessageType::Offer,
            transaction_id: 7,
            secs: 0,
            client_hardware_address: EthernetAddress(MAC),
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: HOST,
            server_ip: ROUTER,
            router: Some(ROUTER),
            subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(ROUTER),
            parameter_request_list: None,
            dns_servers: Some([Ipv4Addr::new(10, 0, 2, 3)].into_iter().collect()),
            max_size: None,
            lease_duration: Some(86400),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        change(&mut message);
        let mut frame = Client::new(MAC, 7, None).frame(&message);
        // The ports change places, which the sum does not see.
        frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
        frame
    }

    fn ack(message: &mut DhcpRepr<'_>) {
        message.message_type = DhcpMessageType::Ack;
    }

    #[test]
    fn an_address_is_looked_for_asked_for_and_given() {
        let mut client = Client::new(MAC, 7, Some("term"));
        let message = client.message(3);
        assert_eq!(message[..14], [&[0xff; 6][..], &MAC, &[8, 0]].concat());
        assert_eq!(
            (&message[26..34], &message[34..38]),
            (&[0, 0, 0, 0, 255, 255, 255, 255][..], &[0, 68, 0, 67][..])
        );
        assert!(
            message.windows(6).any(|w| w == b"\x0c\x04term") && message.windows(3).any(|w| w == [53, 1, 1])
        );
        assert_eq!(client.hear(&from_server(ack)), Heard::Nothing, "nothing was asked for");
        assert_eq!(client.hear(&from_server(|_| ())), Heard::Offer);
        let message = client.message(3);
        assert!(message.windows(3).any(|w| w == [53, 1, 3]));
        assert!(message.windows(6).any(|w| w == [50, 4, 10, 0, 2, 15]), "which address");
        assert!(message.windows(6).any(|w| w == [54, 4, 10, 0, 2, 2]), "of whom");
        assert_eq!(client.hear(&from_server(|_| ())), Heard::Nothing, "another offer");
        assert_eq!(client.lease(), None);
        assert_eq!(client.hear(&from_server(ack)), Heard::Lease);
        let lease = client.lease().unwrap();
        assert_eq!((lease.address, lease.bits, lease.router), (HOST, 24, Some(ROUTER)));
        assert_eq!((lease.seconds, lease.renew), (Some(86400), Some(43200)));
        assert_eq!(
            lease.ndb("/net/ether0", Some("term")),
            "ip=10.0.2.15 ipmask=/120 ipgw=10.0.2.2\n\tsys=term\n\tdns=10.0.2.3\n\tdhcp=10.0.2.2 ether=/net/ether0\n"
        );
        // It is asked for again in its own name.
        let message = client.message(0);
        assert_eq!((&message[26..30], &message[54..58]), (&[10, 0, 2, 15][..], &[10, 0, 2, 15][..]));
        let longer = |m: &mut DhcpRepr<'_>| {
            ack(m);
            (m.lease_duration, m.renew_duration) = (Some(u32::MAX), Some(9));
        };
        assert_eq!(client.hear(&from_server(longer)), Heard::Lease);
        assert_eq!((client.lease().unwrap().seconds, client.lease().unwrap().renew), (None, None));
    }

    #[test]
    fn a_refusal_counts_from_who_was_asked() {
        let nak = |from: Ipv4Addr| {
            from_server(move |m| (m.message_type, m.server_identifier) = (DhcpMessageType::Nak, Some(from)))
        };
        let mut client = Client::new(MAC, 7, None);
        assert_eq!(client.hear(&nak(ROUTER)), Heard::Nothing);
        client.hear(&from_server(|_| ()));
        assert_eq!(client.hear(&nak(HOST)), Heard::Nothing);
        assert_eq!(client.hear(&nak(ROUTER)), Heard::Refusal);
        assert!(client.message(0).windows(3).any(|w| w == [53, 1, 1]), "from the beginning");
    }

    #[test]
    fn a_lease_that_is_refused_or_over_is_nobodys() {
        let has = |change: fn(&mut DhcpRepr<'_>)| {
            let mut client = Client::new(MAC, 7, None);
            client.hear(&from_server(|_| ()));
            client.hear(&from_server(|m| m.message_type = DhcpMessageType::Ack));
            let old = client.lease().unwrap().clone();
            client.hear(&from_server(change));
            (client, old)
        };
        let (client, old) = has(|m| m.message_type = DhcpMessageType::Ack);
        assert_eq!(client.became(&old, true, false), Became::Longer);
        assert_eq!(client.became(&old, false, false), Became::Same);
        assert_eq!(client.became(&old, false, true), Became::Nothing);
        let (client, old) = has(|m| {
            (m.message_type, m.router) = (DhcpMessageType::Ack, Some(HOST));
        });
        assert_eq!(client.became(&old, true, false), Became::Other);
        let (mut client, old) = has(|m| m.message_type = DhcpMessageType::Ack);
        let refused = from_server(|m| m.message_type = DhcpMessageType::Nak);
        assert_eq!(client.hear(&refused), Heard::Refusal);
        client.begin(8);
        assert_eq!(client.became(&old, false, false), Became::Nothing);
    }

    #[test]
    fn what_is_for_others_or_makes_no_sense_is_not_heard() {
        let hears = |frame: &[u8]| Client::new(MAC, 7, None).hear(frame) != Heard::Nothing;
        assert!(hears(&from_server(|_| ())));
        assert!(!hears(&from_server(|m| m.transaction_id = 8)));
        assert!(!hears(&from_server(|m| m.client_hardware_address = EthernetAddress([2; 6]))));
        assert!(!hears(&from_server(|m| m.your_ip = Ipv4Addr::UNSPECIFIED)));
        assert!(!hears(&from_server(|m| m.your_ip = Ipv4Addr::LOCALHOST)));
        assert!(!hears(&from_server(|m| m.server_identifier = None)));
        assert!(!hears(&from_server(|m| m.subnet_mask = Some(Ipv4Addr::new(255, 0, 255, 0)))));
        assert!(hears(&from_server(|m| m.subnet_mask = None)));
        assert!(!hears(&from_server(|m| m.message_type = DhcpMessageType::Discover)));
        let good = from_server(|_| ());
        for n in 0..good.len() {
            // Wherever it ends, or whichever byte is another.
            let _ = hears(&good[..n]);
            let mut bad = good.clone();
            bad[n] ^= 0x55;
            let _ = hears(&bad);
            if n > 42 {
                assert!(!hears(&bad), "the sum is wrong at {n}");
            }
        }
    }

    #[test]
    fn short_leases_are_not_asked_for_all_the_time() {
        let mut client = Client::new(MAC, 7, None);
        client.hear(&from_server(|_| ()));
        let short = |m: &mut DhcpRepr<'_>| {
            ack(m);
            (m.lease_duration, m.renew_duration) = (Some(1), Some(0));
        };
        assert_eq!(client.hear(&from_server(short)), Heard::Lease);
        assert_eq!((client.lease().unwrap().seconds, client.lease().unwrap().renew), (Some(60), Some(30)));
    }
}
