//! Writing to a port: a few pieces are with the device at a time, in their order, and a writer waits while it has as
//! many as it may have. When they are handed over is not a write's matter; who wants to know waits for it.
//!
//! A piece is copied into a buffer without the Lock: the buffer is in the writer's hands then, and in nobody else's.
//! What is small may be gathered instead, see [`gather`](super::gather).

use super::state::{SENDING, State};
use super::{PIECE, Port, queues};
use crate::ring::Segment;
use core::sync::atomic::Ordering::Relaxed;
use io::port::Bytes;
use machine::dma::Dma;
use machine::ledger::as_kernel;
use machine::sync::{Interrupted, Wake};
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
    /// Gives `bytes` to the device, and waits while it has as many pieces as it may have. Gives how many it has got:
    /// all, but when a note came. `None`: the connection is over, and they are lost.
    ///
    /// # Errors
    /// When the caller is interrupted before the device has any. What it has goes out whatever happens.
    pub fn send(&self, connection: u64, bytes: Bytes<'_>) -> Result<Option<usize>, Interrupted> {
        let len = bytes.len();
        let mut done = 0;
        while done < len {
            if self.gather(connection, &bytes) {
                break;
            }
            let (place, buffer) = self.place(connection);
            match (place, buffer) {
                (Place::Free(n), Some(buffer)) => {
                    let piece = (len - done).min(PIECE);
                    bytes.copy_to(done, &buffer, 0, piece);
                    match self.give(connection, n, buffer, piece, len) {
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
                    let may_go_on = || {
                        let goes = !waits(&self.state.lock().place(connection));
                        self.tell();
                        goes
                    };
                    match self.sent.sleep_intr(may_go_on) {
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
        Ok(Some(len))
    }

    /// Waits until all that was sent on this connection has been handed over, or `deadline_ns` has come. Whether it has
    /// been; false, too, when the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before.
    pub fn handed_over(&self, connection: u64, deadline_ns: u64) -> Result<bool, Interrupted> {
        let mut alive = true;
        let waited = self.sent.sleep_until(deadline_ns, || {
            let state = self.state.lock();
            alive = state.takes(connection);
            !alive || !state.sent.is_busy() && state.filling.is_none()
        });
        match waited {
            Ok(()) => Ok(alive),
            Err(Wake::TimedOut) => Ok(false),
            Err(Wake::Interrupted) => Err(Interrupted),
        }
    }

    /// What a writer finds, with the buffer if there is a free one.
    fn place(&self, connection: u64) -> (Place, Option<Dma>) {
        let mut state = self.state.lock();
        let place = state.place(connection);
        let buffer = match (&place, &mut state.memory) {
            (Place::Free(n), Some(memory)) => memory.transmit.get_mut(*n).and_then(Option::take),
            _ => None,
        };
        (place, buffer)
    }

    /// Gives a piece of `len` bytes in a buffer to the device, which is told of it later, or keeps it to gather more
    /// in. It is of a write of `whole` bytes.
    fn give(&self, connection: u64, n: usize, buffer: Dma, len: usize, whole: usize) -> Given {
        let given = {
            let mut state = self.state.lock();
            if let Some(place) = state.memory.as_mut().and_then(|memory| memory.transmit.get_mut(n)) {
                *place = Some(buffer);
            }
            let takes = state.takes(connection);
            match takes && state.filling.is_none() {
                true if state.fills(n, whole) || state.publish(n, len) => Given::Taken,
                _ if takes => Given::Full,
                _ => Given::Gone,
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
    pub(super) fn tell(&self) {
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
    /// Gives a piece of `len` bytes in buffer `n` to the device. False when it has as many as it may have.
    pub(super) fn publish(&mut self, n: usize, len: usize) -> bool {
        let abreast = self.abreast();
        let State { transmit, sent, memory: Some(memory), untold, .. } = self else { return false };
        let Some(Some(buffer)) = memory.transmit.get(n) else { return false };
        let segment = Segment { phys: buffer.phys(), len: len as u32, write: false };
        if sent.count() >= abreast {
            return false;
        }
        let Ok(chain) = transmit.prepare(core::iter::once(segment)) else { return false };
        transmit.publish(chain, n, 0);
        sent.give(n);
        *untold = true;
        true
    }

    /// What a writer finds. What has been gathered goes before what he has.
    fn place(&mut self, connection: u64) -> Place {
        if !self.takes(connection) {
            return Place::Gone;
        }
        if !self.give_filling() && self.sent.is_busy() {
            return Place::Wait;
        }
        let abreast = self.abreast();
        let State { transmit, sent, memory: Some(memory), .. } = self else { return Place::Gone };
        let full = transmit.in_flight() >= transmit.size();
        if sent.is_busy() && (full || sent.count() >= abreast) {
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
