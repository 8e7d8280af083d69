//! Conversations: what is known of each, and for each protocol a table of them, in which they are found by number and
//! by their ports.
//!
//! A conversation lives while a file of it is open, and for TCP until its end has been agreed on. Its number is free
//! then. It is found by a packet through a chain of those whose ports have the same hash; the chains have no memory of
//! their own, so that nothing can fail when a conversation gets its ports.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use machine::heap;
use machine::ledger::{self, Account};
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::{AnySocket, Socket, icmp, udp};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::address::Local;
use crate::copies::Copies;
use crate::demux::Label;
use crate::error::{Error, NO_CONVERSATION, Result};
use crate::ifc::{LOOPBACK, chance};
use crate::signal::Signal;
use crate::talk::Talk;

/// Conversations of a protocol at most.
pub const MOST: usize = 4096;
/// Those that all users but the machine's owner may have of them.
pub const OTHERS_MOST: usize = MOST / 2;
/// Chains of a table.
const CHAINS: usize = 256;
/// The end of a chain.
const NONE: u32 = u32::MAX;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
    /// Echoes of IPv4.
    Icmp,
    /// Echoes of IPv6.
    Icmpv6,
}

impl Proto {
    /// All of them, in the order of their tables.
    pub const ALL: [Proto; 4] = [Proto::Tcp, Proto::Udp, Proto::Icmp, Proto::Icmpv6];

    /// The name of its directory.
    pub const fn name(self) -> &'static str {
        match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
            Proto::Icmp => "icmp",
            Proto::Icmpv6 => "icmpv6",
        }
    }
}

/// Whose a conversation is, and who pays for it.
#[derive(Clone)]
pub struct Bearer {
    /// The user.
    pub owner: Arc<str>,
    /// The account; the kernel's if none.
    pub account: Option<Arc<Account>>,
    /// Whether the machine's owner has begun it, or the kernel.
    pub is_hosts: bool,
}

impl Bearer {
    /// Does something for which this one pays.
    pub(crate) fn pays<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.account {
            Some(account) => ledger::on(account, f),
            None => ledger::as_kernel(f),
        }
    }
}

/// A conversation as those know it who have it open.
pub struct Conversation {
    /// Its protocol.
    pub proto: Proto,
    /// Its number.
    pub number: u32,
    pub(crate) signal: Signal,
    readers: AtomicUsize,
}

impl Conversation {
    /// Somebody waits for something to read, as long as this is there: what comes is acknowledged when he has taken it,
    /// or if he does not come for it soon.
    pub fn reads(&self) -> Reads<'_> {
        self.readers.fetch_add(1, Ordering::SeqCst);
        Reads(self)
    }

    /// Whether somebody does.
    pub(crate) fn is_read(&self) -> bool {
        self.readers.load(Ordering::SeqCst) != 0
    }
}

/// See [`Conversation::reads`].
pub struct Reads<'a>(&'a Conversation);

impl Drop for Reads<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a conversation is doing.
pub(crate) enum Role {
    /// Nothing yet.
    Idle,
    /// It waits for calls: the numbers of those that are complete, in their order, and how many are on their way.
    Announced { calls: VecDeque<u32>, coming: usize },
    /// A call to the announced one with this number, whose connection is not complete, since that time.
    Coming { announced: u32, since_ns: u64 },
    /// A call that is complete and that nobody has taken yet, since that time.
    Waiting { announced: u32, since_ns: u64 },
    /// It calls, since that time.
    Calling { since_ns: u64 },
    /// It talks, or has talked.
    Talking,
    /// Nobody has it open, and its end is being agreed on: until that time, when nothing happens.
    Ending { until_ns: u64, unsent: usize },
}

