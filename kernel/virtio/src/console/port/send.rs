//! Writing to a port: a few pieces of a write are with the device at a time, in their order, and it is told of them
//! together. The next write begins when those of the last, whose writer may have left at a note, are handed over.
//!
//! A piece is copied into a buffer without the Lock: the buffer is in the writer's hands then, and in nobody else's.

use super::state::{SENDING, State};
use super::{PIECE, Port, queues};
use crate::ring::Segment;
use core::sync::atomic::Ordering::Relaxed;
use io::port::Bytes;
use machine::dma::Dma;
use machine::ledger::as_kernel;
use machine::sync::Interrupted;
use machine::thread;

/// What a writer finds.
enum Place {
    /// A free buffer: which one it is.
    Free(usize),
    /// There may be one more buffer. Whether pieces are under way that will come back.
    Make { busy: bool },
    /// Pieces that are under way have to come back first.
    Wait,
    /// The connection is over.
    Gone,
    /// Too many hosts have left with pieces that the device has not returned.
    Lost,
}

/// What has become of a piece.
enum Given {
    /// The device has it.
    Taken,
    /// The connection is over.
    Gone,
    /// Another writer has been faster.
    Full,
}

impl Port {
    /// Sends `bytes` and waits until the device has handed them over. Gives how many were sent: all, but when a note
    /// came. `None`: the connection is over, and they are lost.
    ///
    /// # Errors
    /// When the caller is interrupted before the device has any. What it has goes out whatever happens, and an
    /// interruption ends only the waiting.
    pub fn send(&self, connection: u64, bytes: Bytes<'_>) -> Result<Option<usize>, Interrupted> {
        let len = bytes.len();
        let mut done = 0;
        while done < len {
            let (place, buffer) = self.place(connection, done);
            match (place, buffer) {
                (Place::Free(n), Some(buffer)) => {
                    let piece = (len - done).min(PIECE);
                    bytes.copy_to(done, &buffer, piece);
                    match self.give(connection, done, n, buffer, piece) {
                        Given::Taken => done += piece,
                        Given::Gone => return Ok(None),
                        Given::Full => continue,
                    }
                    if done < len && thread::current().interrupted() {
                        self.tell();
                        return Ok(Some(done));
                    }
                }
                (Place::Make { .. }, _) if self.add_buffer() => {}
                (Place::Make { busy: true } | Place::Wait, _) => {
                    self.tell();
                    let waits = |place: &Place| matches!(place, Place::Make { busy: true } | Place::Wait);
                    match self.sent.sleep_intr(|| !waits(&self.state.lock().place(connection, done))) {
                        Ok(()) => {}
                        Err(_) if done != 0 => return Ok(Some(done)),
                        Err(interrupted) => return Err(interrupted),
                    }
                }
                // A host that has left has the only buffer, and there is no memory for another: that is this write's
                // end, and no reason to reset the device under everybody.
                (Place::Make { busy: false }, _) => return Ok(None),
                (Place::Lost, _) => {
                    self.alarm.raise("device does not return what it is given");
                    return Ok(None);
                }
                (Place::Gone | Place::Free(_), _) => return Ok(None),
            }
        }
        self.tell();
        let mut alive = true;
        let waited = self.sent.sleep_intr(|| {
            let state = self.state.lock();
            alive = state.takes(connection);
            !state.sent.is_busy() || !alive
        });
        Ok((alive || waited.is_err()).then_some(done))
    }

    /// What a writer finds who has sent so much, with the buffer if there is a free one.
    fn place(&self, connection: u64, done: usize) -> (Place, Option<Dma>) {
        let mut state = self.state.lock();
        let place = state.place(connection, done);
        let buffer = match (&place, &mut state.memory) {
            (Place::Free(n), Some(memory)) => memory.transmit.get_mut(*n).and_then(Option::take),
            _ => None,
        };
        (place, buffer)
    }

    /// Gives a piece of `len` bytes in a buffer, behind `done` others, to the device, which is told of it later.
    fn give(&self, connection: u64, done: usize, n: usize, buffer: Dma, len: usize) -> Given {
        let given = {
            let mut state = self.state.lock();
            let segment = Segment { phys: buffer.phys(), len: len as u32, write: false };
            let takes = state.takes(connection);
            let State { transmit, sent, memory, untold, .. } = &mut *state;
            if let Some(place) = memory.as_mut().and_then(|memory| memory.transmit.get_mut(n)) {
                *place = Some(buffer);
            }
            let room = done != 0 || !sent.is_busy();
            let prepare = || transmit.prepare(core::iter::once(segment)).ok();
            match takes.then(|| room.then(prepare).flatten()) {
                Some(Some(chain)) => {
                    transmit.publish(chain, n, 0);
                    sent.give(n);
                    *untold = true;
                    Given::Taken
                }
                Some(None) => Given::Full,
                None => Given::Gone,
            }
        };
        match given {
            Given::Taken => drop(self.bytes_out.fetch_add(len as u64, Relaxed)),
            // The buffer is there for another writer.
            Given::Gone | Given::Full => self.sent.wakeup(),
        }
        given
    }

    /// Tells the device of the pieces that it has been given and has not been told of, if it wants to hear of them.
    fn tell(&self) {
        let wanted = {
            let mut state = self.state.lock();
            core::mem::take(&mut state.untold) && state.transmit.wants_notify()
        };
        if wanted {
            self.transport.notify(queues(self.number).1);
        }
    }

    /// Makes one more buffer to send from, unless somebody else has. False when there is no memory.
    fn add_buffer(&self) -> bool {
        let Ok(dma) = as_kernel(|| Dma::new(PIECE)) else { return false };
        let mut state = self.state.lock();
        let State { memory: Some(memory), .. } = &mut *state else { return true };
        if memory.transmit.len() < SENDING {
            memory.transmit.push(Some(dma));
        }
        true
    }
}

impl State {
    /// What a writer finds who has sent so much.
    fn place(&self, connection: u64, done: usize) -> Place {
        let State { transmit, sent, memory: Some(memory), .. } = self else { return Place::Gone };
        if !self.takes(connection) {
            return Place::Gone;
        }
        let full = transmit.in_flight() >= transmit.size();
        if sent.is_busy() && (done == 0 || full || sent.count() >= self.abreast()) {
            return Place::Wait;
        }
        if full || sent.is_lost() {
            return Place::Lost;
        }
        let is_free = |&n: &usize| !sent.has(n) && memory.transmit.get(n).is_some_and(Option::is_some);
        if let Some(n) = (0..memory.transmit.len()).find(is_free) {
            return Place::Free(n);
        }
        // A buffer that is in a writer's hands will be under way soon.
        let busy = sent.is_busy() || memory.transmit.iter().any(Option::is_none);
        match busy {
            _ if memory.transmit.len() < SENDING => Place::Make { busy },
            true => Place::Wait,
            false => Place::Lost,
        }
    }
}
