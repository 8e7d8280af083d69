//! A device that is given requests through one queue: what the drivers of disks ([`crate::block`]) and of file servers
//! ([`crate::p9`]) have in common.
//!
//! A driver says in a [`Protocol`] what its requests are, how they lie in the ring, and what becomes of them. This room
//! sends them, takes back what the device has finished, lets those wait for which there is no room (first come, first
//! served), and resets a device that breaks down.
//!
//! # States
//!
//! *Running*: requests are sent. *Hung up*: the device asked for a reset, broke the rules or did not answer, or a reset
//! is going on; what was in flight comes back as hung up as soon as the device has let go of it, everything new at
//! once. From there it goes on as the protocol says: either the keeper starts the device afresh, or whoever uses it
//! does. *Dead*: the device could not be started again, and stays hung up.
//!
//! A request and its memory are given back only when the device has returned them or has been reset, never earlier.
//!
//! # Locks
//!
//! `state` (a Lock, also taken by the interrupt handler) guards the ring, the requests that wait and the condition. It
//! is never held while a request is completed or the device is touched. `resetting` (a QLock) is held over a whole
//! reset and is taken first. The keeper, a thread, does what an interrupt handler cannot (`keeper.rs`).

mod keeper;
mod pending;

use crate::Failure;
use crate::ring::{Queue, RuleBroken};
use crate::transport::{self, Cause, Interrupts, NEEDS_RESET, VirtioTransport};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use machine::OutOfMemory;
use machine::lock::Lock;
use machine::sync::{QLock, Rendez};
use machine::thread;
use pending::{Finished, Pending};

pub(crate) use keeper::Dead;
pub(crate) use pending::{InFlight, Layout};

/// The queue that requests go through; the device may have more, which are not used.
pub(crate) const QUEUE: u16 = 0;
/// Requests that are completed without the Lock, so many at a time.
const BATCH: usize = 4;

/// How a request has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending<A> {
    /// The device has returned it, says that it wrote `len` bytes, and left an answer.
    Returned {
        /// Bytes that the device says it wrote, not more than it had room for.
        len: u32,
        /// What the [`Layout`] found in the memory that it lent to the request.
        answer: A,
    },
    /// The device has broken down, or was reset.
    HungUp,
    /// There was no memory in which it could have waited.
    NoMemory,
}

/// What is particular to one kind of device.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// How its requests lie in the ring.
    type Layout: Layout;
    /// Whether the keeper starts a broken device afresh; otherwise it stays hung up until [`RequestDevice::restart`].
    const STARTS_AGAIN: bool;

    /// Whether [`Protocol::configuration_changed`] does anything.
    const CONFIGURATION_CHANGES: bool;

    /// Agrees with the device, which may have been reset by others, on what the driver was started with.
    ///
    /// # Errors
    /// When the device does not agree, or has become another one.
    fn negotiate(&self, transport: &dyn VirtioTransport) -> Result<(), Failure>;

    /// Gives a request back to whoever sent it. Called without a Lock, perhaps in an interrupt handler.
    fn complete(&self, request: RequestOf<Self>, ending: Ending<AnswerOf<Self>>);

    /// The device has changed its configuration. Called by the keeper.
    fn configuration_changed(&self, _transport: &dyn VirtioTransport) {}
}

/// A request of a protocol.
pub(crate) type RequestOf<P> = <<P as Protocol>::Layout as Layout>::Request;
/// What a device of a protocol leaves with a request that it returns.
pub(crate) type AnswerOf<P> = <<P as Protocol>::Layout as Layout>::Answer;

/// Whether the device takes requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Running,
    /// Everything comes back; why, if something is wrong.
    HungUp(Option<&'static str>),
}

struct State<L: Layout> {
    pending: Pending<L>,
    condition: Condition,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    interrupts: AtomicU64,
    notifications: AtomicU64,
    waited: AtomicU64,
    resets: AtomicU64,
}

/// The running device: what the driver's threads, its interrupt handler and its keeper share.
pub(crate) struct RequestDevice<P: Protocol> {
    transport: Arc<dyn VirtioTransport>,
    /// What the driver knows of it.
    pub protocol: P,
    size: usize,
    state: Lock<State<P::Layout>>,
    resetting: QLock<()>,
    counters: Counters,
    /// Where the keeper sleeps, and what wakes it.
    keeper: Rendez,
    broken: AtomicBool,
    reconfigured: AtomicBool,
    stopped: AtomicBool,
}

