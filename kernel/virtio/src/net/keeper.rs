//! What a card's keeper does, a thread of its own: it hands over what comes, tells of room and of the link, and starts
//! a broken card afresh.

use super::receive::{Receive, Taken};
use super::{Device, RECEIVE, TRANSMIT, count};
use crate::Failure;
use crate::ring::RuleBroken;
use crate::transport;
use core::sync::atomic::Ordering::SeqCst;
use machine::heap::Call;
use machine::{clock, thread};

/// How long a broken device is left alone before it is started again, in nanoseconds.
const PAUSE_NS: u64 = if cfg!(test) { 1_000_000 } else { 1_000_000_000 };
/// Frames that are handed over before the device has their buffers back, and before anything else is looked at.
const BATCH: usize = 32;
/// How long it works, in nanoseconds, before it makes way for others who want the processor. The kernel's threads are
/// ahead of programs, and a wire that never rests must not keep these from running.
const WORK_NS: u64 = 4_000_000;
/// How often a device is started that breaks down meanwhile, before it is given up.
const STARTS: usize = 3;
/// Why a device stays broken.
const DEAD: &str = "device does not start again";

impl Device {
    /// The keeper's life.
    pub(super) fn keep(&self, receive: &mut Receive) {
        let (mut worked, mut since) = (0u64, clock::now_ns());
        loop {
            let now = clock::now_ns();
            worked = worked.saturating_add(now.saturating_sub(since));
            if worked > WORK_NS && thread::need_resched() {
                let pause = now.saturating_add(worked / 2);
                self.keeper.sleep_surely_until(pause, || self.stopped.load(SeqCst));
                worked = 0;
            }
            let idle = clock::now_ns();
            let _call = Call::enter("keeper of a network card");
            let mut broken = false;
            self.keeper.sleep(|| {
                broken = !self.dead.load(SeqCst) && self.why.lock().is_some();
                let flags = [&self.work, &self.reconfigured, &self.stopped];
                broken || flags.iter().any(|flag| flag.load(SeqCst))
            });
            since = clock::now_ns();
            worked = worked.saturating_sub(since.saturating_sub(idle).saturating_mul(2));
            if self.stopped.load(SeqCst) {
                // Whatever comes of it, the device does not touch memory any more.
                let _ = self.transport.reset();
                self.transmit.lock().forget();
                return receive.forget();
            }
            if broken {
                self.restart(receive);
                continue;
            }
            if self.reconfigured.swap(false, SeqCst) {
                self.look_at_link();
            }
            if self.work.swap(false, SeqCst) {
                receive.queue().be_deaf();
                if self.hand_over(receive) {
                    // There may be more, for which there need not be an interrupt.
                    self.work.store(true, SeqCst);
                }
                self.look_for_room();
            }
        }
    }

    /// Hands over a batch of frames. True when there may be more.
    fn hand_over(&self, receive: &mut Receive) -> bool {
        let receiver = self.receiver.lock().clone();
        let (mut some, mut taken) = (false, Ok(Taken::Nothing));
        for _ in 0..BATCH {
            taken = receive.take();
            match &taken {
                Ok(Taken::Frame) => {
                    let frame = receive.frame();
                    count(&self.counters.received, 1);
                    count(&self.counters.received_bytes, frame.bytes.len() as u64);
                    if let Some(receiver) = &receiver {
                        receiver.receive(&frame);
                    }
                    some = true;
                }
                Ok(Taken::Wrong) => count(&self.counters.input_errors, 1),
                Ok(Taken::Nothing) | Err(_) => break,
            }
        }
        if some && let Some(receiver) = &receiver {
            receiver.rest();
        }
        if let Err(RuleBroken(how)) = taken {
            self.raise(how);
            return false;
        }
        if receive.post() {
            self.transport.notify(RECEIVE);
        }
        taken != Ok(Taken::Nothing) || receive.queue().listen_for(1)
    }

    /// Tells of room if somebody waits for it and there is some.
    fn look_for_room(&self) {
        let outcome = {
            let mut transmit = self.transmit.lock();
            if !transmit.full || !transmit.running {
                return;
            }
            loop {
                match transmit.reclaim() {
                    Err(broken) => break Err(broken),
                    Ok(()) if transmit.has_room() => {
                        transmit.full = false;
                        transmit.queue().be_deaf();
                        break Ok(true);
                    }
                    Ok(()) if !transmit.await_room() => break Ok(false),
                    // Some have been sent meanwhile.
                    Ok(()) => {}
                }
            }
        };
        match outcome {
            Ok(true) => self.tell_changed(),
            Ok(false) => {}
            Err(RuleBroken(how)) => self.raise(how),
        }
    }

    fn look_at_link(&self) {
        // A card that cannot be asked any more has none.
        let link = self.shape.link(&*self.transport).unwrap_or(false);
        if self.link.swap(link, SeqCst) != link {
            self.tell_changed();
        }
    }

    fn tell_changed(&self) {
        let receiver = self.receiver.lock().clone();
        if let Some(receiver) = receiver {
            receiver.changed();
        }
    }

    /// Gives the negotiated device its empty rings and all buffers, and lets it run.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) fn run(&self, receive: &mut Receive) -> Result<(), Failure> {
        self.transport.queue_start(RECEIVE, &receive.queue().address())?;
        let ring = self.transmit.lock().queue().address();
        self.transport.queue_start(TRANSMIT, &ring)?;
        receive.post();
        receive.queue().listen_for(1);
        transport::ready(&*self.transport)?;
        self.transport.notify(RECEIVE);
        let mut transmit = self.transmit.lock();
        transmit.queue().be_deaf();
        transmit.running = true;
        Ok(())
    }

    /// Starts a broken device afresh: what was under way is lost.
    fn restart(&self, receive: &mut Receive) {
        self.transmit.lock().running = false;
        let pause = clock::now_ns().saturating_add(PAUSE_NS);
        self.keeper.sleep_surely_until(pause, || self.stopped.load(SeqCst));
        count(&self.counters.resets, 1);
        let mut started = Ok(());
        for _ in 0..STARTS {
            let reset = self.transport.reset();
            let is_gone = reset.is_err();
            self.transmit.lock().forget();
            receive.forget();
            // Before it runs, as it may break down again at once.
            *self.why.lock() = None;
            started =
                reset.and_then(|()| self.shape.again(&*self.transport)).and_then(|()| self.run(receive));
            if started.is_ok() || is_gone {
                break;
            }
        }
        if started.is_err() {
            transport::give_up(&*self.transport);
            self.transmit.lock().forget();
            receive.forget();
            self.link.store(false, SeqCst);
            *self.why.lock() = Some(DEAD);
            self.dead.store(true, SeqCst);
        } else {
            self.look_at_link();
        }
        self.transmit.lock().full = false;
        self.tell_changed();
    }
}
