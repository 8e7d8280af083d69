//! A wire as smoltcp sees it: what comes in is put before it packet by packet. What it sends, and what TCP says, goes
//! back into the queue of the machine itself (loopback), or to a card.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::copies::Copies;
use crate::groups::Groups;
use crate::link::{Link, destination};
use crate::program::Program;
use crate::rate::Rate;
use crate::sums;
use crate::talk::{Data, Goes as Said};

/// Bytes that may be on their way from this machine to itself, so that a flood of datagrams takes no more.
const MOST_LOOPING: usize = 1 << 20;
/// The loopback's largest packet, as in Plan 9.
pub(crate) const LOOPBACK_MTU: usize = 16 << 10;
/// The numbers of ICMP.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// The longest packet that smoltcp makes for a card, which with its header is a frame that can be cut.
const LONGEST: usize = 65535 - ETHERNET;

/// Bytes in front of a packet in which its headers are.
const HEADERS: usize = 128;
/// Messages of ICMP that say that something cannot be, and packets of TCP that refuse, each so many at once, and then
/// one after so many nanoseconds: 100 and 200 a second.
const ERRORS: u64 = 50;
const ERROR_NS: u64 = 10_000_000;
const RESETS: u64 = 200;
const RESET_NS: u64 = 5_000_000;

/// Where packets go to.
#[expect(clippy::large_enum_variant, reason = "there are few interfaces, and most are cards")]
pub(crate) enum Out {
    /// Back to this machine.
    Loop,
    /// To nobody yet.
    Nowhere,
    /// To a card.
    Card(Link),
    /// To a program.
    Program(Program),
}

impl Out {
    /// The card's end.
    pub(crate) fn link_mut(&mut self) -> Option<&mut Link> {
        if let Out::Card(link) = self { Some(link) } else { None }
    }
}

/// A packet that has come, with a header of Ethernet if it came by a card.
pub(crate) struct Packet {
    bytes: Vec<u8>,
    from: usize,
    /// Its checksum of TCP or UDP need not be looked at.
    pub(crate) is_summed: bool,
    /// This machine has sent it to a group that it hears itself.
    pub(crate) is_ours: bool,
}

impl Packet {
    /// One that was put together of pieces.
    pub(crate) fn whole(bytes: Vec<u8>) -> Packet {
        Packet { bytes, from: 0, is_summed: true, is_ours: false }
    }

    /// The packet itself, with its data, which are said to be there in the packet of IP.
    pub(crate) fn data(self, at: &Range<usize>) -> Data {
        Data { at: self.from + at.start..self.from + at.end, bytes: self.bytes }
    }

    /// The packet of IP.
    pub(crate) fn ip(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or(&[])
    }

    /// The header of Ethernet, if there is one.
    pub(crate) fn header(&self) -> Option<&[u8; ETHERNET]> {
        if self.from == 0 { None } else { self.bytes.first_chunk() }
    }
}

/// See the module comment.
pub(crate) struct Wire {
    pub(crate) out: Out,
    /// The largest packet, without a header of Ethernet.
    pub(crate) mtu: usize,
    /// Packets of this machine for itself.
    looping: VecDeque<Vec<u8>>,
    looping_bytes: usize,
    /// The packet that smoltcp gets when it looks.
    before: Option<Packet>,
    /// Where packets for a card are put together, and those for which there is no memory.
    spare: Vec<u8>,
    /// Who sees all packets, and those of the conversation that sends now.
    pub(crate) copies: Option<Arc<Copies>>,
    pub(crate) talks: Option<Arc<Copies>>,
    /// The kind of service that is written on what smoltcp sends now.
    pub(crate) service: u8,
    /// The groups that are listened to.
    pub(crate) groups: Groups,
    /// How often it is said that a packet was for nobody: by ICMP, and by TCP.
    errors: Rate,
    resets: Rate,
    /// Packets that came.
    pub(crate) came: u64,
    /// Packets that went.
    pub(crate) went: u64,
    /// Packets that came and were not understood.
    pub(crate) bad: u64,
    /// Packets that did not go.
    pub(crate) lost: u64,
}

