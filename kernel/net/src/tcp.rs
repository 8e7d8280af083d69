//! TCP: how a connection begins and ends, what it may have, and what it is to its conversation. What is said in between
//! is [`talk`](crate::talk)'s.
//!
//! A call that comes gets a conversation of its own at once, without buffers; when it is complete it is in the
//! announcer's queue until somebody takes it. A queue has [`BACKLOG`] places. When all are taken, a new call pushes out
//! the oldest one that is not complete after some time, so that calls of senders who are not there (a flood of SYNs)
//! hold up others only as long as they come; else the new one gets no answer, and calls again. First numbers are the
//! kernel's random numbers.
//!
//! A connection has no memory but for what waits to be read, or to be acknowledged: at most [`bounds`] of either, which
//! whoever has begun it, or announced it, pays for.
//!
//! When the last file of a connection is closed its end is agreed on by itself, for at most [`PATIENCE_NS`] without
//! progress. What the other side has sent and nobody has read, then or later, is thrown away, as Plan 9 does: a reset
//! would cost it what we have said last. One that goes on and on, for more than [`THROWN_AWAY`], is reset. TIME-WAIT is
//! not kept: ports are random, and so are first numbers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::{heap, mem};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::address::Local;
use crate::error::{HUNG_UP, NO_MEMORY, NOT_CONNECTED, REFUSED, RESET, Result, TIMED_OUT};
use crate::table::{Entry, Role};
use crate::talk::segment::{Ends, Segment};
use crate::talk::seq::Seq;
use crate::talk::{Bounds, Made, Purse, State, Talk};

/// Calls of an announced conversation that nobody has taken, at most.
pub const BACKLOG: usize = 256;
/// How long somebody waits for an answer to a call, or to anything else, in nanoseconds.
pub(crate) const PATIENCE_NS: u64 = 60_000_000_000;
/// How old a call that is not complete has to be to give way to a new one: the other side, if it is there, would have
/// answered. Of many that come at once none pushes out another; those that find no place call again.
pub(crate) const OLD_NS: u64 = 2_000_000_000;
/// How long the answer to the answer may take.
pub(crate) const SHORT_PATIENCE_NS: u64 = 20_000_000_000;

/// Bytes that the other side may send after our end.
const THROWN_AWAY: usize = 1 << 20;
/// Routers that a packet may pass, unless it is said.
const HOPS: u8 = 64;

/// Whether the machine has little memory.
pub(crate) fn is_small() -> bool {
    mem::total_bytes() < 64 << 20
}

/// Bytes that wait in a connection at most, each way: at first, and when it has been seen to need more. A connection of
/// the machine with itself needs no more.
fn bounds(is_loop: bool) -> Bounds {
    let first = if is_small() { 16 << 10 } else { 64 << 10 };
    let most = usize::try_from(mem::total_bytes() / 128).unwrap_or(usize::MAX).clamp(first, 4 << 20);
    Bounds { first, most: if is_loop { first } else { most } }
}

/// What a connection has to know of the interface that it goes by, and of the stack.
pub(crate) struct Way {
    /// Bytes of a packet.
    pub(crate) mtu: usize,
    pub(crate) is_loop: bool,
    /// Its first number.
    pub(crate) first: Seq,
    pub(crate) purse: Arc<Purse>,
}

/// How a connection is made between two ends.
fn made(local: Local, remote: IpEndpoint, way: Way) -> Made {
    let here = local.addr.unwrap_or(remote.addr);
    let headers = if matches!(here, IpAddress::Ipv4(_)) { 40 } else { 60 };
    Made {
        ends: Ends { here: (here, local.port), there: (remote.addr, remote.port), hops: HOPS, service: 0 },
        first: way.first,
        mss: way.mtu.saturating_sub(headers),
        bounds: bounds(way.is_loop),
        is_loop: way.is_loop,
        patience_ns: PATIENCE_NS,
        purse: way.purse,
    }
}

/// Begins a call; what it sends goes out when it is looked at.
///
/// # Errors
/// It goes nowhere; no memory.
pub(crate) fn call(entry: &mut Entry, way: Way, now_ns: u64) -> Result<()> {
    let (local, Some(remote)) = (entry.local, entry.remote) else { return Err(REFUSED) };
    let mut talk = Talk::calls(made(local, remote, way));
    talk.set_keepalive(entry.keepalive_ms);
    put(entry, talk)?;
    entry.role = Role::Calling { since_ns: now_ns };
    Ok(())
}

/// The entry is called by this segment.
///
/// # Errors
/// No memory.
pub(crate) fn called(entry: &mut Entry, call: &Segment, way: Way, now_ns: u64) -> Result<()> {
    let (local, Some(remote)) = (entry.local, entry.remote) else { return Err(REFUSED) };
    let made = made(local, remote, way);
    put(entry, Talk::is_called_by(Made { patience_ns: SHORT_PATIENCE_NS, ..made }, call, now_ns))
}

