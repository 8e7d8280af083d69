//! The running device: its control queues, its interrupt handler and its keeper.

use super::control::{DEVICE_READY, Event, HEAD, NO_PORT, PORT_OPEN, PORT_READY, message, parse};
use super::port::{Port, ring};
use super::{Alarm, MULTIPORT, WANTED};
use crate::Failure;
use crate::ring::{Queue, RuleBroken, Segment};
use crate::transport::{self, Cause, NEEDS_RESET, VirtioTransport};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use machine::OutOfMemory;
use machine::clock;
use machine::dma::Dma;
use machine::lock::Lock;
use machine::sync::Rendez;

/// The control queues.
const RECEIVE: u16 = 2;
const TRANSMIT: u16 = 3;
/// Buffers for control messages. The device drops messages for which there is none, and tells of 31 ports at once.
const BUFFERS: usize = 32;
/// Bytes of one: a long name fits.
const BUFFER: usize = 512;
/// Messages that are fetched before they are seen to, at most.
const MESSAGES: usize = 8 * BUFFERS;
/// How long the device may take for a control message, in nanoseconds.
const ANSWER_NS: u64 = 1_000_000_000;
/// How long a broken device is left alone before it is started again, in nanoseconds.
const PAUSE_NS: u64 = if cfg!(test) { 1_000_000 } else { 1_000_000_000 };
/// Why a device stays broken.
const DEAD: &str = "device does not start again";

struct Control {
    receive: Queue<usize>,
    transmit: Queue<()>,
    buffers: Dma,
    /// Messages for the keeper: which buffers, and how long. As deep as there are buffers.
    unread: VecDeque<(usize, usize)>,
    out: Dma,
}

/// What the keeper has to do next.
enum Work {
    Stop,
    Restart,
    Greet,
    Message(Vec<u8>),
    Tell(u32),
}

pub(super) struct Device {
    transport: Arc<dyn VirtioTransport>,
    taken: u64,
    alarm: Arc<Alarm>,
    ports: Vec<Arc<Port>>,
    control: Option<Lock<Control>>,
    /// The device has been told that there is a driver.
    greeted: AtomicBool,
    /// All that the device had to say at its start has been heard.
    settled: AtomicBool,
    settling: Rendez,
    dead: AtomicBool,
    interrupts: AtomicU64,
    resets: AtomicU64,
}

impl Device {
    pub fn new(
        transport: Arc<dyn VirtioTransport>,
        taken: u64,
        alarm: Arc<Alarm>,
        ports: Vec<Arc<Port>>,
    ) -> Result<Arc<Device>, Failure> {
        let control = if taken & MULTIPORT != 0 {
            let mut unread = VecDeque::new();
            unread.try_reserve_exact(BUFFERS).map_err(|_| OutOfMemory)?;
            Some(Lock::new(Control {
                receive: ring(&*transport, RECEIVE)?,
                transmit: ring(&*transport, TRANSMIT)?,
                unread,
                buffers: Dma::new(BUFFERS * BUFFER)?,
                out: Dma::new(HEAD)?,
            }))
        } else {
            None
        };
        Ok(Arc::new(Device {
            transport,
            taken,
            alarm,
            ports,
            control,
            greeted: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            settling: Rendez::new(),
            dead: AtomicBool::new(false),
            interrupts: AtomicU64::new(0),
            resets: AtomicU64::new(0),
        }))
    }

    /// All ports that there can be.
    pub fn ports(&self) -> &[Arc<Port>] {
        &self.ports
    }

