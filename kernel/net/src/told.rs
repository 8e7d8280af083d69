//! What others say by ICMP of packets that we have sent: nobody is there, or there is no way. A conversation of UDP or
//! of echoes that hears so has ended with that, and so has a call of TCP that nobody has answered; a connection goes
//! on, since anybody may have sent such a message. What is said must quote the conversation's own ports and addresses,
//! or the number of its echo.

use machine::clock;
use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, IpAddress, IpProtocol, Ipv4Address, Ipv6Address};

use crate::demux::Label;
use crate::error::Error;
use crate::log::Topic;
use crate::table::{Proto, Role};
use crate::talk::seq::Seq;
use crate::work::{Id, Inner};

const UNREACHABLE_V4: [&str; 14] = [
    "net unreachable",
    "host unreachable",
    "protocol unreachable",
    "port unreachable",
    // That a packet was too long ends nothing, and is looked at before.
    "",
    "source route failed",
    "destination network unknown",
    "destination host unknown",
    "source host isolated",
    "communication with destination network is administratively prohibited",
    "communication with destination host is administratively prohibited",
    "network unreachable for type of service",
    "host unreachable for type of service",
    "communication administratively prohibited",
];
const UNREACHABLE_V6: [&str; 7] = [
    "no route to destination",
    "comm with destination administratively prohibited",
    "beyond scope of source address",
    "address unreachable",
    "port unreachable",
    "source address failed ingress/egress policy",
    "reject route to destination",
];
/// The code that says that a packet of IPv4 was too long.
const TOO_LONG: u8 = 4;
const TOO_FAR: &str = "ttl exceeded in transit";

