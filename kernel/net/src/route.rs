//! Routes: which interface leads to an address. Networks of interfaces are routes by themselves; others go through a
//! gateway, which is in such a network.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;

use machine::heap;
use smoltcp::wire::{IpAddress, IpCidr};

use crate::address;
use crate::error::{DOES_NOT_EXIST, NO_ROUTE, Result, TOO_MANY};
use crate::ifc::{Ifc, LOOPBACK};

/// Routes through gateways at most.
pub(crate) const MOST: usize = 64;

/// A route through a gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) to: IpCidr,
    pub(crate) via: IpAddress,
    /// The interface that the gateway is behind, where that is known: addresses that count on one network only are
    /// there on others as well. Else it is whichever reaches it.
    pub(crate) ifc: Option<usize>,
    /// Who says so: four letters.
    pub(crate) tag: [u8; 4],
}

/// The routes of a stack.
#[derive(Default)]
pub(crate) struct Routes {
    all: Vec<Gateway>,
}

impl Routes {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Gateway> {
        self.all.iter()
    }

    /// Adds a route. Those to the same network give way; of an interface's only that interface's.
    ///
    /// # Errors
    /// Too many; no memory.
    pub(crate) fn add(&mut self, gateway: Gateway) -> Result<()> {
        let gives_way = |g: &Gateway| g.to == gateway.to && (gateway.ifc.is_none() || g.ifc == gateway.ifc);
        if let Some(at) = self.all.iter().position(gives_way) {
            let mut is_first = true;
            self.all.retain(|g| !gives_way(g) || core::mem::take(&mut is_first));
            if let Some(old) = self.all.get_mut(at) {
                *old = gateway;
            }
            return Ok(());
        }
        if self.all.len() == MOST {
            return Err(TOO_MANY);
        }
        Ok(heap::try_push(&mut self.all, gateway)?)
    }

    /// Takes a route away.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn remove(&mut self, to: IpCidr) -> Result<()> {
        let before = self.all.len();
        self.all.retain(|g| g.to != to);
        if self.all.len() == before { Err(DOES_NOT_EXIST) } else { Ok(()) }
    }

    /// Forgets those through a gateway behind this interface.
    pub(crate) fn forget(&mut self, via: &IpAddress, ifc: usize) {
        self.all.retain(|g| g.via != *via || g.ifc != Some(ifc));
    }

    /// Forgets those that are an interface's, which ends.
    pub(crate) fn forget_all_of(&mut self, ifc: usize) {
        self.all.retain(|g| g.ifc != Some(ifc));
    }

    /// Forgets those with this tag, or all.
    pub(crate) fn flush(&mut self, tag: Option<[u8; 4]>) {
        self.all.retain(|g| tag.is_some_and(|t| g.tag != t));
    }

    /// The interface that leads to an address.
    ///
    /// # Errors
    /// `no route`.
    pub(crate) fn find(&self, ifcs: &[Option<Box<Ifc>>], to: &IpAddress) -> Result<usize> {
        // Nobody has no address: smoltcp panics over such a packet.
        if to.is_unspecified() {
            return Err(NO_ROUTE);
        }
        if to.is_broadcast() {
            // Who has no address yet asks for one; else the first card.
            let mut all = cards(ifcs).filter(|(_, ifc)| !ifc.wire.is_loop()).peekable();
            let first = all.peek().map(|(at, _)| *at);
            let nameless = all.find(|(_, ifc)| ifc.iface.ipv4_addr().is_none()).map(|(at, _)| at);
            return nameless.or(first).ok_or(NO_ROUTE);
        }
        let own = ifcs.iter().flatten().any(|ifc| ifc.has(to));
        if own || address::is_loopback(to) {
            return Ok(LOOPBACK);
        }
        let direct = |addr: &IpAddress| {
            let near = cards(ifcs).filter_map(|(at, ifc)| Some((ifc.reaches(addr)?, at)));
            near.max_by_key(|(len, _)| *len)
        };
        let through = self.all.iter().filter(|g| g.to.contains_addr(to));
        let behind = |at: usize, via: &IpAddress| ifcs.get(at)?.as_ref()?.reaches(via).map(|_| at);
        let leads = |g: &Gateway| match g.ifc {
            Some(at) => behind(at, &g.via),
            None => direct(&g.via).map(|(_, at)| at),
        };
        let through = through.filter_map(|g| Some((g.to.prefix_len(), leads(g)?)));
        // Of two that say the same much the network itself, and then the one that was there first.
        let best = direct(to).into_iter().chain(through).min_by_key(|(len, _)| Reverse(*len));
        // To those who listen: the first card, or this machine.
        let many = || {
            let here = || ifcs.first()?.as_ref()?.wire.groups.has(to).then_some(LOOPBACK);
            let card = cards(ifcs).find(|(_, ifc)| !ifc.wire.is_loop()).map(|(at, _)| at);
            if to.is_multicast() { card.or_else(here) } else { None }
        };
        best.map(|(_, at)| at).or_else(many).ok_or(NO_ROUTE)
    }
}

/// The interfaces that are none but the loopback.
pub(crate) fn cards(ifcs: &[Option<Box<Ifc>>]) -> impl Iterator<Item = (usize, &Ifc)> {
    ifcs.iter().enumerate().skip(LOOPBACK + 1).filter_map(|(at, ifc)| Some((at, &**ifc.as_ref()?)))
}
