//! Groups of addresses (multicast) that the machine listens to, by interface: who wants that, and what is told of it to
//! routers and switches, which bring a group's packets to nobody who has not asked for them.
//!
//! Each group has as many users as conversations have joined it, and perhaps the machine's owner. The first one has a
//! report sent, and once more by chance within [`AGAIN_MS`]; who asks (IGMP of RFC 2236, MLD of RFC 2710) is answered
//! after a time by chance, unless somebody else on the network has answered by then. With the last user it is told that
//! nobody listens any more. The group in which an address of IPv6 is asked for is listened to and told of as long as
//! the address is there or tried, and before it is tried, since switches look (RFC 4862, section 5.4.2). The groups of
//! all machines are always heard and not told of.
//!
//! All of it is under the stack's lock.

use alloc::vec::Vec;

use machine::ledger::as_kernel;
use machine::{clock, heap};
use smoltcp::wire::{
    Icmpv6Packet, IgmpPacket, IpAddress, IpCidr, Ipv4Address, Ipv4Packet, Ipv6Address, Ipv6Packet,
};

use crate::error::{BAD_CONTROL, DOES_NOT_EXIST, HUNG_UP, NOT_A_GROUP, NOT_LOCAL, Result, TOO_MANY};
use crate::ifc::{Ifc, LOOPBACK};
use crate::link::{Link, solicited};
use crate::stack::{Stack, id};
use crate::table::{Conversation, Proto};
use crate::work::{Id, Inner};

/// Groups of an interface at most, and those that a conversation has joined.
pub const MOST: usize = 32;
/// See [`MOST`].
pub const JOINED_MOST: usize = 16;
/// Within how many milliseconds a report is said again that nobody has asked for.
const AGAIN_MS: u64 = 10_000;
/// No answer is sooner than this after a question: who asks again and again has no more of it.
const LEAST_MS: u64 = 100;
const MS_NS: u64 = 1_000_000;
const NEVER: u64 = u64::MAX;

pub(crate) const ALL_V4: Ipv4Address = Ipv4Address::new(224, 0, 0, 1);
pub(crate) const ALL_V6: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ROUTERS_V4: Ipv4Address = Ipv4Address::new(224, 0, 0, 2);
const ROUTERS_V6: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Types of messages of IGMP.
const QUERY: u8 = 0x11;
const REPORT_OLD: u8 = 0x12;
const REPORT: u8 = 0x16;
const LEAVE: u8 = 0x17;
/// The same of MLD.
const QUERY_V6: u8 = 130;
const REPORT_V6: u8 = 131;
const DONE_V6: u8 = 132;
/// What tells routers to look at a packet, as an option of IPv4, and in a header of IPv6 before the message.
const ALERT_V4: [u8; 4] = [0x94, 4, 0, 0];
const ALERT_V6: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

/// A group that is listened to.
struct Group {
    addr: IpAddress,
    /// Conversations that have joined it.
    users: usize,
    /// The machine's owner has.
    is_owners: bool,
    /// An address is asked for in it.
    is_asked: bool,
    /// When it is told next that somebody listens, and whether once more without a question.
    says_ns: u64,
    is_first: bool,
}

impl Group {
    /// Whether anybody has joined it.
    fn is_wanted(&self) -> bool {
        self.users != 0 || self.is_owners
    }
}

/// The groups of an interface.
#[derive(Default)]
pub(crate) struct Groups {
    all: Vec<Group>,
}

impl Groups {
    pub(crate) fn has(&self, addr: &IpAddress) -> bool {
        self.all.iter().any(|g| g.addr == *addr)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &IpAddress> {
        self.all.iter().map(|g| &g.addr)
    }

    /// One more listens; whether nobody has before.
    fn add(&mut self, addr: IpAddress, is_owners: bool) -> Result<bool> {
        if let Some(group) = self.all.iter_mut().find(|g| g.addr == addr) {
            group.users += usize::from(!is_owners);
            group.is_owners |= is_owners;
            return Ok(false);
        }
        if self.all.iter().filter(|g| g.is_wanted()).count() >= MOST {
            return Err(TOO_MANY);
        }
        let users = usize::from(!is_owners);
        let group = Group { addr, users, is_owners, is_asked: false, says_ns: NEVER, is_first: true };
        as_kernel(|| heap::try_push(&mut self.all, group))?;
        Ok(true)
    }

    /// One listens no more; whether nobody does now. None if that one had not.
    fn remove(&mut self, addr: &IpAddress, is_owners: bool) -> Option<bool> {
        let at = self.all.iter().position(|g| g.addr == *addr)?;
        let group = self.all.get_mut(at)?;
        match is_owners {
            true if !group.is_owners => return None,
            true => group.is_owners = false,
            false => group.users = group.users.checked_sub(1)?,
        }
        let is_last = !group.is_wanted() && !group.is_asked;
        if is_last {
            self.all.swap_remove(at);
        }
        Some(is_last)
    }

    /// When something is to be told.
    pub(crate) fn soonest_ns(&self) -> u64 {
        self.all.iter().map(|g| g.says_ns).min().unwrap_or(NEVER)
    }
}

/// What somebody says of groups.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// He asks who listens, to this one or to any, and gives so many milliseconds for the answer.
    Asks(Option<IpAddress>, u64),
    /// He listens to it himself.
    Listens(IpAddress),
}

