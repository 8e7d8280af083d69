//! The entropy device: random bytes of the host for the kernel's own generator.
//!
//! Created by `-device virtio-rng-pci` (`virtio-rng-device` on microvm). Follows virtio 1.3 section 5.4: one queue,
//! into which the driver puts room that the device fills when it has something.
//!
//! The device is asked once at its start, and again whenever programs have read a good deal of random bytes
//! ([`machine::random::on_use`]). What it gives is stirred into the generator and never used as it is, so a device that
//! lies makes nothing worse. One that breaks down is not asked again.
//!
//! `state` is a leaf; it is taken in the interrupt handler.

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::ring::{Queue, RuleBroken, Segment};
use crate::transport::{self, Cause, Interrupts, NEEDS_RESET, VirtioTransport};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use machine::dma::Dma;
use machine::lock::Lock;
use machine::random;

/// The only queue.
const QUEUE: u16 = 0;
/// Bytes asked for at once: twice the generator's key.
const BYTES: usize = 64;
/// Entries of the ring; one is ever in use.
const SIZE_MOST: u16 = 8;

struct State {
    queue: Queue<()>,
    buffer: Dma,
    failure: Option<&'static str>,
}

struct Device {
    transport: Arc<dyn VirtioTransport>,
    state: Lock<State>,
    requests: AtomicU64,
    bytes: AtomicU64,
    interrupts: AtomicU64,
}

/// A running entropy device.
pub struct Rng {
    device: Arc<Device>,
    interrupts: Interrupts,
}

impl Rng {
    /// Starts the entropy device behind `transport`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<Rng>, Failure> {
        transport::start(&*transport, || Rng::try_start(name, &transport))
    }

    fn try_start(name: &str, transport: &Arc<dyn VirtioTransport>) -> Result<Arc<Rng>, Failure> {
        transport::negotiate(&**transport, 0, 0)?;
        let queue = match transport.queue_size(QUEUE, SIZE_MOST) {
            0 => return Err(Failure::new("no request queue")),
            size => Queue::new(size, 1, false)?,
        };
        let ring = queue.address();
        let device = Arc::new(Device {
            transport: transport.clone(),
            state: Lock::new(State { queue, buffer: Dma::new(BYTES)?, failure: None }),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            interrupts: AtomicU64::new(0),
        });
        let interrupts = transport::connect(&**transport, name, &device, Device::interrupt)?;
        transport.queue_start(QUEUE, &ring)?;
        transport::ready(&**transport)?;
        device.ask();
        let asked = Arc::downgrade(&device);
        random::on_use(Box::new(move || {
            if let Some(device) = asked.upgrade() {
                device.ask();
            }
        }));
        Ok(Arc::new(Rng { device, interrupts }))
    }
}

impl Device {
    /// Gives the device room to fill, unless it has some.
    fn ask(&self) {
        let notify = {
            let mut state = self.state.lock();
            if state.failure.is_some() || state.queue.in_flight() > 0 {
                return;
            }
            let room = Segment { phys: state.buffer.phys(), len: BYTES as u32, write: true };
            let Ok(chain) = state.queue.prepare(core::iter::once(room)) else { return };
            state.queue.publish(chain, (), BYTES as u64);
            state.queue.wants_notify()
        };
        self.requests.fetch_add(1, Relaxed);
        if notify {
            self.transport.notify(QUEUE);
        }
    }

    fn interrupt(&self, cause: Cause) {
        self.interrupts.fetch_add(1, Relaxed);
        let mut state = self.state.lock();
        if cause.includes(Cause::CONFIG) && self.transport.status() & NEEDS_RESET != 0 {
            state.failure = Some("device needs a reset");
        }
        if !cause.includes(Cause::QUEUE) {
            return;
        }
        let mut bytes = [0; BYTES];
        match state.queue.pop() {
            Ok(None) => {}
            Ok(Some(((), len))) => {
                // The ring has checked that the device wrote no more than it might.
                let got = bytes.get_mut(..len as usize).unwrap_or(&mut []);
                state.buffer.read(0, got);
                state.buffer.zero();
                random::stir(got);
                self.bytes.fetch_add(got.len() as u64, Relaxed);
            }
            Err(RuleBroken(how)) => state.failure = Some(how),
        }
    }
}

impl Driver for Rng {
    fn driver(&self) -> &'static str {
        "rng"
    }

    fn status(&self) -> Status {
        Status {
            interrupts: self.interrupts.text.clone(),
            identity: String::new(),
            failure: self.device.state.lock().failure.map(String::from),
            counters: vec![
                ("requests", self.device.requests.load(Relaxed)),
                ("interrupts", self.device.interrupts.load(Relaxed)),
                ("in", self.device.bytes.load(Relaxed)),
            ],
        }
    }
}

impl Drop for Rng {
    /// Tests only end devices: the room must not be written to any more.
    fn drop(&mut self) {
        let _ = self.device.transport.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, MmioRegisters, Quirks};
    use crate::transport::mmio::{self, Slot};
    use machine::host;

    fn start(fake: &Arc<Fake>) -> Result<Arc<Rng>, Failure> {
        host::new_machine();
        let slot = Slot { base: 0xFEB0_0E00, size: 0x200, gsi: 12 };
        *fake.line.lock().unwrap() = Some(slot.gsi);
        host::io::host_register_mmio(slot.base, 0x200, Arc::new(MmioRegisters(fake.clone(), 2)));
        Rng::start("virtio-rng-0", Arc::new(mmio::MmioTransport::open(&slot, &Default::default()).unwrap()))
    }

    fn counters(rng: &Rng) -> Vec<u64> {
        rng.status().counters.iter().map(|(_, n)| *n).collect()
    }

    use alloc::vec::Vec;

    #[test]
    fn it_is_asked_at_the_start_and_when_random_bytes_are_used() {
        let fake = Fake::with(vec![], 8, Quirks::default());
        let rng = start(&fake).unwrap();
        let taken = fake.take().unwrap();
        assert_eq!((taken.readable.len(), taken.writable.len(), taken.writable[0].1), (0, 1, 64));
        assert_eq!(counters(&rng), [1, 0, 0]);
        random::fill(&mut [0; 100]);
        assert!(fake.take().is_none(), "one request at a time");
        taken.fill(&[7; 40]);
        fake.give(u32::from(taken.id), 40);
        assert_eq!((counters(&rng), random::host_stirred()), (vec![1, 1, 40], 40));
        random::fill(&mut [0; 100]);
        assert!(fake.take().is_none(), "a few bytes are no reason");
        random::fill(&mut vec![0; random::APPETITE]);
        assert!(fake.take().is_some());
        assert_eq!(counters(&rng), [2, 1, 40]);
    }

    #[test]
    fn a_device_that_lies_or_breaks_is_not_asked_again() {
        for broken in [false, true] {
            let fake = Fake::with(vec![], 8, Quirks::default());
            let rng = start(&fake).unwrap();
            let taken = fake.take().unwrap();
            if broken {
                fake.break_down();
            } else {
                fake.give(u32::from(taken.id), 65);
            }
            assert!(rng.status().failure.is_some());
            assert_eq!(random::host_stirred(), 0);
            random::fill(&mut vec![0; random::APPETITE]);
            assert!(fake.take().is_none());
        }
        assert!(start(&Fake::with(vec![], 0, Quirks::default())).is_err(), "it has no queue");
    }
}
