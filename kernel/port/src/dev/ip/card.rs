//! A card as the stack uses it: one listener among those of the card, with a queue for what has come, in which TCP that
//! follows what came before is joined with it, and an acknowledgement takes the place of one that says less.
//!
//! Lock: `queue`, a leaf, taken by the card's thread and by whoever works for the stack.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use io::ether::{Checksum, Cut, Frame, HEADER, Ip, Receiver, SendError, Sum, Unfinished};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use net::join::{Growing, LONGEST, Piece};
use net::{Came, Offers, Open, Stack};

use crate::dev::ether::card::{Card, Kind, Listener, Wants};
use crate::error::Result;

/// Frames that may wait for the stack; more are dropped, as on any wire.
const DEEP: usize = 512;

/// Bytes of those: what was put together is long.
const BYTES: usize = 4 << 20;

/// The types of frames that the stack knows: IPv4, ARP, IPv6.
const KNOWN: [u16; 3] = [0x0800, 0x0806, 0x86dd];

/// Frames, and the bytes that they take.
#[derive(Default)]
struct Frames {
    all: VecDeque<Growing>,
    bytes: usize,
}

/// What becomes of a piece.
enum Place {
    /// It is where it belongs.
    Taken,
    /// It belongs behind this frame, which has no room for it yet.
    Behind(Growing),
    /// It begins something.
    Alone,
}

impl Frames {
    /// Keeps a frame; gives it back if there is no room.
    fn put(&mut self, frame: Growing) -> Option<Growing> {
        let bytes = frame.room();
        if self.all.len() >= DEEP || self.bytes + bytes > BYTES {
            return Some(frame);
        }
        self.bytes += bytes;
        self.all.push_back(frame);
        None
    }

    fn next(&mut self) -> Option<Growing> {
        let frame = self.all.pop_front()?;
        self.bytes -= frame.room();
        Some(frame)
    }

    /// Puts a piece behind the last one, if it follows that, or in its place, if it says all that that says. Where more
    /// room is wanted, and may be had, the last one is taken out: nothing is allocated here.
    fn join(&mut self, piece: &Piece<'_>) -> Place {
        let Some(last) = self.all.back_mut() else { return Place::Alone };
        if last.is_superseded_by(piece) {
            last.supersede(piece);
            return Place::Taken;
        }
        if !last.is_followed_by(piece) {
            return Place::Alone;
        }
        if last.has_room(piece) {
            return if last.join(piece).is_ok() { Place::Taken } else { Place::Alone };
        }
        if self.bytes + LONGEST > BYTES {
            return Place::Alone;
        }
        self.all.pop_back().map_or(Place::Alone, |last| {
            self.bytes -= last.room();
            Place::Behind(last)
        })
    }
}

/// What has come and the stack has not looked at yet.
struct Queue {
    frames: Lock<Frames>,
    dropped: AtomicU64,
    /// The card has said that it is full, and not that there is room again.
    full: AtomicBool,
    stack: Weak<Stack>,
}

