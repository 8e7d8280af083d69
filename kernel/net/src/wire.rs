//! A wire as smoltcp sees it: what comes in is put before it packet by packet, what it sends goes back into the queue
//! of the machine itself (loopback), or to a card.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::ifc::Card;

/// Bytes that may be on their way from this machine to itself, so that a flood of datagrams takes no more.
const MOST_LOOPING: usize = 1 << 20;
/// The loopback's largest packet, as in Plan 9.
pub(crate) const LOOPBACK_MTU: usize = 16 << 10;
/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// Where packets go to.
pub(crate) enum Out {
    /// Back to this machine.
    Loop,
    /// To nobody yet.
    Nowhere,
    /// To a card.
    Card(Arc<dyn Card>),
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
    before: Option<Vec<u8>>,
    /// Where a packet is put together for which there is no memory.
    spare: Vec<u8>,
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
        Ok(Wire {
            out,
            mtu,
            looping: VecDeque::new(),
            looping_bytes: 0,
            before: None,
            spare: heap::try_bytes(mtu + ETHERNET)?,
            came: 0,
            went: 0,
            bad: 0,
            lost: 0,
        })
    }

    /// The next packet that has come.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let packet = match &self.out {
            Out::Loop => self.looping.pop_front(),
            Out::Card(card) => card.receive(),
            Out::Nowhere => None,
        }?;
        if matches!(self.out, Out::Loop) {
            self.looping_bytes -= packet.len();
        }
        self.came += 1;
        Some(packet)
    }

    /// Packets that came and came to nothing.
    pub(crate) fn input_errors(&self) -> u64 {
        self.bad + if let Out::Card(card) = &self.out { card.dropped() } else { 0 }
    }

    /// Puts a packet before smoltcp.
    pub(crate) fn put_before(&mut self, packet: Vec<u8>) {
        self.before = Some(packet);
    }

    /// Whether frames have headers of Ethernet.
    pub(crate) fn is_ethernet(&self) -> bool {
        matches!(self.out, Out::Card(_))
    }

    fn send(&mut self, packet: Vec<u8>) {
        let sent = match &self.out {
            Out::Card(card) => card.send(&packet),
            Out::Nowhere => false,
            Out::Loop if self.looping_bytes + packet.len() > MOST_LOOPING => false,
            Out::Loop => {
                let len = packet.len();
                let put = as_kernel(|| heap::try_push_back(&mut self.looping, packet)).is_ok();
                self.looping_bytes += if put { len } else { 0 };
                put
            }
        };
        if sent { self.went += 1 } else { self.lost += 1 }
    }

    /// What smoltcp has to know of it.
    pub(crate) fn describe(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        match self.out {
            Out::Loop | Out::Nowhere => {
                caps.medium = Medium::Ip;
                caps.max_transmission_unit = self.mtu;
                // Nothing can happen to it on its way.
                caps.checksum = ChecksumCapabilities::ignored();
            }
            Out::Card(_) => {
                caps.medium = Medium::Ethernet;
                caps.max_transmission_unit = self.mtu + ETHERNET;
            }
        }
        caps
    }
}

/// The packet that has come.
pub(crate) struct Came(Vec<u8>);

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// A packet that is to go.
pub(crate) struct Goes<'a>(&'a mut Wire);

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        match as_kernel(|| heap::try_bytes(len)) {
            Ok(mut packet) => {
                let result = f(&mut packet);
                self.0.send(packet);
                result
            }
            Err(_) => {
                self.0.lost += 1;
                let mut spare = core::mem::take(&mut self.0.spare);
                // smoltcp makes no packet that is longer than what it has been told.
                if spare.len() < len {
                    spare.resize(len, 0);
                }
                let result = f(spare.get_mut(..len).unwrap_or(&mut []));
                self.0.spare = spare;
                result
            }
        }
    }
}

impl Device for Wire {
    type RxToken<'a> = Came;
    type TxToken<'a> = Goes<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Came, Goes<'_>)> {
        self.before.take().map(|packet| (Came(packet), Goes(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Goes<'_>> {
        Some(Goes(self))
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
        let mut caps = self.caps.clone();
        caps.medium = Medium::Ip;
        caps
    }
}
