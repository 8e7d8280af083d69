//! Connections of TCP among what is to be done: what has come is heard, what they have to say is said, and what has
//! become of them is told to who waits.

use machine::heap;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::demux::Label;
use crate::error::RESET;
use crate::ifc::Ifc;
use crate::log::Topic;
use crate::table::{Proto, Role};
use crate::talk::Goes;
use crate::talk::segment::{Ends, Head, Said, Segment, refusal};
use crate::talk::seq::Seq;
use crate::talk::unsent::Slices;
use crate::tcp::{self, Turn};
use crate::wire::{Packet, Wire};
use crate::work::{AGAIN_NS, BURST, Id, Inner};

/// How long an acknowledgement waits for the reader of what has come, in nanoseconds: what he takes makes the window
/// large again, which is told with it.
const READER_NS: u64 = 10_000_000;
/// Memory is scarce when there is not so much of it.
const SCARCE: u64 = 1 << 20;
/// Routers that a packet of nobody's may pass.
const HOPS: u8 = 64;

/// Says something that has no data.
fn say(wire: &mut Wire, ends: &Ends, said: &Said, now_ns: u64) {
    let head = Head::new(ends, said, 0);
    wire.say(&mut Goes { head, data: Slices::default(), mss: usize::MAX }, now_ns);
}

impl Inner {
    /// A packet has come to a connection, or to what was one.
    pub(crate) fn hear_stream(&mut self, at: usize, packet: Packet, label: &Label, id: Id, now_ns: u64) {
        let Inner { ifcs, tables, .. } = self;
        let Some(ifc) = ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let Ifc { wire, .. } = &mut **ifc;
        let Some(entry) = tables.get_mut(id.proto as usize).and_then(|t| t.get_mut(id.number)) else {
            return;
        };
        let Some(said) = Segment::read(packet.ip()) else { return self.bad(at) };
        if let Some(copies) = &entry.copies {
            copies.put(packet.ip());
        }
        let Some(before) = tcp::see(entry) else { return self.refuse(at, &packet, label, now_ns) };
        entry.heard_ns = now_ns;
        let is_long = packet.ip().len() > wire.mtu;
        let (bearer, talk) = (&entry.bearer, &mut entry.talk);
        let answer = talk.as_mut().and_then(|talk| {
            let data = packet.data(&said.data);
            // What has no data costs nothing.
            let answer = match said.data.is_empty() {
                true => talk.hear(&said, data, is_long, now_ns),
                false => bearer.pays(|| talk.hear(&said, data, is_long, now_ns)),
            };
            answer.map(|answer| (talk.ends, answer))
        });
        if let Some((ends, answer)) = answer {
            wire.talks.clone_from(&entry.copies);
            say(wire, &ends, &answer, now_ns);
            wire.talks = None;
        }
        let waits = tcp::is_readers(entry, before);
        if waits {
            // In case that nobody comes.
            entry.deadline_ns = entry.deadline_ns.min(now_ns + READER_NS);
            self.soonest_ns = self.soonest_ns.min(entry.deadline_ns);
        }
        self.after(id, Some(before), true, now_ns);
        if !waits {
            self.look_at(id);
        }
    }

    /// Tells who has sent a packet of TCP that there is nobody.
    pub(crate) fn refuse(&mut self, at: usize, packet: &Packet, label: &Label, now_ns: u64) {
        let Some(ifc) = self.ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(said) = Segment::read(packet.ip()) else { return self.bad(at) };
        let (here, there) = ((label.to, label.to_port), (label.from, label.from_port));
        if let Some(refused) = refusal(&said).filter(|_| label.from_port != 0)
            && ifc.wire.may_refuse(now_ns)
        {
            self.counts.refused += 1;
            say(&mut ifc.wire, &Ends { here, there, hops: HOPS, service: 0 }, &refused, now_ns);
            self.note_questions(at);
        }
    }

