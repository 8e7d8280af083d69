//! What is to be done: packets that have come, conversations that want to send, times that are over.
//!
//! [`Inner::run`] is called under the stack's lock by whoever has given it something to do, and by the service thread.
//! Packets come first, so that what they make conversations send is sent once for all of them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::{clock, heap};
use smoltcp::iface::{PollIngressSingleResult, PollResult, SocketSet};
use smoltcp::wire::IpAddress;

use crate::address::is_loopback;
use crate::chances::Chances;
use crate::demux::{self, Kind, Label};
use crate::error::Result;
use crate::ifc::{Ifc, instant};
use crate::link::destination;
use crate::log::{Log, Topic};
use crate::pieces::{Became, Pieces};
use crate::route::Routes;
use crate::sums;
use crate::table::{Entry, Proto, Role, Table};
use crate::talk::Purse;
use crate::wire::Packet;

/// Packets of a conversation that are sent before others are looked at.
pub(crate) const BURST: usize = 64;
/// The soonest that a conversation is looked at again that could not send, in nanoseconds.
pub(crate) const AGAIN_NS: u64 = 1_000_000;

/// A conversation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) proto: Proto,
    pub(crate) number: u32,
}

/// How long a call of UDP waits to be taken, in nanoseconds.
const UDP_CALL_NS: u64 = 30_000_000_000;

/// What is counted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Calls that found no place.
    pub(crate) calls_dropped: u64,
    /// Calls that were pushed out before they were complete.
    pub(crate) calls_pushed_out: u64,
    /// Connections that were begun here, and by others.
    pub(crate) calls: u64,
    pub(crate) called: u64,
    /// Connections that others have reset.
    pub(crate) resets: u64,
    /// Packets of TCP that said that there is nobody, or that it is over.
    pub(crate) refused: u64,
    /// Packets of TCP that said again what was lost.
    pub(crate) said_again: u64,
    /// Datagrams to ports where nobody is.
    pub(crate) no_ports: u64,
    /// Pieces of packets that were dropped.
    pub(crate) fragments: u64,
    /// Packets that were put together of pieces.
    pub(crate) put_together: u64,
    /// Packets for which nobody was there.
    pub(crate) nobody: u64,
    /// Times that datagrams were given up that could not be sent.
    pub(crate) datagrams_dropped: u64,
    /// Packets of conversations, by protocol.
    pub(crate) received: [u64; 4],
    /// Those that went, and those that came with a wrong checksum.
    pub(crate) sent: [u64; 4],
    pub(crate) bad_sums: [u64; 4],
}

/// Everything that the stack's lock guards.
pub(crate) struct Inner {
    pub(crate) ifcs: Vec<Option<Box<Ifc>>>,
    pub(crate) routes: Routes,
    pub(crate) tables: [Table; 4],
    /// The conversations that wait to be looked at. Each is in it once, and there is room for all.
    list: VecDeque<Id>,
    /// Nobody's.
    nobody: SocketSet<'static>,
    /// No conversation has to be looked at before.
    pub(crate) soonest_ns: u64,
    pub(crate) counts: Counts,
    /// Interfaces that have been made.
    pub(crate) stamps: u64,
    /// Random numbers.
    pub(crate) chances: Chances,
    /// What connections keep as it came.
    pub(crate) purse: Arc<Purse>,
    /// Packets of which there are some pieces.
    pieces: Pieces,
    /// What is told to who asks for it.
    pub(crate) log: Arc<Log>,
}

impl Inner {
    pub(crate) fn new(log: Arc<Log>) -> Inner {
        Inner {
            pieces: Pieces::default(),
            log,
            ifcs: Vec::new(),
            routes: Routes::default(),
            tables: Proto::ALL.map(Table::new),
            list: VecDeque::new(),
            nobody: SocketSet::new(Vec::new()),
            soonest_ns: u64::MAX,
            counts: Counts::default(),
            stamps: 0,
            chances: Chances::default(),
            purse: Arc::default(),
        }
    }

    pub(crate) fn table(&mut self, proto: Proto) -> &mut Table {
        let [tcp, udp, icmp, icmpv6] = &mut self.tables;
        match proto {
            Proto::Tcp => tcp,
            Proto::Udp => udp,
            Proto::Icmp => icmp,
            Proto::Icmpv6 => icmpv6,
        }
    }

