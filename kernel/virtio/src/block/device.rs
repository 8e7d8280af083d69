//! The running device: what the driver's threads, its interrupt handler and its keeper share.

use super::piece::{Done, Op, Piece};
use super::requests::{Finished, Requests};
use super::shape::{QUEUE, Shape, capacity};
use super::{Trouble, UNIT};
use crate::Failure;
use crate::ring::RuleBroken;
use crate::transport::{self, Cause, NEEDS_RESET, VirtioTransport};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use machine::clock;
use machine::lock::Lock;
use machine::page::{Page, Pinned};
use machine::sync::Rendez;

/// Bytes of a serial.
const SERIAL: usize = 20;

/// Status: done.
const OK: u8 = 0;

/// How long a device may take for a request, in nanoseconds.
const SILENCE_NS: u64 = if cfg!(test) { 2_000_000_000 } else { 30_000_000_000 };
/// How often who waits looks whether to wait on, in nanoseconds.
const POLL_NS: u64 = SILENCE_NS.div_ceil(30);
/// How long a broken device is left alone before it is started again, in nanoseconds.
const PAUSE_NS: u64 = if cfg!(test) { 1_000_000 } else { 1_000_000_000 };
/// Requests that are completed without the Lock, so many at a time.
const BATCH: usize = 16;
/// Why a device stays broken.
const DEAD: &str = "device does not start again";

/// Whether the device takes requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Running,
    /// Everything comes back as failed; why, if something is wrong.
    Down(Option<&'static str>),
}

struct State {
    requests: Requests,
    condition: Condition,
}

#[derive(Default)]
struct Counters {
    interrupts: AtomicU64,
    notifications: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    waited: AtomicU64,
    errors: AtomicU64,
    resets: AtomicU64,
}

pub(super) struct Device {
    transport: Arc<dyn VirtioTransport>,
    shape: Shape,
    /// In units.
    capacity: AtomicU64,
    serial: Lock<String>,
    state: Lock<State>,
    counters: Counters,
    /// Where the keeper sleeps, and what wakes it.
    keeper: Rendez,
    broken: AtomicBool,
    resized: AtomicBool,
    stopped: AtomicBool,
}

