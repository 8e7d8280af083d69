//! What a device's keeper does, a thread of its own: it answers control messages, tells the device what ports are open,
//! and starts a broken device afresh.
//!
//! QEMU forgets what it has no buffer to say in. Whenever it has had none it is asked of each port, by telling once
//! more that the port is ready, to which it answers with the port's name, and whether the host is there: it says that
//! it is, or nothing.

use super::WANTED;
use super::control::{DEVICE_READY, Event, NO_PORT, PORT_OPEN, PORT_READY, message, parse};
use super::control_queues::{BUFFER, BUFFERS, RECEIVE, TRANSMIT};
use super::device::Device;
use crate::Failure;
use crate::ring::RuleBroken;
use crate::transport;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};
use machine::clock;
use machine::heap::{self, Call};

/// Messages that are fetched before they are seen to, at most.
const MESSAGES: usize = 8 * BUFFERS;
/// How long the device may take for a control message, in nanoseconds.
pub(super) const ANSWER_NS: u64 = 1_000_000_000;
/// How long a broken device is left alone before it is started again, in nanoseconds.
const PAUSE_NS: u64 = if cfg!(test) { 1_000_000 } else { 1_000_000_000 };

/// When the keeper tries again what memory was missing for, in nanoseconds.
const AGAIN_NS: u64 = if cfg!(test) { 1_000_000 } else { 100_000_000 };

/// What the keeper has to do next.
enum Work {
    Stop,
    Restart,
    Greet,
    Message(Vec<u8>),
    Tell(u32),
    Ask(u32),
}

impl Device {
    /// The keeper's life.
    pub fn keep(&self) {
        let mut inbox = VecDeque::new();
        loop {
            let _call = Call::enter("keeper of a console");
            let mut work = None;
            let mut short = false;
            self.alarm.keeper.sleep(|| {
                work = self.next(&mut inbox, &mut short);
                work.is_some() || short
            });
            match work {
                Some(Work::Stop) => {
                    // Whatever comes of it, the device does not touch memory any more.
                    let _ = self.transport.reset();
                    return self.forget();
                }
                Some(Work::Restart) => {
                    inbox.clear();
                    self.restart();
                }
                Some(Work::Greet) => self.send(NO_PORT, DEVICE_READY, 1),
                Some(Work::Message(message)) => self.message(&message),
                Some(Work::Tell(port)) => self.send(port, PORT_OPEN, 1),
                Some(Work::Ask(port)) => self.ask(port),
                None => {
                    let again = clock::now_ns().saturating_add(AGAIN_NS);
                    self.alarm.keeper.sleep_surely_until(again, || self.alarm.stopped());
                }
            }
        }
    }

    /// The next thing to do. What memory is missing for comes later, and `short` says that there is some.
    fn next(&self, inbox: &mut VecDeque<Vec<u8>>, short: &mut bool) -> Option<Work> {
        if self.alarm.stopped() {
            return Some(Work::Stop);
        }
        if !self.dead.load(SeqCst) && self.alarm.why().is_some() {
            return Some(Work::Restart);
        }
        if let Some(control) = &self.control {
            if !self.greeted.swap(true, SeqCst) {
                return Some(Work::Greet);
            }
            *short = self.fetch(inbox);
            if let Some(message) = inbox.pop_front() {
                return Some(Work::Message(message));
            }
            if let Some(port) = self.ports.iter().find(|p| p.to_tell()) {
                return Some(Work::Tell(port.number()));
            }
            if control.lock().take_run_out() {
                self.ports.iter().for_each(|p| p.doubt());
            }
            if let Some(port) = self.ports.iter().find(|p| p.to_ask()) {
                return Some(Work::Ask(port.number()));
            }
        }
        if !self.settled.swap(true, SeqCst) {
            self.settling.wakeup();
        }
        None
    }

