//! What routers of IPv6 advertise: prefixes, of which the machine makes itself addresses, and that they are gateways.
//! They are listened to where the machine's owner has said so. Each thing has its time, after which it goes; what a
//! router says is believed only from the network itself.

use alloc::vec::Vec;

use machine::ledger::as_kernel;
use machine::{clock, heap};
use smoltcp::wire::{
    IpAddress, IpCidr, Ipv6Address, NdiscOption, NdiscOptionRepr, NdiscPrefixInfoFlags,
    NdiscPrefixInformation,
};

use crate::config::Tag;
use crate::error::{DOES_NOT_EXIST, IN_USE, Result, SMALL_MTU};
use crate::ifc::{Ifc, LOOPBACK};
use crate::near::Mac;
use crate::route::Gateway;
use crate::stack::Stack;
use crate::work::Inner;

/// What routes are marked with that are learned so.
const TAG: Tag = *b"ra  ";
/// Things that are remembered of routers.
const MOST: usize = 16;
/// How often it is asked for routers, and how long between.
const TIMES: u8 = 3;
const AGAIN_NS: u64 = 4_000_000_000;
/// An address is not made shorter-lived than this by anybody who comes along.
const LEAST_SECONDS: u64 = 2 * 60 * 60;
/// Every network of IPv6 takes packets of so many bytes.
pub(crate) const LEAST_MTU: usize = 1280;
const SECOND_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Address(Ipv6Address),
    Gateway(Ipv6Address),
}

/// What routers have said to an interface.
pub(crate) struct Heard {
    /// Until when each is there, and until when it should be used for what is new.
    things: Vec<(Thing, [u64; 2])>,
    asked: u8,
    next_ns: u64,
}

impl Heard {
    /// When something is to be done.
    pub(crate) fn soonest_ns(&self) -> u64 {
        let ends = self.things.iter().map(|(_, [until_ns, _])| *until_ns);
        let asks = if self.asked < TIMES { self.next_ns } else { u64::MAX };
        ends.min().unwrap_or(u64::MAX).min(asks)
    }

    /// Remembers something until a time, or that it is as it was.
    fn keep(&mut self, thing: Thing, times: [u64; 2]) -> Result<()> {
        if let Some((_, until)) = self.things.iter_mut().find(|(t, _)| *t == thing) {
            *until = times;
            return Ok(());
        }
        if self.things.len() >= MOST {
            return Err(crate::error::TOO_MANY);
        }
        Ok(as_kernel(|| heap::try_push(&mut self.things, (thing, times)))?)
    }

    /// When an address goes that was learned, and until when it is preferred.
    pub(crate) fn until_address(&self, addr: &IpAddress) -> Option<[u64; 2]> {
        let IpAddress::Ipv6(addr) = addr else { return None };
        self.things.iter().find(|(t, _)| *t == Thing::Address(*addr)).map(|(_, times)| *times)
    }

    fn until(&self, thing: Thing) -> Option<u64> {
        self.things.iter().find(|(t, _)| *t == thing).map(|(_, [until_ns, _])| *until_ns)
    }
}

const NEAR: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// The address that a card has in a network of 64 bits.
pub(crate) fn address(net: Ipv6Address, mac: &Mac) -> Ipv6Address {
    let [a, b, c, d, e, f] = *mac;
    let host = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Address::from_bits(net.to_bits() & !u128::from(u64::MAX) | u128::from(host))
}

