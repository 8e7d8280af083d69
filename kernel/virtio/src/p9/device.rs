//! The running device: what the driver's threads, its interrupt handler and its keeper share.

use super::chain::{check, outcome, segments};
use super::*;
use alloc::vec;
use alloc::vec::Vec;
use machine::OutOfMemory;
use machine::lock::Lock;
use machine::sync::{QLock, Rendez};

/// A request that has not come back.
pub(super) struct Held {
    request: Box<Request>,
    /// When it was submitted.
    since: u64,
    /// Bytes of room for its reply.
    writable: u64,
}

/// Whether the device takes requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Running,
    /// Everything comes back as hung up; why, if something is wrong.
    HungUp(Option<&'static str>),
}

struct State {
    queue: Queue<Held>,
    backlog: VecDeque<Held>,
    condition: Condition,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    interrupts: AtomicU64,
    notifications: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    waited: AtomicU64,
    refused: AtomicU64,
    resets: AtomicU64,
}

pub(super) struct Device {
    transport: Arc<dyn VirtioTransport>,
    size: usize,
    state: Lock<State>,
    resetting: QLock<()>,
    counters: Counters,
    /// Where the keeper sleeps, and what wakes it.
    keeper: Rendez,
    broken: AtomicBool,
    stopped: AtomicBool,
}

/// Requests that are completed without the Lock, so many at a time.
const BATCH: usize = 16;

/// Resets the device and agrees on features.
pub(super) fn negotiate(transport: &dyn VirtioTransport) -> Result<u64, Failure> {
    transport::negotiate(transport, MOUNT_TAG | INDIRECT_DESC, 0)
}