/// A connection is a small thing; what it costs is what waits in it.
fn put(entry: &mut Entry, talk: Talk) -> Result<()> {
    let payer = entry.bearer.clone();
    if !payer.pays(heap::is_granted) {
        return Err(NO_MEMORY);
    }
    entry.talk = Some(payer.pays(|| Box::new(talk)));
    entry.tell_hops();
    Ok(())
}

/// What of a connection others wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    state: State,
    unread: usize,
    unsent: usize,
}

/// Looks at a connection.
pub(crate) fn see(entry: &Entry) -> Option<Seen> {
    let talk = entry.talk.as_ref()?;
    Some(Seen { state: talk.state, unread: talk.receives.unread.len(), unsent: talk.sends.unsent() })
}

/// Whether what has come since `before` is nothing but data that somebody waits for, and there is nothing to send but
/// an acknowledgement: who reads it sees to that.
pub(crate) fn is_readers(entry: &Entry, before: Seen) -> bool {
    let more = |now: Seen| now.state == before.state && now.unread > before.unread && now.unsent == 0;
    let may_wait = entry.talk.as_ref().is_some_and(|talk| talk.receives.may_wait());
    let is_met = before.state == State::Established;
    entry.shared.is_read() && is_met && may_wait && see(entry).is_some_and(more)
}

/// Whether both sides have heard each other, and neither has ended it.
pub(crate) fn is_established(entry: &Entry) -> bool {
    see(entry).is_some_and(|seen| matches!(seen.state, State::Established | State::CloseWait))
}

/// Bytes that nobody has read yet, and that are not acknowledged yet.
pub(crate) fn queues(entry: &Entry) -> (usize, usize) {
    see(entry).map_or((0, 0), |s| (s.unread, s.unsent))
}

/// Whether the other side has been asked nine times whether it is there, and nothing has come.
pub(crate) fn is_given_up(entry: &Entry, now_ns: u64) -> bool {
    let Some(ms) = entry.keepalive_ms else { return false };
    let since_ns = entry.heard_ns.max(entry.missed_ns);
    let is_quiet = |now: Seen| now.unsent == 0 && now.state != State::Closed;
    now_ns >= since_ns.saturating_add(ms.saturating_mul(9_000_000)) && see(entry).is_some_and(is_quiet)
}

/// What the state of a connection means for it.
pub(crate) enum Turn {
    /// Nothing new.
    Nothing,
    /// A call is complete.
    Complete,
    /// It is over, and nobody has it.
    Over,
    /// It has something to send now.
    Again,
}

/// Looks what has become of a connection after packets have come (`received`) or gone, and ends what has ended.
pub(crate) fn turn(entry: &mut Entry, before: Option<Seen>, received: bool, now_ns: u64) -> Turn {
    let is_open = |s: Seen| s.state != State::Closed;
    if throw_away(entry) > THROWN_AWAY && see(entry).is_some_and(is_open) {
        abort(entry);
        return Turn::Again;
    }
    let Some(now) = see(entry) else { return Turn::Nothing };
    let is_new = before.is_none_or(|b| b.state != now.state);
    match entry.role {
        Role::Coming { .. } => match now.state {
            State::SynReceived => Turn::Nothing,
            State::Closed => Turn::Over,
            _ => {
                if let Some(talk) = &mut entry.talk {
                    talk.patience_ns = PATIENCE_NS;
                }
                Turn::Complete
            }
        },
        Role::Calling { since_ns } => {
            match now.state {
                State::SynSent | State::SynReceived => {}
                State::Closed => {
                    let late = now_ns.saturating_sub(since_ns) >= PATIENCE_NS;
                    entry.error.get_or_insert(if late { TIMED_OUT } else { REFUSED });
                    entry.role = Role::Talking;
                }
                _ => entry.role = Role::Talking,
            }
            Turn::Nothing
        }
        Role::Talking | Role::Waiting { .. } => {
            let ended = matches!(
                before.map(|b| b.state),
                Some(State::LastAck | State::Closing | State::TimeWait | State::Closed) | None
            );
            if now.state == State::Closed && is_new && !ended {
                entry.has_end = entry.error.is_none() && before.is_some_and(|b| b.state == State::CloseWait);
                entry.error.get_or_insert(if received { RESET } else { TIMED_OUT });
            }
            Turn::Nothing
        }
        Role::Ending { until_ns, unsent } => {
            let sent_some = now.unsent < unsent;
            if matches!(now.state, State::Closed | State::TimeWait) {
                // A reset that is still to be sent goes out first.
                let resets = entry.talk.as_ref().is_some_and(|talk| talk.resets());
                // So does the acknowledgement of the other's end.
                let waits = resets && now_ns < until_ns || received;
                return if waits { Turn::Nothing } else { Turn::Over };
            }
            if now_ns >= until_ns && !sent_some {
                abort(entry);
                return Turn::Again;
            } else if sent_some {
                entry.role = Role::Ending { until_ns: now_ns + PATIENCE_NS, unsent: now.unsent };
            }
            Turn::Nothing
        }
        Role::Idle | Role::Announced { .. } => Turn::Nothing,
    }
}

