//! The 9P device: a ring of messages to a file server outside the machine.
//!
//! Created by `-fsdev local,id=f0,path=DIR,security_model=none,multidevs=remap -device
//! virtio-9p-pci,fsdev=f0,mount_tag=host`. The device is not in the virtio specification beyond its number (9);
//! its configuration is a length of two bytes and the mount tag, its only queue takes chains of a T-message and
//! room for the reply.
//!
//! [`P9`] is a [`Transport`]: a request goes out as one indirect chain straight from the buffers it names (user pages
//! included) and comes back in the interrupt. How requests wait, what happens when the device breaks down and which
//! locks there are is said in [`crate::requests`]. A device that is hung up stays so until [`Transport::reset`], since
//! the server has forgotten every file.

mod protocol;
mod request;
#[cfg(test)]
mod tests;

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::requests::{Dead, QUEUE, RequestDevice, count};
use crate::ring::Queue;
use crate::transport::{self, INDIRECT_DESC, Interrupts, VirtioTransport};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;
use io::message::{Request, Transport, TransportError};
use protocol::{Messages, NineP, negotiate};
use request::{Checked, Sizes, check};

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
    device: Arc<RequestDevice<NineP>>,
    /// Pieces of memory in a request.
    segments: usize,
}

impl P9 {
    /// Starts the 9P device behind `transport`, under a name as `virtio-9p-0`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<P9>, Failure> {
        transport::start(&*transport, || {
            let taken = negotiate(&*transport)?;
            let tag = mount_tag(&*transport, taken)?;
            let size = match transport.queue_size(QUEUE, SIZE_MOST) {
                0 | 1 => return Err(Failure::new("no request queue")),
                size => size,
            };
            let segments = size.min(SIZE_MOST);
            let queue = Queue::new(size, segments, taken & INDIRECT_DESC != 0)?;
            let device = RequestDevice::new(transport.clone(), NineP::default(), queue, Messages)?;
            let interrupts = device.start(name)?;
            Ok(Arc::new(P9 { name: name.into(), tag, interrupts, device, segments: usize::from(segments) }))
        })
    }

    /// The mount tag, as text: bytes that are not UTF-8 are shown as U+FFFD.
    pub fn tag(&self) -> &str {
        &self.tag
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
        self.segments
    }

    fn submit(&self, request: Box<Request>) {
        let protocol = &self.device.protocol;
        match check(&request, self.segments) {
            Ok(Sizes { readable, writable }) => {
                if self.device.submit(Checked { request, writable }) {
                    count(&protocol.bytes.to_device, readable);
                }
            }
            Err(e) => {
                count(&protocol.refused, 1);
                request.complete(Err(e));
            }
        }
    }

    fn reset(&self) -> Result<(), TransportError> {
        self.device.restart().map_err(|Dead| TransportError::Broken("device does not start again"))
    }
}

impl Driver for P9 {
    fn driver(&self) -> &'static str {
        "9p"
    }

    fn status(&self) -> Status {
        let protocol = &self.device.protocol;
        Status {
            interrupts: self.interrupts.text.clone(),
            identity: self.tag.clone(),
            failure: self.device.failure().map(String::from),
            counters: self.device.counters(&protocol.bytes, ("refused", protocol.refused.load(Relaxed))),
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
