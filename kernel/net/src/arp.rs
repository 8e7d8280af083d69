//! Neighbours of the stack's interfaces: what they say by ARP and by messages of IPv6, and what the machine's owner
//! says of them.

use machine::clock;
use smoltcp::wire::{Icmpv6Packet, Icmpv6Repr, IpAddress, Ipv6Packet, NdiscRepr};

use crate::error::{BAD_ADDRESS, DOES_NOT_EXIST, NO_ROUTE, Result, TOO_MANY_NEIGHBOURS};
use crate::link::{self, Link};
use crate::log::Topic;
use crate::near::Mac;
use crate::stack::Stack;
use crate::tried;
use crate::wire::Packet;
use crate::work::Inner;

impl Inner {
    /// Looks at a frame: one that is a packet of IP for us is one, others are dropped, or are messages of neighbours
    /// that are heard here. Whether it is such a packet.
    pub(crate) fn hear_frame(&mut self, at: usize, packet: &Packet, now_ns: u64) -> bool {
        let (Some(header), Some(link)) = (packet.header(), self.link(at)) else { return false };
        if !link.is_for_us(header) {
            return false;
        }
        let version = packet.ip().first().map(|b| b >> 4);
        let [.., high, low] = *header;
        let [_, _, _, _, _, _, mac @ .., _, _] = *header;
        let heard = match (u16::from_be_bytes([high, low]), version) {
            (link::ARP, _) => {
                let heard = link.hear_arp(packet.ip(), now_ns);
                if let Some(had) = tried::had_v4(packet.ip()) {
                    self.hear_of_tried(at, had, mac, now_ns);
                }
                heard
            }
            (link::IPV4, Some(4)) => return true,
            (link::IPV6, Some(6)) => match neighbours(packet.ip()) {
                None => return true,
                Some(Message { from, repr, options }) => {
                    let heard = link.hear_nd(&repr, from, now_ns);
                    if let Some(had) = tried::had_v6(&repr, from) {
                        self.hear_of_tried(at, had, mac, now_ns);
                    }
                    if let NdiscRepr::RouterAdvert { router_lifetime, .. } = repr {
                        self.hear_router(at, from, router_lifetime.secs(), options, now_ns);
                    }
                    heard
                }
            },
            _ => {
                self.bad(at);
                return false;
            }
        };
        if let Some(addr) = heard {
            let [a, b, c, d, e, f] = mac;
            let what = format_args!("{addr} is at {a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}");
            self.log.say(Topic::Arp, Some(addr), what);
        }
        false
    }

    fn link(&mut self, at: usize) -> Option<&mut Link> {
        self.ifcs.get_mut(at)?.as_mut()?.wire.link_mut()
    }

    /// What comes from a neighbour's card says that it is still there.
    pub(crate) fn confirm(&mut self, at: usize, from: &IpAddress, packet: &Packet, now_ns: u64) {
        let Some(header) = packet.header() else { return };
        if let (Some(link), Some(mac)) = (self.link(at), header.get(6..).and_then(|h| h.first_chunk::<6>())) {
            link.near.confirm(from, mac, now_ns);
        }
    }

    /// Asks again for those who have not answered.
    pub(crate) fn see_to_neighbours(&mut self, now_ns: u64) {
        let Inner { ifcs, soonest_ns, log, .. } = self;
        for link in ifcs.iter_mut().flatten().filter_map(|i| i.wire.link_mut()) {
            let (asked, dropped) = (link.asked, link.near.dropped);
            link.late(now_ns);
            if (asked, dropped) != (link.asked, link.near.dropped) {
                let (asked, dropped) = (link.asked - asked, link.near.dropped - dropped);
                log.say(Topic::Arp, None, format_args!("asked {asked} again, {dropped} packets dropped"));
            }
            *soonest_ns = link.near.soonest_ns().min(link.paths.soonest_ns()).min(*soonest_ns);
        }
    }