/// What is known of a conversation.
pub(crate) struct Entry {
    pub(crate) shared: Arc<Conversation>,
    pub(crate) bearer: Bearer,
    /// Of its files `ctl`, `data`, `listen` and `err`.
    pub(crate) perm: u32,
    /// Files that are open.
    pub(crate) users: u32,
    pub(crate) local: Local,
    pub(crate) remote: Option<IpEndpoint>,
    pub(crate) role: Role,
    /// Its socket, alone in a set.
    pub(crate) set: SocketSet<'static>,
    pub(crate) handle: Option<SocketHandle>,
    /// The interface that it sends by.
    pub(crate) ifc: usize,
    /// When it is to be looked at, whatever happens.
    pub(crate) deadline_ns: u64,
    /// It waits to be looked at.
    pub(crate) is_listed: bool,
    /// Bytes that came after our end, if it has been closed.
    pub(crate) thrown_away: Option<usize>,
    /// Why it ended.
    pub(crate) error: Option<Error>,
    /// The other side had said all that it had to say before it ended so.
    pub(crate) has_end: bool,
    /// Datagrams are read and written with addresses before them.
    pub(crate) headers: bool,
    /// Milliseconds after which a quiet other side is asked whether it is there.
    pub(crate) keepalive_ms: Option<u64>,
    /// When something has come last, and since when an answer is missed.
    pub(crate) heard_ns: u64,
    pub(crate) missed_ns: u64,
    /// What is said of its packets by ICMP does not end it.
    pub(crate) ignores_advice: bool,
    /// Who sees its packets.
    pub(crate) copies: Option<Arc<Copies>>,
    /// How many routers what it sends may pass, if that was said, and the kind of service that is written on it.
    pub(crate) hops: Option<u8>,
    pub(crate) service: u8,
    /// The groups that it has joined, each by an interface.
    pub(crate) joined: Vec<(usize, IpAddress)>,
    /// A connection of TCP, which has no socket.
    pub(crate) talk: Option<Box<Talk>>,
    chain: Option<usize>,
    next: u32,
}

impl Entry {
    /// Its socket, of the type that its protocol has.
    pub(crate) fn socket<S: AnySocket<'static>>(&mut self) -> Option<&mut S> {
        Some(self.set.get_mut::<S>(self.handle?))
    }

    /// The same, to look at.
    pub(crate) fn peek<S: AnySocket<'static>>(&self) -> Option<&S> {
        Some(self.set.get::<S>(self.handle?))
    }

    /// Gives it a socket.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn put_socket(&mut self, socket: impl FnOnce() -> Result<Socket<'static>>) -> Result<()> {
        let made = self.bearer.pays(|| {
            let mut place = heap::try_vec(1)?;
            place.push(SocketStorage::EMPTY);
            Ok::<_, Error>((place, socket()?))
        });
        let (place, socket) = made?;
        self.set = SocketSet::new(place);
        self.handle = Some(self.set.add(socket));
        self.tell_hops();
        Ok(())
    }

    /// What sends for it knows how far it may go.
    pub(crate) fn tell_hops(&mut self) {
        let (hops, service) = (self.hops, self.service);
        if let Some(talk) = &mut self.talk {
            talk.ends.hops = hops.unwrap_or(talk.ends.hops);
            talk.ends.service = service;
        }
        match self.shared.proto {
            Proto::Tcp => None,
            Proto::Udp => self.socket::<udp::Socket>().map(|s| s.set_hop_limit(hops)),
            Proto::Icmp | Proto::Icmpv6 => self.socket::<icmp::Socket>().map(|s| s.set_hop_limit(hops)),
        }
        .unwrap_or(());
    }

    /// Lets its socket, or its connection, go.
    pub(crate) fn drop_socket(&mut self) {
        (self.handle, self.talk) = (None, None);
        self.set = SocketSet::new(Vec::new());
    }

    /// Something has changed for who waits.
    pub(crate) fn raise(&self) {
        self.shared.signal.raise();
    }
}

/// The conversations of a protocol.
pub(crate) struct Table {
    proto: Proto,
    all: Vec<Option<Box<Entry>>>,
    chains: [u32; CHAINS],
    count: usize,
    /// How many are not the machine's owner's.
    others: usize,
    /// What decides about chains: nobody outside knows which packets have the same one.
    secret: u64,
}

