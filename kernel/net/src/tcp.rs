//! TCP: how a connection begins and ends. The states in between are smoltcp's.
//!
//! A call that comes gets a conversation of its own at once, without buffers (see [`crate::half`]); when it is complete
//! it has those, which the announcer pays for, and is in the announcer's queue until somebody takes it. A queue has
//! [`BACKLOG`] places. When all are taken, a new call pushes out the oldest one that is not complete after some time,
//! so that calls of senders who are not there (a flood of SYNs) hold up others only as long as they come; else the new
//! one gets no answer, and calls again.
//!
//! smoltcp's numbers come from a generator whose next number can be computed from some earlier ones. So a
//! connection's first number is made by a generator of its own, with a seed from the kernel's random numbers: the
//! packet, or the call, is shown to an interface that exists for that moment only.
//!
//! When the last file of a connection is closed its end is agreed on by itself, for at most [`PATIENCE_NS`] without
//! progress. What the other side has sent and nobody has read, then or later, is thrown away, as Plan 9 does: a reset
//! would cost it what we have said last. One that goes on and on, for more than [`THROWN_AWAY`], is reset. TIME-WAIT is
//! not kept: ports are random, and so are first numbers.

use alloc::vec::Vec;

use machine::{heap, mem};
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::{HardwareAddress, IpCidr, IpEndpoint, IpListenEndpoint};

use crate::address::Local;
use crate::error::{Error, REFUSED, RESET, Result, TIMED_OUT};
use crate::ifc::{chance, instant};
use crate::table::{Entry, Role};
use crate::wire::Paper;

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

/// Whether the machine has little memory.
pub(crate) fn is_small() -> bool {
    mem::total_bytes() < 64 << 20
}

/// Bytes of a connection's buffers, one for each way.
pub(crate) fn buffer_bytes() -> usize {
    if is_small() { 16 << 10 } else { 64 << 10 }
}

/// A socket with buffers.
///
/// # Errors
/// No memory.
pub(crate) fn socket(is_loop: bool) -> Result<Socket<'static>> {
    let buffer = || Ok::<_, Error>(SocketBuffer::new(heap::try_bytes(buffer_bytes())?));
    Ok(configured(buffer()?, buffer()?, is_loop))
}

/// A socket with these buffers.
pub(crate) fn configured<'a>(
    receives: SocketBuffer<'a>,
    sends: SocketBuffer<'a>,
    is_loop: bool,
) -> Socket<'a> {
    let mut socket = Socket::new(receives, sends);
    socket.set_nagle_enabled(false);
    if is_loop {
        socket.set_ack_delay(None);
    } else {
        socket.set_congestion_control(CongestionControl::Reno);
    }
    socket
}

/// An interface for a moment, with one address, and numbers that follow from the seed.
pub(crate) fn momentary(paper: &mut Paper<'_>, local: IpCidr, seed: u64, now_ns: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut iface = Interface::new(config, paper, instant(now_ns));
    iface.update_ip_addrs(|all| drop(all.push(local)));
    iface
}

pub(crate) fn host(local: Local, remote: IpEndpoint) -> IpCidr {
    let addr = local.addr.unwrap_or(remote.addr);
    IpCidr::new(addr, if addr.version() == smoltcp::wire::IpVersion::Ipv4 { 32 } else { 128 })
}

/// Begins a call; what it sends goes out when it is looked at.
pub(crate) fn call(entry: &mut Entry, caps: DeviceCapabilities, now_ns: u64) -> Result<()> {
    let (local, Some(remote)) = (entry.local, entry.remote) else { return Err(REFUSED) };
    let mut paper = Paper { packet: None, caps, swallows: false };
    let mut iface = momentary(&mut paper, host(local, remote), chance(), now_ns);
    let socket = entry.socket::<Socket>().ok_or(REFUSED)?;
    let from = IpListenEndpoint { addr: local.addr, port: local.port };
    socket.connect(iface.context(), remote, from).map_err(|_| REFUSED)?;
    entry.role = Role::Calling { since_ns: now_ns };
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
    let s = entry.peek::<Socket>()?;
    Some(Seen { state: s.state(), unread: s.recv_queue(), unsent: s.send_queue() })
}

