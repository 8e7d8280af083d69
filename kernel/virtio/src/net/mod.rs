//! The network card.
//!
//! Created by `-netdev user,id=n0 -device virtio-net-pci,netdev=n0` (`virtio-net-device` on microvm; `mac=` gives it
//! an address, `host_mtu=` longer or shorter frames, `romfile=` keeps QEMU from looking for a boot ROM). Follows virtio
//! 1.3 section 5.1 with one pair of queues; the queue for control is not used, so that the host decides what the card
//! hears.
//!
//! [`transmit`] copies a frame once, into memory of the card's. [`receive`] takes frames out of buffers on a thread of
//! the driver, the keeper, and hands them to the [`Receiver`] one by one; the device has the buffers back behind each
//! few. While the keeper works the device need not interrupt. The keeper also starts a card afresh that has broken
//! down: what was under way is lost then, as on any wire.
//!
//! # Locks
//!
//! `transmit` (a Lock) guards the queue of what is sent, and is not held while a frame is copied. What has come is the
//! keeper's alone. `why` and `receiver` are leaves.

mod header;
mod keeper;
mod receive;
mod shape;
#[cfg(test)]
mod tests;
mod transmit;

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::ring::RuleBroken;
use crate::transport::{self, Cause, Interrupts, NEEDS_RESET, VirtioTransport};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::fmt;
use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use io::ether::{Features, HEADER, Mac, Receiver, SendError, Statistics, UNCUT_MOST, Unfinished};
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;
use receive::Receive;
use shape::Shape;
use transmit::{Memory, SLOT, SLOTS_MOST, Transmit};

/// The queues.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// What was counted.
#[derive(Default)]
struct Counters {
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    input_errors: AtomicU64,
    full: AtomicU64,
    interrupts: AtomicU64,
    resets: AtomicU64,
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

struct Device {
    transport: Arc<dyn VirtioTransport>,
    shape: Shape,
    transmit: Lock<Transmit>,
    memory: Memory,
    receiver: Lock<Option<Arc<dyn Receiver>>>,
    link: AtomicBool,
    keeper: Rendez,
    /// What the keeper has to look at: buffers, and the configuration.
    work: AtomicBool,
    reconfigured: AtomicBool,
    stopped: AtomicBool,
    /// Why it does not work, for now, or for good.
    why: Lock<Option<&'static str>>,
    dead: AtomicBool,
    counters: Counters,
}

/// A card that has been started.
pub struct Net {
    name: String,
    device: Arc<Device>,
    interrupts: Interrupts,
}

impl Net {
    /// Starts the card behind `transport`, under a name as `virtio-net-1`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<Net>, Failure> {
        transport::start(&*transport, || Net::try_start(name, &transport))
    }

