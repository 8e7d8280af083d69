//! Calls of TCP that are not complete. Of each there is its first packet, and a seed: nobody pays for buffers before it
//! is known that the caller is there.
//!
//! What smoltcp has of such a call is made of these two whenever it is wanted, and is the same each time, the first
//! number of our side included: to answer it, to see whether an answer to that is one, and at last to have the
//! connection. All but the last happens in the stack's scratch buffer, which is as large as a connection's, since the
//! size is told to the caller.
//!
//! Where there is no memory for a connection the caller, who believes to have one, is answered again as long as others
//! are; what he says meanwhile he has to say again. Then he is told that it has ended.
//!
//! There are no locks here: all of it is under the stack's.

use alloc::vec::Vec;

use machine::heap;
use smoltcp::iface::{PollResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::IpEndpoint;

use crate::address::Local;
use crate::demux::{self, Kind};
use crate::error::{NO_CONVERSATION, Result};
use crate::ifc::{Ifc, chance, instant};
use crate::log::Topic;
use crate::table::Entry;
use crate::tcp;
use crate::wire::Paper;
use crate::work::{Id, Inner};

/// Bytes of the longest first packet; longer ones are no calls.
const LONGEST: usize = 256;
/// How long until a call is answered again, at first, in nanoseconds, and how often that doubles.
const AGAIN_NS: u64 = 1_000_000_000;
const DOUBLES: u32 = 3;

/// What is kept of a call.
pub(crate) struct Half {
    packet: Vec<u8>,
    seed: u64,
    /// It has been answered, so many times because there was nothing more, and is again at that time.
    is_answered: bool,
    times: u32,
    next_ns: u64,
    /// When it is given up.
    until_ns: u64,
    /// It is complete but for the memory.
    is_short: bool,
}

impl Half {
    /// That of a packet of IP which is a call.
    ///
    /// # Errors
    /// It is too long; no memory.
    pub(crate) fn new(packet: &[u8], now_ns: u64) -> Result<Half> {
        if packet.len() > LONGEST {
            return Err(NO_CONVERSATION);
        }
        let mut kept = heap::try_vec(packet.len())?;
        kept.extend_from_slice(packet);
        let until_ns = now_ns + tcp::SHORT_PATIENCE_NS;
        let seed = chance();
        Ok(Half {
            packet: kept,
            seed,
            is_answered: false,
            times: 0,
            next_ns: now_ns,
            until_ns,
            is_short: false,
        })
    }
}

/// A call between two ends, as others than the table know it.
struct Between<'a> {
    half: &'a Half,
    local: Local,
    remote: IpEndpoint,
    caps: DeviceCapabilities,
    now_ns: u64,
}

impl Between<'_> {
    /// Has a socket that is new get the call, and its answer go nowhere if it is `answered`. Whether it is a call.
    fn replay(&self, set: &mut SocketSet<'_>, handle: SocketHandle, answered: bool) -> bool {
        let mut paper = Paper { packet: Some(&self.half.packet), caps: self.caps.clone(), swallows: false };
        let host = tcp::host(self.local, self.remote);
        let mut iface = tcp::momentary(&mut paper, host, self.half.seed, self.now_ns);
        let now = instant(self.now_ns);
        let Some(addr) = self.local.addr else { return false };
        if set.get_mut::<Socket>(handle).listen((addr, self.local.port)).is_err() {
            return false;
        }
        iface.poll_ingress_single(now, &mut paper, set);
        if set.get::<Socket>(handle).state() != State::SynReceived {
            return false;
        }
        if answered {
            paper.swallows = true;
            iface.poll_egress(now, &mut paper, set);
        }
        true
    }

    /// The state that the connection is in behind a packet that has come, if it is a call at all.
    fn behind(&self, packet: &[u8], scratch: &mut [u8], is_loop: bool) -> Option<State> {
        scratched(scratch, is_loop, |set, handle| {
            if !self.replay(set, handle, true) {
                return None;
            }
            let mut paper = Paper { packet: Some(packet), caps: self.caps.clone(), swallows: false };
            let host = tcp::host(self.local, self.remote);
            let mut iface = tcp::momentary(&mut paper, host, self.half.seed, self.now_ns);
            iface.poll_ingress_single(instant(self.now_ns), &mut paper, set);
            Some(set.get::<Socket>(handle).state())
        })
    }
}

/// Does something with a socket whose buffer is the scratch buffer.
fn scratched<R>(
    scratch: &mut [u8],
    is_loop: bool,
    f: impl FnOnce(&mut SocketSet<'_>, SocketHandle) -> R,
) -> R {
    let mut sends = [0; 64];
    let mut place = [SocketStorage::EMPTY];
    let mut set = SocketSet::new(&mut place[..]);
    let socket = tcp::configured(SocketBuffer::new(scratch), SocketBuffer::new(&mut sends[..]), is_loop);
    let handle = set.add(socket);
    f(&mut set, handle)
}

/// The call of an entry, and whether it is the machine's with itself.
fn between<'a>(entry: &'a Entry, ifc: &Ifc, now_ns: u64) -> Option<(Between<'a>, bool)> {
    let (half, remote) = (entry.half.as_ref()?, entry.remote?);
    let caps = ifc.wire.describe();
    Some((Between { half, local: entry.local, remote, caps, now_ns }, !ifc.wire.is_ethernet()))
}

