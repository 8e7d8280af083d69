//! A card as the stack uses it: one listener among those of the card, with a queue for what has come.
//!
//! Lock: `queue`, a leaf, taken by the card's thread and by whoever works for the stack.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use io::ether::{Checksum, Cut, Frame, HEADER, Ip, Receiver, SendError, Sum, Unfinished};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use net::{Came, Offers, Open, Stack};

use crate::dev::ether::card::{Card, Kind, Listener, Wants};
use crate::error::Result;

/// Frames that may wait for the stack; more are dropped, as on any wire.
const DEEP: usize = 512;

/// Bytes of those: what a card has put together is long.
const BYTES: usize = 4 << 20;

/// The types of frames that the stack knows: IPv4, ARP, IPv6.
const KNOWN: [u16; 3] = [0x0800, 0x0806, 0x86dd];

/// What has come and the stack has not looked at yet.
struct Queue {
    frames: Lock<(VecDeque<Came>, usize)>,
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
        let kept = as_kernel(|| {
            let bytes = heap::try_copy(frame.bytes)?;
            let mut queue = self.frames.lock();
            let (frames, held) = &mut *queue;
            if frames.len() >= DEEP || *held + bytes.len() > BYTES {
                drop(queue);
                return Ok(false);
            }
            *held += bytes.len();
            frames.push_back(Came { bytes, is_summed: frame.sum != Sum::Unknown });
            Ok::<_, machine::OutOfMemory>(true)
        });
        if kept != Ok(true) {
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
        let mut frames = VecDeque::new();
        as_kernel(|| heap::try_reserve(&mut frames, DEEP))?;
        let queue = as_kernel(|| {
            let stack = Arc::downgrade(stack);
            let (dropped, full) = (AtomicU64::new(0), AtomicBool::new(false));
            Arc::new(Queue { frames: Lock::new((frames, 0)), dropped, full, stack })
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
        let mut queue = self.queue.frames.lock();
        let came = queue.0.pop_front()?;
        queue.1 -= came.bytes.len();
        Some(came)
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