    fn try_start(name: &str, transport: &Arc<dyn VirtioTransport>) -> Result<Arc<Net>, Failure> {
        let shape = Shape::negotiate(&**transport)?;
        let (size, buffers) = shape.ring(&**transport, RECEIVE)?;
        let receive = Receive::new(&shape.receive(size, buffers))?;
        let (size, slots) = shape.ring(&**transport, TRANSMIT)?;
        let (transmit, memory) = Transmit::new(size, slots, shape.slots(), shape.events())?;
        let device = Arc::new(Device {
            transport: transport.clone(),
            link: AtomicBool::new(shape.link(&**transport)?),
            shape,
            transmit: Lock::new(transmit),
            memory,
            receiver: Lock::new(None),
            keeper: Rendez::new(),
            work: AtomicBool::new(false),
            reconfigured: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            why: Lock::new(None),
            dead: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let interrupts = transport::connect(&**transport, name, &device, Device::interrupt)?;
        let mut receive = Box::new(receive);
        device.run(&mut receive)?;
        let keeper = device.clone();
        thread::spawn(name, 0, Box::new(move || keeper.keep(&mut receive)))?;
        Ok(Arc::new(Net { name: name.into(), device, interrupts }))
    }
}

impl Device {
    fn interrupt(&self, cause: Cause) {
        count(&self.counters.interrupts, 1);
        if cause.includes(Cause::CONFIG) {
            if self.transport.status() & NEEDS_RESET != 0 {
                self.raise("device needs a reset");
            }
            self.reconfigured.store(true, SeqCst);
        }
        if cause.includes(Cause::QUEUE) {
            self.work.store(true, SeqCst);
        }
        self.keeper.wakeup();
    }

    /// The device is broken. Any context.
    fn raise(&self, why: &'static str) {
        self.why.lock().get_or_insert(why);
        self.keeper.wakeup();
    }

    /// Takes `slots` numbers of slots, or says why not.
    fn take(&self, list: &mut [u16]) -> Result<transmit::Slots, SendError> {
        let mut transmit = self.transmit.lock();
        if !transmit.running {
            // It comes back when the keeper has started it.
            transmit.full = true;
            return Err(SendError::Full);
        }
        let mut again = true;
        loop {
            if let Err(RuleBroken(how)) = transmit.reclaim() {
                transmit.full = true;
                drop(transmit);
                self.raise(how);
                return Err(SendError::Full);
            }
            match transmit.take(list) {
                Some(slots) => return Ok(slots),
                None if again && transmit.await_room() => again = false,
                None => return Err(SendError::Full),
            }
        }
    }

    fn send(&self, frame: &[&[u8]], unfinished: Unfinished) -> Result<(), SendError> {
        if self.dead.load(SeqCst) {
            return Err(SendError::Gone);
        }
        let len = frame.iter().map(|piece| piece.len()).sum::<usize>();
        let features = self.shape.features();
        let most = match unfinished.cut.map(|cut| cut.ip) {
            None => self.shape.frame_most(),
            Some(io::ether::Ip::V4) if features.cuts_v4 => UNCUT_MOST,
            Some(io::ether::Ip::V6) if features.cuts_v6 => UNCUT_MOST,
            Some(_) => 0,
        };
        if !(HEADER..=most).contains(&len) || unfinished.checksum.is_some() && !features.checksum {
            return Err(SendError::Malformed);
        }
        let head = header::encode(unfinished, len).ok_or(SendError::Malformed)?;
        let head = if self.shape.is_full() { &head[..] } else { head.get(..header::SHORT).unwrap_or(&head) };
        let whole = head.len() + len;
        let mut list = [0; SLOTS_MOST as usize];
        let list = list.get_mut(..whole.div_ceil(SLOT)).ok_or(SendError::Malformed)?;
        let slots = self.take(list)?;
        self.memory.fill(list, iter::once(head).chain(frame.iter().copied()));
        let notify = {
            let mut transmit = self.transmit.lock();
            if !transmit.running {
                transmit.give_back(slots);
                transmit.full = true;
                return Err(SendError::Full);
            }
            transmit.send(&self.memory, slots, list, whole)
        };
        if notify {
            self.transport.notify(TRANSMIT);
        }
        count(&self.counters.sent, 1);
        count(&self.counters.sent_bytes, len as u64);
        Ok(())
    }
}

impl io::Ether for Net {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn mac(&self) -> Mac {
        self.device.shape.mac
    }

    fn mtu(&self) -> usize {
        usize::from(self.device.shape.mtu)
    }

    fn link(&self) -> bool {
        self.device.link.load(SeqCst) && self.works()
    }

    fn mbps(&self) -> Option<u32> {
        self.device.shape.mbps
    }

    fn works(&self) -> bool {
        !self.device.dead.load(SeqCst)
    }

    fn features(&self) -> Features {
        self.device.shape.features()
    }

    fn send(&self, frame: &[&[u8]], unfinished: Unfinished) -> Result<(), SendError> {
        self.device.send(frame, unfinished).inspect_err(|e| {
            if *e == SendError::Full {
                count(&self.device.counters.full, 1);
            }
        })
    }

    fn connect(&self, receiver: Arc<dyn Receiver>) {
        let mut place = self.device.receiver.lock();
        if place.is_none() {
            *place = Some(receiver);
        }
    }

    fn statistics(&self) -> Statistics {
        let counters = &self.device.counters;
        Statistics {
            received: counters.received.load(Relaxed),
            received_bytes: counters.received_bytes.load(Relaxed),
            sent: counters.sent.load(Relaxed),
            sent_bytes: counters.sent_bytes.load(Relaxed),
            input_errors: counters.input_errors.load(Relaxed),
            full: counters.full.load(Relaxed),
            resets: counters.resets.load(Relaxed),
        }
    }

    fn details(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Features { checksum, cuts_v4, cuts_v6, joins } = self.features();
        let interrupts = self.device.counters.interrupts.load(Relaxed);
        writeln!(out, "driver: virtio, {}", self.device.transport.kind())?;
        writeln!(out, "interrupts: {interrupts}")?;
        writeln!(out, "checksum: {}", u8::from(checksum))?;
        writeln!(out, "cut: {}", u8::from(cuts_v4) + u8::from(cuts_v6))?;
        writeln!(out, "joined: {}", u8::from(joins))
    }
}

impl Driver for Net {
    fn driver(&self) -> &'static str {
        "net"
    }

    fn status(&self) -> Status {
        let counters = &self.device.counters;
        let mac = self.device.shape.mac.map(|byte| format!("{byte:02x}")).concat();
        let link = if self.device.link.load(SeqCst) { "up" } else { "down" };
        Status {
            interrupts: self.interrupts.text.clone(),
            identity: format!("{mac} {link}"),
            failure: self.device.why.lock().map(String::from),
            counters: vec![
                ("sent", counters.sent.load(Relaxed)),
                ("received", counters.received.load(Relaxed)),
                ("interrupts", counters.interrupts.load(Relaxed)),
                ("out", counters.sent_bytes.load(Relaxed)),
                ("in", counters.received_bytes.load(Relaxed)),
                ("errors", counters.input_errors.load(Relaxed)),
                ("full", counters.full.load(Relaxed)),
                ("resets", counters.resets.load(Relaxed)),
            ],
        }
    }
}

impl Drop for Net {
    /// Tests only end devices: the keeper stops the device and goes.
    fn drop(&mut self) {
        self.device.stopped.store(true, SeqCst);
        self.device.keeper.wakeup();
    }
}