    /// Fetches all messages there are, so that the device has its buffers back before anything makes it say more. But a
    /// device that says more and more is let wait. True: there is one for which there is no memory.
    fn fetch(&self, inbox: &mut VecDeque<Vec<u8>>) -> bool {
        let Some(control) = &self.control else { return false };
        let mut bytes = [0; BUFFER];
        let (mut fetched, mut short) = (false, false);
        while inbox.len() < MESSAGES {
            // Only the keeper takes messages: this is the one that it takes below.
            let Some(len) = control.lock().unread_len() else { break };
            let room = heap::try_vec(len).and_then(|room| heap::try_reserve(inbox, 1).map(|()| room));
            let Ok(mut message) = room else {
                short = true;
                break;
            };
            let taken = control.lock().take_unread(&mut bytes);
            message.extend_from_slice(taken.unwrap_or(&[]));
            inbox.push_back(message);
            fetched = true;
        }
        if fetched {
            self.transport.notify(RECEIVE);
        }
        short
    }

    fn message(&self, message: &[u8]) {
        let Some((number, event)) = parse(message) else { return };
        match (self.port(number), event) {
            (Some(port), Event::Add) => {
                let works = port.appear(false).is_ok();
                port.ask();
                self.send(number, PORT_READY, u16::from(works));
                port.answered(false);
            }
            (None, Event::Add) => self.send(number, PORT_READY, 0),
            (Some(port), Event::Remove) => port.vanish(),
            (Some(port), Event::Console) => port.be_console(),
            (Some(port), Event::Name(name)) => port.name_it(String::from_utf8_lossy(name).into_owned()),
            // The host's comings and goings have been heard.
            (_, Event::Open(_)) | (None, _) => {}
        }
    }

    /// Asks whether a port's host is there. The answer fits in what the device has of buffers, since what it has said
    /// before has been fetched, unless others come and go meanwhile: then all are asked again.
    fn ask(&self, number: u32) {
        let (Some(port), Some(control)) = (self.port(number), &self.control) else { return };
        port.ask();
        self.send(number, PORT_READY, 1);
        let is_sure = self.alarm.why().is_none() && !control.lock().has_run_out();
        port.answered(is_sure);
        port.wake_concerned();
    }

    /// Sends a control message, and waits until the device has taken it. Only the keeper does.
    fn send(&self, port: u32, event: u16, value: u16) {
        let Some(control) = &self.control else { return };
        let sent = control.lock().send(&message(port, event, value));
        self.transport.notify(TRANSMIT);
        let deadline = clock::now_ns().saturating_add(ANSWER_NS);
        let mut outcome = Ok(());
        let answered = self.alarm.keeper.sleep_surely_until(deadline, || {
            let mut control = control.lock();
            outcome = control.transmit.pop().map(|_| ());
            outcome.is_err() || control.transmit.in_flight() == 0 || self.alarm.stopped()
        });
        match outcome {
            Err(RuleBroken(how)) => self.alarm.raise(how),
            Ok(()) if !sent || !answered => self.alarm.raise("device takes no control message"),
            // What it says in answer was there before it gave the message back; the interrupt that tells of both, which
            // another processor may have to serve, perhaps comes later.
            Ok(()) => self.look(),
        }
    }

    /// Starts a broken device afresh: all connections are over.
    fn restart(&self) {
        let pause = clock::now_ns().saturating_add(PAUSE_NS);
        self.alarm.keeper.sleep_surely_until(pause, || self.alarm.stopped());
        self.resets.fetch_add(1, Relaxed);
        let reset = self.transport.reset();
        self.forget();
        let again = reset.and_then(|()| transport::negotiate(&*self.transport, WANTED, 0));
        let same = again.and_then(|taken| {
            if taken == self.taken { Ok(()) } else { Err(Failure::new("device has changed its features")) }
        });
        // Before it runs, as it may break down again at once.
        self.alarm.clear();
        if same.and_then(|()| self.run()).is_err() {
            transport::give_up(&*self.transport);
            self.forget();
            self.dead.store(true, SeqCst);
        }
    }
}
