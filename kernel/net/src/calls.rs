//! How programs begin conversations and end them: announced, connected, listened for, hung up. What waits here waits
//! without the lock, and a note ends it.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use machine::heap;
use smoltcp::socket::Socket;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::address::Local;
use crate::error::*;
use crate::ifc::LOOPBACK;
use crate::stack::{Stack, id};
use crate::table::{Conversation, Entry, Proto, Role};
use crate::tcp::{self, BACKLOG};
use crate::udp;
use crate::work::{Id, Inner};

/// The first port of those that are given to who asks for none.
const FIRST_PORT: u16 = 32768;

impl Stack {
    /// Ends a conversation that others have open: they find it ended.
    ///
    /// # Errors
    /// It is over.
    pub fn hang_up(&self, c: &Conversation, at_once: bool) -> Result<()> {
        self.with(|inner| {
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            entry.error.get_or_insert(HUNG_UP);
            match c.proto {
                Proto::Tcp if at_once => tcp::abort(entry),
                Proto::Tcp => tcp::close(entry),
                _ => entry.drop_socket(),
            }
            if let Role::Announced { .. } = entry.role {
                refuse_all(inner, id(c));
                if let Some(entry) = inner.entry(id(c)) {
                    entry.role = Role::Talking;
                    entry.local.port = 0;
                }
                inner.table(c.proto).link(c.number);
            }
            if let Some(entry) = inner.entry(id(c)) {
                entry.raise();
            }
            inner.look_at(id(c));
            Ok(())
        })
    }

    /// Waits for calls at a place; port 0 is one that is free.
    ///
    /// # Errors
    /// `address in use`: somebody is announced there, or another user where one of the two would take the other's
    /// calls; it is announced or connected already; the address is not the machine's.
    pub fn announce(&self, c: &Conversation, at: Local) -> Result<()> {
        self.announce_ports(c, at, false)
    }

    /// Waits for calls to all ports that nobody else is announced at: the machine's owner may, for TCP and UDP.
    ///
    /// # Errors
    /// As [`announce`](Stack::announce).
    pub fn announce_all(&self, c: &Conversation, addr: Option<IpAddress>) -> Result<()> {
        if !matches!(c.proto, Proto::Tcp | Proto::Udp) {
            return Err(BAD_PORT);
        }
        self.announce_ports(c, Local { addr, port: 0 }, true)
    }

    fn announce_ports(&self, c: &Conversation, at: Local, all: bool) -> Result<()> {
        self.with(|inner| {
            idle(inner, id(c))?;
            if let Some(addr) = at.addr {
                inner.is_local(&addr)?;
            }
            let bearer = inner.entry(id(c)).ok_or(HUNG_UP)?.bearer.clone();
            let mut local = at;
            if local.port == 0 && !all {
                local.port = inner.free_port(c.proto)?;
            }
            let table = inner.table(c.proto);
            if all && !bearer.is_hosts {
                return Err(NOT_PERMITTED);
            }
            let anothers = !bearer.is_hosts && table.is_another_announced(local, &bearer.owner);
            if table.is_announced(local) || anothers {
                return Err(ADDRESS_IN_USE);
            }
            let Some(entry) = inner.entry(id(c)) else { return Err(HUNG_UP) };
            if all && entry.headers {
                return Err(BAD_CONTROL);
            }
            // Who has all ports has calls only.
            if c.proto != Proto::Tcp && !all {
                put(entry, c.proto, local)?;
            }
            let calls = entry.bearer.pays(|| {
                let mut calls = VecDeque::new();
                heap::try_reserve(&mut calls, BACKLOG + 1).map(|()| calls)
            })?;
            entry.local = local;
            entry.role = Role::Announced { calls, coming: 0 };
            inner.table(c.proto).link(c.number);
            Ok(())
        })
    }

    /// Takes a place without waiting for calls.
    ///
    /// # Errors
    /// As [`announce`](Stack::announce).
    pub fn bind(&self, c: &Conversation, at: Local) -> Result<()> {
        self.look(|inner| {
            idle(inner, id(c))?;
            if let Some(addr) = at.addr {
                inner.is_local(&addr)?;
            }
            let bearer = inner.entry(id(c)).ok_or(HUNG_UP)?.bearer.clone();
            let table = inner.table(c.proto);
            let anothers = !bearer.is_hosts && table.is_another_announced(at, &bearer.owner);
            if at.port != 0 && (table.is_announced(at) || anothers) {
                return Err(ADDRESS_IN_USE);
            }
            let Some(entry) = inner.entry(id(c)) else { return Err(HUNG_UP) };
            entry.local = at;
            Ok(())
        })
    }

