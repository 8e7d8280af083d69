//! A card as the stack uses it: one listener among those of the card, with a queue for what has come.
//!
//! Lock: `queue`, a leaf, taken by the card's thread and by whoever works for the stack.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use io::ether::{Frame, Receiver, Sum, Unfinished, finish};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use net::Stack;

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
    frames: Lock<(VecDeque<Vec<u8>>, usize)>,
    dropped: AtomicU64,
    stack: Weak<Stack>,
}

impl Receiver for Queue {
    fn receive(&self, frame: &Frame<'_>) {
        if !KNOWN.contains(&frame.kind()) {
            return;
        }
        let kept = as_kernel(|| {
            let mut bytes = heap::try_copy(frame.bytes)?;
            if let Sum::Missing(checksum) = frame.sum {
                finish(&mut bytes, checksum);
            }
            let mut queue = self.frames.lock();
            let (frames, held) = &mut *queue;
            if frames.len() >= DEEP || *held + bytes.len() > BYTES {
                drop(queue);
                return Ok(false);
            }
            *held += bytes.len();
            frames.push_back(bytes);
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
            Arc::new(Queue { frames: Lock::new((frames, 0)), dropped: AtomicU64::new(0), stack })
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

    fn receive(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue.frames.lock();
        let frame = queue.0.pop_front()?;
        queue.1 -= frame.len();
        Some(frame)
    }

    fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    fn send(&self, frame: &[u8]) -> bool {
        self.listener.send(&[frame], Unfinished::default()).is_ok()
    }
}
