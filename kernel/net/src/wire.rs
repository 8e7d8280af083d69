//! A wire as smoltcp sees it: what comes in is put before it packet by packet, what it sends goes back into the queue
//! of the machine itself (loopback), or to a card.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::phy::{
    Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken,
};
use smoltcp::time::Instant;

use crate::copies::Copies;
use crate::last;
use crate::link::Link;

/// Bytes that may be on their way from this machine to itself, so that a flood of datagrams takes no more.
const MOST_LOOPING: usize = 1 << 20;
/// The loopback's largest packet, as in Plan 9.
pub(crate) const LOOPBACK_MTU: usize = 16 << 10;
/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// The longest packet that smoltcp makes for a card, which with its header is a frame that can be cut.
const LONGEST: usize = 65535 - ETHERNET;

/// Where packets go to.
pub(crate) enum Out {
    /// Back to this machine.
    Loop,
    /// To nobody yet.
    Nowhere,
    /// To a card.
    Card(Link),
}

/// A packet that has come, with a header of Ethernet if it came by a card.
pub(crate) struct Packet {
    bytes: Vec<u8>,
    from: usize,
    /// Its checksum of TCP or UDP need not be looked at.
    pub(crate) is_summed: bool,
}

impl Packet {
    /// One that was put together of pieces.
    pub(crate) fn whole(bytes: Vec<u8>) -> Packet {
        Packet { bytes, from: 0, is_summed: true }
    }

    /// The same, where its end comes with data: without the end, and that.
    pub(crate) fn end_apart(mut self) -> (Packet, Option<Packet>) {
        let end = self.bytes.get_mut(self.from..).and_then(last::taken_off).map(Packet::whole);
        (self, end)
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
        let longest = if matches!(out, Out::Card(_)) { longest() } else { mtu };
        Ok(Wire {
            out,
            mtu,
            looping: VecDeque::new(),
            looping_bytes: 0,
            before: None,
            spare: heap::try_bytes(longest)?,
            copies: None,
            talks: None,
            came: 0,
            went: 0,
            bad: 0,
            lost: 0,
        })
    }

    /// The next packet that has come.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        let packet = match &self.out {
            Out::Loop => {
                let bytes = self.looping.pop_front()?;
                self.looping_bytes -= bytes.len();
                Packet { bytes, from: 0, is_summed: true }
            }
            Out::Card(link) => {
                let came = link.card.receive()?;
                Packet { bytes: came.bytes, from: ETHERNET, is_summed: came.is_summed }
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
        if self.is_ethernet() { longest() } else { self.mtu }
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
        if let Out::Card(link) = &mut self.out { Some(link) } else { None }
    }

    fn show(&self, packet: &[u8]) {
        self.copies.iter().chain(&self.talks).for_each(|copies| copies.put(packet));
    }

    fn count(&mut self, sent: bool) {
        if sent { self.went += 1 } else { self.lost += 1 }
    }

    /// Has `f` put together a packet, and sends it.
    fn send<R>(&mut self, len: usize, cut: Option<usize>, now_ns: u64, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let room = if matches!(self.out, Out::Loop) { as_kernel(|| heap::try_bytes(len)).ok() } else { None };
        if let Some(mut packet) = room {
            let result = f(&mut packet);
            self.show(&packet);
            let fits = self.looping_bytes + len <= MOST_LOOPING;
            let put = fits && as_kernel(|| heap::try_push_back(&mut self.looping, packet)).is_ok();
            self.looping_bytes += if put { len } else { 0 };
            self.count(put);
            return result;
        }
        let mut spare = core::mem::take(&mut self.spare);
        // smoltcp makes no packet that is longer than what it has been told.
        if spare.len() < len {
            spare.resize(len, 0);
        }
        let packet = spare.get_mut(..len).unwrap_or(&mut []);
        let result = f(packet);
        self.show(packet);
        let sent = self.link_mut().is_some_and(|link| link.send(packet, cut, now_ns));
        self.count(sent);
        self.spare = spare;
        result
    }

    /// What smoltcp has to know of it.
    pub(crate) fn describe(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.longest();
        match self.out {
            // Nothing can happen to it on its way.
            Out::Loop | Out::Nowhere => caps.checksum = ChecksumCapabilities::ignored(),
            Out::Card(_) => {
                // See `sums`.
                (caps.checksum.tcp, caps.checksum.udp) = (Checksum::None, Checksum::None);
                let longest = NonZeroUsize::new(longest());
                (caps.segmentation.tcpv4, caps.segmentation.tcpv6) = (longest, longest);
            }
        }
        caps
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
    cut: Option<usize>,
    now_ns: u64,
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.wire.send(len, self.cut, self.now_ns, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.cut = meta.segmentation_offload_size.map(|size| usize::from(size.get()));
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
        Some((Came(packet), Goes { wire: self, cut: None, now_ns: ns(now) }))
    }

    fn transmit(&mut self, now: Instant) -> Option<Goes<'_>> {
        if self.link_mut().is_some_and(Link::is_full) {
            return None;
        }
        Some(Goes { wire: self, cut: None, now_ns: ns(now) })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.describe()
    }
}

/// One packet on paper, and nowhere to answer to: for a look at it before its conversation is on a wire.
pub(crate) struct Paper<'a> {
    /// The packet, without a header of Ethernet.
    pub(crate) packet: Option<&'a [u8]>,
    /// As the wire that it came by.
    pub(crate) caps: DeviceCapabilities,
    /// What is sent goes nowhere; else it stays where it is.
    pub(crate) swallows: bool,
}

/// The packet.
pub(crate) struct Read<'a>(&'a [u8]);
/// What becomes of an answer: nothing.
pub(crate) struct Torn;

impl RxToken for Read<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Torn {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // Answers to calls are short.
        match [0; 128].get_mut(..len) {
            Some(packet) => f(packet),
            None => f(&mut alloc::vec![0; len]),
        }
    }
}

impl Device for Paper<'_> {
    type RxToken<'a>
        = Read<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Torn
    where
        Self: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Read<'_>, Torn)> {
        self.packet.take().map(|packet| (Read(packet), Torn))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Torn> {
        self.swallows.then_some(Torn)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.caps.clone()
    }
}