impl Table {
    pub(crate) fn new(proto: Proto) -> Table {
        Table { proto, all: Vec::new(), chains: [NONE; CHAINS], count: 0, others: 0, secret: chance() | 1 }
    }

    /// The chain of those with this port and this other side.
    fn chain_of(&self, port: u16, remote: Option<IpEndpoint>) -> usize {
        let addr = match remote.map(|r| r.addr) {
            None => 0,
            Some(IpAddress::Ipv4(addr)) => u64::from(addr.to_bits()),
            Some(IpAddress::Ipv6(addr)) => addr.to_bits() as u64 ^ (addr.to_bits() >> 64) as u64,
        };
        let ports = u64::from(port) << 16 | u64::from(remote.map_or(0, |r| r.port));
        let mixed = (addr ^ self.secret.rotate_left(32)).wrapping_mul(self.secret) ^ ports;
        (mixed.wrapping_mul(self.secret) >> 56) as usize % CHAINS
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A new conversation, which nobody has open yet, for which `bearer` pays.
    ///
    /// # Errors
    /// Too many; no memory.
    pub(crate) fn add(&mut self, bearer: Bearer) -> Result<&mut Entry> {
        let is_others = !bearer.is_hosts;
        if is_others && self.others >= OTHERS_MOST {
            return Err(NO_CONVERSATION);
        }
        let at = match self.all.iter().position(Option::is_none) {
            Some(at) => at,
            None if self.all.len() >= MOST => return Err(NO_CONVERSATION),
            None => {
                // The table does not shrink: it is nobody's in particular.
                ledger::as_kernel(|| heap::try_push(&mut self.all, None))?;
                self.all.len() - 1
            }
        };
        let (proto, number) = (self.proto, at as u32);
        let payer = bearer.clone();
        // An entry is a small thing; what it costs is its buffers.
        if !payer.pays(heap::is_granted) {
            return Err(crate::error::NO_MEMORY);
        }
        let entry = payer.pays(|| {
            Box::new(Entry {
                shared: Arc::new(Conversation {
                    proto,
                    number,
                    signal: Signal::default(),
                    readers: AtomicUsize::new(0),
                }),
                bearer,
                perm: 0o660,
                users: 0,
                local: Local::default(),
                remote: None,
                role: Role::Idle,
                set: SocketSet::new(Vec::new()),
                handle: None,
                ifc: LOOPBACK,
                deadline_ns: u64::MAX,
                is_listed: false,
                copies: None,
                ignores_advice: false,
                thrown_away: None,
                error: None,
                has_end: false,
                headers: false,
                keepalive_ms: None,
                heard_ns: 0,
                missed_ns: 0,
                hops: None,
                service: 0,
                joined: Vec::new(),
                talk: None,
                chain: None,
                next: NONE,
            })
        });
        self.count += 1;
        self.others += usize::from(is_others);
        let place = self.all.get_mut(at).ok_or(NO_CONVERSATION)?;
        Ok(place.insert(entry))
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Entry> {
        self.all.get(number as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.all.get_mut(number as usize)?.as_deref_mut()
    }

    /// The conversations with these numbers and above.
    pub(crate) fn from(&self, number: u32) -> impl Iterator<Item = &Entry> {
        self.all.iter().skip(number as usize).flatten().map(|e| &**e)
    }

    /// Makes a conversation be found by its ports.
    pub(crate) fn link(&mut self, number: u32) {
        self.unlink(number);
        let head = {
            let Some(entry) = self.get(number) else { return };
            let chain = self.chain_of(entry.local.port, entry.remote);
            if let Some(entry) = self.get_mut(number) {
                entry.chain = Some(chain);
            }
            chain
        };
        let Some(first) = self.chains.get_mut(head) else { return };
        let next = core::mem::replace(first, number);
        if let Some(entry) = self.get_mut(number) {
            entry.next = next;
        }
    }

    fn unlink(&mut self, number: u32) {
        let Some(entry) = self.get_mut(number) else { return };
        let (Some(chain), next) = (entry.chain.take(), entry.next) else { return };
        let mut at = self.chains.get(chain).copied().unwrap_or(NONE);
        if at == number {
            if let Some(first) = self.chains.get_mut(chain) {
                *first = next;
            }
            return;
        }
        while let Some(entry) = self.get_mut(at) {
            if entry.next == number {
                entry.next = next;
                return;
            }
            at = entry.next;
        }
    }

    /// Those of a chain.
    fn chain(&self, port: u16, remote: Option<IpEndpoint>) -> impl Iterator<Item = &Entry> {
        let mut at = self.chains.get(self.chain_of(port, remote)).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let entry = self.get(at)?;
            at = entry.next;
            Some(entry)
        })
    }

    /// The conversation that talks with this packet's sender.
    pub(crate) fn talking(&self, l: &Label) -> Option<u32> {
        let with = IpEndpoint::new(l.from, l.from_port);
        let is = |e: &&Entry| {
            e.remote == Some(with) && e.local.port == l.to_port && e.local.addr.is_none_or(|a| a == l.to)
        };
        self.chain(l.to_port, Some(with)).find(is).map(|e| e.shared.number)
    }

    /// The conversation that is announced where this packet goes: rather for its address than for any.
    pub(crate) fn announced(&self, l: &Label) -> Option<u32> {
        let here = |e: &&Entry| {
            e.remote.is_none()
                && e.local.port == l.to_port
                && e.local.addr.is_none_or(|a| a == l.to || l.to.is_multicast() || l.to.is_broadcast())
        };
        let all = self.chain(l.to_port, None).filter(here);
        let own = all.max_by_key(|e| e.local.addr.is_some());
        // Who has announced all ports has those that nobody else has.
        let all = || {
            let here = |e: &&Entry| {
                matches!(e.role, Role::Announced { .. })
                    && e.local.port == 0
                    && e.local.addr.is_none_or(|a| a == l.to)
            };
            self.chain(0, None).filter(here).max_by_key(|e| e.local.addr.is_some())
        };
        own.or_else(all).map(|e| e.shared.number)
    }

    /// Whether somebody is announced at this port, for an address that is, or could be, this one.
    pub(crate) fn is_announced(&self, at: Local) -> bool {
        let same = |a: Option<IpAddress>| match (a, at.addr) {
            (Some(a), Some(b)) => a == b,
            _ => a.is_none() && at.addr.is_none(),
        };
        self.chain(at.port, None).any(|e| e.remote.is_none() && e.local.port == at.port && same(e.local.addr))
    }

    /// Whether somebody else than this user is announced at this port for an address that is, or includes, or is one
    /// of what is asked for: one would take the other's calls.
    pub(crate) fn is_another_announced(&self, at: Local, user: &str) -> bool {
        let meets = |a: Option<IpAddress>| a.is_none() || at.addr.is_none() || a == at.addr;
        let is = |e: &Entry| {
            e.remote.is_none() && e.local.port == at.port && meets(e.local.addr) && *e.bearer.owner != *user
        };
        self.chain(at.port, None).any(is)
    }

    /// Whether somebody has this port, whatever for.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.from(0).any(|e| e.local.port == port)
    }

    /// Whether somebody talks between these two.
    pub(crate) fn is_talking(&self, local: Local, remote: IpEndpoint) -> bool {
        let is =
            |e: &Entry| e.remote == Some(remote) && e.local.port == local.port && e.local.addr == local.addr;
        self.chain(local.port, Some(remote)).any(is)
    }

    /// Takes a conversation out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Box<Entry>> {
        self.unlink(number);
        let entry = self.all.get_mut(number as usize)?.take()?;
        self.count -= 1;
        self.others -= usize::from(!entry.bearer.is_hosts);
        Some(entry)
    }
}