impl Device {
    pub fn new(transport: Arc<dyn VirtioTransport>, queue: Queue<Held>) -> Result<Arc<Device>, OutOfMemory> {
        let size = usize::from(queue.size());
        let mut backlog = VecDeque::new();
        backlog.try_reserve(size).map_err(|_| OutOfMemory)?;
        Ok(Arc::new(Device {
            transport,
            size,
            state: Lock::new(State { queue, backlog, condition: Condition::HungUp(None) }),
            resetting: QLock::new(()),
            counters: Counters::default(),
            keeper: Rendez::new(),
            broken: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Entries of the ring.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Gives the negotiated device its empty ring and lets it run.
    pub fn run(&self) -> Result<(), Failure> {
        let ring = {
            let mut state = self.state.lock();
            state.queue.clear();
            state.queue.address()
        };
        self.transport.queue_start(QUEUE, &ring)?;
        transport::ready(&*self.transport)?;
        self.state.lock().condition = Condition::Running;
        Ok(())
    }

    /// Sends a request, or gives it back at once.
    pub fn submit(&self, request: Box<Request>) {
        let sizes = match check(&request, self.size) {
            Ok(sizes) => sizes,
            Err(e) => {
                count(&self.counters.refused, 1);
                return request.complete(Err(e));
            }
        };
        let held = Held { request, since: clock::now_ns(), writable: sizes.writable };
        let (notify, refused) = {
            let mut state = self.state.lock();
            match state.condition {
                Condition::HungUp(_) => (false, Some((held, TransportError::HungUp))),
                Condition::Running => match state.accept(held) {
                    Ok(sent) => {
                        count(&self.counters.requests, 1);
                        count(&self.counters.bytes_out, sizes.readable);
                        count(&self.counters.waited, u64::from(!sent));
                        (sent && state.queue.wants_notify(), None)
                    }
                    Err(held) => (false, Some((held, TransportError::Broken("out of memory")))),
                },
            }
        };
        if let Some((held, e)) = refused {
            held.request.complete(Err(e));
        }
        if notify {
            self.notify();
        }
    }

    fn notify(&self) {
        count(&self.counters.notifications, 1);
        self.transport.notify(QUEUE);
    }

    /// What the device's interrupts call.
    pub fn interrupt(&self, cause: Cause) {
        count(&self.counters.interrupts, 1);
        if cause.includes(Cause::QUEUE) {
            self.service();
        }
        if cause.includes(Cause::CONFIG) && self.transport.status() & NEEDS_RESET != 0 {
            self.hang_up("device needs a reset");
        }
    }

    /// Takes back what the device has finished and sends what was waiting for room.
    fn service(&self) {
        loop {
            let mut batch: [Option<(Held, u32)>; BATCH] = [const { None }; BATCH];
            let (taken, notify) = self.collect(&mut batch);
            if notify {
                self.notify();
            }
            for (held, len) in batch.into_iter().flatten() {
                count(&self.counters.bytes_in, u64::from(len));
                let result = outcome(&held.request, len);
                held.request.complete(result);
            }
            match taken {
                Ok(BATCH) => {}
                Ok(_) => return,
                Err(Lie(how)) => return self.hang_up(how),
            }
        }
    }

    /// One batch of finished requests: how many, and whether the device is to be notified of others sent meanwhile.
    fn collect(&self, batch: &mut [Option<(Held, u32)>; BATCH]) -> (Result<usize, Lie>, bool) {
        let mut state = self.state.lock();
        let mut taken = 0;
        for slot in batch.iter_mut() {
            match state.queue.pop() {
                Ok(Some(done)) => *slot = Some(done),
                Ok(None) => break,
                Err(lie) => return (Err(lie), false),
            }
            taken += 1;
        }
        let sent = state.condition == Condition::Running && state.send_waiting();
        (Ok(taken), sent && state.queue.wants_notify())
    }

    /// Takes no more requests, and has the keeper reset the device. May be called from an interrupt handler.
    fn hang_up(&self, why: &'static str) {
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

    /// The keeper's life: waits until the device is broken, and takes back what it has.
    pub fn keep(&self) {
        loop {
            self.keeper.sleep(|| self.stopped.load(SeqCst) || self.broken.load(SeqCst));
            if self.stopped.load(SeqCst) {
                return;
            }
            // Only a reset that fails tells something, and then the device stays hung up, as it is.
            let _ = self.restart(false);
        }
    }

    /// Ends the keeper, and the device. For a driver that goes away.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.keeper.wakeup();
        let _ = self.restart(false);
    }

    /// Resets the device and gives back, as hung up, everything it had; with `again`, starts it afresh.
    pub fn restart(&self, again: bool) -> Result<(), TransportError> {
        let _one_at_a_time = self.resetting.lock();
        if !again && !self.broken.load(SeqCst) && !self.stopped.load(SeqCst) {
            // Somebody else was here first, and has started it again.
            return Ok(());
        }
        {
            let mut state = self.state.lock();
            if state.condition == Condition::Running {
                state.condition = Condition::HungUp(None);
            }
        }
        count(&self.counters.resets, 1);
        let reset = self.transport.reset();
        // Whatever came of the reset, the device does not touch memory any more: see VirtioTransport::reset.
        self.broken.store(false, SeqCst);
        self.give_back();
        if !again {
            return Ok(());
        }
        let started = reset.and_then(|()| negotiate(&*self.transport)).and_then(|_| self.run());
        started.map_err(|_| {
            transport::give_up(&*self.transport);
            const DEAD: &str = "device does not start again";
            self.state.lock().condition = Condition::HungUp(Some(DEAD));
            TransportError::Broken(DEAD)
        })
    }

    /// Completes everything in flight and waiting as hung up.
    fn give_back(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                state.queue.abandon().or_else(|| state.backlog.pop_front())
            };
            match next {
                Some(held) => held.request.complete(Err(TransportError::HungUp)),
                None => return,
            }
        }
    }

    /// When the oldest request that has not come back was submitted.
    pub fn oldest(&self) -> Option<u64> {
        let state = self.state.lock();
        state.queue.tokens().chain(&state.backlog).map(|held| held.since).min()
    }

    /// Why the device does not work, if it does not.
    pub fn failure(&self) -> Option<&'static str> {
        match self.state.lock().condition {
            Condition::Running | Condition::HungUp(None) => None,
            Condition::HungUp(why) => why,
        }
    }

    /// All counters since the start, with the requests that are out now.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let c = &self.counters;
        let outstanding = {
            let state = self.state.lock();
            u64::from(state.queue.in_flight()) + state.backlog.len() as u64
        };
        vec![
            ("requests", c.requests.load(Relaxed)),
            ("interrupts", c.interrupts.load(Relaxed)),
            ("notifications", c.notifications.load(Relaxed)),
            ("out", c.bytes_out.load(Relaxed)),
            ("in", c.bytes_in.load(Relaxed)),
            ("outstanding", outstanding),
            ("waited", c.waited.load(Relaxed)),
            ("refused", c.refused.load(Relaxed)),
            ("resets", c.resets.load(Relaxed)),
        ]
    }
}

impl State {
    /// Sends a request (true), or lets it wait behind others (false). Comes back when there is no memory to
    /// wait in.
    fn accept(&mut self, held: Held) -> Result<bool, Held> {
        let held = if self.backlog.is_empty() { self.send(held) } else { Some(held) };
        let Some(held) = held else { return Ok(true) };
        if self.backlog.try_reserve(1).is_err() {
            return Err(held);
        }
        self.backlog.push_back(held);
        Ok(false)
    }

    /// Puts a request into the ring; gives it back when the ring is full.
    fn send(&mut self, held: Held) -> Option<Held> {
        match self.queue.prepare(segments(&held.request)) {
            Ok(chain) => {
                let writable = held.writable;
                self.queue.publish(chain, held, writable);
                None
            }
            Err(_full) => Some(held),
        }
    }

    /// Sends from the backlog as long as there is room. True when something was sent.
    fn send_waiting(&mut self) -> bool {
        let mut sent = false;
        while let Some(held) = self.backlog.pop_front() {
            if let Some(held) = self.send(held) {
                self.backlog.push_front(held);
                break;
            }
            sent = true;
        }
        sent
    }
}

fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