    /// Connects with somebody, from a place that may leave out address and port. For TCP waits until there is an
    /// answer.
    ///
    /// # Errors
    /// What became of it.
    pub fn connect(&self, c: &Conversation, to: IpEndpoint, from: Option<Local>) -> Result<()> {
        self.with(|inner| {
            idle(inner, id(c))?;
            let begun = begin(inner, c, to, from);
            if begun.is_err()
                && let Some(entry) = inner.entry(id(c))
            {
                entry.drop_socket();
                (entry.remote, entry.role) = (None, Role::Idle);
            }
            begun
        })?;
        loop {
            let seen = c.signal.seen();
            let done = self.look(|inner| match inner.entry(id(c)) {
                None => Some(Err(HUNG_UP)),
                Some(entry) => match entry.role {
                    Role::Calling { .. } => None,
                    _ => Some(entry.error.map_or(Ok(()), Err)),
                },
            });
            if let Some(done) = done {
                return done;
            }
            if c.signal.wait(seen).is_err() {
                // Who does not wait does not want it any more.
                self.hang_up(c, true)?;
                return Err(INTERRUPTED);
            }
        }
    }

    /// Takes the next call to an announced conversation: a conversation, open once.
    ///
    /// # Errors
    /// It is not announced; a note.
    pub fn listen(&self, c: &Conversation) -> Result<Arc<Conversation>> {
        loop {
            let seen = c.signal.seen();
            let taken = self.look(|inner| {
                let table = inner.table(c.proto);
                let entry = table.get_mut(c.number).ok_or(LISTEN_HUNG_UP)?;
                let error = entry.error.map(|e| if e == HUNG_UP { LISTEN_HUNG_UP } else { e });
                let Role::Announced { calls, .. } = &mut entry.role else {
                    return Err(error.unwrap_or(NOT_ANNOUNCED));
                };
                let Some(number) = calls.pop_front() else { return Ok(None) };
                let call = table.get_mut(number).ok_or(HUNG_UP)?;
                call.role = Role::Talking;
                call.users = 1;
                Ok(Some(call.shared.clone()))
            });
            if let Some(call) = taken? {
                return Ok(call);
            }
            c.signal.wait(seen)?;
        }
    }
}

/// # Errors
/// It is not new.
fn idle(inner: &mut Inner, id: Id) -> Result<()> {
    let entry = inner.entry(id).ok_or(HUNG_UP)?;
    match (&entry.role, entry.error) {
        (Role::Idle, None) => Ok(()),
        (_, Some(error)) => Err(error),
        _ => Err(IN_USE),
    }
}

/// Gives a conversation a socket for its protocol, which is not TCP.
fn put(entry: &mut Entry, proto: Proto, local: Local) -> Result<()> {
    entry.put_socket(|| {
        Ok(match proto {
            Proto::Udp => Socket::Udp(udp::socket(local, udp::Size::Whole)?),
            _ => Socket::Icmp(crate::icmp::socket(local.port)?),
        })
    })
}