/// What becomes of a packet.
#[derive(Clone, Copy)]
enum What {
    /// It does not arrive, for this reason.
    Fails(&'static str),
    /// It is too long: packets may have so many bytes.
    TooLong(usize),
}

/// What a message says.
struct Said {
    what: What,
    /// Of which packet, seen as one that comes, and the number with which its data begin, if it was of TCP.
    of: Label,
    seq: Option<Seq>,
}

/// Reads a packet of ICMP that tells of another.
fn read(packet: &[u8]) -> Option<Said> {
    let (what, quoted) = match packet.first()? >> 4 {
        4 => {
            let body = packet.get(usize::from(packet.first()? & 15) * 4..)?;
            if packet.get(9) != Some(&1) {
                return None;
            }
            let end = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
            let body = body.get(..end.checked_sub(packet.len() - body.len())?)?;
            let icmp = Icmpv4Packet::new_checked(body).ok().filter(Icmpv4Packet::verify_checksum)?;
            let what = match (u8::from(icmp.msg_type()), icmp.msg_code()) {
                (3, TOO_LONG) => {
                    What::TooLong(usize::from(u16::from_be_bytes(*body.get(6..)?.first_chunk()?)))
                }
                (3, code) => What::Fails(UNREACHABLE_V4.get(usize::from(code))?),
                (11, 0) => What::Fails(TOO_FAR),
                _ => return None,
            };
            (what, body.get(8..)?)
        }
        6 => {
            if packet.get(6) != Some(&58) {
                return None;
            }
            let end = 40 + usize::from(u16::from_be_bytes(*packet.get(4..)?.first_chunk()?));
            let body = packet.get(40..end)?;
            let (from, to) = (address_v6(packet, 8)?, address_v6(packet, 24)?);
            let icmp = Icmpv6Packet::new_checked(body).ok().filter(|p| p.verify_checksum(&from, &to))?;
            let what = match (u8::from(icmp.msg_type()), icmp.msg_code()) {
                (2, _) => What::TooLong(u32::from_be_bytes(*body.get(4..)?.first_chunk()?) as usize),
                (1, code) => What::Fails(UNREACHABLE_V6.get(usize::from(code))?),
                (3, 0) => What::Fails(TOO_FAR),
                _ => return None,
            };
            (what, body.get(8..)?)
        }
        _ => return None,
    };
    quote(quoted).map(|(of, seq)| Said { what, of, seq })
}

fn address_v6(packet: &[u8], at: usize) -> Option<Ipv6Address> {
    Some(Ipv6Address::from(*packet.get(at..)?.first_chunk::<16>()?))
}

/// The label of a packet of ours, of which there is the beginning, as it would be on an answer to it.
fn quote(packet: &[u8]) -> Option<(Label, Option<Seq>)> {
    let v4 = |at: usize| Some(IpAddress::from(Ipv4Address::from(*packet.get(at..)?.first_chunk::<4>()?)));
    let (protocol, from, to, rest) = match packet.first()? >> 4 {
        4 => {
            let rest = packet.get(usize::from(packet.first()? & 15) * 4..)?;
            (*packet.get(9)?, v4(12)?, v4(16)?, rest)
        }
        6 => {
            let (from, to) = (address_v6(packet, 8)?, address_v6(packet, 24)?);
            (*packet.get(6)?, from.into(), to.into(), packet.get(40..)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes(*rest.get(at..)?.first_chunk()?));
    let (proto, from_port, to_port) = match (IpProtocol::from(protocol), rest.first()?) {
        (IpProtocol::Tcp, _) => (Proto::Tcp, port(2)?, port(0)?),
        (IpProtocol::Udp, _) => (Proto::Udp, port(2)?, port(0)?),
        // Echoes that are asked for; their number stands for ours.
        (IpProtocol::Icmp, 8) => (Proto::Icmp, 0, port(4)?),
        (IpProtocol::Icmpv6, 128) => (Proto::Icmpv6, 0, port(4)?),
        _ => return None,
    };
    let number = || Some(Seq(u32::from_be_bytes(*rest.get(4..)?.first_chunk()?)));
    let seq = if proto == Proto::Tcp { Some(number()?) } else { None };
    Some((Label { proto, from: to, to: from, from_port, to_port, is_call: false }, seq))
}

impl Inner {
    /// A packet of ours was too long for a wire on its way, which takes `most` bytes. That is believed of one that is
    /// under way, or may be: of TCP the number that is quoted says so.
    fn hear_too_long(&mut self, of: &Label, seq: Option<Seq>, most: usize) {
        let table = self.table(of.proto);
        let Some(number) = table.talking(of).or_else(|| table.announced(of)) else { return };
        let Ok(at) = self.routes.find(&self.ifcs, &of.from) else { return };
        let id = Id { proto: of.proto, number };
        let talk = self.entry(id).and_then(|entry| entry.talk.as_mut());
        let is_ours = match (of.proto, talk, seq) {
            (Proto::Tcp, Some(talk), Some(seq)) => talk.is_under_way(seq),
            (Proto::Tcp, ..) => false,
            _ => true,
        };
        let link = self.ifcs.get_mut(at).and_then(|i| i.as_mut()?.wire.link_mut()).filter(|_| is_ours);
        let Some(link) = link else { return };
        let now = link.most(matches!(of.from, IpAddress::Ipv4(_)));
        let Some(most) = link.paths.hear(of.from, most, now, clock::now_ns()) else { return };
        self.soonest_ns = self.soonest_ns.min(link.paths.soonest_ns());
        self.log.say(Topic::Icmp, Some(of.from), format_args!("{}: no more than {most} bytes", of.from));
        if let Some(talk) = self.entry(id).and_then(|entry| entry.talk.as_mut()) {
            talk.limit(most);
            talk.says_again();
            self.look_at(id);
        }
    }

    /// Hears what somebody says of a packet of ours, if this is such a message.
    pub(crate) fn hear_told(&mut self, packet: &[u8]) -> bool {
        let Some(Said { what, of, seq }) = read(packet) else { return false };
        let what = match what {
            What::Fails(what) => what,
            What::TooLong(most) => {
                self.hear_too_long(&of, seq, most);
                return true;
            }
        };
        self.log.say(Topic::Icmp, Some(of.from), format_args!("{}!{}: {what}", of.from, of.from_port));
        let Some(number) = self.table(of.proto).talking(&of) else { return true };
        let id = Id { proto: of.proto, number };
        let Some(entry) = self.entry(id).filter(|e| !e.ignores_advice) else { return true };
        match (of.proto, &entry.role) {
            (Proto::Udp | Proto::Icmp | Proto::Icmpv6, Role::Talking) => {
                entry.error.get_or_insert(Error(what));
            }
            (Proto::Tcp, Role::Calling { .. }) => {
                entry.error.get_or_insert(Error(what));
                entry.drop_socket();
                (entry.role, entry.deadline_ns) = (Role::Talking, u64::MAX);
            }
            _ => return true,
        }
        entry.raise();
        true
    }
}
