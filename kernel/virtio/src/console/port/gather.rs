//! Gathering: what is written in small pieces while the device has enough to do becomes one piece.
//!
//! A piece costs the device's thread much the same however small it is. So while it has [`ENOUGH`] pieces, what is
//! small is put into a buffer that it does not have yet, behind what is there. That buffer goes out when the device has
//! less to do, which the interrupt handler sees to, when it is full, and before anything that does not fit into it. So
//! the order is that of the writes, and nothing waits that could be under way.
//!
//! Nothing is gathered for a console's person, who is given one piece at a time.
//!
//! # Locks
//!
//! The port's `state` is held while a small write is copied: interrupts wait for so long.

use super::state::{Filling, State};
use super::{PIECE, Port};
use core::sync::atomic::Ordering::Relaxed;
use io::port::Bytes;

/// Bytes of a write that counts as small.
pub(in crate::console) const SMALL: usize = 4096;
/// With so many pieces the device has enough to do.
const ENOUGH: u32 = 2;

impl Port {
    /// Puts a write's bytes behind what is gathered, if they are few, and something is, and there is room.
    pub(super) fn gather(&self, connection: u64, bytes: &Bytes<'_>) -> bool {
        let len = bytes.len();
        if len > SMALL {
            return false;
        }
        let mut state = self.state.lock();
        let takes = state.takes(connection);
        let State { filling: Some(filling), memory: Some(memory), .. } = &mut *state else { return false };
        let Some(Some(buffer)) = memory.transmit.get(filling.buffer) else { return false };
        if !takes || filling.len + len > PIECE {
            return false;
        }
        bytes.copy_to(0, buffer, filling.len, len);
        filling.len += len;
        self.bytes_out.fetch_add(len as u64, Relaxed);
        true
    }
}

impl State {
    /// Keeps a buffer with the `len` bytes of a write to gather more in, if those are few and the device has enough to
    /// do.
    pub(super) fn fills(&mut self, buffer: usize, len: usize) -> bool {
        let fills = len <= SMALL && !self.console && self.sent.count() >= ENOUGH;
        if fills {
            self.filling = Some(Filling { buffer, len });
        }
        fills
    }

    /// Gives the device what is gathered. False when it cannot have it now.
    pub(super) fn give_filling(&mut self) -> bool {
        if let Some(Filling { buffer, len }) = self.filling
            && !self.publish(buffer, len)
        {
            return false;
        }
        self.filling = None;
        true
    }

    /// The same when the device has not enough to do.
    pub(super) fn give_filling_if_idle(&mut self) {
        if self.filling.is_some() && self.sent.count() < ENOUGH {
            // What cannot be given now can when the next piece has come back.
            self.give_filling();
        }
    }
}
