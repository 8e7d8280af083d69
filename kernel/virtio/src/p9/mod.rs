//! The 9P device: a ring of messages to a file server outside the machine.
//!
//! Created by `-fsdev local,id=f0,path=DIR,security_model=none,multidevs=remap -device
//! virtio-9p-pci,fsdev=f0,mount_tag=host`. The device is not in the virtio specification beyond its number (9);
//! its configuration is a length of two bytes and the mount tag, its only queue takes chains of a T-message and
//! room for the reply.
//!
//! [`P9`] is a [`Transport`]: a request goes out as one indirect chain straight from the buffers it names (user
//! pages included) and comes back in the interrupt. Requests that find no free descriptor wait in `backlog`,
//! first come, first served.
//!
//! # States
//!
//! *Running*: submit sends. *Hung up*: the device asked for a reset or lied, or a reset is going on; what was
//! in flight has come back as hung up, or will as soon as the device has let go of it, and everything new comes
//! back at once. It stays so until [`Transport::reset`] starts afresh, since the server has forgotten every
//! file. *Dead*: the device could not be started again.
//!
//! Buffers are given back only when the device has returned them or has been reset, never earlier.
//!
//! # Locks
//!
//! `state` (a Lock, also taken by the interrupt handler) guards the ring, the backlog and the condition. It is
//! never held while a request is completed or the device is touched. `resetting` (a QLock) is held over a whole
//! reset and is taken first. A thread of its own ("keeper") does what an interrupt handler cannot: reset a
//! device that asks for it.

mod chain;
mod device;
#[cfg(test)]
mod tests;

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::ring::{Lie, Queue};
use crate::transport::{self, Cause, Handler, INDIRECT_DESC, Interrupts, NEEDS_RESET, VirtioTransport};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use device::Device;
use io::message::{Request, Transport, TransportError};
use machine::clock;
use machine::thread;

/// The only queue.
const QUEUE: u16 = 0;
/// Most entries used of it. QEMU's server handles 128 requests at a time, and forgets to look at more.
const SIZE_MOST: u16 = 128;
/// Feature: the configuration holds a mount tag.
const MOUNT_TAG: u64 = 1;
/// Longest mount tag that is believed, in bytes. QEMU's are at most 31.
const TAG_MOST: usize = 255;

/// A 9P device that has been started.
pub struct P9 {
    name: String,
    tag: String,
    interrupts: Interrupts,
    device: Arc<Device>,
}

impl P9 {
    /// Starts the 9P device behind `transport`, under a name as `virtio-9p-0`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<P9>, Failure> {
        let started = P9::try_start(name, &transport);
        if started.is_err() {
            transport::give_up(&*transport);
        }
        started
    }

    fn try_start(name: &str, transport: &Arc<dyn VirtioTransport>) -> Result<Arc<P9>, Failure> {
        let taken = device::negotiate(&**transport)?;
        let tag = mount_tag(&**transport, taken)?;
        let size = match transport.queue_size(QUEUE, SIZE_MOST) {
            0 | 1 => return Err(Failure::new("no request queue")),
            size => size,
        };
        let queue = Queue::new(size, size, taken & INDIRECT_DESC != 0)?;
        let device = Device::new(transport.clone(), queue)?;
        let shared = device.clone();
        let handler: Handler = Arc::new(move |cause| shared.interrupt(cause));
        let interrupts = transport.connect(name, handler)?;
        transport.arm()?;
        device.run()?;
        let keeper = device.clone();
        thread::spawn(name, 0, Box::new(move || keeper.keep()))?;
        Ok(Arc::new(P9 { name: name.into(), tag, interrupts, device }))
    }

    /// The mount tag, as text: bytes that are not UTF-8 are shown as U+FFFD.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// How long the oldest request that has not come back has been with the device or waiting for it, in
    /// nanoseconds; `None` when there is no request. For a watchdog: a legacy device that has given up says
    /// nothing.
    pub fn oldest_outstanding_ns(&self) -> Option<u64> {
        self.device.oldest().map(|since| clock::now_ns().saturating_sub(since))
    }
}

impl Transport for P9 {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn max_in_flight(&self) -> usize {
        self.device.size()
    }

    fn max_segments(&self) -> usize {
        self.device.size()
    }

    fn submit(&self, request: Box<Request>) {
        self.device.submit(request);
    }

    fn reset(&self) -> Result<(), TransportError> {
        self.device.restart(true)
    }
}

impl Driver for P9 {
    fn driver(&self) -> &'static str {
        "9p"
    }

    fn status(&self) -> Status {
        Status {
            interrupts: self.interrupts.text.clone(),
            identity: self.tag.clone(),
            failure: self.device.failure().map(String::from),
            counters: self.device.counters(),
        }
    }
}

impl Drop for P9 {
    /// Tests only end devices: the keeper goes, and the device stops.
    fn drop(&mut self) {
        self.device.stop();
    }
}

/// Reads the mount tag from the configuration.
fn mount_tag(transport: &dyn VirtioTransport, taken: u64) -> Result<String, Failure> {
    if taken & MOUNT_TAG == 0 {
        return Err(Failure::new("device has no mount tag"));
    }
    let mut len = [0; 2];
    transport.config_read(0, &mut len)?;
    let len = usize::from(u16::from_le_bytes(len));
    let mut tag = [0; TAG_MOST];
    let Some(tag) = tag.get_mut(..len).filter(|tag| !tag.is_empty()) else {
        return Err(Failure::text(alloc::format!("mount tag of {len} bytes")));
    };
    transport.config_read(2, tag)?;
    Ok(String::from_utf8_lossy(tag).into_owned())
}