impl Stack {
    /// Listens to routers by an interface, which tries an address on its own network then; or does not any more, and
    /// forgets what they have said.
    ///
    /// # Errors
    /// It is no card.
    pub fn listen_to_routers(&self, number: u32, listens: bool) -> Result<()> {
        self.with(|inner| {
            let at = number as usize;
            let ifc = inner.ifcs.get_mut(at).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            let mac = ifc.wire.link().map(|link| link.mac).ok_or(IN_USE)?;
            if !listens {
                let heard = ifc.routers.take();
                for (thing, _) in heard.into_iter().flat_map(|h| h.things) {
                    inner.unlearn(at, thing);
                }
                return Ok(());
            }
            if !ifc.takes_v6() {
                return Err(SMALL_MTU);
            }
            if ifc.routers.is_none() {
                ifc.routers = Some(Heard { things: Vec::new(), asked: 0, next_ns: 0 });
            }
            let now_ns = clock::now_ns();
            inner.try_itself(at, IpCidr::new(address(NEAR, &mac).into(), 64), now_ns);
            inner.see_to_routers(now_ns);
            Ok(())
        })
    }
}

impl Inner {
    /// A router has said by an interface that it is a gateway for so many seconds, and what the options say.
    pub(crate) fn hear_router(
        &mut self,
        at: usize,
        from: Ipv6Address,
        seconds: u64,
        options: &[u8],
        now_ns: u64,
    ) {
        let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let is_near = from.segments()[0] & 0xffc0 == 0xfe80;
        let (Some(heard), Some(link), true) = (&mut ifc.routers, ifc.wire.link(), is_near) else { return };
        let mac = link.mac;
        heard.asked = TIMES;
        if seconds == 0 {
            if heard.until(Thing::Gateway(from)).is_some() {
                self.forget_thing(at, Thing::Gateway(from));
            }
        } else if heard.keep(Thing::Gateway(from), [after(now_ns, seconds); 2]).is_ok() {
            self.have_gateway(at);
        }
        for said in options_of(options) {
            match said {
                NdiscOptionRepr::PrefixInformation(info) => self.hear_prefix(at, &mac, &info, now_ns),
                NdiscOptionRepr::Mtu(mtu) => self.hear_mtu(at, mtu as usize),
                _ => {}
            }
        }
        let soonest_ns = self.ifcs.get(at).and_then(Option::as_ref).and_then(|i| i.routers.as_ref());
        self.soonest_ns = self.soonest_ns.min(soonest_ns.map_or(u64::MAX, Heard::soonest_ns));
    }

    /// Sees to it that packets for the world go by a router of this interface that has said that it is a gateway. The
    /// one by which they go already stays it.
    fn have_gateway(&mut self, at: usize) {
        let to = IpCidr::new(Ipv6Address::UNSPECIFIED.into(), 0);
        // One that somebody else has made stays.
        let stays = |g: &Gateway| g.to == to && (g.tag != TAG || g.ifc == Some(at));
        let heard = self.ifcs.get(at).and_then(Option::as_ref).and_then(|i| i.routers.as_ref());
        let mut known = heard.into_iter().flat_map(|h| &h.things).filter_map(|(thing, _)| match thing {
            Thing::Gateway(via) => Some(*via),
            Thing::Address(_) => None,
        });
        if let Some(via) = known.next()
            && !self.routes.iter().any(stays)
        {
            let gateway = Gateway { to, via: via.into(), ifc: Some(at), tag: TAG };
            // Without room there is no such route.
            let _ = as_kernel(|| self.routes.add(gateway));
        }
        self.tell_routes();
    }

    /// A router has advertised a prefix (RFC 4862, section 5.5.3). An address of one that is not on the link reaches
    /// nobody but by the router.
    fn hear_prefix(&mut self, at: usize, mac: &Mac, info: &NdiscPrefixInformation, now_ns: u64) {
        let is_one = info.is_valid_prefix_info() && info.prefix_len == 64 && is_global(&info.prefix);
        if !is_one || info.preferred_lifetime > info.valid_lifetime {
            return;
        }
        let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(heard) = &mut ifc.routers else { return };
        let addr = address(info.prefix, mac);
        let seconds = info.valid_lifetime.secs();
        let preferred_ns = after(now_ns, info.preferred_lifetime.secs());
        if let Some(until_ns) = heard.until(Thing::Address(addr)) {
            // Somebody who is no router cannot end it at once.
            let left = until_ns.saturating_sub(now_ns) / SECOND_NS;
            let seconds = seconds.max(left.min(LEAST_SECONDS));
            // It is there.
            let _ = heard.keep(Thing::Address(addr), [after(now_ns, seconds), preferred_ns]);
        } else if seconds != 0
            && heard.keep(Thing::Address(addr), [after(now_ns, seconds), preferred_ns]).is_ok()
        {
            let bits = if info.flags.contains(NdiscPrefixInfoFlags::ON_LINK) { 64 } else { 128 };
            self.try_itself(at, IpCidr::new(addr.into(), bits), now_ns);
        }
    }

