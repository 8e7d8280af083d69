//! The requests that a device has and those that wait for it: what the Lock of a
//! [`RequestDevice`](super::RequestDevice) guards.

use super::Ending;
use crate::ring::{Prepared, Queue, RuleBroken};
use crate::transport::RingAddress;
use alloc::collections::VecDeque;
use machine::OutOfMemory;
use machine::clock;
use machine::heap;

/// How the requests of a protocol lie in the ring.
pub(crate) trait Layout: Send + 'static {
    /// A request. It is the driver's until it comes back.
    type Request: Send;
    /// Memory of the layout's own that a request has as long as the device has it.
    type Lent: Send;
    /// What the device leaves there.
    type Answer;

    /// Fills in the chain of a request. The answer is that chain, what was lent to it, and how many bytes the device
    /// may write; `None` when there is no room just now.
    fn prepare(
        &mut self,
        queue: &mut Queue<InFlight<Self>>,
        request: &Self::Request,
    ) -> Option<(Prepared, Self::Lent, u64)>
    where
        Self: Sized;

    /// Takes back what was lent, after the device has returned the chain or was reset.
    fn reclaim(&mut self, lent: Self::Lent) -> Self::Answer;
}

/// A request that the device has.
pub(crate) struct InFlight<L: Layout> {
    request: L::Request,
    lent: L::Lent,
    /// When it was sent, as the clock counts.
    sent: u64,
}

/// A request that the device has returned, and how.
pub(super) type Finished<L> = (<L as Layout>::Request, Ending<<L as Layout>::Answer>);

/// The ring, and the requests that wait.
pub(super) struct Pending<L: Layout> {
    queue: Queue<InFlight<L>>,
    waiting: VecDeque<L::Request>,
    layout: L,
}

/// Requests for which there is room to wait from the start. A 9P session has no more under way, and would end for want
/// of memory.
const WAITING: usize = 1024;

impl<L: Layout> Pending<L> {
    /// None yet.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(queue: Queue<InFlight<L>>, layout: L) -> Result<Self, OutOfMemory> {
        let mut waiting = VecDeque::new();
        heap::try_reserve(&mut waiting, WAITING)?;
        Ok(Pending { queue, waiting, layout })
    }

    /// The empty ring, for a device that has been reset.
    pub fn fresh(&mut self) -> RingAddress {
        self.queue.clear();
        self.queue.address()
    }

    /// Whether the device wants to be told of what was sent.
    pub fn wants_notify(&mut self) -> bool {
        self.queue.wants_notify()
    }

    /// Requests in the ring and waiting.
    pub fn outstanding(&self) -> u64 {
        u64::from(self.queue.in_flight()) + self.waiting.len() as u64
    }

    /// When the oldest that the device has was sent.
    pub fn oldest_sent(&self) -> Option<u64> {
        self.queue.tokens().map(|f| f.sent).min()
    }

    /// Sends a request (true), or lets it wait behind others (false). Comes back when there is no memory to wait in.
    pub fn accept(&mut self, request: L::Request) -> Result<bool, L::Request> {
        let request = if self.waiting.is_empty() { self.send(request) } else { Some(request) };
        let Some(request) = request else { return Ok(true) };
        if heap::try_reserve(&mut self.waiting, 1).is_err() {
            return Err(request);
        }
        self.waiting.push_back(request);
        Ok(false)
    }

    /// Sends those that wait as long as there is room. True when something was sent.
    pub fn send_waiting(&mut self) -> bool {
        let mut sent = false;
        while let Some(next) = self.waiting.pop_front() {
            if let Some(next) = self.send(next) {
                self.waiting.push_front(next);
                break;
            }
            sent = true;
        }
        sent
    }

    /// Puts a request into the ring; gives it back when there is no room.
    fn send(&mut self, request: L::Request) -> Option<L::Request> {
        match self.layout.prepare(&mut self.queue, &request) {
            Some((chain, lent, writable)) => {
                let sent = clock::now_ns();
                self.queue.publish(chain, InFlight { request, lent, sent }, writable);
                None
            }
            None => Some(request),
        }
    }

    /// Takes back one request that the device has finished.
    ///
    /// # Errors
    /// When the device breaks the rules.
    pub fn finished(&mut self) -> Result<Option<Finished<L>>, RuleBroken> {
        let Some((InFlight { request, lent, .. }, len)) = self.queue.pop()? else { return Ok(None) };
        let answer = self.layout.reclaim(lent);
        Ok(Some((request, Ending::Returned { len, answer })))
    }

    /// Takes one request away from a device that has been reset, or from those that wait.
    pub fn abandon(&mut self) -> Option<L::Request> {
        match self.queue.abandon() {
            Some(InFlight { request, lent, .. }) => {
                self.layout.reclaim(lent);
                Some(request)
            }
            None => self.waiting.pop_front(),
        }
    }
}
