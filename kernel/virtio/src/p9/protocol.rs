//! What is particular to the 9P device among those that are given requests.

use super::MOUNT_TAG;
use super::request::{Checked, outcome};
use crate::Failure;
use crate::requests::{Bytes, Ending, InFlight, Layout, Protocol, count};
use crate::ring::{Prepared, Queue};
use crate::transport::{self, INDIRECT_DESC, VirtioTransport};
use core::sync::atomic::AtomicU64;
use io::message::TransportError;

/// Messages lie in the buffers that the request names: nothing is added to them.
pub(super) struct Messages;

impl Layout for Messages {
    type Request = Checked;
    type Lent = ();
    type Answer = ();

    fn prepare(
        &mut self,
        queue: &mut Queue<InFlight<Self>>,
        checked: &Checked,
    ) -> Option<(Prepared, (), u64)> {
        let chain = queue.prepare_all(&*checked.request).ok()?;
        Some((chain, (), checked.writable))
    }

    fn reclaim(&mut self, (): ()) {}
}

/// The 9P device as its driver knows it.
#[derive(Default)]
pub(super) struct NineP {
    pub bytes: Bytes,
    /// Requests that were not sent, being malformed.
    pub refused: AtomicU64,
}

/// Resets the device and agrees on features.
pub(super) fn negotiate(transport: &dyn VirtioTransport) -> Result<u64, Failure> {
    transport::negotiate(transport, MOUNT_TAG | INDIRECT_DESC, 0)
}

impl Protocol for NineP {
    type Layout = Messages;
    /// The server has forgotten every file: only whoever has them open can start afresh.
    const STARTS_AGAIN: bool = false;
    const CONFIGURATION_CHANGES: bool = false;

    fn negotiate(&self, transport: &dyn VirtioTransport) -> Result<(), Failure> {
        negotiate(transport).map(|_| ())
    }

    fn complete(&self, checked: Checked, ending: Ending<()>) {
        let request = checked.request;
        let result = match ending {
            Ending::Returned { len, answer: () } => {
                count(&self.bytes.from_device, u64::from(len));
                outcome(&request, len)
            }
            Ending::HungUp => Err(TransportError::HungUp),
            Ending::NoMemory => Err(TransportError::Broken("out of memory")),
        };
        request.complete(result);
    }
}
