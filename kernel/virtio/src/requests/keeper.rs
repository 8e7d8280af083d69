//! The keeper: a thread of each [`RequestDevice`] that resets it when it has broken down, and starts it afresh.

use super::{Condition, Ending, Protocol, QUEUE, RequestDevice, count};
use crate::Failure;
use crate::transport;
use core::sync::atomic::Ordering::SeqCst;
use machine::clock;
use machine::heap::Call;

/// How long a broken device is left alone before it is started again, in nanoseconds.
const PAUSE_NS: u64 = if cfg!(test) { 1_000_000 } else { 1_000_000_000 };
/// Why a device stays hung up.
const DEAD: &str = "device does not start again";

/// The device does not start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dead;

impl<P: Protocol> RequestDevice<P> {
    /// The keeper's life: waits until something is to be done, and does it.
    pub(super) fn keep(&self) {
        loop {
            let _call = Call::enter("keeper of a device");
            let woken =
                || [&self.stopped, &self.broken, &self.reconfigured].iter().any(|flag| flag.load(SeqCst));
            self.keeper.sleep(woken);
            if self.stopped.load(SeqCst) {
                return;
            }
            if self.reconfigured.swap(false, SeqCst) {
                self.protocol.configuration_changed(&*self.transport);
            }
            if self.broken.load(SeqCst) {
                self.mend();
            }
        }
    }

    /// Takes everything back from a device that has broken down, and starts it afresh where the protocol wants that.
    fn mend(&self) {
        let _one_at_a_time = self.resetting.lock();
        if !self.broken.load(SeqCst) {
            // Somebody else was here first, and has started it again.
            return;
        }
        let reset = self.take_back();
        if P::STARTS_AGAIN {
            let pause = clock::now_ns().saturating_add(PAUSE_NS);
            self.keeper.sleep_surely_until(pause, || self.stopped.load(SeqCst));
            // When it cannot be started that is told by its condition, and nobody waits for it here.
            let _ = self.start_again(reset);
        }
    }

    /// Resets the device, gives back everything it had, and starts it afresh.
    ///
    /// # Errors
    /// When it does not start; it is hung up for good then, unless another restart does better.
    pub fn restart(&self) -> Result<(), Dead> {
        let _one_at_a_time = self.resetting.lock();
        self.no_more_requests();
        let reset = self.take_back();
        self.start_again(reset)
    }

    /// Ends the keeper, and the device. For a driver that goes away.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.keeper.wakeup();
        let _one_at_a_time = self.resetting.lock();
        self.no_more_requests();
        // Whatever comes of it, the device does not touch memory any more.
        let _ = self.take_back();
    }

    fn no_more_requests(&self) {
        let mut state = self.state.lock();
        if state.condition == Condition::Running {
            state.condition = Condition::HungUp(None);
        }
    }

    /// Resets the hung-up device, and completes everything in flight and waiting as hung up.
    fn take_back(&self) -> Result<(), Failure> {
        count(&self.counters.resets, 1);
        let reset = self.transport.reset();
        // Whatever came of the reset, the device does not touch memory any more: see VirtioTransport::reset.
        self.broken.store(false, SeqCst);
        loop {
            let next = self.state.lock().pending.abandon();
            let Some(request) = next else { return reset };
            self.protocol.complete(request, Ending::HungUp);
        }
    }

    /// Starts a device again after its reset.
    fn start_again(&self, reset: Result<(), Failure>) -> Result<(), Dead> {
        let started =
            reset.and_then(|()| self.protocol.negotiate(&*self.transport)).and_then(|()| self.run());
        started.map_err(|_| {
            transport::give_up(&*self.transport);
            self.state.lock().condition = Condition::HungUp(Some(DEAD));
            Dead
        })
    }

    /// Gives the negotiated device its empty ring and lets it run.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let ring = self.state.lock().pending.fresh();
        self.transport.queue_start(QUEUE, &ring)?;
        transport::ready(&*self.transport)?;
        self.state.lock().condition = Condition::Running;
        Ok(())
    }
}
