//! What the machine's owner sets: interfaces, their addresses, routes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::wire::{IpAddress, IpCidr};

use crate::copies::Copies;
use crate::error::{
    BAD_ADDRESS, BAD_ARGUMENT, BAD_CARD, BAD_MASK, DOES_NOT_EXIST, IN_USE, NO_CONVERSATION, NO_ROUTE,
    NOT_CONNECTED, Result, TOO_SHORT,
};
use crate::ifc::{Ifc, LOOPBACK, MOST};
use crate::link::{Card, Link};
use crate::program::Program;
use crate::route::{Gateway, cards};
use crate::stack::Stack;
use crate::text::prefix;
use crate::wire::{LOOPBACK_MTU, Out};
use crate::work::Inner;

/// The largest packet of an interface that is nothing yet.
const SMALLEST_MTU: usize = 1280;

/// The owner does not have a wire take less than this, and no card less than that.
const LEAST_MTU: usize = 576;
const LEAST_OF_CARD: usize = 68;

/// Four letters that say who has made a route.
pub type Tag = [u8; 4];

/// A tag of a text: what is longer is cut, what is shorter filled with blanks.
pub fn tag(text: &str) -> Tag {
    let mut tag = *b"    ";
    tag.iter_mut().zip(text.bytes().filter(u8::is_ascii_graphic)).for_each(|(to, from)| *to = from);
    tag
}

/// A control file of an interface that is open, with which it may end: see [`Stack::close_interface`].
#[derive(Debug)]
pub struct OpenInterface {
    /// The interface's number.
    pub number: u32,
    stamp: u64,
}

/// Nothing comes any more to who reads packets of an interface.
fn end_reads(ifc: &Ifc) {
    let reads = match &ifc.wire.out {
        Out::Program(program) => Some(&program.reads),
        _ => None,
    };
    ifc.wire.copies.iter().chain(reads).for_each(|copies| copies.end());
}

impl Stack {
    /// A new interface, which is nothing yet; its number.
    ///
    /// # Errors
    /// Too many; no memory.
    pub fn new_interface(&self) -> Result<u32> {
        Ok(self.open_new_interface()?.number)
    }

    /// The same, with its control file open once.
    ///
    /// # Errors
    /// Too many; no memory.
    pub fn open_new_interface(&self) -> Result<OpenInterface> {
        let mut ifc = as_kernel(|| Ifc::new(Out::Nowhere, SMALLEST_MTU, ""))?;
        self.look(|inner| {
            inner.stamps += 1;
            (ifc.stamp, ifc.users) = (inner.stamps, 1);
            let free = inner.ifcs.iter().position(Option::is_none);
            let at = match free {
                Some(at) => at,
                None if inner.ifcs.len() >= MOST => return Err(NO_CONVERSATION),
                None => {
                    as_kernel(|| heap::try_push(&mut inner.ifcs, None))?;
                    inner.ifcs.len() - 1
                }
            };
            let stamp = ifc.stamp;
            if let Some(place) = inner.ifcs.get_mut(at) {
                *place = Some(ifc);
            }
            let number = u32::try_from(at).map_err(|_| NO_CONVERSATION)?;
            Ok(OpenInterface { number, stamp })
        })
    }

