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
    /// Somebody has opened it, and the device has been told.
    pub opened: bool,
    pub told: bool,
    /// Made with `virtconsole`, for a person.
    pub console: bool,
    pub label: Option<String>,
}

pub struct Memory {
    pub receive: Vec<Dma>,
    /// One is enough, but for hosts that leave: see [`Sent`].
    pub transmit: Vec<Dma>,
}

/// Which transmit buffers the device has, by their bits.
///
/// It is given one piece at a time. QEMU hands a piece on as far as the host takes it, and keeps the rest; when the
/// host leaves then, it forgets that piece and never returns it. So one that was on its way when the host left, an
/// *old* one, is nobody's any more as soon as a later one has been sent: pieces of a stream are taken in their order.
/// Until then its buffer is left alone, and later pieces go out in another.
#[derive(Clone, Copy, Default)]
pub struct Sent {
    out: u8,
    old: u8,
}

/// Transmit buffers at most. So many hosts, one after the other, may leave in the middle of their first piece.
pub const SENDING: usize = 4;

impl Sent {
    /// Whether it has a piece for the host that is there.
    pub fn is_busy(self) -> bool {
        self.out & !self.old != 0
    }

    /// A buffer that it does not have, of so many.
    pub fn free(self, of: usize) -> Option<usize> {
        (0..of).find(|n| self.out & (1 << n) == 0)
    }

    /// It has this one from now on.
    pub fn give(&mut self, buffer: usize) {
        self.out |= 1 << buffer;
    }

    /// It has returned this one. Gives those that it has lost, by their bits.
    pub fn take(&mut self, buffer: usize) -> u8 {
        let bit = 1 << buffer;
        let lost = if self.old & bit == 0 { self.old } else { 0 };
        self.out &= !(bit | lost);
        self.old &= self.out;
        lost
    }

    /// The host has left.
    pub fn end(&mut self) {
        self.old = self.out;
    }
}

impl Memory {
    pub fn new() -> Result<Memory, OutOfMemory> {
        let mut receive = heap::try_vec(BUFFERS)?;
        for _ in 0..BUFFERS {
            receive.push(Dma::new(RECEIVE)?);
        }
        let mut transmit = heap::try_vec(SENDING)?;
        transmit.push(Dma::new(PIECE)?);
        Ok(Memory { receive, transmit })
    }
}

impl State {
    /// Whether one of this connection can write.
    pub fn takes(&self, connection: u64) -> bool {
        self.present && self.connected && self.connection == connection
    }

    /// The host has left.
    pub fn end(&mut self) {
        if self.connected {
            self.connection += 1;
        }
        self.sent.end();
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

    #[test]
    fn what_was_on_its_way_when_the_host_left_is_lost_when_a_later_one_has_gone() {
        let mut sent = Sent::default();
        sent.give(0);
        assert!(sent.is_busy());
        sent.end();
        assert!(!sent.is_busy());
        assert_eq!((sent.free(1), sent.free(2)), (None, Some(1)));
        sent.give(1);
        sent.end();
        sent.give(2);
        // The first comes back after all.
        assert_eq!((sent.take(0), sent.free(4)), (0, Some(0)));
        assert!(sent.is_busy());
        assert_eq!((sent.take(2), sent.free(4)), (0b10, Some(0)));
        assert!(!sent.is_busy() && sent.free(2) == Some(0));
    }
}