    /// Has a connection say what it can, and finds out when it is to be looked at again.
    pub(crate) fn say(&mut self, id: Id, now_ns: u64) {
        let Inner { ifcs, tables, .. } = self;
        let Some(entry) = tables.get_mut(id.proto as usize).and_then(|t| t.get_mut(id.number)) else {
            return;
        };
        let at = entry.ifc;
        let Some(ifc) = ifcs.get_mut(at).and_then(Option::as_mut) else { return };
        let Ifc { wire, .. } = &mut **ifc;
        let before = tcp::see(entry);
        if tcp::is_given_up(entry, now_ns) {
            tcp::abort(entry);
        }
        let (mut left, mut deadline_ns, mut said_again) = (BURST, u64::MAX, 0);
        let resets = entry.talk.as_ref().is_some_and(|talk| talk.resets());
        wire.talks.clone_from(&entry.copies);
        if let Some(talk) = &mut entry.talk {
            if let Some(most) = wire.link().and_then(|link| link.paths.most(&talk.ends.there.0)) {
                talk.limit(most);
            }
            talk.look_at_time(now_ns);
            let longest = wire.longest();
            while left != 0 && !wire.is_full() && talk.say(longest, now_ns, |goes| wire.say(goes, now_ns)) {
                left -= 1;
            }
            said_again = core::mem::take(&mut talk.sends.said_over);
            if let Some(ns) = talk.deadline_ns(now_ns) {
                deadline_ns = ns.max(now_ns + AGAIN_NS);
            }
        }
        wire.talks = None;
        self.counts.said_again += u64::from(said_again);
        self.counts.refused += u64::from(resets && left != BURST);
        let [of_tcp, ..] = &mut self.counts.sent;
        *of_tcp += (BURST - left) as u64;
        match entry.role {
            Role::Ending { until_ns, .. } => deadline_ns = deadline_ns.min(until_ns.max(now_ns + AGAIN_NS)),
            Role::Idle | Role::Announced { .. } => deadline_ns = u64::MAX,
            _ => {}
        }
        entry.deadline_ns = deadline_ns;
        self.soonest_ns = self.soonest_ns.min(deadline_ns);
        self.note_questions(at);
        self.after(id, before, false, now_ns);
        if left == 0 {
            self.look_at(id);
        }
    }

    /// Looks what became of a connection, and tells who waits.
    fn after(&mut self, id: Id, before: Option<tcp::Seen>, received: bool, now_ns: u64) {
        let Some(entry) = self.entry(id) else { return };
        let had = entry.error;
        let turn = tcp::turn(entry, before, received, now_ns);
        if entry.error != had
            && let (Some(error), Some(IpEndpoint { addr, port })) = (entry.error, entry.remote)
        {
            let what = format_args!("connection {} with {addr}!{port} ended: {}", id.number, error.0);
            self.log.say(Topic::Tcp, Some(addr), what);
            self.counts.resets += u64::from(error == RESET);
        }
        let Some(entry) = self.entry(id) else { return };
        match turn {
            Turn::Over => self.forget(id),
            Turn::Complete => self.complete(id),
            Turn::Again => self.look_at(id),
            Turn::Nothing if tcp::see(entry) != before => entry.raise(),
            Turn::Nothing => {}
        }
    }

    /// What a new connection by this interface has to know.
    pub(crate) fn way(&mut self, at: usize, to: &IpAddress) -> Option<tcp::Way> {
        let ifc = self.ifcs.get(at).and_then(Option::as_ref)?;
        let is_v4 = matches!(to, IpAddress::Ipv4(_));
        let mtu = ifc.wire.link().map_or(ifc.wire.mtu, |link| link.most(is_v4));
        let is_loop = ifc.wire.is_loop();
        Some(tcp::Way { mtu, is_loop, first: Seq(self.chances.next() as u32), purse: self.purse.clone() })
    }

    /// While memory is scarce connections have no more than they need.
    pub(crate) fn give_back(&mut self) {
        if heap::can_afford(SCARCE) {
            return;
        }
        let mut from = 0;
        let table = self.table(Proto::Tcp);
        loop {
            let next = table.from(from).next().map(|e| e.shared.number);
            let Some(number) = next else { break };
            from = number + 1;
            if let Some(talk) = table.get_mut(number).and_then(|entry| entry.talk.as_mut()) {
                talk.give_back();
            }
        }
    }
}