/// Whether what has come since `before` is nothing but data that somebody waits for, and there is nothing to send but
/// an acknowledgement: who reads it sees to that.
pub(crate) fn is_readers(entry: &Entry, before: Seen) -> bool {
    let more = |now: Seen| now.state == before.state && now.unread > before.unread && now.unsent == 0;
    entry.shared.is_read() && before.state == State::Established && see(entry).is_some_and(more)
}

/// Bytes that nobody has read yet, and that are not acknowledged yet.
pub(crate) fn queues(entry: &Entry) -> (usize, usize) {
    see(entry).map_or((0, 0), |s| (s.unread, s.unsent))
}

/// Says before it sends how long it waits for answers.
pub(crate) fn set_patience(entry: &mut Entry) {
    let Some(socket) = entry.socket::<Socket>() else { return };
    let patience = match socket.state() {
        State::SynReceived => Some(Duration::from_micros(SHORT_PATIENCE_NS / 1000)),
        State::SynSent => Some(Duration::from_micros(PATIENCE_NS / 1000)),
        _ if socket.send_queue() != 0 => Some(Duration::from_micros(PATIENCE_NS / 1000)),
        // See `is_given_up`: smoltcp counts from what came last, also where nobody has been asked since.
        _ => None,
    };
    socket.set_timeout(patience);
}

/// Whether the other side has been asked nine times whether it is there, and nothing has come.
pub(crate) fn is_given_up(entry: &Entry, now_ns: u64) -> bool {
    let Some(ms) = entry.keepalive_ms else { return false };
    let since_ns = entry.heard_ns.max(entry.missed_ns);
    let is_quiet = |now: Seen| now.unsent == 0 && !matches!(now.state, State::Closed | State::Listen);
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
            State::Closed | State::Listen => Turn::Over,
            _ => Turn::Complete,
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
                let sends = entry.peek::<Socket>().is_some_and(|s| s.remote_endpoint().is_some());
                // So does the acknowledgement of the other's end.
                let waits = now.state == State::Closed && sends && now_ns < until_ns || received;
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
    if let Some(socket) = entry.socket::<Socket>() {
        socket.abort();
    }
}

/// Nobody has it any more: begins its end. Whether there is something to agree on.
pub(crate) fn end(entry: &mut Entry, now_ns: u64) -> bool {
    close(entry);
    let Some(socket) = entry.socket::<Socket>() else { return false };
    socket.set_ack_delay(None);
    // What is to be sent is a FIN, or a reset.
    let unsent = socket.send_queue();
    let sends = socket.remote_endpoint().is_some() && socket.state() != State::TimeWait;
    entry.role = Role::Ending { until_ns: now_ns + PATIENCE_NS, unsent };
    entry.keepalive_ms = None;
    sends
}

/// No more is sent, nor read.
pub(crate) fn close(entry: &mut Entry) {
    entry.thrown_away.get_or_insert(0);
    throw_away(entry);
    if let Some(socket) = entry.socket::<Socket>() {
        socket.close();
    }
}

/// Throws away what has come after our end: how much that was in all.
fn throw_away(entry: &mut Entry) -> usize {
    let Some(mut all) = entry.thrown_away else { return 0 };
    if let Some(socket) = entry.socket::<Socket>() {
        while let Ok(n @ 1..) = socket.recv(|bytes| (bytes.len(), bytes.len())) {
            all += n;
        }
    }
    entry.thrown_away = Some(all);
    all
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
    let Some(socket) = entry.socket::<Socket>() else {
        return Err(error.unwrap_or(crate::error::NOT_CONNECTED));
    };
    let n = socket.recv_queue().min(max);
    if n != 0 && socket.may_recv() {
        let done = each(socket, n, put);
        if done != 0 {
            return Ok(Some(Got::Put(done)));
        }
        let mut bytes = heap::try_vec(n)?;
        each(socket, n, &mut |_, part| {
            bytes.extend_from_slice(part);
            true
        });
        return Ok(Some(Got::Bytes(bytes)));
    }
    if max == 0 {
        return Ok(Some(Got::Put(0)));
    }
    match (error, socket.state()) {
        // Whoever ended it may have done so while others wait.
        (Some(error), _) => Err(error),
        (None, State::SynSent | State::SynReceived | State::Established) => Ok(None),
        (None, State::FinWait1 | State::FinWait2) => Ok(None),
        _ => Ok(Some(Got::Put(0))),
    }
}

