//! Addresses before the machine has them, and how long it has them.
//!
//! An address that is tried is asked for on its network, by who has none (RFC 4862, section 5.4; of IPv4 RFC 5227).
//! Meanwhile nothing is sent from it, and nobody who asks for it is answered. What the machine's owner tries stays
//! tried until he adds or removes it: who has it stands in `arp` then, where he looks. What comes of routers'
//! advertisements is taken by itself after [`WAIT_NS`] in which nobody has said that it is his, or has tried it as
//! well.
//!
//! An address may be there for a time only, after which it goes with the conversations from it.
//!
//! All of it is under the stack's lock.

use machine::ledger::as_kernel;
use machine::{clock, heap};
use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, IpAddress, IpCidr, Ipv6Address, NdiscRepr};

use crate::config::whole;
use crate::error::{BAD_ADDRESS, BAD_ARGUMENT, BAD_MASK, DOES_NOT_EXIST, IN_USE, Result, TOO_MANY};
use crate::ifc::Ifc;
use crate::log::Topic;
use crate::near::Mac;
use crate::routers;
use crate::stack::Stack;
use crate::work::Inner;

/// How long an answer may take, in nanoseconds.
const WAIT_NS: u64 = 1_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// The end of what has none.
const NEVER: u64 = u64::MAX;
/// The same, in seconds.
pub const FOREVER: u32 = u32::MAX;

/// An address that is tried.
pub(crate) struct Tried {
    pub(crate) cidr: IpCidr,
    /// When it is taken by itself.
    until_ns: u64,
}

/// How long the machine has an address, and how long it should begin something from it.
pub(crate) struct Life {
    pub(crate) addr: IpAddress,
    until_ns: u64,
    preferred_ns: u64,
}

/// When a time of so many seconds is over.
fn end(now_ns: u64, seconds: u32) -> u64 {
    if seconds == FOREVER { NEVER } else { now_ns.saturating_add(u64::from(seconds) * SECOND_NS) }
}

/// The seconds until then.
fn left(until_ns: u64, now_ns: u64) -> u32 {
    let seconds = until_ns.saturating_sub(now_ns).div_ceil(SECOND_NS);
    if until_ns == NEVER { FOREVER } else { u32::try_from(seconds).unwrap_or(FOREVER) }
}

impl Ifc {
    /// The seconds that an address is still there, and those that it is preferred.
    pub(crate) fn life(&self, addr: &IpAddress, now_ns: u64) -> [u32; 2] {
        let life = self.lives.iter().find(|life| life.addr == *addr).map(|l| [l.until_ns, l.preferred_ns]);
        let learned = || self.routers.as_ref()?.until_address(addr);
        life.or_else(learned).unwrap_or([NEVER; 2]).map(|until_ns| left(until_ns, now_ns))
    }

    /// When something is to be done about its addresses and groups.
    pub(crate) fn soonest_ns(&self) -> u64 {
        let tried = self.tried.iter().map(|t| t.until_ns);
        let ends = tried.chain(self.lives.iter().map(|l| l.until_ns)).min().unwrap_or(NEVER);
        ends.min(self.wire.groups.soonest_ns())
    }

    /// Begins to try an address on a card; what is no card has it at once.
    ///
    /// # Errors
    /// It is there, or cannot be; too many; no memory.
    pub(crate) fn tries(&mut self, cidr: IpCidr, until_ns: u64) -> Result<()> {
        let addr = cidr.address();
        if !self.wire.is_ethernet() {
            return self.add(cidr);
        }
        self.may_have(&addr)?;
        if self.tried.iter().any(|t| t.cidr.address() == addr) {
            return Err(IN_USE);
        }
        if self.tried.len() + self.iface.ip_addrs().len() >= smoltcp::config::IFACE_MAX_ADDR_COUNT {
            return Err(TOO_MANY);
        }
        as_kernel(|| heap::try_push(&mut self.tried, Tried { cidr, until_ns }))?;
        self.tell_of_asked();
        if let Some(link) = self.wire.link_mut() {
            link.ask_whether_free(addr);
        }
        Ok(())
    }

    /// It is not tried any more; whether it was.
    pub(crate) fn forget_tried(&mut self, addr: &IpAddress) -> bool {
        let before = self.tried.len();
        self.tried.retain(|t| t.cidr.address() != *addr);
        self.tried.len() != before
    }
}

impl Stack {
    /// Tries an address, with the length of its network's prefix; the whole address unless it is said.
    ///
    /// # Errors
    /// It is there, or cannot be; too many.
    pub fn try_address(&self, number: u32, addr: IpAddress, bits: Option<u8>) -> Result<()> {
        let most = whole(&addr);
        let bits = bits.unwrap_or(most);
        if !(1..=most).contains(&bits) {
            return Err(BAD_MASK);
        }
        self.with(|inner| {
            if inner.ifcs.iter().flatten().any(|i| i.has(&addr)) {
                return Err(IN_USE);
            }
            let ifc = inner.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            ifc.tries(IpCidr::new(addr, bits), NEVER)?;
            inner.soonest_ns = inner.soonest_ns.min(ifc.soonest_ns());
            inner.tell_routes();
            Ok(())
        })
    }

