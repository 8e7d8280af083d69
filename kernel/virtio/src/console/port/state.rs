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
    pub transmit: Queue<()>,
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
    pub transmit: Dma,
}

impl Memory {
    pub fn new() -> Result<Memory, OutOfMemory> {
        let mut receive = heap::try_vec(BUFFERS)?;
        for _ in 0..BUFFERS {
            receive.push(Dma::new(RECEIVE)?);
        }
        Ok(Memory { receive, transmit: Dma::new(PIECE)? })
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
