//! Two network cards with a wire between them, which can lose, repeat and overtake.
//!
//! Each card has a thread that takes what the other one sent and hands it over, as a driver does. What becomes of a
//! frame is drawn from numbers that begin with the [`Faults::seed`], one sequence for each direction, so that the same
//! frames meet the same fate.
//!
//! Lock: `queue` is a leaf.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use io::Ether;
use io::ether::{Features, Frame, HEADER, Mac, Receiver, SendError, Statistics, Sum, UNCUT_MOST, Unfinished};
use machine::host::heap::aside;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;
use spin::Once;

/// Frames that are under way before a card says that it is full.
pub const ROOM: usize = 64;

/// What a wire does to frames, of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Not delivered.
    pub lost: u64,
    /// Delivered twice.
    pub doubled: u64,
    /// Delivered behind the next one; if there is none for now, when all others are.
    pub overtaken: u64,
    /// What the drawing begins with.
    pub seed: u64,
}

/// A frame under way.
struct Sent {
    bytes: Vec<u8>,
    sum: Sum,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Sent>,
    held: Option<Sent>,
    draws: u64,
    /// Somebody was told that it is full.
    was_full: bool,
    /// Nothing is handed over for now.
    waits: bool,
    /// Link or room: the receiver is to hear of it.
    changed: bool,
    stopped: bool,
}

struct Inner {
    number: u8,
    faults: Lock<Faults>,
    features: Features,
    /// What comes to this card.
    queue: Lock<Queue>,
    arrived: Rendez,
    link: AtomicBool,
    receiver: Once<Arc<dyn Receiver>>,
    other: Once<alloc::sync::Weak<Inner>>,
    received: [AtomicU64; 2],
    sent: [AtomicU64; 2],
    full: AtomicU64,
}

/// One of the two cards. When it goes, it neither sends nor receives any more, and the other one does not work.
pub struct WireCard(Arc<Inner>);

/// Two cards, joined. Their addresses are `52:54:00:00:00:01` and `52:54:00:00:00:02`.
pub fn wire(faults: Faults) -> (Arc<WireCard>, Arc<WireCard>) {
    wire_with(faults, Features::default())
}

/// Two cards that can do more: neither finishes what is unfinished, the other one gets it as it was sent.
pub fn wire_with(faults: Faults, features: Features) -> (Arc<WireCard>, Arc<WireCard>) {
    let inner = |number| {
        Arc::new(Inner {
            number,
            faults: Lock::new(faults),
            features,
            queue: Lock::new(Queue { draws: faults.seed + u64::from(number), ..Queue::default() }),
            arrived: Rendez::new(),
            link: AtomicBool::new(true),
            receiver: Once::new(),
            other: Once::new(),
            received: Default::default(),
            sent: Default::default(),
            full: AtomicU64::new(0),
        })
    };
    let (a, b) = (inner(1), inner(2));
    a.other.call_once(|| Arc::downgrade(&b));
    b.other.call_once(|| Arc::downgrade(&a));
    for card in [&a, &b] {
        let card = card.clone();
        let spawned = thread::spawn("wire", 0, Box::new(move || card.deliver()));
        assert!(spawned.is_ok(), "no thread for a wire");
    }
    (Arc::new(WireCard(a)), Arc::new(WireCard(b)))
}

impl WireCard {
    /// From now on the wire does this to what comes to this card.
    pub fn set_faults(&self, faults: Faults) {
        *self.0.faults.lock() = faults;
    }

    /// Pulls the cable, or puts it in; at this end.
    pub fn set_link(&self, link: bool) {
        self.0.link.store(link, SeqCst);
        self.0.tell_changed();
    }

    /// Hands nothing over until told otherwise, so that who sends here has no room before long.
    pub fn hold(&self, hold: bool) {
        self.0.queue.lock().waits = hold;
        self.0.arrived.wakeup();
    }

    /// A frame as if the other card had sent it, whatever it is; the wire does nothing to it.
    pub fn inject(&self, bytes: &[u8], sum: Sum) {
        let mut queue = self.0.queue.lock();
        aside(|| queue.frames.push_back(Sent { bytes: bytes.to_vec(), sum }));
        drop(queue);
        self.0.arrived.wakeup();
    }
}

impl Drop for WireCard {
    fn drop(&mut self) {
        self.0.queue.lock().stopped = true;
        self.0.arrived.wakeup();
        if let Some(other) = self.0.other() {
            other.tell_changed();
        }
    }
}