impl<P: Protocol> RequestDevice<P> {
    /// The device behind `transport`, negotiated but not running, with its ring.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(
        transport: Arc<dyn VirtioTransport>,
        protocol: P,
        queue: Queue<InFlight<P::Layout>>,
        layout: P::Layout,
    ) -> Result<Arc<Self>, OutOfMemory> {
        let size = usize::from(queue.size());
        let pending = Pending::new(queue, layout)?;
        Ok(Arc::new(RequestDevice {
            transport,
            protocol,
            size,
            state: Lock::new(State { pending, condition: Condition::HungUp(None) }),
            resetting: QLock::new(()),
            counters: Counters::default(),
            keeper: Rendez::new(),
            broken: AtomicBool::new(false),
            reconfigured: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Lets the negotiated device run: its interrupts, its ring and its keeper.
    ///
    /// # Errors
    /// When the device refuses, or there is no memory for the thread.
    pub fn start(self: &Arc<Self>, name: &str) -> Result<Interrupts, Failure> {
        let interrupts = transport::connect(&*self.transport, name, self, Self::interrupt)?;
        self.run()?;
        let keeper = self.clone();
        thread::spawn(name, 0, Box::new(move || keeper.keep()))?;
        Ok(interrupts)
    }

    /// Entries of the ring.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Sends a request, lets it wait for room, or gives it back at once: then false.
    pub fn submit(&self, request: RequestOf<P>) -> bool {
        let (notify, refused) = {
            let mut state = self.state.lock();
            match state.condition {
                Condition::HungUp(_) => (false, Some((request, Ending::HungUp))),
                Condition::Running => match state.pending.accept(request) {
                    Ok(sent) => {
                        count(&self.counters.requests, 1);
                        count(&self.counters.waited, u64::from(!sent));
                        (sent && state.pending.wants_notify(), None)
                    }
                    Err(request) => (false, Some((request, Ending::NoMemory))),
                },
            }
        };
        if let Some((request, ending)) = refused {
            self.protocol.complete(request, ending);
            return false;
        }
        if notify {
            self.notify();
        }
        true
    }

    fn notify(&self) {
        count(&self.counters.notifications, 1);
        self.transport.notify(QUEUE);
    }

    /// What the device's interrupts call.
    fn interrupt(&self, cause: Cause) {
        count(&self.counters.interrupts, 1);
        if cause.includes(Cause::QUEUE) {
            self.service();
        }
        if cause.includes(Cause::CONFIG) {
            if self.transport.status() & NEEDS_RESET != 0 {
                self.hang_up("device needs a reset");
            } else if P::CONFIGURATION_CHANGES {
                self.reconfigured.store(true, SeqCst);
                self.keeper.wakeup();
            }
        }
    }

    /// Takes back what the device has finished and sends what was waiting for room.
    fn service(&self) {
        loop {
            let mut batch: [Option<Finished<P::Layout>>; BATCH] = [const { None }; BATCH];
            let (taken, notify) = self.collect(&mut batch);
            if notify {
                self.notify();
            }
            for place in &mut batch {
                let Some((request, ending)) = place.take() else { break };
                self.protocol.complete(request, ending);
            }
            match taken {
                Ok(BATCH) => {}
                Ok(_) => return,
                Err(RuleBroken(how)) => return self.hang_up(how),
            }
        }
    }

    /// One batch of finished requests: how many, and whether the device is to be notified of others sent meanwhile.
    fn collect(&self, batch: &mut [Option<Finished<P::Layout>>; BATCH]) -> (Result<usize, RuleBroken>, bool) {
        let mut state = self.state.lock();
        let mut taken = 0;
        for place in batch.iter_mut() {
            match state.pending.finished() {
                Ok(Some(finished)) => *place = Some(finished),
                Ok(None) => break,
                Err(broken) => return (Err(broken), false),
            }
            taken += 1;
        }
        let sent = state.condition == Condition::Running && state.pending.send_waiting();
        (Ok(taken), sent && state.pending.wants_notify())
    }

    /// Takes no more requests, and has the keeper reset the device. May be called from an interrupt handler.
    pub fn hang_up(&self, why: &'static str) {
        {
            let mut state = self.state.lock();
            if state.condition != Condition::Running {
                return;
            }
            state.condition = Condition::HungUp(Some(why));
            // Under the Lock: a restart that is going on must not be followed by a stale alarm.
            self.broken.store(true, SeqCst);
        }
        self.keeper.wakeup();
    }

    /// When the oldest request that the device has was sent to it, as [`machine::clock::now_ns`] counts.
    pub fn oldest_sent(&self) -> Option<u64> {
        self.state.lock().pending.oldest_sent()
    }

    /// Why the device does not work, if it does not.
    pub fn failure(&self) -> Option<&'static str> {
        match self.state.lock().condition {
            Condition::Running => None,
            Condition::HungUp(why) => why,
        }
    }

    /// What was counted since the start, with the requests that are out now. The driver counts bytes, and what fails.
    pub fn counters(&self, bytes: &Bytes, failed: (&'static str, u64)) -> Vec<(&'static str, u64)> {
        let c = &self.counters;
        let outstanding = self.state.lock().pending.outstanding();
        vec![
            ("requests", c.requests.load(Relaxed)),
            ("interrupts", c.interrupts.load(Relaxed)),
            ("notifications", c.notifications.load(Relaxed)),
            ("out", bytes.to_device.load(Relaxed)),
            ("in", bytes.from_device.load(Relaxed)),
            ("outstanding", outstanding),
            ("waited", c.waited.load(Relaxed)),
            failed,
            ("resets", c.resets.load(Relaxed)),
        ]
    }
}

/// Bytes that went to a device and came from it.
#[derive(Default)]
pub(crate) struct Bytes {
    /// Written to it.
    pub to_device: AtomicU64,
    /// Read from it.
    pub from_device: AtomicU64,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
