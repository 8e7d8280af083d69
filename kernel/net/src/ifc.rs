//! Interfaces: a wire, and the addresses that this machine has on it. Number 0 is the loopback, which takes packets for
//! any address: only those come to it that the machine sends to itself.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use machine::{clock, heap, random};
use smoltcp::iface::{Config, Interface};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

use crate::address::is_loopback;
use crate::error::{BAD_ADDRESS, BAD_CARD, IN_USE, NO_ROUTE, Result, SMALL_MTU, TOO_MANY};
use crate::routers::{Heard, LEAST_MTU};
use crate::tried::{Life, Tried};
use crate::wire::{Out, Wire};

/// Interfaces of a stack at most.
pub const MOST: usize = 8;
/// The loopback's number.
pub(crate) const LOOPBACK: usize = 0;

/// See the module comment.
pub(crate) struct Ifc {
    pub(crate) iface: Interface,
    pub(crate) wire: Wire,
    /// What tells it from those that had its number before, and how many have its control file open.
    pub(crate) stamp: u64,
    pub(crate) users: u32,
    /// The file of the card.
    pub(crate) device: String,
    /// What routers have said, if they are listened to.
    pub(crate) routers: Option<Heard>,
    /// Addresses that it may get, and how long it has those that have an end.
    pub(crate) tried: Vec<Tried>,
    pub(crate) lives: Vec<Life>,
}

/// The time as smoltcp has it.
pub(crate) fn instant(now_ns: u64) -> Instant {
    Instant::from_micros(i64::try_from(now_ns / 1000).unwrap_or(i64::MAX))
}

/// A random number.
pub(crate) fn chance() -> u64 {
    let mut bytes = [0; 8];
    random::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

impl Ifc {
    /// An interface without addresses.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn new(out: Out, mtu: usize, device: &str) -> Result<Box<Ifc>> {
        if let Out::Card(link) = &out
            && !EthernetAddress(link.mac).is_unicast()
        {
            return Err(BAD_CARD);
        }
        let mut wire = Wire::new(out, mtu)?;
        let device = heap::try_string(device)?;
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = chance();
        let mut iface = Interface::new(config, &mut wire, instant(clock::now_ns()));
        iface.set_any_ip(wire.is_loop());
        let (tried, lives) = (Vec::new(), Vec::new());
        Ok(Box::new(Ifc { iface, wire, stamp: 0, users: 0, device, routers: None, tried, lives }))
    }

    /// # Errors
    /// It has this address, or cannot have it.
    pub(crate) fn may_have(&self, addr: &IpAddress) -> Result<()> {
        // smoltcp panics over others.
        if !addr.is_unicast() || self.is_nobodys(addr) {
            return Err(BAD_ADDRESS);
        }
        if matches!(addr, IpAddress::Ipv6(_)) && !self.takes_v6() {
            return Err(SMALL_MTU);
        }
        if self.has(addr) { Err(IN_USE) } else { Ok(()) }
    }

    /// Whether it can have IPv6, which nobody cuts up for a wire on his way (RFC 8200, section 5).
    pub(crate) fn takes_v6(&self) -> bool {
        self.wire.link().is_none_or(|link| link.card.mtu() >= LEAST_MTU)
    }

    /// Adds an address, which is not tried any more.
    ///
    /// # Errors
    /// It is there; there are too many.
    pub(crate) fn add(&mut self, cidr: IpCidr) -> Result<()> {
        let addr = cidr.address();
        self.may_have(&addr)?;
        self.forget_tried(&addr);
        let mut added = false;
        self.iface.update_ip_addrs(|all| added = all.push(cidr).is_ok());
        self.tell_addresses();
        if added { Ok(()) } else { Err(TOO_MANY) }
    }

    /// Takes an address away, or tries it no more; what it was.
    pub(crate) fn remove(&mut self, addr: &IpAddress) -> Option<IpCidr> {
        let mut was = self.tried.iter().map(|t| t.cidr).find(|cidr| cidr.address() == *addr);
        self.forget_tried(addr);
        self.lives.retain(|life| life.addr != *addr);
        self.iface.update_ip_addrs(|all| {
            if let Some(at) = all.iter().position(|c| c.address() == *addr) {
                was = Some(all.remove(at));
            }
        });
        self.tell_addresses();
        was
    }

    /// The card's end knows which addresses there are, and the network where they are asked for.
    fn tell_addresses(&mut self) {
        if let Some(link) = self.wire.link_mut() {
            link.set_nets(self.iface.ip_addrs());
        }
        self.tell_of_asked();
    }

    /// Whether an address can be no machine's behind this interface.
    fn is_nobodys(&self, addr: &IpAddress) -> bool {
        let is_reserved = |first: u8| first == 0 || first >= 240;
        matches!(addr, IpAddress::Ipv4(v4) if is_reserved(v4.octets()[0]))
            || !self.wire.is_loop() && is_loopback(addr)
    }

    /// Whether packets to this address are for all, here or in a group.
    pub(crate) fn is_to_all(&self, addr: &IpAddress) -> bool {
        let is_of_net = |cidr: &IpCidr| match (cidr, addr) {
            (IpCidr::Ipv4(net), IpAddress::Ipv4(addr)) => net.broadcast() == Some(*addr),
            _ => false,
        };
        addr.is_broadcast() || addr.is_multicast() || self.iface.ip_addrs().iter().any(is_of_net)
    }

    pub(crate) fn has(&self, addr: &IpAddress) -> bool {
        self.iface.ip_addrs().iter().any(|c| c.address() == *addr)
    }

    /// The prefix of one of its networks that an address is in.
    pub(crate) fn reaches(&self, addr: &IpAddress) -> Option<u8> {
        let near = self.iface.ip_addrs().iter().filter(|c| c.contains_addr(addr));
        near.map(|c| c.prefix_len()).max()
    }

    /// This address, or one of its kind that is still preferred where this one is not.
    fn preferred(&self, usual: IpAddress) -> IpAddress {
        if self.lives.is_empty() && self.routers.is_none() || matches!(usual, IpAddress::Ipv4(_)) {
            return usual;
        }
        let now_ns = clock::now_ns();
        let is_old = |addr: &IpAddress| self.life(addr, now_ns)[1] == 0;
        let is_near =
            |addr: &IpAddress| matches!(addr, IpAddress::Ipv6(a) if a.segments()[0] & 0xffc0 == 0xfe80);
        if !is_old(&usual) {
            return usual;
        }
        let alike = |addr: &IpAddress| addr.version() == usual.version() && is_near(addr) == is_near(&usual);
        let mut others = self.iface.ip_addrs().iter().map(IpCidr::address);
        others.find(|addr| alike(addr) && !is_old(addr)).unwrap_or(usual)
    }

    /// The address to speak from with somebody there.
    ///
    /// # Errors
    /// `no route`, when it has none of the kind.
    pub(crate) fn source(&self, to: &IpAddress) -> Result<IpAddress> {
        // smoltcp panics over it.
        if to.is_unspecified() {
            return Err(NO_ROUTE);
        }
        let usual = self.iface.get_source_address(to).filter(|a| self.has(a)).ok_or(NO_ROUTE)?;
        Ok(self.preferred(usual))
    }
}