    /// One more has the control file of an interface open.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn open_interface(&self, number: u32) -> Result<OpenInterface> {
        self.look(|inner| {
            let ifc = inner.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            ifc.users = ifc.users.saturating_add(1);
            Ok(OpenInterface { number, stamp: ifc.stamp })
        })
    }

    /// A control file of an interface is closed. One that has become nothing goes with the last of them.
    pub fn close_interface(&self, open: &OpenInterface) {
        let gone = self.with(|inner| {
            let ifc = inner.ifcs.get_mut(open.number as usize)?.as_mut().filter(|i| i.stamp == open.stamp)?;
            ifc.users = ifc.users.saturating_sub(1);
            let goes = ifc.users == 0 && matches!(ifc.wire.out, Out::Nowhere);
            if goes { inner.take_interface(open.number) } else { None }
        });
        gone.iter().for_each(|ifc| end_reads(ifc));
    }

    /// Connects an interface with a card, whose file is `device`.
    ///
    /// # Errors
    /// It has one; no memory.
    pub fn bind_card(&self, number: u32, card: Arc<dyn Card>, device: &str) -> Result<()> {
        let ifc = as_kernel(|| {
            let mtu = card.mtu().min(LOOPBACK_MTU);
            if mtu < LEAST_OF_CARD {
                return Err(BAD_CARD);
            }
            Ifc::new(Out::Card(Link::new(card, mtu)), mtu, device)
        })?;
        self.become_bound(number, ifc)
    }

    /// What does not stay, be it what the interface was or what it cannot become, is let go without the lock: it may
    /// have a card.
    fn become_bound(&self, number: u32, mut ifc: Box<Ifc>) -> Result<()> {
        self.with(|inner| {
            let place = inner.interface(number)?;
            if !matches!(place.wire.out, Out::Nowhere) {
                return Err(IN_USE);
            }
            (ifc.stamp, ifc.users) = (place.stamp, place.users);
            // It begins without addresses.
            inner.end_interface(number as usize);
            core::mem::swap(inner.interface(number)?, &mut *ifc);
            Ok(())
        })
    }

    /// Makes an interface one that leads back to the machine, or one whose other end is a program, which reads and
    /// writes packets of IP.
    ///
    /// # Errors
    /// It is something; no memory.
    pub fn bind_here(&self, number: u32, is_program: bool) -> Result<()> {
        let ifc = as_kernel(|| match is_program {
            true => Ifc::new(Out::Program(Program::new()), crate::program::MTU, "/dev/null"),
            false => Ifc::new(Out::Loop, LOOPBACK_MTU, "/dev/null"),
        })?;
        self.become_bound(number, ifc)
    }

    /// The packets that a program reads of its interface, from now on, until [`Copies::close`].
    ///
    /// # Errors
    /// It is none such.
    pub fn packets(&self, number: u32) -> Result<Arc<Copies>> {
        self.look(|inner| match &inner.interface(number)?.wire.out {
            Out::Program(program) => {
                program.reads.open();
                Ok(program.reads.clone())
            }
            _ => Err(NOT_CONNECTED),
        })
    }

    /// A program has a packet of IP come by its interface. There may be no room for it, as on any wire.
    ///
    /// # Errors
    /// The interface is none such; it is no packet of IP.
    pub fn bring(&self, number: u32, packet: Vec<u8>) -> Result<()> {
        if packet.len() < 20 || !matches!(packet.first().map(|b| b >> 4), Some(4 | 6)) {
            return Err(TOO_SHORT);
        }
        self.with(|inner| {
            let wire = &mut inner.interface(number)?.wire;
            if !matches!(wire.out, Out::Program(_)) {
                return Err(NOT_CONNECTED);
            }
            wire.bad += u64::from(!wire.bring(packet));
            Ok(())
        })
    }

    /// The largest packet of an interface has so many bytes from now on: no more than its card takes. Connections that
    /// are there keep to what they know.
    ///
    /// # Errors
    /// It cannot be that.
    pub fn set_mtu(&self, number: u32, mtu: usize) -> Result<()> {
        self.look(|inner| {
            let ifc = inner.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            let most = match &ifc.wire.out {
                Out::Card(link) => link.card.mtu().min(LOOPBACK_MTU),
                Out::Loop | Out::Program(_) => LOOPBACK_MTU,
                Out::Nowhere => return Err(BAD_ARGUMENT),
            };
            if !(LEAST_MTU.min(most)..=most).contains(&mtu) {
                return Err(BAD_ARGUMENT);
            }
            ifc.wire.mtu = mtu;
            if let Some(link) = ifc.wire.link_mut() {
                link.set_mtu(mtu);
            }
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
            Ok(inner.take_interface(number))
        });
        // A card is let go without the lock.
        gone.map(|gone| gone.iter().for_each(|ifc| end_reads(ifc)))
    }

    /// Whether an interface is connected with something.
    pub fn is_bound(&self, number: u32) -> bool {
        let bound = |i: &Ifc| !matches!(i.wire.out, Out::Nowhere);
        self.look(|inner| inner.ifcs.get(number as usize).and_then(Option::as_ref).is_some_and(|i| bound(i)))
    }

    /// Adds an address, with the length of its network's prefix; the whole address unless it is said.
    ///
    /// # Errors
    /// Another interface has it; it cannot be; too many.
    pub fn add_address(&self, number: u32, addr: IpAddress, bits: Option<u8>) -> Result<()> {
        let most = whole(&addr);
        let bits = bits.unwrap_or(most);
        // A network that everything is in has no gateway.
        if bits > most || bits == 0 {
            return Err(BAD_MASK);
        }
        self.with(|inner| {
            let mut all = inner.ifcs.iter().enumerate();
            let holder = all.find(|(_, ifc)| ifc.as_ref().is_some_and(|ifc| ifc.has(&addr)));
            match holder {
                // Adding it again changes nothing, as on Plan 9.
                Some((at, _)) if at == number as usize => return Ok(()),
                Some(_) => return Err(IN_USE),
                None => {}
            }
            let ifc = inner.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            ifc.add(IpCidr::new(addr, bits))?;
            inner.soonest_ns = inner.soonest_ns.min(ifc.soonest_ns());
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
            let to = prefix(IpCidr::new(to, bits));
            as_kernel(|| inner.routes.add(Gateway { to, via, ifc: None, tag }))?;
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

    /// Ends an interface, and the conversations by it; what it was, which is let go without the lock.
    fn take_interface(&mut self, number: u32) -> Option<Box<Ifc>> {
        self.end_interface(number as usize);
        let gone = self.ifcs.get_mut(number as usize).and_then(Option::take);
        self.tell_routes();
        gone
    }

    /// Each interface knows the gateways that it reaches.
    pub(crate) fn tell_routes(&mut self) {
        let Inner { ifcs, routes, .. } = self;
        for (at, ifc) in ifcs.iter_mut().enumerate().skip(LOOPBACK + 1) {
            if let Some(link) = ifc.as_mut().and_then(|ifc| ifc.wire.link_mut()) {
                let ours = routes.iter().filter(|g| g.ifc.is_none_or(|of| of == at));
                link.set_gates(ours.map(|g| (g.to, g.via)));
            }
        }
    }
}
