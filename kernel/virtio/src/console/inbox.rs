//! What has arrived at a port and nobody has read yet: which buffers, and of which connection.
//!
//! Data and the host's comings and goings arrive in two queues, so a buffer that is taken back is *fresh* first: nobody
//! may have it before all has been heard that the device said no later than it filled it. Then it is settled, and
//! belongs to a connection for good. Pure book-keeping: the bytes stay where they are, and a port's `state` guards it.

use alloc::collections::VecDeque;
use machine::OutOfMemory;
use machine::heap;

/// What is left of a filled buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub buffer: usize,
    pub at: usize,
    pub len: usize,
    pub connection: u64,
}

/// Filled buffers, oldest first.
#[derive(Default)]
pub(super) struct Inbox {
    list: VecDeque<Received>,
    /// How many at the end are fresh.
    fresh: usize,
}

impl Inbox {
    /// Has room for `buffers`: up to there an interrupt handler can fill it.
    ///
    /// # Errors
    /// When there is not that much memory.
    pub fn new(buffers: usize) -> Result<Inbox, OutOfMemory> {
        let mut list = VecDeque::new();
        heap::try_reserve_exact(&mut list, buffers)?;
        Ok(Inbox { list, fresh: 0 })
    }

    /// A buffer with `len` bytes, fresh. It is `connection`'s unless [`Inbox::begin`] says otherwise.
    pub fn push(&mut self, buffer: usize, len: usize, connection: u64) {
        self.list.push_back(Received { buffer, at: 0, len, connection });
        self.fresh += 1;
    }

    /// The host has begun `connection`: what is fresh is counted to it. That is certain when nobody was there before.
    /// If another connection ended in the same moment, the bytes can be that one's last or the new one's first, and
    /// nothing tells which. A client that waits for answers has none on the way when it leaves, but it speaks as soon
    /// as it comes.
    pub fn begin(&mut self, connection: u64) {
        for received in self.list.iter_mut().rev().take(self.fresh) {
            received.connection = connection;
        }
    }

    /// All is heard: nothing is fresh any more. Whether anything was.
    pub fn settle(&mut self) -> bool {
        core::mem::take(&mut self.fresh) != 0
    }

    /// Settled bytes of a connection that come before those of any other.
    pub fn bytes(&self, connection: u64) -> usize {
        let settled = self.list.iter().take(self.list.len() - self.fresh);
        settled.take_while(|r| r.connection == connection).map(|r| r.len - r.at).sum()
    }

    /// The oldest settled one.
    pub fn front(&mut self) -> Option<&mut Received> {
        if self.list.len() > self.fresh { self.list.front_mut() } else { None }
    }

    /// Takes the oldest settled one out; its buffer.
    pub fn pop(&mut self) -> Option<usize> {
        if self.list.len() > self.fresh { self.list.pop_front().map(|r| r.buffer) } else { None }
    }

    /// Takes all out; their buffers.
    pub fn drain(&mut self) -> impl Iterator<Item = usize> + '_ {
        self.fresh = 0;
        self.list.drain(..).map(|r| r.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fresh_is_nobodys_and_goes_to_the_last_that_began() {
        let mut inbox = Inbox::new(4).unwrap();
        inbox.push(7, 10, 3);
        assert_eq!(inbox.front(), None);
        assert_eq!(inbox.pop(), None);
        assert_eq!((inbox.settle(), inbox.settle()), (true, false));
        inbox.push(8, 20, 3);
        inbox.begin(4);
        inbox.begin(5);
        assert_eq!(inbox.front(), Some(&mut Received { buffer: 7, at: 0, len: 10, connection: 3 }));
        assert_eq!(
            [3, 4, 5].map(|c| inbox.bytes(c)),
            [10, 0, 0],
            "what is fresh, and what is behind another's"
        );
        assert_eq!((inbox.pop(), inbox.pop()), (Some(7), None));
        inbox.settle();
        inbox.begin(6);
        inbox.push(1, 7, 5);
        inbox.settle();
        assert_eq!([5, 6].map(|c| inbox.bytes(c)), [27, 0]);
        assert_eq!(inbox.list.pop_back().map(|r| r.buffer), Some(1));
        assert_eq!(inbox.front(), Some(&mut Received { buffer: 8, at: 0, len: 20, connection: 5 }));
        inbox.push(9, 1, 6);
        assert_eq!(inbox.drain().collect::<alloc::vec::Vec<_>>(), [8, 9]);
        inbox.push(9, 1, 6);
        assert_eq!(inbox.pop(), None);
    }
}