impl Device {
    /// The device, negotiated but not running.
    pub fn open(transport: Arc<dyn VirtioTransport>) -> Result<Arc<Device>, Failure> {
        let shape = Shape::agree(&*transport)?;
        let capacity = capacity(&*transport)?;
        let requests = Requests::new(&shape)?;
        Ok(Arc::new(Device {
            transport,
            shape,
            capacity: AtomicU64::new(capacity),
            serial: Lock::new(String::new()),
            state: Lock::new(State { requests, condition: Condition::Down(None) }),
            counters: Counters::default(),
            keeper: Rendez::new(),
            broken: AtomicBool::new(false),
            resized: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Gives the negotiated device its empty ring and lets it run.
    pub fn run(&self) -> Result<(), Failure> {
        let ring = self.state.lock().requests.fresh();
        self.transport.queue_start(QUEUE, &ring)?;
        transport::ready(&*self.transport)?;
        self.state.lock().condition = Condition::Running;
        Ok(())
    }

    /// Its size in units.
    pub fn units(&self) -> u64 {
        self.capacity.load(Relaxed)
    }

    /// Whole sectors.
    pub fn sectors(&self) -> u64 {
        self.units() / u64::from(self.shape.sector_size / UNIT)
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    pub fn serial(&self) -> String {
        self.serial.lock().clone()
    }

    /// Asks for the serial. The life of a thread: there may be no answer for long.
    pub fn identify(&self) {
        let Ok(page) = Page::new_zeroed() else { return };
        if self.call(Op::Id, vec![Pinned::new(page.clone(), 0, SERIAL)], &|| false).is_err() {
            return;
        }
        let mut bytes = [0; SERIAL];
        page.read(0, &mut bytes);
        let text = String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or(&[]));
        *self.serial.lock() = text.trim().replace(char::is_control, "?");
    }

    /// One request, and its answer.
    pub fn call(&self, op: Op, data: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), Trouble> {
        let done = self.submit(Piece::new(op, 0, data));
        self.wait(&done, leave)
    }

    /// Waits for a request, as long as it takes or until the caller has to leave: a device that does not answer is reset.
    pub fn wait(&self, done: &Done, leave: &dyn Fn() -> bool) -> Result<(), Trouble> {
        loop {
            let now = clock::now_ns();
            if let Some(piece) = done.wait_surely_until(now.saturating_add(POLL_NS)) {
                return piece.result;
            }
            if leave() {
                return Err(Trouble::Left);
            }
            let oldest = self.state.lock().requests.oldest();
            if oldest.is_some_and(|since| clock::now_ns().saturating_sub(since) >= SILENCE_NS) {
                self.go_down("device does not answer");
            }
        }
    }

    /// Sends a request, or gives it back at once.
    pub fn submit(&self, piece: Box<Piece>) -> Done {
        let done = piece.done.clone();
        let (notify, refused) = {
            let mut state = self.state.lock();
            match state.condition {
                Condition::Down(_) => (false, Some((piece, Trouble::Failed))),
                Condition::Running => match state.requests.accept(piece) {
                    Ok(sent) => {
                        count(&self.counters.waited, u64::from(!sent));
                        (sent && state.requests.wants_notify(), None)
                    }
                    Err(piece) => (false, Some((piece, Trouble::NoMemory))),
                },
            }
        };
        if let Some((piece, trouble)) = refused {
            count(&self.counters.errors, 1);
            piece.complete(Err(trouble));
        }
        if notify {
            self.notify();
        }
        done
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
        if cause.includes(Cause::CONFIG) {
            if self.transport.status() & NEEDS_RESET != 0 {
                self.go_down("device needs a reset");
            } else if cause == Cause::CONFIG || cause == Cause::ANY {
                self.resized.store(true, SeqCst);
                self.keeper.wakeup();
            }
        }
    }

    /// Takes back what the device has finished and sends what was waiting for room.
    fn service(&self) {
        loop {
            let mut batch: [Option<Finished>; BATCH] = [const { None }; BATCH];
            let (taken, notify) = self.collect(&mut batch);
            if notify {
                self.notify();
            }
            for finished in batch.into_iter().flatten() {
                let result = self.outcome(&finished);
                finished.piece.complete(result);
            }
            match taken {
                Ok(BATCH) => {}
                Ok(_) => return,
                Err(RuleBroken(how)) => return self.go_down(how),
            }
        }
    }

    /// One batch of finished requests: how many, and whether the device is to be notified of others sent meanwhile.
    fn collect(&self, batch: &mut [Option<Finished>; BATCH]) -> (Result<usize, RuleBroken>, bool) {
        let mut state = self.state.lock();
        let mut taken = 0;
        for slot in batch.iter_mut() {
            match state.requests.finished() {
                Ok(Some(finished)) => *slot = Some(finished),
                Ok(None) => break,
                Err(lie) => return (Err(lie), false),
            }
            taken += 1;
        }
        let sent = state.condition == Condition::Running && state.requests.send_waiting();
        (Ok(taken), sent && state.requests.wants_notify())
    }

    /// How a request has ended.
    fn outcome(&self, Finished { piece, len, status }: &Finished) -> Result<(), Trouble> {
        // What an old device says of the length means nothing (section 2.7.8.1).
        let strict = self.shape.modern() && piece.op == Op::Read;
        if *status != OK || strict && *len <= piece.len() {
            count(&self.counters.errors, 1);
            return Err(Trouble::Failed);
        }
        let counter = match piece.op {
            Op::Read => &self.counters.bytes_in,
            Op::Write => &self.counters.bytes_out,
            Op::Flush | Op::Id => return Ok(()),
        };
        count(counter, u64::from(piece.len()));
        Ok(())
    }

    /// Takes no more requests, and has the keeper reset the device. May be called from an interrupt handler.
    fn go_down(&self, why: &'static str) {
        {
            let mut state = self.state.lock();
            if state.condition != Condition::Running {
                return;
            }
            state.condition = Condition::Down(Some(why));
            self.broken.store(true, SeqCst);
        }
        self.keeper.wakeup();
    }

    /// Ends the keeper, and the device.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.keeper.wakeup();
    }

    /// The keeper's life: looks at a changed configuration, resets a broken device.
    pub fn keep(&self) {
        loop {
            let woken = || [&self.stopped, &self.broken, &self.resized].iter().any(|flag| flag.load(SeqCst));
            self.keeper.sleep(woken);
            if self.stopped.load(SeqCst) {
                self.state.lock().condition = Condition::Down(None);
                // Whatever comes of it, the device does not touch memory any more.
                let _ = self.transport.reset();
                return self.give_back();
            }
            if self.resized.swap(false, SeqCst)
                && let Ok(capacity) = capacity(&*self.transport)
            {
                self.capacity.store(capacity, Relaxed);
            }
            if self.broken.load(SeqCst) {
                self.restart();
            }
        }
    }

    /// Resets the device, gives back as failed everything it had, and starts it afresh.
    fn restart(&self) {
        count(&self.counters.resets, 1);
        let reset = self.transport.reset();
        // Whatever came of the reset, the device does not touch memory any more: see VirtioTransport::reset.
        self.give_back();
        let pause = clock::now_ns().saturating_add(PAUSE_NS);
        self.keeper.sleep_surely_until(pause, || self.stopped.load(SeqCst));
        let again = reset.and_then(|()| Shape::agree(&*self.transport)).and_then(|shape| {
            if shape != self.shape {
                return Err(Failure::new("device has changed"));
            }
            self.capacity.store(capacity(&*self.transport)?, Relaxed);
            Ok(())
        });
        // Before it runs, as it may break down again at once.
        self.broken.store(false, SeqCst);
        if again.and_then(|()| self.run()).is_err() {
            transport::give_up(&*self.transport);
            self.state.lock().condition = Condition::Down(Some(DEAD));
        }
    }

    /// Completes everything in flight and waiting as failed.
    fn give_back(&self) {
        loop {
            let next = self.state.lock().requests.abandon();
            let Some(piece) = next else { return };
            count(&self.counters.errors, 1);
            piece.complete(Err(Trouble::Failed));
        }
    }

    /// Why the device does not work, if it does not.
    pub fn failure(&self) -> Option<&'static str> {
        match self.state.lock().condition {
            Condition::Running => None,
            Condition::Down(why) => why,
        }
    }

    /// All counters since the start, with the requests that are out now.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let c = &self.counters;
        let (sent, outstanding) = {
            let state = self.state.lock();
            (state.requests.sent(), state.requests.outstanding())
        };
        vec![
            ("requests", sent),
            ("interrupts", c.interrupts.load(Relaxed)),
            ("notifications", c.notifications.load(Relaxed)),
            ("out", c.bytes_out.load(Relaxed)),
            ("in", c.bytes_in.load(Relaxed)),
            ("outstanding", outstanding),
            ("waited", c.waited.load(Relaxed)),
            ("errors", c.errors.load(Relaxed)),
            ("resets", c.resets.load(Relaxed)),
        ]
    }
}

fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
