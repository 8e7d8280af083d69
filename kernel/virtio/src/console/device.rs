//! The running device: its ports, its interrupt handler, and what it takes to start and to forget it. What its keeper
//! does is in [`keeper`](super::keeper).

use super::control::{Event, HEAD, parse};
use super::control_queues::{ControlQueues, RECEIVE, TRANSMIT};
use super::keeper::ANSWER_NS;
use super::port::Port;
use super::{Alarm, MULTIPORT};
use crate::Failure;
use crate::ring::RuleBroken;
use crate::transport::{self, Cause, NEEDS_RESET, VirtioTransport};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use machine::clock;
use machine::lock::Lock;
use machine::sync::Rendez;

/// Why a device stays broken.
const DEAD: &str = "device does not start again";

pub(super) struct Device {
    pub(super) transport: Arc<dyn VirtioTransport>,
    pub(super) taken: u64,
    pub(super) alarm: Arc<Alarm>,
    pub(super) ports: Vec<Arc<Port>>,
    pub(super) control: Option<Lock<ControlQueues>>,
    /// The device has been told that there is a driver.
    pub(super) greeted: AtomicBool,
    /// All that the device had to say at its start has been heard.
    pub(super) settled: AtomicBool,
    pub(super) settling: Rendez,
    pub(super) dead: AtomicBool,
    interrupts: AtomicU64,
    pub(super) resets: AtomicU64,
}

impl Device {
    pub fn new(
        transport: Arc<dyn VirtioTransport>,
        taken: u64,
        alarm: Arc<Alarm>,
        ports: Vec<Arc<Port>>,
    ) -> Result<Arc<Device>, Failure> {
        let control =
            if taken & MULTIPORT != 0 { Some(Lock::new(ControlQueues::new(&*transport)?)) } else { None };
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
            let (receive, transmit) = control.lock().addresses();
            self.transport.queue_start(RECEIVE, &receive)?;
            self.transport.queue_start(TRANSMIT, &transmit)?;
            control.lock().post_all();
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
        }
        if cause.includes(Cause::CONFIG) && self.transport.status() & NEEDS_RESET != 0 {
            self.alarm.raise("device needs a reset");
        }
    }

    /// Takes what the device has filled, sent and said, brings it into order, and wakes those whom it concerns.
    ///
    /// QEMU does one thing after the other, and its memory is seen to change in that order: it says that the host is
    /// there, fills buffers with what the host sends, and says that it has gone. If the count of finished messages is
    /// read and no buffer was filled between the last look at the ports before and the first behind, then of what is
    /// taken here nothing is missing, and all that comes later is later. So data belongs to the connection that was
    /// there, or to the one that has begun; only if one has ended and another begun since the last look, both are
    /// possible (see [`Inbox::begin`](super::inbox::Inbox::begin)). The interrupt handler looks at once, to make that
    /// seldom.
    pub(super) fn look(&self) {
        let (mut heard, mut keeper) = (false, false);
        {
            let mut control = self.control.as_ref().map(|c| c.lock());
            self.collect();
            if let Some(control) = &mut control {
                // What the device has taken of what was said to it is for the keeper to see.
                keeper = control.transmit.waiting() != 0;
                let mut waiting = control.receive.waiting();
                // Each round takes a buffer, and none goes back to the device meanwhile.
                while waiting != 0 && self.collect() {
                    waiting = control.receive.waiting();
                }
                for _ in 0..waiting {
                    heard |= self.hear(control);
                }
            }
            let has_work = |control: &ControlQueues| control.unread_len().is_some() || control.has_run_out();
            keeper |= control.as_ref().is_some_and(|control| has_work(control));
            self.ports.iter().for_each(|p| p.settle());
        }
        if heard {
            self.transport.notify(RECEIVE);
        }
        self.ports.iter().for_each(|p| p.wake_concerned());
        if keeper {
            self.alarm.wake();
        }
    }

    /// Takes what the device has filled; whether there was anything.
    fn collect(&self) -> bool {
        self.ports.iter().fold(false, |any, p| p.collect() | any)
    }

    /// Takes a control message. The host's comings and goings count at once, all else is the keeper's. True: the device
    /// has the buffer back.
    fn hear(&self, control: &mut ControlQueues) -> bool {
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
        control.read(buffer, bytes);
        let Some((number, Event::Open(open))) = parse(bytes) else {
            control.leave_unread(buffer, len);
            return false;
        };
        if let Some(port) = self.port(number) {
            port.host_is(open);
        }
        control.post(buffer);
        true
    }

    /// A port by its number, if there can be one.
    pub(super) fn port(&self, number: u32) -> Option<&Port> {
        self.ports.get(usize::try_from(number).ok()?).map(|p| &**p)
    }

    /// Takes everything back from a device that has been reset.
    pub(super) fn forget(&self) {
        // No handler looks meanwhile.
        let mut control = self.control.as_ref().map(|c| c.lock());
        self.ports.iter().for_each(|p| p.forget());
        if let Some(control) = &mut control {
            control.clear();
        }
    }
}