impl Inner {
    /// Whether a call is one: smoltcp takes it.
    pub(crate) fn is_call(&mut self, id: Id, now_ns: u64) -> bool {
        let Inner { ifcs, tables, scratch, .. } = self;
        let Some(entry) = tables.get_mut(id.proto as usize).and_then(|t| t.get_mut(id.number)) else {
            return false;
        };
        let Some(ifc) = ifcs.get(entry.ifc).and_then(Option::as_ref) else { return false };
        let Some((call, is_loop)) = between(entry, ifc, now_ns) else { return false };
        scratched(scratch, is_loop, |set, handle| call.replay(set, handle, false))
    }

    /// Answers a call if it is time to, and finds out when it is time again.
    pub(crate) fn answer_half(&mut self, id: Id, now_ns: u64) {
        let Inner { ifcs, tables, scratch, .. } = self;
        let Some(entry) = tables.get_mut(id.proto as usize).and_then(|t| t.get_mut(id.number)) else {
            return;
        };
        let Some(ifc) = ifcs.get_mut(entry.ifc).and_then(Option::as_mut) else { return };
        let Some(half) = &entry.half else { return };
        let (is_answered, next_ns, until_ns) = (half.is_answered, half.next_ns, half.until_ns);
        if now_ns >= until_ns {
            if half.is_short
                && let Some((call, is_loop)) = between(entry, ifc, now_ns)
            {
                scratched(scratch, is_loop, |set, handle| {
                    let Ifc { iface, wire, .. } = &mut **ifc;
                    if call.replay(set, handle, true) {
                        set.get_mut::<Socket>(handle).abort();
                        iface.poll_egress(instant(now_ns), wire, set);
                    }
                });
            }
            self.forget(id);
            return;
        }
        if !is_answered || now_ns >= next_ns {
            let Some((call, is_loop)) = between(entry, ifc, now_ns) else { return };
            let sent = scratched(scratch, is_loop, |set, handle| {
                let Ifc { iface, wire, .. } = &mut **ifc;
                // Where the caller's card is not known yet it waits for that.
                call.replay(set, handle, false)
                    && iface.poll_egress(instant(now_ns), wire, set) == PollResult::SocketStateChanged
            });
            if let Some(half) = &mut entry.half {
                // Who calls again himself is no reason to be slower.
                half.times += u32::from(is_answered);
                half.is_answered = sent;
                half.next_ns = now_ns + (AGAIN_NS << half.times.min(DOUBLES));
            }
        }
        let next_ns = entry.half.as_ref().map_or(u64::MAX, |half| half.next_ns.min(half.until_ns));
        entry.deadline_ns = next_ns;
        self.soonest_ns = self.soonest_ns.min(next_ns);
    }

    /// What has come for a call that is not complete. Whether it is complete now, and has a socket to be given the
    /// packet.
    pub(crate) fn hear_half(&mut self, id: Id, packet: &[u8], now_ns: u64) -> bool {
        let Inner { ifcs, tables, scratch, counts, log, .. } = self;
        let Some(entry) = tables.get_mut(id.proto as usize).and_then(|t| t.get_mut(id.number)) else {
            return false;
        };
        let Some(ifc) = ifcs.get(entry.ifc).and_then(Option::as_ref) else { return false };
        let is_ethernet = ifc.wire.is_ethernet();
        if matches!(demux::read(packet), Kind::Labelled(label) if label.is_call) {
            // It calls again, as it has not heard us.
            if let Some(half) = &mut entry.half {
                half.is_answered = false;
            }
            self.look_at(id);
            return false;
        }
        let state =
            between(entry, ifc, now_ns).and_then(|(call, is_loop)| call.behind(packet, scratch, is_loop));
        match state {
            None | Some(State::SynReceived) => return false,
            Some(State::Listen | State::Closed) => {
                self.forget(id);
                return false;
            }
            Some(_) => {}
        }
        if entry.put_socket(|| Ok(smoltcp::socket::Socket::Tcp(tcp::socket(!is_ethernet)?))).is_err() {
            counts.calls_dropped += 1;
            let (number, with) = (id.number, entry.remote);
            if let Some(half) = &mut entry.half
                && !core::mem::replace(&mut half.is_short, true)
                && let Some(with) = with
            {
                log.say(Topic::Tcp, Some(with.addr), format_args!("no memory for call {number} of {with}"));
            }
            return false;
        }
        let Some(half) = entry.half.take() else { return false };
        let (Some(handle), Some(remote)) = (entry.handle, entry.remote) else { return false };
        let (local, caps) = (entry.local, ifc.wire.describe());
        Between { half: &half, local, remote, caps, now_ns }.replay(&mut entry.set, handle, true)
    }
}