/// Ends it at once, and tells the other side.
pub(crate) fn abort(entry: &mut Entry) {
    if let Some(talk) = &mut entry.talk {
        talk.abort();
    }
}

/// Nobody has it any more: begins its end. Whether there is something to agree on.
pub(crate) fn end(entry: &mut Entry, now_ns: u64) -> bool {
    close(entry);
    entry.keepalive_ms = None;
    let Some(talk) = &mut entry.talk else { return false };
    talk.set_keepalive(None);
    // What is to be sent is an end, or a reset.
    let sends = talk.is_to_say_so();
    entry.role = Role::Ending { until_ns: now_ns + PATIENCE_NS, unsent: talk.sends.unsent() };
    sends
}

/// No more is sent, nor read.
pub(crate) fn close(entry: &mut Entry) {
    entry.thrown_away.get_or_insert(0);
    throw_away(entry);
    if let Some(talk) = &mut entry.talk {
        talk.close();
    }
}

/// Throws away what has come after our end: how much that was in all.
fn throw_away(entry: &mut Entry) -> usize {
    let (Some(all), Some(talk)) = (&mut entry.thrown_away, &mut entry.talk) else { return 0 };
    *all += talk.receives.throw_away();
    *all
}

/// What a read has got.
pub enum Got {
    /// So many bytes are where they were to go to.
    Put(usize),
    /// These are still to be put there.
    Bytes(Vec<u8>),
}

/// Takes up to `max` bytes that have come, and has `put` take them where they go, behind so many others; those that it
/// cannot take there are given. None when there are none yet, and no bytes at the end.
///
/// # Errors
/// Why it ended; no memory.
pub(crate) fn read(
    entry: &mut Entry,
    max: usize,
    put: &mut dyn FnMut(usize, &[u8]) -> bool,
) -> Result<Option<Got>> {
    let error = entry.error.filter(|_| !entry.has_end);
    let Some(talk) = &mut entry.talk else { return Err(error.unwrap_or(NOT_CONNECTED)) };
    let n = talk.receives.unread.len().min(max);
    if n != 0 {
        let done = talk.receives.unread.take(n, put);
        if done != 0 {
            return Ok(Some(Got::Put(done)));
        }
        let mut bytes = heap::try_vec(n)?;
        talk.receives.unread.take(n, &mut |_, part| {
            bytes.extend_from_slice(part);
            true
        });
        return Ok(Some(Got::Bytes(bytes)));
    }
    if max == 0 {
        return Ok(Some(Got::Put(0)));
    }
    match error {
        // Whoever ended it may have done so while others wait.
        Some(error) => Err(error),
        None if talk.may_come() => Ok(None),
        None => Ok(Some(Got::Put(0))),
    }
}

/// Puts in what there is room for of `len` bytes, of which `get` fills in those behind so many others, if it can: how
/// many, and whether it could not.
///
/// # Errors
/// It has ended; no memory, and nothing is under way that would make some.
pub(crate) fn write(
    entry: &mut Entry,
    len: usize,
    get: &mut dyn FnMut(usize, &mut [u8]) -> bool,
) -> Result<(usize, bool)> {
    let payer = entry.bearer.clone();
    let Some(talk) = &mut entry.talk else { return Err(entry.error.unwrap_or(NOT_CONNECTED)) };
    if !talk.may_send() {
        return Err(HUNG_UP);
    }
    match payer.pays(|| talk.put(len, get)) {
        Ok(put) => Ok(put),
        Err(_) if talk.sends.unsent() != 0 => Ok((0, false)),
        Err(error) => Err(error.into()),
    }
}

/// Has the other side asked every so many milliseconds. An answer is missed from now on, or from when the question
/// that was to come next has been put: that is not brought forward.
pub(crate) fn change_keepalive(entry: &mut Entry, ms: Option<u64>, now_ns: u64) {
    let next_ns = entry.keepalive_ms.unwrap_or(0).saturating_mul(1_000_000);
    entry.missed_ns = now_ns.saturating_add(next_ns);
    entry.keepalive_ms = ms;
    if let Some(talk) = &mut entry.talk {
        talk.set_keepalive(ms);
    }
}

/// The name of its state, as Plan 9 has it.
pub(crate) fn state_name(entry: &Entry) -> &'static str {
    match entry.role {
        Role::Announced { .. } => return "Listen",
        Role::Coming { .. } => return "Syn_received",
        _ => {}
    }
    match entry.talk.as_ref().map_or(State::Closed, |talk| talk.state) {
        State::Closed => "Closed",
        State::SynSent => "Syn_sent",
        State::SynReceived => "Syn_received",
        State::Established => "Established",
        State::FinWait1 => "Finwait1",
        State::FinWait2 => "Finwait2",
        State::CloseWait => "Close_wait",
        State::Closing => "Closing",
        State::LastAck => "Last_ack",
        State::TimeWait => "Time_wait",
    }
}