    /// Adds the address that the card of an interface has in a network of IPv6, of at most 64 bits, for so many seconds
    /// ([`FOREVER`]) of which it is preferred for some; or says so of one that is there. What is not `on_link` is in a
    /// network of its own.
    ///
    /// # Errors
    /// There cannot be such an address; it is another interface's; too many.
    pub fn add_of_card(
        &self,
        number: u32,
        net: IpAddress,
        bits: u8,
        on_link: bool,
        [valid, preferred]: [u32; 2],
    ) -> Result<()> {
        let IpAddress::Ipv6(net) = net else { return Err(BAD_ADDRESS) };
        let is_near = net.segments()[0] & 0xffc0 == 0xfe80;
        if is_near {
            return Err(BAD_ADDRESS);
        }
        if !(1..=64).contains(&bits) {
            return Err(BAD_MASK);
        }
        if preferred > valid || valid == 0 {
            return Err(BAD_ARGUMENT);
        }
        self.with(|inner| {
            let at = number as usize;
            let ifc = inner.ifcs.get(at).and_then(Option::as_ref).ok_or(DOES_NOT_EXIST)?;
            let mac = ifc.wire.link().map(|link| link.mac).ok_or(IN_USE)?;
            let addr = IpAddress::from(routers::address(net, &mac));
            let others = inner.ifcs.iter().enumerate().filter(|(n, _)| *n != at);
            if others.filter_map(|(_, i)| i.as_ref()).any(|i| i.has(&addr)) {
                return Err(IN_USE);
            }
            let ifc = inner.ifcs.get_mut(at).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            let now_ns = clock::now_ns();
            let life = Life { addr, until_ns: end(now_ns, valid), preferred_ns: end(now_ns, preferred) };
            as_kernel(|| heap::try_reserve(&mut ifc.lives, 1))?;
            if !ifc.has(&addr) {
                ifc.add(IpCidr::new(addr, if on_link { bits } else { 128 }))?;
            }
            ifc.lives.retain(|l| l.addr != addr);
            ifc.lives.push(life);
            let soonest_ns = ifc.soonest_ns();
            inner.soonest_ns = inner.soonest_ns.min(soonest_ns);
            inner.tell_routes();
            Ok(())
        })
    }
}

impl Inner {
    /// Tries an address of IPv6, which is taken if nobody says that it is his. Without room there is none.
    pub(crate) fn try_itself(&mut self, at: usize, cidr: IpCidr, now_ns: u64) {
        let is_ours = self.ifcs.iter().flatten().any(|i| i.has(&cidr.address()));
        if let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut)
            && !is_ours
            && ifc.tries(cidr, now_ns + WAIT_NS).is_ok()
        {
            self.soonest_ns = self.soonest_ns.min(ifc.soonest_ns());
        }
    }

    /// A neighbour with this card has said that he has this address, or tries it: do we try it?
    pub(crate) fn hear_of_tried(&mut self, at: usize, target: IpAddress, mac: Mac, now_ns: u64) {
        let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(tried) = ifc.tried.iter().find(|t| t.cidr.address() == target) else { return };
        let is_owners = tried.until_ns == NEVER;
        // A question of ours may come back.
        let Some(link) = ifc.wire.link_mut().filter(|link| link.mac != mac) else { return };
        if is_owners {
            link.meet(target, mac, now_ns);
        } else {
            ifc.forget_tried(&target);
            ifc.tell_of_asked();
        }
        self.log.say(Topic::Ip, Some(target), format_args!("{target} is not taken: somebody has it"));
    }

    /// Takes what has been tried for long enough, and lets go of what is over.
    pub(crate) fn see_to_addresses(&mut self, now_ns: u64) {
        for at in 0..self.ifcs.len() {
            while let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) {
                if let Some(n) = ifc.tried.iter().position(|t| t.until_ns <= now_ns) {
                    let cidr = ifc.tried.swap_remove(n).cidr;
                    let is_ours = self.ifcs.iter().flatten().any(|i| i.has(&cidr.address()));
                    if let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) {
                        // There is room: it was counted when it was tried, unless the owner has been faster.
                        if is_ours || ifc.add(cidr).is_err() {
                            ifc.tell_of_asked();
                        }
                    }
                } else if let Some(addr) = ifc.lives.iter().find(|l| l.until_ns <= now_ns).map(|l| l.addr) {
                    self.lose_address(at, &addr);
                } else {
                    self.soonest_ns = self.soonest_ns.min(ifc.soonest_ns());
                    break;
                }
                self.tell_routes();
            }
        }
    }

    /// An interface has an address no more, nor those who talk from it; whether it had it, or tried it.
    pub(crate) fn lose_address(&mut self, at: usize, addr: &IpAddress) -> bool {
        if self.ifcs.get(at).and_then(Option::as_ref).is_some_and(|i| i.has(addr)) {
            // They may still say so.
            self.end_address(*addr);
        }
        self.ifcs.get_mut(at).and_then(Option::as_mut).is_some_and(|ifc| ifc.remove(addr).is_some())
    }
}

/// The address that somebody has, or tries, who says this by messages of IPv6.
pub(crate) fn had_v6(said: &NdiscRepr<'_>, from: Ipv6Address) -> Option<IpAddress> {
    match said {
        NdiscRepr::NeighborAdvert { target_addr, .. } => Some(IpAddress::from(*target_addr)),
        NdiscRepr::NeighborSolicit { target_addr, .. } if from.is_unspecified() => {
            Some(IpAddress::from(*target_addr))
        }
        _ => None,
    }
}

/// The same of ARP: whoever speaks from an address has it, and who has none asks for the one that he tries.
pub(crate) fn had_v4(message: &[u8]) -> Option<IpAddress> {
    match ArpRepr::parse(&ArpPacket::new_checked(message).ok()?).ok()? {
        ArpRepr::EthernetIpv4 { operation: ArpOperation::Unknown(_), .. } => None,
        ArpRepr::EthernetIpv4 { source_protocol_addr: from, target_protocol_addr: target, .. } => {
            Some(if from.is_unspecified() { target } else { from }.into())
        }
        _ => None,
    }
}
