//! The requests that a device has and those that wait for it: what the driver's Lock guards.
//!
//! Each request in the ring has a head, of a stock of them: what the device reads first, and the byte of status that
//! it writes last. A head is given back with its request.

use super::piece::Piece;
use super::shape::{SIZE_MOST, Shape};
use crate::Failure;
use crate::ring::{Lie, Queue, Segment, join};
use crate::transport::RingAddress;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use machine::OutOfMemory;
use machine::clock;
use machine::dma::Dma;

/// Bytes between two heads; the head is at the front, the status behind it.
const HEAD: usize = 32;
const HEAD_LEN: u32 = 16;
const STATUS: usize = 16;
/// A status that the device has not written.
const UNTOUCHED: u8 = 0xFF;

/// A request that the device has.
struct Held {
    piece: Box<Piece>,
    /// Number of its head.
    head: usize,
    since: u64,
}

/// A request that the device has finished.
pub(super) struct Finished {
    pub piece: Box<Piece>,
    /// Bytes that the device says it wrote.
    pub len: u32,
    /// What it says of the outcome.
    pub status: u8,
}

/// The ring, the backlog, and the heads.
pub(super) struct Requests {
    queue: Queue<Held>,
    backlog: VecDeque<Box<Piece>>,
    memory: Dma,
    /// Heads that no request has.
    heads: Vec<usize>,
    /// Longest segment.
    longest: u32,
    sent: u64,
}

impl Requests {
    /// The requests of a device of this shape.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(shape: &Shape) -> Result<Self, Failure> {
        let count = usize::from(shape.size.min(SIZE_MOST));
        let mut backlog = VecDeque::new();
        backlog.try_reserve(count).map_err(|_| OutOfMemory)?;
        Ok(Requests {
            queue: Queue::new(shape.size, shape.segments + 2, shape.indirect())?,
            backlog,
            memory: Dma::new(count * HEAD)?,
            heads: (0..count).collect(),
            longest: shape.longest,
            sent: 0,
        })
    }

    /// The empty ring, for a device that has been reset.
    pub fn fresh(&mut self) -> RingAddress {
        self.queue.clear();
        self.queue.address()
    }

    /// Whether the device wants to be told of what was sent.
    pub fn wants_notify(&self) -> bool {
        self.queue.wants_notify()
    }

    /// Requests in the ring and waiting.
    pub fn outstanding(&self) -> u64 {
        u64::from(self.queue.in_flight()) + self.backlog.len() as u64
    }

    /// Requests that were sent, ever.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// When the oldest request that the device has was sent.
    pub fn oldest(&self) -> Option<u64> {
        self.queue.tokens().map(|held| held.since).min()
    }

    /// Sends a request (true), or lets it wait behind others (false). Comes back when there is no memory to wait in.
    pub fn accept(&mut self, piece: Box<Piece>) -> Result<bool, Box<Piece>> {
        let piece = if self.backlog.is_empty() { self.send(piece) } else { Some(piece) };
        let Some(piece) = piece else { return Ok(true) };
        if self.backlog.try_reserve(1).is_err() {
            return Err(piece);
        }
        self.backlog.push_back(piece);
        Ok(false)
    }

    /// Sends from the backlog as long as there is room. True when something was sent.
    pub fn send_waiting(&mut self) -> bool {
        let mut sent = false;
        while let Some(piece) = self.backlog.pop_front() {
            if let Some(piece) = self.send(piece) {
                self.backlog.push_front(piece);
                break;
            }
            sent = true;
        }
        sent
    }

    /// Puts a request into the ring; gives it back when there is no room.
    fn send(&mut self, piece: Box<Piece>) -> Option<Box<Piece>> {
        let Some(head) = self.heads.pop() else { return Some(piece) };
        let at = head * HEAD;
        self.memory.set_u32(at, piece.op.number());
        self.memory.set_u32(at + 4, 0);
        self.memory.set_u64(at + 8, piece.sector);
        self.memory.set_u8(at + STATUS, UNTOUCHED);
        let place = self.memory.phys() + at as u64;
        let write = piece.op.fills();
        let first = Segment { phys: place, len: HEAD_LEN, write: false };
        let data = piece.data.iter().map(|p| Segment { phys: p.phys(), len: p.len() as u32, write });
        let last = Segment { phys: place + STATUS as u64, len: 1, write: true };
        let all = core::iter::once(first).chain(data).chain(core::iter::once(last));
        let prepared = self.queue.prepare(join(all, self.longest));
        match prepared {
            Ok(chain) => {
                let writable = 1 + if write { u64::from(piece.len()) } else { 0 };
                let held = Held { piece, head, since: clock::now_ns() };
                self.queue.publish(chain, held, writable);
                self.sent += 1;
                None
            }
            Err(_full) => {
                self.heads.push(head);
                Some(piece)
            }
        }
    }

    /// Takes back one request that the device has finished.
    ///
    /// # Errors
    /// When the device breaks the rules.
    pub fn finished(&mut self) -> Result<Option<Finished>, Lie> {
        let Some((held, len)) = self.queue.pop()? else { return Ok(None) };
        let status = self.memory.get_u8(held.head * HEAD + STATUS);
        self.heads.push(held.head);
        Ok(Some(Finished { piece: held.piece, len, status }))
    }

    /// Takes one request away from a device that has been reset, or out of the backlog.
    pub fn abandon(&mut self) -> Option<Box<Piece>> {
        match self.queue.abandon() {
            Some(held) => {
                self.heads.push(held.head);
                Some(held.piece)
            }
            None => self.backlog.pop_front(),
        }
    }
}
