//! What passes between a driver and its transport, written down: for `/dev/virtiostat`, whatever the driver.
//!
//! A [`Recorder`] stands in front of a transport and is one itself. `record` is a leaf; notifying takes no lock.

use crate::Failure;
use crate::transport::{Handler, Interrupts, RingAddress, VirtioTransport};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

/// A transport that is watched.
pub struct Recorder {
    inner: Arc<dyn VirtioTransport>,
    record: Lock<Record>,
    notifications: AtomicU64,
}

impl Recorder {
    /// Watches a transport.
    pub fn new(inner: Arc<dyn VirtioTransport>) -> Arc<Recorder> {
        let record = Record { offered: inner.offered(), ..Record::default() };
        Arc::new(Recorder { inner, record: Lock::new(record), notifications: AtomicU64::new(0) })
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
        self.inner.status()
    }

    fn set_status(&self, status: u8) {
        self.inner.set_status(status);
    }

    fn reset(&self) -> Result<(), Failure> {
        let old = {
            let mut record = self.record.lock();
            record.resets += 1;
            core::mem::take(&mut record.queues)
        };
        drop(old);
        self.inner.reset()
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
        self.inner.notify(queue);
    }

    fn connect(&self, name: &str, handler: Handler) -> Result<Interrupts, Failure> {
        self.inner.connect(name, handler)
    }

    fn arm(&self) -> Result<(), Failure> {
        self.inner.arm()
    }

    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure> {
        self.inner.config_read(offset, buf)
    }

    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure> {
        self.inner.config_write(offset, value)
    }
}