impl Wire {
    /// A wire of packets of at most `mtu` bytes.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn new(out: Out, mtu: usize) -> Result<Wire, machine::OutOfMemory> {
        let wire = Wire {
            out,
            mtu,
            looping: VecDeque::new(),
            looping_bytes: 0,
            before: None,
            spare: Vec::new(),
            copies: None,
            talks: None,
            service: 0,
            groups: Groups::default(),
            errors: Rate::new(ERRORS, ERROR_NS),
            resets: Rate::new(RESETS, RESET_NS),
            came: 0,
            went: 0,
            bad: 0,
            lost: 0,
        };
        Ok(Wire { spare: heap::try_bytes(wire.longest())?, ..wire })
    }

    /// The next packet that has come.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        let packet = match &self.out {
            Out::Loop => {
                let bytes = self.looping.pop_front()?;
                self.looping_bytes -= bytes.len();
                Packet { bytes, from: 0, is_summed: true, is_ours: false }
            }
            Out::Card(link) => match link.card.receive() {
                Some(came) => {
                    Packet { bytes: came.bytes, from: ETHERNET, is_summed: came.is_summed, is_ours: false }
                }
                None => {
                    let bytes = self.looping.pop_front()?;
                    self.looping_bytes -= bytes.len();
                    Packet { bytes, from: 0, is_summed: true, is_ours: true }
                }
            },
            Out::Program(_) => {
                let bytes = self.looping.pop_front()?;
                self.looping_bytes -= bytes.len();
                Packet { bytes, from: 0, is_summed: false, is_ours: false }
            }
            Out::Nowhere => return None,
        };
        self.came += 1;
        Some(packet)
    }

    /// Packets that came and came to nothing.
    pub(crate) fn input_errors(&self) -> u64 {
        self.bad + self.link().map_or(0, |link| link.card.dropped())
    }

    /// Packets that went no further than this.
    pub(crate) fn output_errors(&self) -> u64 {
        self.lost + self.link().map_or(0, |link| link.near.dropped)
    }

    /// Puts a packet before smoltcp.
    pub(crate) fn put_before(&mut self, packet: Packet) {
        self.before = Some(packet);
    }

    /// The longest packet that can be sent.
    pub(crate) fn longest(&self) -> usize {
        match self.out {
            Out::Card(_) => longest(),
            Out::Loop | Out::Program(_) => LOOPBACK_MTU,
            Out::Nowhere => self.mtu,
        }
    }

    /// Whether it leads back to this machine.
    pub(crate) fn is_loop(&self) -> bool {
        matches!(self.out, Out::Loop)
    }

    /// Whether the packet that smoltcp gets next is to a group.
    pub(crate) fn is_to_group(&self) -> bool {
        let to = self.before.as_ref().and_then(|packet| destination(packet.ip()));
        to.is_some_and(|to| to.is_multicast())
    }

    /// Whether frames have headers of Ethernet.
    pub(crate) fn is_ethernet(&self) -> bool {
        self.link().is_some()
    }

    /// The card's end.
    pub(crate) fn link(&self) -> Option<&Link> {
        if let Out::Card(link) = &self.out { Some(link) } else { None }
    }

    /// The card's end.
    pub(crate) fn link_mut(&mut self) -> Option<&mut Link> {
        self.out.link_mut()
    }

    fn show(&self, packet: &[u8]) {
        self.copies.iter().chain(&self.talks).for_each(|copies| copies.put(packet));
    }

    fn count(&mut self, sent: bool) {
        if sent { self.went += 1 } else { self.lost += 1 }
    }

    /// Has `f` put together a packet, and sends it.
    fn send<R>(&mut self, len: usize, now_ns: u64, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let room = if matches!(self.out, Out::Loop) { as_kernel(|| heap::try_bytes(len)).ok() } else { None };
        if let Some(mut packet) = room {
            let result = f(&mut packet);
            put_service(&mut packet, self.service);
            self.show(&packet);
            let put = self.put_looping(packet);
            self.count(put);
            return result;
        }
        let mut spare = core::mem::take(&mut self.spare);
        // smoltcp makes no packet that is longer than what it has been told.
        if spare.len() < len {
            spare.resize(len, 0);
        }
        let packet = spare.get_mut(..len).unwrap_or(&mut []);
        // Not all fields are written that say nothing: what went before is nobody's to see.
        packet.iter_mut().take(HEADERS).for_each(|byte| *byte = 0);
        let result = f(packet);
        if is_error(packet) && !self.errors.takes(now_ns) {
            self.lost += 1;
            self.spare = spare;
            return result;
        }
        put_service(packet, self.service);
        self.show(packet);
        self.put_to_ourselves(packet);
        let sent = match &mut self.out {
            Out::Card(link) => link.send(packet, now_ns),
            Out::Program(program) => program.send(packet, self.mtu),
            Out::Loop | Out::Nowhere => false,
        };
        self.count(sent);
        self.spare = spare;
        result
    }

    /// Sends what a connection says, whose checksum is not made.
    pub(crate) fn say(&mut self, said: &mut Said<'_>, now_ns: u64) {
        let whole = || {
            let mut whole = heap::try_vec(said.head.bytes().len() + said.data.len())?;
            whole.extend_from_slice(said.head.bytes());
            said.data.pieces().iter().for_each(|piece| whole.extend_from_slice(piece));
            Ok::<_, machine::OutOfMemory>(whole)
        };
        let is_seen = self.copies.iter().chain(&self.talks).any(|copies| copies.is_read());
        // Who only watches does without when there is no memory.
        if is_seen && let Ok(whole) = as_kernel(whole) {
            self.show(&whole);
        }
        let sent = match &mut self.out {
            Out::Loop => as_kernel(whole).is_ok_and(|whole| self.put_looping(whole)),
            Out::Card(link) => link.say(said, now_ns),
            Out::Program(program) => program.say(said),
            Out::Nowhere => false,
        };
        self.count(sent);
    }

    /// What goes to a group that is heard here comes back.
    fn put_to_ourselves(&mut self, packet: &[u8]) {
        if !destination(packet).is_some_and(|to| to.is_multicast() && self.groups.has(&to)) {
            return;
        }
        // Without memory it does not.
        if let Ok(copy) = as_kernel(|| heap::try_copy(packet)) {
            self.put_looping(copy);
        }
    }

    /// A program has a packet of IP come; whether there is room for it.
    pub(crate) fn bring(&mut self, packet: Vec<u8>) -> bool {
        matches!(self.out, Out::Program(_)) && self.put_looping(packet)
    }

    /// Puts in a packet of the machine for itself; whether there is room.
    fn put_looping(&mut self, packet: Vec<u8>) -> bool {
        let len = packet.len();
        let fits = self.looping_bytes + len <= MOST_LOOPING;
        let put = fits && as_kernel(|| heap::try_push_back(&mut self.looping, packet)).is_ok();
        self.looping_bytes += if put { len } else { 0 };
        put
    }

    /// Whether somebody may be refused now, which counts. Nobody floods himself.
    pub(crate) fn may_refuse(&mut self, now_ns: u64) -> bool {
        self.is_loop() || self.resets.takes(now_ns)
    }

    /// Whether what is sent now would only wait.
    pub(crate) fn is_full(&mut self) -> bool {
        self.out.link_mut().is_some_and(Link::is_full)
    }

    /// What smoltcp has to know of it.
    pub(crate) fn describe(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.longest();
        match self.out {
            // Nothing can happen to it on its way.
            Out::Loop | Out::Nowhere => caps.checksum = ChecksumCapabilities::ignored(),
            Out::Card(_) | Out::Program(_) => {
                // See `sums`.
                caps.checksum.udp = Checksum::None;
            }
        }
        caps
    }
}

