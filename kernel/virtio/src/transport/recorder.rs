//! What passes between a driver and its transport, written down: for `/dev/virtiostat`, whatever the driver.
//!
//! A [`Recorder`] stands in front of a transport and is one itself. It also stands for a device that was taken out of
//! the machine: such a one says that it needs a reset, and does not come out of it. `record` and `handler` are leaves;
//! notifying takes no lock.

use crate::Failure;
use crate::transport::{Cause, GONE, Handler, Interrupts, RingAddress, VirtioTransport};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use machine::lock::Lock;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Feature bits that the device offered when it was opened.
    pub offered: u64,
    /// Feature bits accepted.
    pub taken: u64,
    /// Resets, the one at the start included.
    pub resets: u64,
    /// The rings of the queues that run.
    pub queues: BTreeMap<u16, RingAddress>,
}

/// A [`Handler`] that belongs to somebody else.
type WeakHandler = Weak<dyn Fn(Cause) + Send + Sync>;

/// What is wrong with a device that was taken out.
pub const TAKEN_OUT: &str = "device was taken out";

/// A transport that is watched.
pub struct Recorder {
    inner: Arc<dyn VirtioTransport>,
    record: Lock<Record>,
    notifications: AtomicU64,
    /// What the device's interrupts call.
    handler: Lock<Option<WeakHandler>>,
    gone: AtomicBool,
}

impl Recorder {
    /// Watches a transport.
    pub fn new(inner: Arc<dyn VirtioTransport>) -> Arc<Recorder> {
        let record = Record { offered: inner.offered(), ..Record::default() };
        Arc::new(Recorder {
            inner,
            record: Lock::new(record),
            notifications: AtomicU64::new(0),
            handler: Lock::new(None),
            gone: AtomicBool::new(false),
        })
    }

    /// The device has been taken out, or is to be: from now on it needs a reset, and does not come out of it. Its
    /// driver hears of that as it would from an interrupt.
    pub fn take_out(&self) {
        self.gone.store(true, SeqCst);
        let handler = self.handler.lock().as_ref().and_then(Weak::upgrade);
        if let Some(handler) = handler {
            handler(Cause::CONFIG);
        }
    }

    /// Whether the device has been taken out.
    pub fn is_gone(&self) -> bool {
        self.gone.load(SeqCst)
    }

    /// Whether the device itself, taken out or not, has a driver that it works for.
    pub fn is_at_work(&self) -> bool {
        !matches!(self.inner.status(), 0 | GONE)
    }

    /// What was seen so far.
    pub fn record(&self) -> Record {
        self.record.lock().clone()
    }

    /// How often the device was notified.
    pub fn notifications(&self) -> u64 {
        self.notifications.load(Relaxed)
    }
}

impl VirtioTransport for Recorder {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn offered(&self) -> u64 {
        self.inner.offered()
    }

    fn accept(&self, features: u64) {
        self.record.lock().taken = features;
        self.inner.accept(features);
    }

    fn status(&self) -> u8 {
        if self.is_gone() { GONE } else { self.inner.status() }
    }

    fn set_status(&self, status: u8) {
        if !self.is_gone() {
            self.inner.set_status(status);
        }
    }

    fn reset(&self) -> Result<(), Failure> {
        let old = {
            let mut record = self.record.lock();
            record.resets += 1;
            core::mem::take(&mut record.queues)
        };
        drop(old);
        // One that is to go, and is there still, does not touch memory after this; one that is gone anyway not.
        let reset = self.inner.reset();
        if self.is_gone() { Err(Failure::new(TAKEN_OUT)) } else { reset }
    }

    fn queue_limit(&self, queue: u16) -> u16 {
        self.inner.queue_limit(queue)
    }

    fn queue_size(&self, queue: u16, most: u16) -> u16 {
        self.inner.queue_size(queue, most)
    }

    fn queue_start(&self, queue: u16, ring: &RingAddress) -> Result<(), Failure> {
        self.inner.queue_start(queue, ring)?;
        self.record.lock().queues.insert(queue, *ring);
        Ok(())
    }

    fn notify(&self, queue: u16) {
        self.notifications.fetch_add(1, Relaxed);
        if !self.is_gone() {
            self.inner.notify(queue);
        }
    }

    fn connect(&self, name: &str, handler: Handler) -> Result<Interrupts, Failure> {
        *self.handler.lock() = Some(Arc::downgrade(&handler));
        self.inner.connect(name, handler)
    }

    fn arm(&self) -> Result<(), Failure> {
        self.inner.arm()
    }

    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure> {
        if self.is_gone() {
            return Err(Failure::new(TAKEN_OUT));
        }
        self.inner.config_read(offset, buf)
    }

    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure> {
        if self.is_gone() {
            return Err(Failure::new(TAKEN_OUT));
        }
        self.inner.config_write(offset, value)
    }
}