impl Receiver for Queue {
    fn receive(&self, frame: &Frame<'_>) {
        if !KNOWN.contains(&frame.kind()) {
            return;
        }
        let piece = Piece::of(frame.bytes, frame.sum != Sum::Unknown);
        let place = piece.as_ref().map_or(Place::Alone, |piece| self.frames.lock().join(piece));
        let is_summed = frame.sum != Sum::Unknown || piece.is_some();
        let lost = match (place, piece) {
            (Place::Taken, _) => return,
            (Place::Behind(mut last), Some(piece)) => as_kernel(|| {
                // Without memory it is as it was.
                let joined = last.join(&piece);
                let lost = self.frames.lock().put(last);
                joined.map(|()| lost)
            }),
            (_, piece) => as_kernel(|| {
                let new = Growing::new(heap::try_copy(frame.bytes)?, is_summed, piece.as_ref());
                Ok::<_, machine::OutOfMemory>(self.frames.lock().put(new))
            }),
        };
        if !matches!(lost, Ok(None)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn rest(&self) {
        if let Some(stack) = self.stack.upgrade() {
            stack.wake();
        }
    }

    fn changed(&self) {
        if self.full.swap(false, Ordering::SeqCst) {
            self.rest();
        }
    }
}

/// See the module comment.
pub(super) struct Wire {
    card: Arc<Card>,
    queue: Arc<Queue>,
    listener: Listener,
}

impl Wire {
    /// Listens to a card for a stack.
    ///
    /// # Errors
    /// No memory; the card has too many listeners.
    pub(super) fn new(card: &Arc<Card>, stack: &Arc<Stack>) -> Result<Arc<Wire>> {
        let mut frames = Frames::default();
        as_kernel(|| heap::try_reserve(&mut frames.all, DEEP))?;
        let queue = as_kernel(|| {
            let stack = Arc::downgrade(stack);
            let (dropped, full) = (AtomicU64::new(0), AtomicBool::new(false));
            Arc::new(Queue { frames: Lock::new(frames), dropped, full, stack })
        });
        let wants = Wants { kind: Kind::All, ..Wants::default() };
        let listener = card.listen(wants, queue.clone())?;
        Ok(as_kernel(|| Arc::new(Wire { card: card.clone(), queue, listener })))
    }
}

impl net::Card for Wire {
    fn mac(&self) -> [u8; 6] {
        self.card.ether().mac()
    }

    fn mtu(&self) -> usize {
        self.card.ether().mtu()
    }

    fn offers(&self) -> Offers {
        let features = self.card.ether().features();
        Offers { checksum: features.checksum, cuts_v4: features.cuts_v4, cuts_v6: features.cuts_v6 }
    }

    fn receive(&self) -> Option<Came> {
        // Its headers are written without the lock.
        let next = self.queue.frames.lock().next();
        next.map(Growing::done)
    }

    fn is_full(&self) -> bool {
        self.queue.full.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    fn send(&self, frame: &[&[u8]], open: Open) -> bool {
        let checksum = open.checksum.map(|(start, field)| Checksum { start, field });
        let is_v6 = frame.first().and_then(|header| header.get(12..HEADER)) == Some(&[0x86, 0xdd]);
        let ip = if is_v6 { Ip::V6 } else { Ip::V4 };
        let cut = open.cut.map(|(headers, payload)| Cut { ip, headers, payload });
        // Before it is asked: it may say so at once that there is room again.
        let was_full = self.queue.full.swap(true, Ordering::SeqCst);
        let sent = self.listener.send(frame, Unfinished { checksum, cut });
        if sent != Err(SendError::Full) && !was_full {
            self.queue.full.store(false, Ordering::SeqCst);
        }
        sent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn queue() -> Queue {
        machine::host::new_machine();
        let (dropped, full) = (AtomicU64::new(0), AtomicBool::new(false));
        Queue { frames: Lock::new(Frames::default()), dropped, full, stack: Weak::new() }
    }

    /// `len` bytes of TCP from this number on.
    fn frame(number: u32, len: usize) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend((40 + len as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 80, 0x1f, 0x40]);
        frame.extend(number.to_be_bytes());
        frame.extend([0, 0, 0, 9, 0x50, 0x10, 1, 2, 0, 0, 0, 0]);
        frame.resize(54 + len, 7);
        // Its header has its sum.
        let words = frame[14..34].as_chunks::<2>().0;
        let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
        frame[24..26].copy_from_slice(&(!(sum % 0xffff) as u16).to_be_bytes());
        frame
    }

    fn comes(queue: &Queue, bytes: &[u8]) {
        queue.receive(&Frame { bytes, sum: Sum::Right });
    }

    #[test]
    fn tcp_that_follows_is_joined_and_nothing_else() {
        let queue = queue();
        let arp = [&[2; 12][..], &[8, 6], &[0; 46]].concat();
        let unknown = [&[2; 12][..], &[8, 7], &[0; 46]].concat();
        for bytes in [&frame(100, 50), &frame(150, 50), &unknown, &frame(200, 10), &arp, &frame(210, 50)] {
            comes(&queue, bytes);
        }
        // Without a sum it is not known to be right.
        queue.receive(&Frame { bytes: &frame(260, 50), sum: Sum::Unknown });
        let lens: Vec<usize> =
            core::iter::from_fn(|| queue.frames.lock().next()).map(|f| f.done().bytes.len()).collect();
        assert_eq!(lens, [164, 60, 104, 104]);
        assert_eq!((queue.frames.lock().bytes, queue.dropped.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn of_acknowledgements_in_a_row_one_waits() {
        let queue = queue();
        for ack in 10..20 {
            let mut bytes = frame(100, 0);
            bytes[45] = ack;
            comes(&queue, &bytes);
        }
        // The same twice says that something is missing.
        let mut again = frame(100, 0);
        again[45] = 19;
        comes(&queue, &again);
        let acks: Vec<u8> =
            core::iter::from_fn(|| queue.frames.lock().next()).map(|f| f.done().bytes[45]).collect();
        assert_eq!(acks, [19, 19]);
        assert_eq!((queue.frames.lock().bytes, queue.dropped.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn there_is_an_end_to_what_waits() {
        let queue = queue();
        for n in 0..10_000 {
            comes(&queue, &frame(n * 1400, 1400));
        }
        // More than a frame each, all of it in order up to where it was too much.
        let mut next = 0;
        let held = queue.frames.lock().all.len();
        assert!(queue.frames.lock().bytes <= BYTES && held < DEEP, "{held}");
        while let Some(frame) = queue.frames.lock().next() {
            let came = frame.done();
            assert_eq!(came.bytes[38..42], u32::to_be_bytes(next));
            next += came.bytes.len() as u32 - 54;
        }
        assert!(next > 1 << 20, "{next}");
        assert_eq!(u64::from(next / 1400) + queue.dropped.load(Ordering::Relaxed), 10_000);
        assert_eq!(queue.frames.lock().bytes, 0);
        // Frames that are not joined.
        for n in 0..1000 {
            comes(&queue, &frame(n * 2000, 10));
        }
        assert_eq!(queue.frames.lock().all.len(), DEEP);
    }
}
