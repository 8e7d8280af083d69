//! What of a port changes, and the buffers that its device fills and sends.

use super::{PIECE, RECEIVE};
use crate::console::inbox::Inbox;
use crate::ring::{Queue, Segment};
use alloc::string::String;
use alloc::vec::Vec;
use machine::OutOfMemory;
use machine::dma::Dma;
use machine::heap;

/// Receive buffers.
pub const BUFFERS: usize = 16;
/// Buffers that the device gets back at a time. Telling it costs more than the bytes do; it has the others meanwhile,
/// and when all that came has been read these are at most half of them.
const BATCH: usize = BUFFERS / 2;

/// Guarded by the port's lock.
pub struct State {
    pub receive: Queue<usize>,
    /// Chains stand for buffers.
    pub transmit: Queue<usize>,
    pub sent: Sent,
    /// A buffer that the device is to be given, and what is small is put into meanwhile.
    pub filling: Option<Filling>,
    /// Pieces that the device has been given and not been told of.
    pub untold: bool,
    /// Made when the port first appears.
    pub memory: Option<Memory>,
    /// Buffers that neither the device nor `inbox` has.
    pub idle: Vec<usize>,
    /// Buffers with bytes to read.
    pub inbox: Inbox,
    pub present: bool,
    /// The host is there.
    pub connected: bool,
    pub connection: u64,
    /// The device may have forgotten to say that the host has come or gone.
    pub doubted: bool,
    /// It has been asked whether the host is there; whether it has said so.
    pub asked: Option<bool>,
    /// Somebody has opened it, and the device has been told.
    pub opened: bool,
    pub told: bool,
    /// Made with `virtconsole`, for a person.
    pub console: bool,
    pub label: Option<String>,
}

/// See [`gather`](super::gather).
#[derive(Clone, Copy)]
pub struct Filling {
    /// Which buffer.
    pub buffer: usize,
    /// Bytes that are in it.
    pub len: usize,
}

pub struct Memory {
    pub receive: Vec<Dma>,
    /// As many as were needed at a time, [`SENDING`] at most. One that a writer fills is in its hands.
    pub transmit: Vec<Option<Dma>>,
}

/// Which transmit buffers the device has, by their bits.
///
/// QEMU hands a piece on as far as the host takes it, and keeps the rest; when the host leaves then, it forgets that
/// piece and never returns it. (It returns at once those behind it.) So one that was on its way when the host left, an
/// *old* one, is nobody's any more as soon as a later host's has been sent: pieces of a stream are taken in their
/// order. Until then its buffer is left alone, and later pieces go out in others.
#[derive(Clone, Copy, Default)]
pub struct Sent {
    /// Those for the host that is there.
    now: u16,
    /// Those of hosts that have left, each host's by themselves.
    old: [u16; HOSTS],
}

/// So many hosts, one after the other, may leave in the middle of a piece.
const HOSTS: usize = 4;
/// Pieces that the device has for the host that is there, at most.
const ABREAST: u32 = 4;
/// Transmit buffers at most: as many for each host.
pub const SENDING: usize = HOSTS * ABREAST as usize;

impl Sent {
    /// Whether it has a piece for the host that is there.
    pub fn is_busy(&self) -> bool {
        self.now != 0
    }

    /// How many it has for the host that is there.
    pub fn count(&self) -> u32 {
        self.now.count_ones()
    }

    /// Whether there have been so many hosts that nothing can be remembered of one more.
    pub fn is_lost(&self) -> bool {
        self.old.iter().all(|old| *old != 0)
    }

    /// Whether it has this buffer.
    pub fn has(&self, buffer: usize) -> bool {
        self.old.iter().fold(self.now, |all, old| all | old) & (1 << buffer) != 0
    }

    /// It has this one from now on.
    pub fn give(&mut self, buffer: usize) {
        self.now |= 1 << buffer;
    }

    /// It has returned this one. Gives those that it has lost, by their bits.
    pub fn take(&mut self, buffer: usize) -> u16 {
        let bit = 1 << buffer;
        if self.now & bit == 0 {
            self.old.iter_mut().for_each(|old| *old &= !bit);
            return 0;
        }
        self.now &= !bit;
        core::mem::take(&mut self.old).iter().fold(0, |all, old| all | old)
    }