    /// A router has said how long a packet of IPv6 may be on this network.
    fn hear_mtu(&mut self, at: usize, mtu: usize) {
        let link = self.ifcs.get_mut(at).and_then(|i| i.as_mut()?.wire.link_mut());
        if let Some(link) = link.filter(|_| mtu >= LEAST_MTU) {
            link.set_mtu_v6(mtu);
        }
    }

    fn forget_thing(&mut self, at: usize, thing: Thing) {
        let ifc = self.ifcs.get_mut(at).and_then(Option::as_mut);
        if let Some(heard) = ifc.and_then(|i| i.routers.as_mut()) {
            heard.things.retain(|(t, _)| *t != thing);
        }
        self.unlearn(at, thing);
    }

    /// What was learned is not so any more.
    fn unlearn(&mut self, at: usize, thing: Thing) {
        match thing {
            Thing::Address(addr) => {
                self.lose_address(at, &addr.into());
            }
            Thing::Gateway(via) => self.routes.forget(&via.into(), at),
        }
        // Another router may still be there.
        self.have_gateway(at);
    }

    /// Asks for routers where it is time to, and forgets what is over.
    pub(crate) fn see_to_routers(&mut self, now_ns: u64) {
        for at in LOOPBACK + 1..self.ifcs.len() {
            loop {
                let ifc = self.ifcs.get(at).and_then(Option::as_ref);
                let Some(heard) = ifc.and_then(|i| i.routers.as_ref()) else { break };
                let over = heard.things.iter().find(|(_, [until_ns, _])| *until_ns <= now_ns);
                let Some(thing) = over.map(|(thing, _)| *thing) else { break };
                self.forget_thing(at, thing);
            }
            let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { continue };
            let Ifc { iface, wire, routers: Some(heard), .. } = &mut **ifc else { continue };
            if heard.asked < TIMES && heard.next_ns <= now_ns {
                (heard.asked, heard.next_ns) = (heard.asked + 1, now_ns + AGAIN_NS);
                if let Some(link) = wire.link_mut() {
                    let own = address(NEAR, &link.mac);
                    // As nobody, while it is only tried.
                    let has = iface.ip_addrs().iter().any(|cidr| cidr.address() == own.into());
                    link.ask_routers(has.then_some(own));
                }
            }
            self.soonest_ns = self.soonest_ns.min(heard.soonest_ns());
        }
    }
}

/// So many seconds later.
fn after(now_ns: u64, seconds: u64) -> u64 {
    now_ns.saturating_add(seconds.saturating_mul(SECOND_NS))
}

/// The options of an advertisement, up to one that makes no sense.
fn options_of(mut options: &[u8]) -> impl Iterator<Item = NdiscOptionRepr<'_>> {
    core::iter::from_fn(move || {
        loop {
            let option = NdiscOption::new_checked(options).ok()?;
            // Counted in eight bytes, and not zero.
            options = options.get(usize::from(option.data_len()) * 8..)?;
            // What this one says nothing of is no option that is known.
            if let Ok(said) = NdiscOptionRepr::parse(&option) {
                return Some(said);
            }
        }
    })
}

/// Whether a network is one that addresses are made of.
fn is_global(net: &Ipv6Address) -> bool {
    let first = net.segments()[0];
    !net.is_unspecified()
        && !net.is_multicast()
        && first & 0xffc0 != 0xfe80
        && !net.is_loopback()
        && first != 0
}