/// Writes the kind of service on a packet that has none.
fn put_service(packet: &mut [u8], service: u8) {
    if service == 0 {
        return;
    }
    match packet {
        [first, second, ..] if *first >> 4 == 6 => {
            (*first, *second) = (*first | service >> 4, *second | service << 4);
        }
        [first, second, ..] => {
            let len = usize::from(*first & 15) * 4;
            *second = service;
            sums::put(packet, 10, 0);
            let sum = sums::of_header(packet.get(..len).unwrap_or(&[]));
            sums::put(packet, 10, sum);
        }
        _ => {}
    }
}

/// Whether a packet that is made here says that another one was for nobody, or wrong.
fn is_error(packet: &[u8]) -> bool {
    match packet {
        [first, ..] if first >> 4 == 4 => {
            let message = packet.get(usize::from(first & 15) * 4);
            packet.get(9) == Some(&ICMP) && matches!(message, Some(3 | 11 | 12))
        }
        // Those below 128 are (RFC 4443, section 2.1).
        _ => packet.get(6) == Some(&ICMPV6) && packet.get(40).is_some_and(|message| *message < 128),
    }
}

/// The longest packet that is made for a card: it is cut later.
fn longest() -> usize {
    if crate::tcp::is_small() { LOOPBACK_MTU } else { LONGEST }
}

/// The packet that has come.
pub(crate) struct Came(Packet);

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0.ip())
    }
}

/// A packet that is to go.
pub(crate) struct Goes<'a> {
    wire: &'a mut Wire,
    now_ns: u64,
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.wire.send(len, self.now_ns, f)
    }
}

fn ns(now: Instant) -> u64 {
    u64::try_from(now.total_micros()).unwrap_or(0).saturating_mul(1000)
}

impl Device for Wire {
    type RxToken<'a> = Came;
    type TxToken<'a> = Goes<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Came, Goes<'_>)> {
        let packet = self.before.take()?;
        Some((Came(packet), Goes { wire: self, now_ns: ns(now) }))
    }

    fn transmit(&mut self, now: Instant) -> Option<Goes<'_>> {
        if self.is_full() {
            return None;
        }
        Some(Goes { wire: self, now_ns: ns(now) })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.describe()
    }
}