    /// The host has left.
    pub fn end(&mut self) {
        let now = core::mem::take(&mut self.now);
        // Nothing is given to the device when no place is empty.
        if let Some(place) = self.old.iter_mut().find(|old| **old == 0) {
            *place = now;
        }
    }
}

impl Memory {
    pub fn new() -> Result<Memory, OutOfMemory> {
        let mut receive = heap::try_vec(BUFFERS)?;
        for _ in 0..BUFFERS {
            receive.push(Dma::new(RECEIVE)?);
        }
        let mut transmit = heap::try_vec(SENDING)?;
        transmit.push(Some(Dma::new(PIECE)?));
        Ok(Memory { receive, transmit })
    }
}

impl State {
    /// Whether one of this connection can write.
    pub fn takes(&self, connection: u64) -> bool {
        self.present && self.connected && self.connection == connection
    }

    /// How many pieces the device has at a time. QEMU drops what a console's host has no room for just now, which is
    /// less when it is given time.
    pub fn abreast(&self) -> u32 {
        if self.console { 1 } else { ABREAST }
    }

    /// The host has left.
    pub fn end(&mut self) {
        if self.connected {
            self.connection += 1;
        }
        self.sent.end();
        self.filling = None;
        self.connected = false;
    }

    /// The front buffer of the inbox is done with. True when the device has buffers back and wants to hear of it.
    pub fn drop_front(&mut self) -> bool {
        let done = self.inbox.pop();
        self.idle.extend(done);
        self.post_batch()
    }

    /// Gives the device the idle buffers if they are worth it. True when it wants to hear of it.
    pub fn post_batch(&mut self) -> bool {
        self.idle.len() >= BATCH && self.post()
    }

    /// Gives the device the idle buffers, as many as fit. True when it wants to hear of it.
    pub fn post(&mut self) -> bool {
        let State { receive, memory: Some(memory), idle, present: true, .. } = self else { return false };
        let mut posted = false;
        while let Some(buffer) = idle.pop() {
            let Some(dma) = memory.receive.get(buffer) else { continue };
            let segment = Segment { phys: dma.phys(), len: RECEIVE as u32, write: true };
            let Ok(chain) = receive.prepare(core::iter::once(segment)) else {
                idle.push(buffer);
                break;
            };
            receive.publish(chain, buffer, RECEIVE as u64);
            posted = true;
        }
        posted && receive.wants_notify()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffers that it has.
    fn all(sent: &Sent) -> Vec<usize> {
        (0..SENDING).filter(|n| sent.has(*n)).collect()
    }

    #[test]
    fn what_was_on_its_way_when_the_host_left_is_lost_when_a_later_one_has_gone() {
        let mut sent = Sent::default();
        sent.give(0);
        assert!(sent.is_busy());
        sent.end();
        assert!(!sent.is_busy());
        assert_eq!(all(&sent), [0]);
        sent.give(1);
        sent.end();
        sent.give(2);
        // The first comes back after all.
        assert_eq!((sent.take(0), all(&sent)), (0, [1, 2].into()));
        assert!(sent.is_busy());
        assert_eq!((sent.take(2), all(&sent)), (0b10, [].into()));
        assert!(!sent.is_busy());
    }

    #[test]
    fn of_several_pieces_of_a_host_some_are_lost_and_some_come_back() {
        let mut sent = Sent::default();
        (0..4).for_each(|n| sent.give(n));
        assert_eq!((sent.take(0), sent.count()), (0, 3));
        sent.end();
        // Those behind the one that is lost come back, before the next host's or among them.
        assert_eq!((sent.take(2), sent.count()), (0, 0));
        sent.give(0);
        sent.give(2);
        assert_eq!((sent.take(3), all(&sent)), (0, [0, 1, 2].into()));
        assert_eq!((sent.take(0), all(&sent), sent.count()), (0b10, [2].into(), 1));
    }

    #[test]
    fn so_many_hosts_are_remembered_and_no_more() {
        let mut sent = Sent::default();
        for host in 0..HOSTS {
            assert!(!sent.is_lost());
            sent.give(2 * host);
            sent.give(2 * host + 1);
            sent.end();
            // One that had nothing on its way is none of them.
            sent.end();
        }
        assert!(sent.is_lost());
        assert_eq!((sent.take(3), sent.is_lost()), (0, true));
        assert_eq!((sent.take(2), sent.is_lost()), (0, false));
    }
}