/// Begins to connect.
fn begin(inner: &mut Inner, c: &Conversation, to: IpEndpoint, from: Option<Local>) -> Result<()> {
    if c.proto == Proto::Tcp && !to.addr.is_unicast() {
        return Err(NO_ROUTE);
    }
    let is_v4 = matches!(to.addr, IpAddress::Ipv4(_));
    if c.proto == Proto::Icmp && !is_v4 || c.proto == Proto::Icmpv6 && is_v4 {
        return Err(NO_ROUTE);
    }
    let said = from.or(inner.entry(id(c)).map(|e| e.local)).and_then(|from| from.addr);
    let at = match to.addr.is_multicast() {
        true => inner.way_to_group(id(c), said, &to.addr)?,
        false => inner.routes.find(&inner.ifcs, &to.addr)?,
    };
    // ICMP has no ports but the number of an echo, which is ours.
    let to = if matches!(c.proto, Proto::Icmp | Proto::Icmpv6) { IpEndpoint::new(to.addr, 0) } else { to };
    let bound = inner.entry(id(c)).ok_or(HUNG_UP)?.local;
    let from = from.unwrap_or(bound);
    let addr = match from.addr {
        Some(addr) => {
            inner.is_local(&addr)?;
            addr
        }
        // Of an echo smoltcp says whom it is from, by the wire that it goes by.
        None if c.proto != Proto::Tcp && c.proto != Proto::Udp => {
            inner.ifcs.get(at).and_then(Option::as_ref).ok_or(NO_ROUTE)?.source(&to.addr)?
        }
        None => inner.source(at, &to.addr)?,
    };
    if addr.version() != to.addr.version() {
        return Err(NO_ROUTE);
    }
    let mut local = Local { addr: Some(addr), port: from.port };
    if local.port == 0 {
        local.port = inner.free_port(c.proto)?;
    } else if inner.table(c.proto).is_talking(local, to) {
        return Err(ADDRESS_IN_USE);
    }
    let way = inner.way(at, &to.addr).ok_or(NO_ROUTE)?;
    let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
    if c.proto != Proto::Tcp {
        put(entry, c.proto, local)?;
    }
    (entry.local, entry.remote, entry.ifc) = (local, Some(to), at);
    match c.proto {
        Proto::Tcp => {
            tcp::call(entry, way, machine::clock::now_ns())?;
            inner.counts.calls += 1;
        }
        _ => entry.role = Role::Talking,
    }
    inner.table(c.proto).link(c.number);
    inner.look_at(id(c));
    Ok(())
}

/// Nobody has it open any more.
pub(crate) fn end(inner: &mut Inner, at: Id) {
    refuse_all(inner, at);
    let now_ns = machine::clock::now_ns();
    let Some(entry) = inner.entry(at) else { return };
    let goes_on = match at.proto {
        Proto::Tcp => tcp::end(entry, now_ns),
        _ => false,
    };
    match goes_on {
        true => inner.look_at(at),
        false => inner.forget(at),
    }
}

/// Ends the calls that nobody will take.
fn refuse_all(inner: &mut Inner, at: Id) {
    let to_this = |e: &&Entry| match e.role {
        Role::Coming { announced, .. } | Role::Waiting { announced, .. } => announced == at.number,
        _ => false,
    };
    loop {
        let found = inner.table(at.proto).from(0).find(to_this).map(|e| e.shared.number);
        let Some(number) = found else { break };
        let call = Id { number, ..at };
        if let Some(entry) = inner.entry(call) {
            tcp_abort(entry, at.proto);
        }
        end(inner, call);
    }
    if let Some(Role::Announced { calls, coming }) = inner.entry(at).map(|e| &mut e.role) {
        calls.clear();
        *coming = 0;
    }
}

fn tcp_abort(entry: &mut Entry, proto: Proto) {
    if proto == Proto::Tcp {
        tcp::abort(entry);
    }
    // What it was called by does not count any more.
    entry.role = Role::Talking;
}

impl Inner {
    /// # Errors
    /// The address is not one of the machine's.
    pub(crate) fn is_local(&self, addr: &IpAddress) -> Result<()> {
        let has = self.ifcs.iter().flatten().any(|i| i.has(addr));
        if has || crate::address::is_loopback(addr) { Ok(()) } else { Err(NOT_LOCAL) }
    }

    /// The address to speak from.
    pub(crate) fn source(&self, at: usize, to: &IpAddress) -> Result<IpAddress> {
        if at == LOOPBACK && self.ifcs.iter().flatten().any(|i| i.has(to)) {
            return Ok(*to);
        }
        self.ifcs.get(at).and_then(Option::as_ref).ok_or(NO_ROUTE)?.source(to)
    }

    /// A port that nobody has, by chance.
    fn free_port(&mut self, proto: Proto) -> Result<u16> {
        let chances = self.chances.next().to_le_bytes();
        let table = self.table(proto);
        let count = FIRST_PORT.wrapping_neg();
        let (few, _) = chances.as_chunks::<2>();
        let few = few.iter().map(|bytes| u16::from_le_bytes(*bytes));
        let start = few.clone().next().unwrap_or(0);
        // Some leaps, then steps of one.
        for at in few.chain((1..=count).map(|step| start.wrapping_add(step))) {
            let port = FIRST_PORT + at % count;
            if !table.has_port(port) {
                return Ok(port);
            }
        }
        Err(NO_PORTS)
    }
}
