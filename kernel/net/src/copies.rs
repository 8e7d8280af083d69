//! Copies of packets for who wants to see them: those of an interface, or of one conversation. What nobody has read in
//! time is lost.
//!
//! Lock: `queue`, a leaf.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use machine::heap;
use machine::ledger::{self, Account};
use machine::lock::Lock;

use crate::error::Result;
use crate::signal::Signal;

/// Bytes of packets that wait to be read.
const BYTES: usize = 128 << 10;

/// See the module comment.
#[derive(Default)]
pub struct Copies {
    queue: Lock<(VecDeque<Vec<u8>>, usize)>,
    readers: AtomicU32,
    signal: Signal,
    has_ended: AtomicBool,
    /// Who pays for what waits; the kernel if nobody.
    account: Option<Arc<Account>>,
}

impl Copies {
    /// Copies that are paid for by this one.
    pub(crate) fn new(account: Option<Arc<Account>>) -> Arc<Copies> {
        Arc::new(Copies { account, ..Copies::default() })
    }

    /// One more reads them.
    pub(crate) fn open(&self) {
        self.readers.fetch_add(1, Ordering::SeqCst);
    }

    /// One reads them no more. With the last one what waits is gone.
    pub fn close(&self) {
        if self.readers.fetch_sub(1, Ordering::SeqCst) == 1 {
            let gone = core::mem::take(&mut *self.queue.lock());
            drop(gone);
        }
    }

    /// No more will come: readers get what is left, then nothing.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.signal.raise();
    }

    /// Whether somebody reads them.
    pub(crate) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) != 0
    }

    /// A packet has come or goes.
    pub(crate) fn put(&self, packet: &[u8]) {
        if self.is_read() {
            self.keep(packet);
        }
    }

    fn keep(&self, packet: &[u8]) {
        let copy = || {
            let packet = heap::try_copy(packet)?;
            let mut queue = self.queue.lock();
            let len = packet.len();
            // Looked at with the queue locked: who closes it last empties it afterwards.
            if queue.1 + len <= BYTES && self.readers.load(Ordering::SeqCst) != 0 {
                heap::try_push_back(&mut queue.0, packet)?;
                queue.1 += len;
            }
            Ok::<_, machine::OutOfMemory>(())
        };
        // Who only watches does without when there is no memory.
        let _ = match &self.account {
            Some(account) => ledger::on(account, copy),
            None => ledger::as_kernel(copy),
        };
        self.signal.raise();
    }

    /// The next packet, at most `max` bytes of it; nothing when there will be none.
    ///
    /// # Errors
    /// A note.
    pub fn read(&self, max: usize) -> Result<Vec<u8>> {
        loop {
            let seen = self.signal.seen();
            let mut queue = self.queue.lock();
            let next = queue.0.pop_front();
            queue.1 -= next.as_ref().map_or(0, Vec::len);
            drop(queue);
            if let Some(mut packet) = next {
                packet.truncate(max);
                return Ok(packet);
            }
            if self.has_ended.load(Ordering::SeqCst) {
                return Ok(Vec::new());
            }
            self.signal.wait(seen)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::host::heap::fail_nth;

    #[test]
    fn what_there_was_no_memory_for_takes_no_room() {
        machine::host::new_machine();
        let copies = Copies::new(None);
        copies.open();
        // Without memory for a copy, and without any to keep it in.
        for n in [1, 2] {
            for _ in 0..=BYTES / 1000 {
                fail_nth(n);
                copies.put(&[1; 1000]);
            }
            fail_nth(0);
        }
        // As many as there is room for, then.
        for n in 0..200u8 {
            copies.put(&[n; 1000]);
        }
        copies.end();
        let mut got = Vec::new();
        loop {
            let packet = copies.read(2000).unwrap();
            match packet.first() {
                Some(first) => got.push(*first),
                None => break,
            }
        }
        assert!(got.into_iter().eq(0..(BYTES / 1000) as u8));
    }

    #[test]
    fn the_next_reader_gets_nothing_of_the_last_ones() {
        machine::host::new_machine();
        let copies = Copies::new(None);
        copies.open();
        copies.put(b"left unread");
        copies.close();
        // One was on its way when the last reader left.
        copies.keep(b"late");
        copies.open();
        copies.end();
        assert!(copies.read(100).unwrap().is_empty());
    }
}
