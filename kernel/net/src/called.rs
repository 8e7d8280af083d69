//! Calls that come: of TCP, and of UDP where each new sender is one. Each gets a conversation, if there is a place.

use smoltcp::wire::IpEndpoint;

use crate::address::Local;
use crate::demux::Label;
use crate::error::{NO_ROUTE, NOT_ANNOUNCED, Result};
use crate::log::Topic;
use crate::table::{Entry, Proto, Role};
use crate::talk::segment::Segment;
use crate::tcp::{self, BACKLOG};
use crate::udp;
use crate::work::{Id, Inner};

/// Bytes of the longest packet that calls; longer ones are no calls.
const LONGEST_CALL: usize = 256;

impl Inner {
    /// Somebody calls: the call gets a conversation, if there is a place.
    pub(crate) fn call(&mut self, at: usize, announced: u32, label: &Label, packet: &[u8], now_ns: u64) {
        let made = self.answer(at, announced, label, packet, now_ns);
        let (from, port) = (label.from, label.from_port);
        let became = made.unwrap_or_else(|e| e.0);
        let what = format_args!("call of {from}!{port} to {} {became}", label.to_port);
        self.log.say(Topic::Tcp, Some(from), what);
        if made.is_err() {
            self.counts.calls_dropped += 1;
        }
    }

    /// What becomes of a call.
    ///
    /// # Errors
    /// There is no place for it, or nobody to answer, or no way.
    fn answer(
        &mut self,
        at: usize,
        announced: u32,
        label: &Label,
        packet: &[u8],
        now_ns: u64,
    ) -> Result<&'static str> {
        let call = Segment::read(packet).filter(|_| packet.len() <= LONGEST_CALL && label.from_port != 0);
        let Some(call) = call else { return Ok("is no call") };
        self.make_place(Proto::Tcp, announced, now_ns)?;
        self.reserve()?;
        let Some(way) = self.way(at, &label.from) else { return Err(NO_ROUTE) };
        let table = self.table(Proto::Tcp);
        let Some(to) = table.get(announced) else { return Err(NOT_ANNOUNCED) };
        let (bearer, perm, hops, service) = (to.bearer.clone(), to.perm, to.hops, to.service);
        let entry = table.add(bearer)?;
        let number = entry.shared.number;
        (entry.perm, entry.ifc, entry.hops, entry.service) = (perm, at, hops, service);
        entry.local = Local { addr: Some(label.to), port: label.to_port };
        entry.remote = Some(IpEndpoint::new(label.from, label.from_port));
        entry.role = Role::Coming { announced, since_ns: now_ns };
        if let Err(e) = tcp::called(entry, &call, way, now_ns) {
            drop(table.remove(number));
            return Err(e);
        }
        table.link(number);
        if let Some(Role::Announced { coming, .. }) = table.get_mut(announced).map(|e| &mut e.role) {
            *coming += 1;
        }
        self.counts.called += 1;
        self.look_at(Id { proto: Proto::Tcp, number });
        Ok("is answered")
    }

    /// Sees to a place for one more call.
    ///
    /// # Errors
    /// All are taken by calls that are complete, or new.
    fn make_place(&mut self, proto: Proto, announced: u32, now_ns: u64) -> Result<()> {
        let table = self.table(proto);
        let Some(Role::Announced { calls, coming }) = table.get_mut(announced).map(|e| &mut e.role) else {
            return Ok(());
        };
        if calls.len() + *coming < BACKLOG {
            return Ok(());
        }
        let since = |e: &Entry| match e.role {
            Role::Coming { announced: to, since_ns } if to == announced => Some((since_ns, e.shared.number)),
            // A caller of UDP does not know whether anybody has taken the call.
            Role::Waiting { announced: to, since_ns } if to == announced && proto == Proto::Udp => {
                Some((since_ns, e.shared.number))
            }
            _ => None,
        };
        let oldest = table.from(0).filter_map(since).min();
        let oldest = oldest.filter(|(since_ns, _)| now_ns.saturating_sub(*since_ns) >= tcp::OLD_NS);
        let (_, number) = oldest.ok_or(crate::error::NO_CONVERSATION)?;
        self.counts.calls_pushed_out += 1;
        self.forget(Id { proto, number });
        Ok(())
    }

    /// A call is complete: it waits to be taken.
    pub(crate) fn complete(&mut self, id: Id) {
        let table = self.table(id.proto);
        let Some(Role::Coming { announced, .. }) = table.get(id.number).map(|e| &e.role) else { return };
        let announced = *announced;
        if let Some(entry) = table.get_mut(id.number) {
            entry.role = Role::Waiting { announced, since_ns: machine::clock::now_ns() };
        }
        if let Some(to) = table.get_mut(announced) {
            if let Role::Announced { calls, coming } = &mut to.role {
                *coming = coming.saturating_sub(1);
                // There is room: see `announce`.
                calls.push_back(id.number);
            }
            to.raise();
        }
    }

    /// The conversation for a datagram that came to an announced one; none if there is no place for it.
    pub(crate) fn datagram(&mut self, at: usize, label: &Label, announced: u32, now_ns: u64) -> Option<u32> {
        let table = self.table(Proto::Udp);
        let to = table.get(announced)?;
        if to.headers {
            return Some(announced);
        }
        let Role::Announced { calls, .. } = &to.role else { return Some(announced) };
        let is_full = calls.len() >= BACKLOG;
        let (bearer, perm, hops, service) = (to.bearer.clone(), to.perm, to.hops, to.service);
        // Nobody could answer it.
        if label.from_port == 0 || !label.from.is_unicast() {
            return None;
        }
        if is_full && self.make_place(Proto::Udp, announced, now_ns).is_err() {
            let (from, port) = (label.from, label.from_port);
            self.log.say(Topic::Udp, Some(from), format_args!("no room for {from}!{port}"));
            self.counts.calls_dropped += 1;
            return None;
        }
        // What was to all is answered from an address of ours.
        let is_to_all = self.ifcs.get(at).and_then(Option::as_ref).is_some_and(|i| i.is_to_all(&label.to));
        let addr = if is_to_all { self.source(at, &label.from).ok()? } else { label.to };
        self.reserve().ok()?;
        let size = udp::Size::Call(self.mtu(at));
        let table = self.table(Proto::Udp);
        let entry = table.add(bearer).ok()?;
        let number = entry.shared.number;
        (entry.perm, entry.ifc, entry.hops, entry.service) = (perm, at, hops, service);
        entry.local = crate::address::Local { addr: Some(addr), port: label.to_port };
        entry.remote = Some(smoltcp::wire::IpEndpoint::new(label.from, label.from_port));
        entry.role = Role::Waiting { announced, since_ns: now_ns };
        let local = entry.local;
        if entry.put_socket(|| Ok(smoltcp::socket::Socket::Udp(udp::socket(local, size)?))).is_err() {
            drop(table.remove(number));
            return None;
        }
        table.link(number);
        if let Some(to) = table.get_mut(announced) {
            if let Role::Announced { calls, .. } = &mut to.role {
                calls.push_back(number);
            }
            to.raise();
        }
        Some(number)
    }
}