/// Has the next `n` bytes taken, which may lie in two parts; how many were.
fn each(socket: &mut Socket<'static>, n: usize, put: &mut dyn FnMut(usize, &[u8]) -> bool) -> usize {
    let mut done = 0;
    while done < n {
        let more = socket.recv(|part| {
            let part = part.get(..part.len().min(n - done)).unwrap_or(&[]);
            let taken = if put(done, part) { part.len() } else { 0 };
            (taken, taken)
        });
        match more {
            Ok(more @ 1..) => done += more,
            _ => break,
        }
    }
    done
}

/// Puts in what there is room for of `len` bytes, of which `get` fills in those behind so many others, if it can: how
/// many, and whether it could not.
///
/// # Errors
/// It has ended.
pub(crate) fn write(
    entry: &mut Entry,
    len: usize,
    get: &mut dyn FnMut(usize, &mut [u8]) -> bool,
) -> Result<(usize, bool)> {
    let error = entry.error;
    let Some(socket) = entry.socket::<Socket>() else {
        return Err(error.unwrap_or(crate::error::NOT_CONNECTED));
    };
    let mut done = 0;
    loop {
        // Its room may lie in two parts.
        let put = socket.send(|room| {
            let n = room.len().min(len - done);
            let could = n == 0 || get(done, room.get_mut(..n).unwrap_or(&mut []));
            let put = if could { n } else { 0 };
            (put, (put, could))
        });
        match put.map_err(|_| crate::error::HUNG_UP)? {
            (0, could) => return Ok((done, !could)),
            (put, _) => done += put,
        }
    }
}

/// Has the other side asked every so many milliseconds. An answer is missed from now on, or from when the question
/// that was to come next has been put: that is not brought forward.
pub(crate) fn change_keepalive(entry: &mut Entry, ms: Option<u64>, now_ns: u64) {
    let next_ns = entry.keepalive_ms.unwrap_or(0).saturating_mul(1_000_000);
    entry.missed_ns = now_ns.saturating_add(next_ns);
    entry.keepalive_ms = ms;
    set_keepalive(entry);
}

/// Has the other side asked as it is said.
pub(crate) fn set_keepalive(entry: &mut Entry) {
    let every = entry.keepalive_ms.map(Duration::from_millis);
    if let Some(socket) = entry.socket::<Socket>() {
        socket.set_keep_alive(every);
    }
}

/// How long an acknowledgement may wait for something to go with.
const ACK_DELAY: Duration = Duration::from_millis(10);

/// A packet comes, which if it is long stands for several, that would be acknowledged at once.
pub(crate) fn comes(entry: &mut Entry, is_long: bool) {
    if let Some(socket) = entry.socket::<Socket>()
        && socket.ack_delay().is_some()
    {
        socket.set_ack_delay(Some(if is_long { Duration::ZERO } else { ACK_DELAY }));
    }
}

/// The name of its state, as Plan 9 has it.
pub(crate) fn state_name(entry: &Entry) -> &'static str {
    match entry.role {
        Role::Announced { .. } => return "Listen",
        Role::Coming { .. } => return "Syn_received",
        _ => {}
    }
    match entry.peek::<Socket>().map_or(State::Closed, Socket::state) {
        State::Closed => "Closed",
        State::Listen => "Listen",
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