    /// Sends what waited for cards that have room again.
    pub(crate) fn make_room(&mut self) {
        for at in 0..self.ifcs.len() {
            let Some(link) = self.link(at) else { continue };
            if link.waits() && !link.card.is_full() {
                link.go_on();
                self.look_at_waiting(at);
            }
        }
    }

    /// When a question is next, now that packets have gone.
    pub(crate) fn note_questions(&mut self, at: usize) {
        if let Some(link) = self.link(at)
            && core::mem::replace(&mut link.noted, link.asked) != link.asked
        {
            let soonest_ns = link.near.soonest_ns();
            self.soonest_ns = self.soonest_ns.min(soonest_ns);
        }
    }
}

/// A message of neighbours.
struct Message<'a> {
    from: smoltcp::wire::Ipv6Address,
    repr: NdiscRepr<'a>,
    /// What is behind the fixed part of a router's advertisement: smoltcp's message has one prefix only.
    options: &'a [u8],
}

/// Bytes of a router's advertisement before its options.
const ADVERTISED: usize = 16;

/// The message in a packet of IPv6, if it is one of neighbours or routers, is from this network and whole.
fn neighbours(packet: &[u8]) -> Option<Message<'_>> {
    // ICMP, through no router.
    if packet.get(6..8) != Some(&[58, 255]) || !(133..=137).contains(packet.get(40)?) {
        return None;
    }
    let ip = Ipv6Packet::new_checked(packet).ok()?;
    let (from, to) = (ip.src_addr(), ip.dst_addr());
    let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
    match Icmpv6Repr::parse(&from, &to, &icmp, &Default::default()).ok()? {
        Icmpv6Repr::Ndisc(repr) => {
            Some(Message { from, repr, options: ip.payload().get(ADVERTISED..).unwrap_or_default() })
        }
        _ => None,
    }
}

impl Stack {
    /// Forgets which cards neighbours have.
    pub fn flush_neighbours(&self) {
        self.look(|inner| {
            inner.ifcs.iter_mut().flatten().filter_map(|i| i.wire.link_mut()).for_each(|l| l.near.flush());
        });
    }

    /// Says which card an address on one of our networks has. That stays until it is taken back.
    ///
    /// # Errors
    /// It is on none; it can be nobody's; that was said of as many as there can be.
    pub fn add_neighbour(&self, addr: IpAddress, mac: Mac) -> Result<()> {
        if !addr.is_unicast() || mac[0] & 1 != 0 {
            return Err(BAD_ADDRESS);
        }
        self.look(|inner| {
            let mut near =
                inner.ifcs.iter_mut().flatten().filter(|i| i.reaches(&addr).is_some() && !i.has(&addr));
            let link = near.find_map(|i| i.wire.link_mut()).ok_or(NO_ROUTE)?;
            if link.tell(addr, mac, clock::now_ns()) { Ok(()) } else { Err(TOO_MANY_NEIGHBOURS) }
        })
    }

    /// Forgets which card an address has.
    ///
    /// # Errors
    /// Nothing was known.
    pub fn forget_neighbour(&self, addr: IpAddress) -> Result<()> {
        self.look(|inner| {
            let links = inner.ifcs.iter_mut().flatten().filter_map(|i| i.wire.link_mut());
            let count = links.map(|link| usize::from(link.near.forget(&addr))).sum::<usize>();
            if count == 0 { Err(DOES_NOT_EXIST) } else { Ok(()) }
        })
    }
}

/// Twelve digits, with or without colons between.
///
/// # Errors
/// `bad ip address`.
pub fn parse_mac(text: &str) -> Result<Mac> {
    let mut mac = [0; 6];
    let mut digits = text.bytes().filter(|b| *b != b':').map(|b| char::from(b).to_digit(16));
    for byte in &mut mac {
        let mut digit = || digits.next().flatten().ok_or(BAD_ADDRESS);
        *byte = (digit()? << 4 | digit()?) as u8;
    }
    if digits.next().is_none() { Ok(mac) } else { Err(BAD_ADDRESS) }
}