/// Reads a message of IGMP or MLD.
fn read(packet: &[u8]) -> Option<Heard> {
    match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&2) => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            let body = ip.payload();
            if !ip.verify_checksum() || !IgmpPacket::new_checked(body).ok()?.verify_checksum() {
                return None;
            }
            let group = Ipv4Address::from(*body.get(4..)?.first_chunk::<4>()?);
            let of = (!group.is_unspecified()).then_some(group.into());
            match *body.first()? {
                // Who says no time is of the first version, which has ten seconds.
                QUERY => Some(Heard::Asks(of, tenths(*body.get(1)?) * 100)),
                REPORT | REPORT_OLD => of.map(Heard::Listens),
                _ => None,
            }
        }
        // Through no router, and with the header that tells those to look.
        6 if packet.get(6) == Some(&0) && packet.get(7) == Some(&1) => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            let (next, words) = (*packet.get(40)?, *packet.get(41)?);
            let body = ip.payload().get(8 + usize::from(words) * 8..).filter(|_| next == 58)?;
            // Its types are not those that smoltcp knows the lengths of.
            let icmp = Icmpv6Packet::new_unchecked(body.get(..24).map(|_| body)?);
            let is_near = ip.src_addr().segments()[0] & 0xffc0 == 0xfe80;
            if !is_near || !icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr()) {
                return None;
            }
            let group = Ipv6Address::from(*body.get(8..)?.first_chunk::<16>()?);
            let of = (!group.is_unspecified()).then_some(group.into());
            let ms = u64::from(u16::from_be_bytes(*body.get(4..)?.first_chunk()?));
            match *body.first()? {
                QUERY_V6 => Some(Heard::Asks(of, ms)),
                REPORT_V6 => of.map(Heard::Listens),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The last bits of an address.
fn low(addr: &IpAddress) -> u32 {
    match addr {
        IpAddress::Ipv4(addr) => addr.to_bits(),
        IpAddress::Ipv6(addr) => addr.to_bits() as u32,
    }
}

/// The tenths of seconds that a question says, which of the third version may be a power.
fn tenths(code: u8) -> u64 {
    match code {
        0 => 100,
        1..128 => u64::from(code),
        _ => u64::from(code & 15 | 16) << (u32::from(code >> 4 & 7) + 3),
    }
}

/// What is told of a group, to whom: that somebody listens, or nobody any more.
fn told_v4(from: Ipv4Address, group: Ipv4Address, listens: bool) -> (Ipv4Address, [u8; 32]) {
    let to = if listens { group } else { ROUTERS_V4 };
    let mut packet = [0; 32];
    let head = [0x46, 0, 0, 32, 0, 0, 0, 0, 1, 2, 0, 0];
    let kind = [if listens { REPORT } else { LEAVE }, 0, 0, 0];
    let parts = [&head[..], &from.octets(), &to.octets(), &ALERT_V4, &kind, &group.octets()];
    packet.iter_mut().zip(parts.into_iter().flatten()).for_each(|(place, byte)| *place = *byte);
    Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    if let Some(body) = packet.get_mut(24..) {
        IgmpPacket::new_unchecked(body).fill_checksum();
    }
    (to, packet)
}

/// The same of IPv6.
fn told_v6(from: Ipv6Address, group: Ipv6Address, listens: bool) -> (Ipv6Address, [u8; 72]) {
    let to = if listens { group } else { ROUTERS_V6 };
    let mut packet = [0; 72];
    let head = [0x60, 0, 0, 0, 0, 32, 0, 1];
    let kind = [if listens { REPORT_V6 } else { DONE_V6 }, 0, 0, 0, 0, 0, 0, 0];
    let parts = [&head[..], &from.octets(), &to.octets(), &ALERT_V6, &kind, &group.octets()];
    packet.iter_mut().zip(parts.into_iter().flatten()).for_each(|(place, byte)| *place = *byte);
    if let Some(body) = packet.get_mut(48..) {
        Icmpv6Packet::new_unchecked(body).fill_checksum(&from, &to);
    }
    (to, packet)
}

/// Tells the network of a card that somebody listens to a group, or nobody any more.
fn tell(link: &mut Link, nets: &[IpCidr], group: IpAddress, listens: bool) {
    match group {
        IpAddress::Ipv4(group) if group != ALL_V4 => {
            let own = nets.iter().find_map(|net| match net {
                IpCidr::Ipv4(net) => Some(net.address()),
                IpCidr::Ipv6(_) => None,
            });
            let (to, packet) = told_v4(own.unwrap_or(Ipv4Address::UNSPECIFIED), group, listens);
            link.send_to_group(to.into(), &packet);
        }
        IpAddress::Ipv6(group) if group != ALL_V6 => {
            let own = nets.iter().find_map(|net| match net.address() {
                IpAddress::Ipv6(addr) if addr.segments()[0] & 0xffc0 == 0xfe80 => Some(addr),
                _ => None,
            });
            let (to, packet) = told_v6(own.unwrap_or(Ipv6Address::UNSPECIFIED), group, listens);
            link.send_to_group(to.into(), &packet);
        }
        _ => {}
    }
}

impl Stack {
    /// A conversation of UDP hears what is for a group by the interface that has the address `via`: the group that it
    /// is connected to, where none is said. It has joined it until it ends, or leaves.
    ///
    /// # Errors
    /// It is no group; no interface has the address; it is no conversation of UDP; too many.
    pub fn join(&self, c: &Conversation, via: IpAddress, group: Option<IpAddress>) -> Result<()> {
        self.with(|inner| {
            let (at, group) = inner.of_group(c, via, group)?;
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            if entry.joined.contains(&(at, group)) {
                return Ok(());
            }
            if entry.joined.len() >= JOINED_MOST {
                return Err(TOO_MANY);
            }
            let payer = entry.bearer.clone();
            payer.pays(|| heap::try_reserve(&mut entry.joined, 1))?;
            inner.hear_group(at, group, false)?;
            if let Some(entry) = inner.entry(id(c)) {
                entry.joined.push((at, group));
            }
            Ok(())
        })
    }

    /// A conversation leaves a group that it has joined so.
    ///
    /// # Errors
    /// It has not.
    pub fn leave(&self, c: &Conversation, via: IpAddress, group: Option<IpAddress>) -> Result<()> {
        self.with(|inner| {
            let joined = inner.of_group(c, via, group)?;
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            let at = entry.joined.iter().position(|j| *j == joined).ok_or(DOES_NOT_EXIST)?;
            entry.joined.swap_remove(at);
            inner.leave_group(joined.0, &joined.1, false);
            Ok(())
        })
    }

    /// The machine hears what is for a group by an interface, or does not for its owner's sake any more.
    ///
    /// # Errors
    /// It is no group; too many; it has not heard it.
    pub fn listen_to_group(&self, number: u32, group: IpAddress, listens: bool) -> Result<()> {
        if !group.is_multicast() {
            return Err(NOT_A_GROUP);
        }
        self.with(|inner| {
            let at = number as usize;
            if listens {
                return inner.hear_group(at, group, true);
            }
            if inner.leave_group(at, &group, true) { Ok(()) } else { Err(DOES_NOT_EXIST) }
        })
    }
}

impl Inner {
    /// The interface and the group that are meant.
    fn of_group(
        &mut self,
        c: &Conversation,
        via: IpAddress,
        group: Option<IpAddress>,
    ) -> Result<(usize, IpAddress)> {
        if c.proto != Proto::Udp {
            return Err(BAD_CONTROL);
        }
        let remote = self.entry(id(c)).ok_or(HUNG_UP)?.remote.map(|r| r.addr);
        let group = group.or(remote).filter(IpAddress::is_multicast).ok_or(NOT_A_GROUP)?;
        let at = self.ifcs.iter().position(|i| i.as_ref().is_some_and(|i| i.has(&via))).ok_or(NOT_LOCAL)?;
        if via.version() == group.version() { Ok((at, group)) } else { Err(NOT_LOCAL) }
    }

    fn hear_group(&mut self, at: usize, group: IpAddress, is_owners: bool) -> Result<()> {
        let again_ns = self.chances.next() % AGAIN_MS * MS_NS;
        let ifc = self.ifcs.get_mut(at).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
        if ifc.wire.groups.add(group, is_owners)? {
            ifc.tell_of_group(group, true);
            let says_ns = clock::now_ns().saturating_add(again_ns);
            if let Some(group) = ifc.wire.groups.all.last_mut().filter(|_| at != LOOPBACK) {
                group.says_ns = says_ns;
                self.soonest_ns = self.soonest_ns.min(says_ns);
            }
        }
        Ok(())
    }

    /// Whether somebody had listened.
    fn leave_group(&mut self, at: usize, group: &IpAddress, is_owners: bool) -> bool {
        let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { return false };
        let left = ifc.wire.groups.remove(group, is_owners);
        if left == Some(true) {
            ifc.tell_of_group(*group, false);
        }
        left.is_some()
    }

    /// A conversation has ended: it leaves what it has joined.
    pub(crate) fn leave_all(&mut self, joined: &[(usize, IpAddress)]) {
        for (at, group) in joined {
            self.leave_group(*at, group, false);
        }
    }

    /// An interface goes: nobody has joined a group by it any more.
    pub(crate) fn forget_joined(&mut self, at: usize) {
        let mut from = 0;
        let table = self.table(Proto::Udp);
        loop {
            let next = table.from(from).next().map(|e| e.shared.number);
            let Some(number) = next else { break };
            from = number + 1;
            if let Some(entry) = table.get_mut(number) {
                entry.joined.retain(|(joined, _)| *joined != at);
            }
        }
    }

    /// The interface by which a datagram goes to a group: that of its sender's address, or by which the sender hears
    /// the group, or as the routes have it.
    ///
    /// # Errors
    /// `no route`.
    pub(crate) fn way_to_group(&mut self, of: Id, from: Option<IpAddress>, to: &IpAddress) -> Result<usize> {
        let has = |addr: &IpAddress| self.ifcs.iter().position(|i| i.as_ref().is_some_and(|i| i.has(addr)));
        let own = from.filter(|from| from.version() == to.version()).and_then(|from| has(&from));
        let joined = || {
            Some(self.tables.get(of.proto as usize)?.get(of.number)?.joined.iter().find(|j| j.1 == *to)?.0)
        };
        match own.or_else(joined) {
            Some(at) => Ok(at),
            None => self.routes.find(&self.ifcs, to),
        }
    }

    /// Hears a message of groups, if this is one.
    pub(crate) fn hear_of_groups(&mut self, at: usize, packet: &[u8], now_ns: u64) -> bool {
        let Some(heard) = read(packet) else { return false };
        let chance = self.chances.next();
        let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { return true };
        let is_v4 = packet.first().is_some_and(|b| b >> 4 == 4);
        let groups = &mut ifc.wire.groups;
        match heard {
            Heard::Listens(group) => {
                if let Some(group) = groups.all.iter_mut().find(|g| g.addr == group) {
                    // Somebody else has said so. One who has just joined says so himself once more.
                    group.says_ns = if group.is_first { group.says_ns } else { NEVER };
                }
            }
            Heard::Asks(of, ms) => {
                let is_meant = |g: &&mut Group| {
                    matches!(g.addr, IpAddress::Ipv4(_)) == is_v4 && of.is_none_or(|of| of == g.addr)
                };
                for (n, group) in groups.all.iter_mut().filter(is_meant).enumerate() {
                    // Each at a time of its own.
                    let mixed = chance.rotate_left(n as u32 * 7);
                    let delay_ms = LEAST_MS + mixed % ms.max(LEAST_MS);
                    group.says_ns = group.says_ns.min(now_ns.saturating_add(delay_ms * MS_NS));
                }
                self.soonest_ns = self.soonest_ns.min(groups.soonest_ns());
            }
        }
        true
    }

    /// Tells of the groups whose time has come.
    pub(crate) fn see_to_groups(&mut self, now_ns: u64) {
        for ifc in self.ifcs.iter_mut().flatten() {
            let groups = &mut ifc.wire.groups;
            while let Some(group) = groups.all.iter_mut().find(|g| g.says_ns <= now_ns) {
                (group.says_ns, group.is_first) = (NEVER, false);
                let addr = group.addr;
                if let Some(link) = ifc.wire.out.link_mut() {
                    tell(link, ifc.iface.ip_addrs(), addr, true);
                }
            }
            self.soonest_ns = self.soonest_ns.min(groups.soonest_ns());
        }
    }
}

impl Ifc {
    /// Its addresses have changed, or those that are tried: the groups in which they are asked for are told of. Without
    /// memory they are heard all the same.
    pub(crate) fn tell_of_asked(&mut self) {
        if self.wire.link().is_none() {
            return;
        }
        while let Some((group, is_new)) = self.next_asked() {
            if is_new && as_kernel(|| heap::try_reserve(&mut self.wire.groups.all, 1)).is_err() {
                return;
            }
            let groups = &mut self.wire.groups.all;
            match groups.iter().position(|g| g.addr == group) {
                Some(at) if is_new => groups.iter_mut().skip(at).take(1).for_each(|g| g.is_asked = true),
                Some(at) => {
                    let is_last = groups.get(at).is_some_and(|g| !g.is_wanted());
                    groups.iter_mut().skip(at).take(1).for_each(|g| g.is_asked = false);
                    if is_last {
                        groups.swap_remove(at);
                        self.tell_of_group(group, false);
                    }
                }
                None => {
                    let now_ns = clock::now_ns();
                    // Others who begin at the same time have another group.
                    let again_ns = (now_ns ^ u64::from(low(&group))) % (AGAIN_MS * MS_NS);
                    let says_ns = now_ns.saturating_add(again_ns);
                    let (addr, is_first) = (group, true);
                    groups.push(Group {
                        addr,
                        users: 0,
                        is_owners: false,
                        is_asked: true,
                        says_ns,
                        is_first,
                    });
                    self.tell_of_group(group, true);
                }
            }
        }
    }

    /// A group in which an address is asked for, and that is not known to be one, or the other way round.
    fn next_asked(&self) -> Option<(IpAddress, bool)> {
        let tried = self.tried.iter().map(|t| t.cidr.address());
        let addrs = || self.iface.ip_addrs().iter().map(IpCidr::address).chain(tried.clone());
        let asked = || {
            addrs().filter_map(|addr| match addr {
                IpAddress::Ipv6(addr) => Some(IpAddress::from(solicited(&addr))),
                IpAddress::Ipv4(_) => None,
            })
        };
        let known = || self.wire.groups.all.iter().filter(|g| g.is_asked).map(|g| g.addr);
        let new = asked().find(|group| !known().any(|k| k == *group)).map(|group| (group, true));
        new.or_else(|| known().find(|k| !asked().any(|group| group == *k)).map(|group| (group, false)))
    }

    fn tell_of_group(&mut self, group: IpAddress, listens: bool) {
        if let Some(link) = self.wire.out.link_mut() {
            tell(link, self.iface.ip_addrs(), group, listens);
        }
    }

    /// Whether what comes for this address, which is no machine's, is heard here.
    pub(crate) fn hears(&self, addr: &IpAddress) -> bool {
        if !addr.is_multicast() {
            return self.is_to_all(addr);
        }
        let is_asked = |group: &Ipv6Address| {
            let asked = |cidr: &IpCidr| matches!(cidr, IpCidr::Ipv6(c) if solicited(&c.address()) == *group);
            self.iface.ip_addrs().iter().any(asked)
        };
        let always = match addr {
            IpAddress::Ipv4(group) => *group == ALL_V4,
            IpAddress::Ipv6(group) => *group == ALL_V6 || is_asked(group),
        };
        always || self.wire.groups.has(addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_questions_are_numbers_and_powers() {
        let all = [(0, 100), (1, 1), (127, 127), (128, 128), (0x8f, 31 * 8), (0xff, 31 << 10)];
        for (code, said) in all {
            assert_eq!(tenths(code), said, "{code}");
        }
    }

    #[test]
    fn what_is_told_is_read_as_that_and_nothing_else_is() {
        let group = Ipv4Address::new(239, 1, 2, 3);
        let (to, mut packet) = told_v4(Ipv4Address::new(10, 0, 0, 2), group, true);
        assert_eq!((to, read(&packet)), (group, Some(Heard::Listens(group.into()))));
        for end in 0..packet.len() {
            assert_eq!(read(&packet[..end]), None);
        }
        for at in 0..packet.len() {
            packet[at] ^= 0x10;
            assert_eq!(read(&packet), None, "{at}");
            packet[at] ^= 0x10;
        }
        assert_eq!(read(&told_v4(to, group, false).1), None);
        let (near, group) = ("fe80::1".parse().unwrap(), "ff05::7".parse().unwrap());
        let (to, mut packet) = told_v6(near, group, true);
        assert_eq!((to, read(&packet)), (group, Some(Heard::Listens(group.into()))));
        // Its checksum covers the message and the addresses, not the header between.
        for at in (8..40).chain(48..72) {
            packet[at] ^= 0x10;
            assert_eq!(read(&packet), None, "{at}");
            packet[at] ^= 0x10;
        }
        assert_eq!(read(&told_v6("fd00::1".parse().unwrap(), group, true).1), None);
    }
}
