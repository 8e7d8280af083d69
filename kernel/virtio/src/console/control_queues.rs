//! The two queues for control messages, with the memory that the device writes them to and reads them from. The
//! messages themselves are in [`control`](super::control). [`Device`](super::device::Device) has the lock around this.

use super::control::HEAD;
use super::port::ring;
use crate::Failure;
use crate::ring::{Queue, Segment};
use crate::transport::{RingAddress, VirtioTransport};
use alloc::collections::VecDeque;
use core::sync::atomic::{Ordering::SeqCst, fence};
use machine::dma::Dma;
use machine::heap;

/// The queue of messages from the device.
pub(super) const RECEIVE: u16 = 2;
/// The queue of messages to it.
pub(super) const TRANSMIT: u16 = 3;
/// Buffers for control messages. The device drops messages for which there is none, and tells of 31 ports at once.
pub(super) const BUFFERS: usize = 32;
/// Bytes of one: a long name fits.
pub(super) const BUFFER: usize = 512;
/// The two queues and their memory.
pub(super) struct ControlQueues {
    pub(super) receive: Queue<usize>,
    pub(super) transmit: Queue<()>,
    buffers: Dma,
    /// Messages for the keeper: which buffers, and how long. As deep as there are buffers.
    unread: VecDeque<(usize, usize)>,
    out: Dma,
    /// The device may have had no buffer for something that it had to say.
    ran_out: bool,
}

impl ControlQueues {
    /// Empty queues that the device does not know yet.
    pub(super) fn new(transport: &dyn VirtioTransport) -> Result<ControlQueues, Failure> {
        let mut unread = VecDeque::new();
        heap::try_reserve_exact(&mut unread, BUFFERS)?;
        Ok(ControlQueues {
            receive: ring(transport, RECEIVE)?,
            transmit: ring(transport, TRANSMIT)?,
            unread,
            buffers: Dma::new(BUFFERS * BUFFER)?,
            out: Dma::new(HEAD)?,
            ran_out: false,
        })
    }

    /// Where the queues are: that for messages from the device, that for messages to it.
    pub(super) fn addresses(&self) -> (RingAddress, RingAddress) {
        (self.receive.address(), self.transmit.address())
    }

    /// Gives all buffers to the device.
    pub(super) fn post_all(&mut self) {
        for buffer in 0..BUFFERS {
            self.post(buffer);
        }
        self.ran_out = false;
    }

    /// Whether the device may have forgotten something for want of a buffer.
    pub(super) fn has_run_out(&self) -> bool {
        self.ran_out
    }

    /// The same, once.
    pub(super) fn take_run_out(&mut self) -> bool {
        core::mem::take(&mut self.ran_out)
    }

    /// Reads the beginning of a message.
    pub(super) fn read(&self, buffer: usize, bytes: &mut [u8]) {
        self.buffers.read(buffer * BUFFER, bytes);
    }

    /// Leaves a message of `len` bytes to the keeper.
    pub(super) fn leave_unread(&mut self, buffer: usize, len: usize) {
        self.unread.push_back((buffer, len));
    }

    /// Bytes of the next message that was left to the keeper.
    pub(super) fn unread_len(&self) -> Option<usize> {
        self.unread.front().map(|(_, len)| (*len).min(BUFFER))
    }

    /// The next message that was left to the keeper, in `room`. The device has its buffer back.
    pub(super) fn take_unread<'a>(&mut self, room: &'a mut [u8; BUFFER]) -> Option<&'a [u8]> {
        let (buffer, len) = self.unread.pop_front()?;
        let message = room.get_mut(..len).unwrap_or(&mut []);
        self.buffers.read(buffer * BUFFER, message);
        self.post(buffer);
        Some(message)
    }

    /// Forgets everything: the device has been reset.
    pub(super) fn clear(&mut self) {
        self.receive.clear();
        self.transmit.clear();
        self.unread.clear();
    }

    /// Gives a buffer to the device, if its ring has room. One that had none before had none since its last one was
    /// filled, so this is where that is seen.
    pub(super) fn post(&mut self, buffer: usize) {
        let had = self.receive.in_flight();
        let phys = self.buffers.phys() + (buffer * BUFFER) as u64;
        let segment = Segment { phys, len: BUFFER as u32, write: true };
        if let Ok(chain) = self.receive.prepare(core::iter::once(segment)) {
            self.receive.publish(chain, buffer, BUFFER as u64);
            // What it has filled is counted when it can see the new one.
            fence(SeqCst);
            self.ran_out |= self.receive.waiting() >= had;
        }
    }

    /// Gives the device a message; false when it still has the last one.
    pub(super) fn send(&mut self, bytes: &[u8; HEAD]) -> bool {
        if self.transmit.in_flight() != 0 {
            return false;
        }
        self.out.write(0, bytes);
        let segment = Segment { phys: self.out.phys(), len: HEAD as u32, write: false };
        let Ok(chain) = self.transmit.prepare(core::iter::once(segment)) else { return false };
        self.transmit.publish(chain, (), 0);
        true
    }
}