    /// Why the device does not work, if it does not.
    pub fn failure(&self) -> Option<&'static str> {
        if self.dead.load(SeqCst) { Some(DEAD) } else { self.alarm.why() }
    }

    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let moved = self.ports.iter().map(|p| p.moved());
        let (bytes_in, bytes_out) = moved.fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
        let present = self.ports.iter().filter(|p| p.present()).count();
        // With one port the device does not tell.
        let connected = self.ports.iter().filter(|p| self.control.is_some() && p.connected()).count();
        vec![
            ("ports", present as u64),
            ("connected", connected as u64),
            ("interrupts", self.interrupts.load(Relaxed)),
            ("out", bytes_out),
            ("in", bytes_in),
            ("resets", self.resets.load(Relaxed)),
        ]
    }

    /// Waits until the ports are known, for a second at most.
    pub fn settle(&self) {
        if !self.settled.load(SeqCst) {
            let deadline = clock::now_ns().saturating_add(ANSWER_NS);
            self.settling.sleep_surely_until(deadline, || self.settled.load(SeqCst));
        }
    }

    /// Ends the keeper, and the device.
    pub fn stop(&self) {
        self.alarm.stop();
    }

    /// Gives the negotiated device its empty rings and lets it run.
    pub fn run(&self) -> Result<(), Failure> {
        for port in &self.ports {
            port.start()?;
        }
        if let Some(control) = &self.control {
            let (receive, transmit) = {
                let control = control.lock();
                (control.receive.address(), control.transmit.address())
            };
            self.transport.queue_start(RECEIVE, &receive)?;
            self.transport.queue_start(TRANSMIT, &transmit)?;
            let mut control = control.lock();
            for buffer in 0..BUFFERS {
                control.post(buffer);
            }
        }
        transport::ready(&*self.transport)?;
        match (&self.control, self.ports.first()) {
            (Some(_), _) => {
                self.transport.notify(RECEIVE);
                self.greeted.store(false, SeqCst);
            }
            (None, Some(port)) => port.appear(true)?,
            (None, None) => {}
        }
        Ok(())
    }

    /// What the device's interrupts call.
    pub fn interrupt(&self, cause: Cause) {
        self.interrupts.fetch_add(1, Relaxed);
        if cause.includes(Cause::QUEUE) {
            self.look();
            self.ports.iter().for_each(|p| p.wake());
            if self.control.is_some() {
                self.alarm.wake();
            }
        }
        if cause.includes(Cause::CONFIG) && self.transport.status() & NEEDS_RESET != 0 {
            self.alarm.raise("device needs a reset");
        }
    }

    /// Takes what the device has filled and said, and brings it into order.
    ///
    /// QEMU does one thing after the other, and its memory is seen to change in that order: it says that the host is
    /// there, fills buffers with what the host sends, and says that it has gone. If the count of finished messages is
    /// read and no buffer was filled between the last look at the ports before and the first behind, then of what is
    /// taken here nothing is missing, and all that comes later is later. So data belongs to the connection that was
    /// there, or to the one that has begun; only if one has ended and another begun since the last look, both are
    /// possible (see [`Inbox::begin`](super::inbox::Inbox::begin)). The interrupt handler looks at once, to make that
    /// seldom.
    fn look(&self) {
        let mut heard = false;
        {
            let mut control = self.control.as_ref().map(|c| c.lock());
            self.collect();
            if let Some(control) = &mut control {
                let mut waiting = control.receive.waiting();
                // Each round takes a buffer, and none goes back to the device meanwhile.
                while waiting != 0 && self.collect() {
                    waiting = control.receive.waiting();
                }
                for _ in 0..waiting {
                    heard |= self.hear(control);
                }
            }
            self.ports.iter().for_each(|p| p.settle());
        }
        if heard {
            self.transport.notify(RECEIVE);
        }
    }

    /// Takes what the device has filled; whether there was anything.
    fn collect(&self) -> bool {
        self.ports.iter().fold(false, |any, p| p.collect() | any)
    }

    /// Takes a control message. The host's comings and goings count at once, all else is the keeper's. True: the device
    /// has the buffer back.
    fn hear(&self, control: &mut Control) -> bool {
        let (buffer, len) = match control.receive.pop() {
            Ok(Some((buffer, len))) => (buffer, len as usize),
            Ok(None) => return false,
            Err(RuleBroken(how)) => {
                self.alarm.raise(how);
                return false;
            }
        };
        let mut head = [0; HEAD];
        let bytes = head.get_mut(..len.min(HEAD)).unwrap_or_default();
        control.buffers.read(buffer * BUFFER, bytes);
        let Some((number, Event::Open(open))) = parse(bytes) else {
            control.unread.push_back((buffer, len));
            return false;
        };
        if let Some(port) = self.port(number) {
            port.host_is(open);
        }
        control.post(buffer);
        true
    }

    /// A port by its number, if there can be one.
    fn port(&self, number: u32) -> Option<&Port> {
        self.ports.get(usize::try_from(number).ok()?).map(|p| &**p)
    }

    /// The keeper's life.
    pub fn keep(&self) {
        let mut inbox = VecDeque::new();
        loop {
            let mut work = None;
            self.alarm.keeper.sleep(|| {
                work = self.next(&mut inbox);
                work.is_some()
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
                None => {}
            }
        }
    }

    fn next(&self, inbox: &mut VecDeque<Vec<u8>>) -> Option<Work> {
        if self.alarm.stopped() {
            return Some(Work::Stop);
        }
        if !self.dead.load(SeqCst) && self.alarm.why().is_some() {
            return Some(Work::Restart);
        }
        if self.control.is_some() {
            if !self.greeted.swap(true, SeqCst) {
                return Some(Work::Greet);
            }
            self.fetch(inbox);
            if let Some(message) = inbox.pop_front() {
                return Some(Work::Message(message));
            }
            if let Some(port) = self.ports.iter().find(|p| p.to_tell()) {
                return Some(Work::Tell(port.number()));
            }
        }
        if !self.settled.swap(true, SeqCst) {
            self.settling.wakeup();
        }
        None
    }

    /// Fetches all messages there are, so that the device has its buffers back before anything makes it say more. But a
    /// device that says more and more is let wait.
    fn fetch(&self, inbox: &mut VecDeque<Vec<u8>>) {
        let Some(control) = &self.control else { return };
        let mut bytes = [0; BUFFER];
        let mut fetched = false;
        while inbox.len() < MESSAGES {
            let message = {
                let mut control = control.lock();
                let Some((buffer, len)) = control.unread.pop_front() else { break };
                let message = bytes.get_mut(..len).unwrap_or(&mut []);
                control.buffers.read(buffer * BUFFER, message);
                control.post(buffer);
                message
            };
            inbox.push_back(message.to_vec());
            fetched = true;
        }
        if fetched {
            self.transport.notify(RECEIVE);
        }
    }

    fn message(&self, message: &[u8]) {
        let Some((number, event)) = parse(message) else { return };
        match (self.port(number), event) {
            (Some(port), Event::Add) => {
                let works = port.appear(false).is_ok();
                self.send(number, PORT_READY, u16::from(works));
            }
            (None, Event::Add) => self.send(number, PORT_READY, 0),
            (Some(port), Event::Remove) => port.vanish(),
            (Some(port), Event::Console) => port.be_console(),
            (Some(port), Event::Name(name)) => port.name_it(String::from_utf8_lossy(name).into_owned()),
            // The host's comings and goings have been heard.
            (_, Event::Open(_)) | (None, _) => {}
        }
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

    /// Takes everything back from a device that has been reset.
    fn forget(&self) {
        // No handler looks meanwhile.
        let mut control = self.control.as_ref().map(|c| c.lock());
        self.ports.iter().for_each(|p| p.forget());
        if let Some(control) = &mut control {
            control.receive.clear();
            control.transmit.clear();
            control.unread.clear();
        }
    }
}

impl Control {
    /// Gives a buffer to the device, if its ring has room.
    fn post(&mut self, buffer: usize) {
        let phys = self.buffers.phys() + (buffer * BUFFER) as u64;
        let segment = Segment { phys, len: BUFFER as u32, write: true };
        if let Ok(chain) = self.receive.prepare(core::iter::once(segment)) {
            self.receive.publish(chain, buffer, BUFFER as u64);
        }
    }

    /// Gives the device a message; false when it still has the last one.
    fn send(&mut self, bytes: &[u8; HEAD]) -> bool {
        if self.transmit.in_flight() != 0 {
            return false;
        }
        self.out.write(0, bytes);
        let segment = Segment { phys: self.out.phys(), len: HEAD as u32, write: false };
        let Ok(chain) = self.transmit.prepare(core::iter::once(segment)) else { return false };
        self.transmit.publish(chain, (), 0);
        true
    }
}