impl Queue {
    /// The next number, below 1000.
    fn draw(&mut self) -> u64 {
        // Knuth's multiplier for 64 bits; the upper bits are the good ones.
        self.draws =
            self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.draws >> 33) % 1000
    }

    /// What the wire makes of a frame.
    fn put(&mut self, faults: Faults, frame: Sent) {
        let (lost, doubled, overtaken) = (self.draw(), self.draw(), self.draw());
        if lost < faults.lost {
            return;
        }
        if doubled < faults.doubled {
            self.frames.push_back(Sent { bytes: frame.bytes.clone(), sum: frame.sum });
        }
        if overtaken < faults.overtaken && self.held.is_none() {
            self.held = Some(frame);
            return;
        }
        self.frames.push_back(frame);
        self.frames.extend(self.held.take());
    }
}

impl Inner {
    /// The card's thread.
    fn deliver(&self) {
        loop {
            let (mut batch, mut changed, mut stopped) = (VecDeque::new(), false, false);
            self.arrived.sleep(|| {
                let mut queue = self.queue.lock();
                changed = core::mem::take(&mut queue.changed);
                stopped = queue.stopped;
                if queue.waits {
                    return changed || stopped;
                }
                batch = core::mem::take(&mut queue.frames);
                if batch.is_empty() {
                    batch.extend(queue.held.take());
                }
                if core::mem::take(&mut queue.was_full)
                    && let Some(other) = self.other()
                {
                    drop(queue);
                    other.tell_changed();
                }
                changed || stopped || !batch.is_empty()
            });
            if stopped {
                return;
            }
            let Some(receiver) = self.receiver.get() else { continue };
            if changed {
                receiver.changed();
            }
            let some = !batch.is_empty();
            for frame in batch {
                if !self.link.load(SeqCst) {
                    continue;
                }
                count(&self.received, frame.bytes.len());
                receiver.receive(&Frame { bytes: &frame.bytes, sum: frame.sum });
            }
            if some {
                receiver.rest();
            }
        }
    }

    fn other(&self) -> Option<Arc<Inner>> {
        self.other.get().and_then(|other| other.upgrade())
    }

    fn tell_changed(&self) {
        self.queue.lock().changed = true;
        self.arrived.wakeup();
    }
}

fn count(counters: &[AtomicU64; 2], bytes: usize) {
    counters[0].fetch_add(1, Relaxed);
    counters[1].fetch_add(bytes as u64, Relaxed);
}

impl Ether for WireCard {
    fn name(&self) -> String {
        format!("wire-{}", self.0.number)
    }

    fn mac(&self) -> Mac {
        [0x52, 0x54, 0, 0, 0, self.0.number]
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn link(&self) -> bool {
        self.0.link.load(SeqCst)
    }

    fn mbps(&self) -> Option<u32> {
        None
    }

    fn works(&self) -> bool {
        self.0.other().is_some_and(|other| !other.queue.lock().stopped)
    }

    fn features(&self) -> Features {
        self.0.features
    }

    fn send(&self, frame: &[&[u8]], unfinished: Unfinished) -> Result<(), SendError> {
        let features = self.0.features;
        let len = frame.iter().map(|piece| piece.len()).sum::<usize>();
        let most = if unfinished.cut.is_some() { UNCUT_MOST } else { HEADER + self.mtu() };
        let cuts = features.cuts_v4 || features.cuts_v6;
        let beyond = unfinished.checksum.is_some() && !features.checksum || unfinished.cut.is_some() && !cuts;
        if !(HEADER..=most).contains(&len) || beyond {
            return Err(SendError::Malformed);
        }
        let other = self.0.other().ok_or(SendError::Gone)?;
        let mut queue = other.queue.lock();
        if queue.stopped {
            return Err(SendError::Gone);
        }
        if queue.frames.len() >= ROOM {
            queue.was_full = true;
            self.0.full.fetch_add(1, Relaxed);
            return Err(SendError::Full);
        }
        count(&self.0.sent, len);
        if self.link() {
            let faults = *other.faults.lock();
            let sum = unfinished.checksum.map_or(Sum::Unknown, Sum::Missing);
            aside(|| queue.put(faults, Sent { bytes: frame.concat(), sum }));
        }
        drop(queue);
        other.arrived.wakeup();
        Ok(())
    }

    fn connect(&self, receiver: Arc<dyn Receiver>) {
        self.0.receiver.call_once(|| receiver);
    }

    fn statistics(&self) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let card = &self.0;
        Statistics {
            received: get(&card.received[0]),
            received_bytes: get(&card.received[1]),
            sent: get(&card.sent[0]),
            sent_bytes: get(&card.sent[1]),
            full: get(&card.full),
            ..Statistics::default()
        }
    }
}