    pub(crate) fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        self.table(id.proto).get_mut(id.number)
    }

    /// Sees to it that each conversation, and one more, has room in the list.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn reserve(&mut self) -> Result<()> {
        let all = self.tables.iter().map(Table::len).sum::<usize>() + 1;
        let more = all.saturating_sub(self.list.len());
        Ok(machine::ledger::as_kernel(|| heap::try_reserve(&mut self.list, more))?)
    }

    /// This conversation is to be looked at.
    pub(crate) fn look_at(&mut self, id: Id) {
        if let Some(entry) = self.entry(id)
            && !core::mem::replace(&mut entry.is_listed, true)
        {
            self.list.push_back(id);
        }
    }

    /// Does what there is to do, up to `budget` packets; whether something is left.
    ///
    /// However fast packets come, in each call every interface has its turn, and so have conversations: each of the
    /// two halves has half of the budget, and each interface a share of its half.
    pub(crate) fn run(&mut self, budget: usize) -> bool {
        let now_ns = clock::now_ns();
        let (mut comes, mut goes) = (budget.div_ceil(2), budget.div_ceil(2));
        let share = (comes / self.ifcs.len().max(1)).max(1);
        while comes != 0 && goes != 0 {
            let mut is_idle = true;
            for at in 0..self.ifcs.len() {
                for _ in 0..share.min(comes) {
                    let Some(packet) = self.ifcs.get_mut(at).and_then(|i| i.as_mut()?.wire.next()) else {
                        break;
                    };
                    (is_idle, comes) = (false, comes - 1);
                    self.come(at, packet, now_ns);
                }
            }
            while goes != 0
                && let Some(id) = self.list.pop_front()
            {
                (is_idle, goes) = (false, goes - 1);
                if let Some(entry) = self.entry(id) {
                    entry.is_listed = false;
                    self.send(id, now_ns);
                }
            }
            if is_idle {
                return false;
            }
        }
        true
    }

    /// Lists the conversations whose time has come.
    pub(crate) fn look_at_late(&mut self) {
        let now_ns = clock::now_ns();
        if self.soonest_ns > now_ns {
            return;
        }
        self.soonest_ns = u64::MAX;
        self.see_to_neighbours(now_ns);
        self.see_to_addresses(now_ns);
        self.see_to_routers(now_ns);
        self.see_to_groups(now_ns);
        for proto in Proto::ALL {
            let mut from = 0;
            loop {
                let next = self.table(proto).from(from).next().map(|e| (e.shared.number, e.deadline_ns));
                let Some((number, deadline_ns)) = next else { break };
                from = number + 1;
                if deadline_ns <= now_ns {
                    self.look_at(Id { proto, number });
                } else {
                    self.soonest_ns = self.soonest_ns.min(deadline_ns);
                }
            }
        }
    }

    /// Something has come by this interface: a message of neighbours, or a packet.
    fn come(&mut self, at: usize, packet: Packet, now_ns: u64) {
        // What a card vouches for is the sum of TCP or UDP; on the loopback headers have none.
        let is_loop = self.ifcs.get(at).and_then(Option::as_ref).is_some_and(|i| i.wire.is_loop());
        if !is_loop && !sums::is_right_header(packet.ip()) {
            self.bad(at);
        } else if !packet.is_summed && !sums::is_right(packet.ip()) {
            self.bad_sum(at, packet.ip());
        } else if packet.header().is_none() || self.hear_frame(at, &packet, now_ns) {
            if let Some(copies) = self.ifcs.get(at).and_then(|i| i.as_ref()?.wire.copies.as_ref())
                && !packet.is_ours
            {
                copies.put(packet.ip());
            }
            self.receive(at, packet, now_ns);
        }
    }

    /// A piece of a packet has come, and with the last one the packet.
    fn piece(&mut self, at: usize, packet: &Packet, now_ns: u64) {
        let ifc = self.ifcs.get(at).and_then(Option::as_ref);
        let for_us = |to: &IpAddress| ifc.is_some_and(|i| i.has(to) || i.hears(to));
        if !destination(packet.ip()).as_ref().is_some_and(for_us) {
            self.counts.nobody += 1;
            return;
        }
        match self.pieces.come(packet.ip(), at, now_ns) {
            Became::Kept => {}
            Became::Dropped => self.counts.fragments += 1,
            Became::Whole(bytes) if sums::is_right(&bytes) => {
                self.counts.put_together += 1;
                self.receive(at, Packet::whole(bytes), now_ns);
            }
            Became::Whole(bytes) => self.bad_sum(at, &bytes),
        }
    }

    /// A packet has come whose checksum is wrong.
    fn bad_sum(&mut self, at: usize, packet: &[u8]) {
        let proto = if sums::place(packet).is_some_and(|p| p.is_tcp()) { Proto::Tcp } else { Proto::Udp };
        if let Some(count) = self.counts.bad_sums.get_mut(proto as usize) {
            *count += 1;
        }
        self.bad(at);
    }

    /// A packet was not as it was sent, or not understood.
    pub(crate) fn bad(&mut self, at: usize) {
        if let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) {
            ifc.wire.bad += 1;
        }
    }

    /// A packet of IP has come by this interface.
    fn receive(&mut self, at: usize, packet: Packet, now_ns: u64) {
        let label = match demux::read(packet.ip()) {
            Kind::Fragment => return self.piece(at, &packet, now_ns),
            Kind::Labelled(label) if !packet.is_ours && self.is_forged(at, &label) => {
                self.counts.nobody += 1;
                self.log.say(Topic::Ip, Some(label.from), format_args!("forged: from {}", label.from));
                return;
            }
            // It is not even answered that nobody is there (RFC 1122, 4.2.3.10).
            Kind::Labelled(label) if label.proto == Proto::Tcp && self.is_to_all(at, &label.to) => {
                self.counts.nobody += 1;
                return;
            }
            Kind::Labelled(label) if !self.is_for_us(at, &label) => {
                if label.proto == Proto::Tcp {
                    self.counts.nobody += 1;
                    return;
                }
                None
            }
            Kind::Labelled(label) => {
                self.confirm(at, &label.from, &packet, now_ns);
                let table = self.table(label.proto);
                if let Some(number) = table.talking(&label) {
                    Some((label, number, false))
                } else {
                    match table.announced(&label) {
                        Some(number) if label.proto == Proto::Tcp && label.is_call => {
                            self.call(at, number, &label, packet.ip(), now_ns);
                            return;
                        }
                        Some(number) if label.proto == Proto::Udp => Some((label, number, true)),
                        None if label.proto == Proto::Udp => {
                            self.counts.no_ports += 1;
                            None
                        }
                        // A packet of TCP to a port whose caller has gone is answered as by nobody.
                        _ if label.proto == Proto::Tcp => {
                            self.counts.nobody += 1;
                            return self.refuse(at, &packet, &label, now_ns);
                        }
                        _ => None,
                    }
                }
            }
            Kind::Other if self.hear_told(packet.ip()) => return,
            Kind::Other if self.hear_of_groups(at, packet.ip(), now_ns) => return,
            Kind::Other => None,
        };
        let Some((label, number, announced)) = label else {
            self.counts.nobody += 1;
            return self.give(at, packet, None, now_ns);
        };
        if let Some(count) = self.counts.received.get_mut(label.proto as usize) {
            *count += 1;
        }
        let id = |number| Id { proto: label.proto, number };
        if label.proto == Proto::Tcp {
            return self.hear_stream(at, packet, &label, id(number), now_ns);
        }
        let number = if announced { self.datagram(at, &label, number, now_ns) } else { Some(number) };
        if let Some(number) = number {
            self.give(at, packet, Some(id(number)), now_ns);
        }
    }

    /// Whether what came by this interface may be for a conversation: it is to an address that the interface has, and
    /// datagrams may be to all. What is not goes to smoltcp with none.
    fn is_for_us(&self, at: usize, label: &Label) -> bool {
        let Some(ifc) = self.ifcs.get(at).and_then(Option::as_ref) else { return false };
        let is_to_one = label.to.is_unicast() && (ifc.wire.is_loop() || ifc.has(&label.to));
        match label.proto {
            Proto::Tcp => is_to_one && label.from.is_unicast() && !ifc.is_to_all(&label.from),
            _ => is_to_one || ifc.hears(&label.to),
        }
    }

    /// Whether what came by this interface is to all of its network, or to a group.
    fn is_to_all(&self, at: usize, addr: &IpAddress) -> bool {
        self.ifcs.get(at).and_then(Option::as_ref).is_some_and(|ifc| ifc.is_to_all(addr))
    }

    /// Whether a packet that came by a card says that this machine has sent it, or is for what no card leads to.
    fn is_forged(&self, at: usize, label: &Label) -> bool {
        let is_loop = self.ifcs.get(at).and_then(Option::as_ref).is_some_and(|i| i.wire.is_loop());
        let is_ours = |addr| self.ifcs.iter().flatten().any(|i| i.has(addr));
        !is_loop && (is_loopback(&label.from) || is_loopback(&label.to) || is_ours(&label.from))
    }

    /// Lists the conversations that have something to send by this interface: its card has room again.
    pub(crate) fn look_at_waiting(&mut self, at: usize) {
        for proto in Proto::ALL {
            let mut from = 0;
            loop {
                let waits = |e: &&Entry| e.ifc == at && e.deadline_ns != u64::MAX;
                let Some(number) = self.table(proto).from(from).find(waits).map(|e| e.shared.number) else {
                    break;
                };
                from = number + 1;
                self.look_at(Id { proto, number });
            }
        }
    }

    /// Gives a packet to smoltcp, with the conversation that it is for.
    fn give(&mut self, at: usize, packet: Packet, to: Option<Id>, now_ns: u64) {
        let Inner { ifcs, tables, nobody, .. } = self;
        let Some(ifc) = ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let entry = to.and_then(|id| tables.get_mut(id.proto as usize)?.get_mut(id.number));
        let Ifc { iface, wire, .. } = &mut **ifc;
        if let Some(copies) = entry.as_ref().and_then(|e| e.copies.as_ref()) {
            copies.put(packet.ip());
            wire.talks = Some(copies.clone());
        }
        wire.put_before(packet);
        let Some(entry) = entry else {
            if iface.poll_ingress_single(instant(now_ns), wire, nobody) == PollIngressSingleResult::None {
                wire.bad += 1;
            }
            self.note_questions(at);
            return;
        };
        // smoltcp would ask whether it has the group: it has been looked at here.
        let is_to_group = wire.is_to_group();
        iface.set_any_ip(is_to_group || wire.is_loop());
        iface.poll_ingress_single(instant(now_ns), wire, &mut entry.set);
        iface.set_any_ip(wire.is_loop());
        wire.talks = None;
        entry.raise();
        if let Some(id) = to {
            self.look_at(id);
        }
    }

    /// Has a conversation send what it can, and finds out when it is to be looked at again.
    pub(crate) fn send(&mut self, id: Id, now_ns: u64) {
        if id.proto == Proto::Tcp {
            return self.say(id, now_ns);
        }
        let Inner { ifcs, tables, .. } = self;
        let Some(entry) = tables.get_mut(id.proto as usize).and_then(|t| t.get_mut(id.number)) else {
            return;
        };
        let Some(ifc) = ifcs.get_mut(entry.ifc).and_then(Option::as_mut) else { return };
        let Ifc { iface, wire, .. } = &mut **ifc;
        let now = instant(now_ns);
        let mut left = BURST;
        wire.talks.clone_from(&entry.copies);
        wire.service = entry.service;
        while left != 0 && iface.poll_egress(now, wire, &mut entry.set) == PollResult::SocketStateChanged {
            left -= 1;
        }
        (wire.talks, wire.service) = (None, 0);
        if let Some(count) = self.counts.sent.get_mut(id.proto as usize) {
            *count += (BURST - left) as u64;
        }
        let ifc_at = entry.ifc;
        let at = iface.poll_at(now, &entry.set);
        let at_ns =
            at.map_or(u64::MAX, |at| u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(1000));
        let mut deadline_ns = if at_ns == u64::MAX { at_ns } else { at_ns.max(now_ns + AGAIN_NS) };
        // A datagram is no promise that its sender is still there.
        if let Role::Waiting { since_ns, .. } = entry.role {
            let until_ns = since_ns.saturating_add(UDP_CALL_NS);
            if now_ns >= until_ns {
                self.counts.calls_pushed_out += 1;
                self.forget(id);
                return;
            }
            deadline_ns = deadline_ns.min(until_ns);
        }
        entry.deadline_ns = deadline_ns;
        self.soonest_ns = self.soonest_ns.min(deadline_ns);
        self.note_questions(ifc_at);
        if left == 0 {
            self.look_at(id);
        }
    }

    /// Takes a conversation out of everything.
    pub(crate) fn forget(&mut self, id: Id) {
        let table = self.table(id.proto);
        let Some(entry) = table.remove(id.number) else { return };
        let listed = entry.is_listed;
        if let Role::Coming { announced, .. } | Role::Waiting { announced, .. } = entry.role
            && let Some(Role::Announced { calls, coming }) = table.get_mut(announced).map(|e| &mut e.role)
        {
            match entry.role {
                Role::Coming { .. } => *coming = coming.saturating_sub(1),
                _ => calls.retain(|n| *n != id.number),
            }
        }
        entry.raise();
        self.leave_all(&entry.joined);
        drop(entry);
        if listed {
            self.list.retain(|other| *other != id);
        }
    }
}
