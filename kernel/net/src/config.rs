//! What the machine's owner sets: interfaces, their addresses, routes.

use alloc::sync::Arc;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::wire::{IpAddress, IpCidr};

use crate::error::{BAD_ADDRESS, BAD_MASK, DOES_NOT_EXIST, IN_USE, NO_CONVERSATION, NO_ROUTE, Result};
use crate::ifc::{Ifc, LOOPBACK, MOST};
use crate::link::{Card, Link};
use crate::route::{Gateway, cards};
use crate::stack::Stack;
use crate::text::prefix;
use crate::wire::Out;
use crate::work::Inner;

/// The largest packet of an interface that is nothing yet.
const SMALLEST_MTU: usize = 1280;

/// Four letters that say who has made a route.
pub type Tag = [u8; 4];

/// A tag of a text: what is longer is cut, what is shorter filled with blanks.
pub fn tag(text: &str) -> Tag {
    let mut tag = *b"    ";
    tag.iter_mut().zip(text.bytes().filter(u8::is_ascii_graphic)).for_each(|(to, from)| *to = from);
    tag
}

impl Stack {
    /// A new interface, which is nothing yet; its number.
    ///
    /// # Errors
    /// Too many; no memory.
    pub fn new_interface(&self) -> Result<u32> {
        let ifc = as_kernel(|| Ifc::new(Out::Nowhere, SMALLEST_MTU, ""))?;
        self.look(|inner| {
            let free = inner.ifcs.iter().position(Option::is_none);
            let at = match free {
                Some(at) => at,
                None if inner.ifcs.len() >= MOST => return Err(NO_CONVERSATION),
                None => {
                    as_kernel(|| heap::try_push(&mut inner.ifcs, None))?;
                    inner.ifcs.len() - 1
                }
            };
            if let Some(place) = inner.ifcs.get_mut(at) {
                *place = Some(ifc);
            }
            u32::try_from(at).map_err(|_| NO_CONVERSATION)
        })
    }

    /// Connects an interface with a card, whose file is `device`.
    ///
    /// # Errors
    /// It has one; no memory.
    pub fn bind_card(&self, number: u32, card: Arc<dyn Card>, device: &str) -> Result<()> {
        let ifc = as_kernel(|| {
            let mtu = card.mtu().clamp(SMALLEST_MTU, crate::wire::LOOPBACK_MTU);
            Ifc::new(Out::Card(Link::new(card, mtu)), mtu, device)
        })?;
        self.with(|inner| {
            let place = inner.interface(number)?;
            if !matches!(place.wire.out, Out::Nowhere) {
                return Err(IN_USE);
            }
            // It begins without addresses.
            inner.end_interface(number as usize);
            *inner.interface(number)? = *ifc;
            Ok(())
        })
    }

    /// Ends an interface, and the conversations by it.
    ///
    /// # Errors
    /// It is the loopback, or not there.
    pub fn unbind(&self, number: u32) -> Result<()> {
        let gone: Result<_> = self.with(|inner| {
            inner.interface(number)?;
            inner.end_interface(number as usize);
            let gone = inner.ifcs.get_mut(number as usize).and_then(Option::take);
            inner.tell_routes();
            Ok(gone)
        });
        // A card is let go without the lock.
        gone.map(|gone| {
            if let Some(copies) = gone.as_ref().and_then(|ifc| ifc.wire.copies.as_ref()) {
                copies.end();
            }
        })
    }

    /// Whether an interface is connected with something.
    pub fn is_bound(&self, number: u32) -> bool {
        let bound = |i: &Ifc| !matches!(i.wire.out, Out::Nowhere);
        self.look(|inner| inner.ifcs.get(number as usize).and_then(Option::as_ref).is_some_and(|i| bound(i)))
    }

    /// Adds an address, with the length of its network's prefix; the whole address unless it is said.
    ///
    /// # Errors
    /// It is there, or cannot be; too many.
    pub fn add_address(&self, number: u32, addr: IpAddress, bits: Option<u8>) -> Result<()> {
        let most = whole(&addr);
        let bits = bits.unwrap_or(most);
        // A network that everything is in has no gateway.
        if bits > most || bits == 0 {
            return Err(BAD_MASK);
        }
        self.with(|inner| {
            if inner.ifcs.iter().flatten().any(|i| i.has(&addr)) {
                return Err(IN_USE);
            }
            let ifc = inner.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            ifc.add(IpCidr::new(addr, bits))?;
            inner.tell_routes();
            Ok(())
        })
    }

    /// Takes an address away, and ends the conversations from it; or tries it no more.
    ///
    /// # Errors
    /// It is not there.
    pub fn remove_address(&self, number: u32, addr: IpAddress) -> Result<()> {
        self.with(|inner| {
            let is_there = inner.lose_address(number as usize, &addr);
            inner.tell_routes();
            if is_there { Ok(()) } else { Err(DOES_NOT_EXIST) }
        })
    }

    /// Adds a route through a gateway, which a network of an interface has to have.
    ///
    /// # Errors
    /// Too many; the gateway is nowhere.
    pub fn add_route(&self, to: IpAddress, bits: u8, via: IpAddress, tag: Tag) -> Result<()> {
        // A gateway is somebody's address.
        if to.version() != via.version() || !via.is_unicast() {
            return Err(BAD_ADDRESS);
        }
        if bits > whole(&to) {
            return Err(BAD_MASK);
        }
        self.with(|inner| {
            if !cards(&inner.ifcs).any(|(_, ifc)| ifc.reaches(&via).is_some()) {
                return Err(NO_ROUTE);
            }
            as_kernel(|| inner.routes.add(Gateway { to: prefix(IpCidr::new(to, bits)), via, tag }))?;
            inner.tell_routes();
            Ok(())
        })
    }

    /// Takes a route away.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_route(&self, to: IpAddress, bits: u8) -> Result<()> {
        if bits > whole(&to) {
            return Err(BAD_MASK);
        }
        self.with(|inner| {
            inner.routes.remove(prefix(IpCidr::new(to, bits)))?;
            inner.tell_routes();
            Ok(())
        })
    }

    /// Takes away all routes through gateways, or those with a tag.
    pub fn flush_routes(&self, tag: Option<Tag>) {
        self.with(|inner| {
            inner.routes.flush(tag);
            inner.tell_routes();
        });
    }
}

/// The length of a prefix that is a whole address.
pub(crate) fn whole(addr: &IpAddress) -> u8 {
    if matches!(addr, IpAddress::Ipv4(_)) { 32 } else { 128 }
}

impl Inner {
    /// An interface that is not the loopback.
    fn interface(&mut self, number: u32) -> Result<&mut Ifc> {
        if number as usize == LOOPBACK {
            return Err(IN_USE);
        }
        Ok(&mut **self.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?)
    }

    /// Each interface knows the gateways that it reaches.
    pub(crate) fn tell_routes(&mut self) {
        let Inner { ifcs, routes, .. } = self;
        for ifc in ifcs.iter_mut().skip(LOOPBACK + 1).flatten() {
            if let Some(link) = ifc.wire.link_mut() {
                link.set_gates(routes.iter().map(|g| (g.to, g.via)));
            }
        }
    }
}
