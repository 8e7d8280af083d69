//! A device with several queues, played by the test at the other side of [`VirtioTransport`]. Its features and its
//! configuration say which device it is; what it can say of ports is a console's.

use crate::Failure;
use crate::fake::chain::{Taken, chain, peek16};
use crate::transport::{Cause, Handler, Interrupts, RingAddress, VERSION_1, VirtioTransport};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use machine::host::dma::poke;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

struct Registers {
    status: u8,
    rings: Vec<Option<Ring>>,
    resets: usize,
}

#[derive(Clone, Copy)]
struct Ring {
    at: RingAddress,
    next: u16,
    done: u16,
}

/// Called with a queue.
type AtOnce = Arc<dyn Fn(u16) + Send + Sync>;

pub struct FakeTransport {
    features: u64,
    pub config: Mutex<Vec<u8>>,
    registers: Mutex<Registers>,
    bell: Condvar,
    handler: Mutex<Option<Handler>>,
    /// Held while the device is at work in memory: a reset waits for that.
    pub working: Mutex<()>,
    /// It raises no interrupts.
    held: AtomicBool,
    /// What it does at once when a queue is notified.
    pub at_once: Mutex<Option<AtOnce>>,
    /// It does not start again.
    pub dead: Mutex<bool>,
}

impl FakeTransport {
    /// A device with so many ports; more than one means MULTIPORT.
    pub fn new(ports: u32) -> Arc<FakeTransport> {
        let config = [&[0; 4][..], &ports.to_le_bytes(), &[0; 4]].concat();
        let features = VERSION_1 | if ports > 1 { 2 } else { 0 };
        FakeTransport::with(features, config, 2 * ports as usize + 2)
    }

    /// A device with so many queues.
    pub fn with(features: u64, config: Vec<u8>, queues: usize) -> Arc<FakeTransport> {
        let registers = Registers { status: 0, rings: vec![None; queues], resets: 0 };
        Arc::new(FakeTransport {
            features,
            config: Mutex::new(config),
            registers: Mutex::new(registers),
            bell: Condvar::new(),
            handler: Mutex::new(None),
            working: Mutex::new(()),
            held: AtomicBool::new(false),
            at_once: Mutex::new(None),
            dead: Mutex::new(false),
        })
    }

    pub fn resets(&self) -> usize {
        self.registers.lock().unwrap().resets
    }

    /// Takes the next chain of a queue, if there is one.
    pub fn take(&self, queue: u16) -> Option<Taken> {
        let mut registers = self.registers.lock().unwrap();
        let ring = registers.rings[usize::from(queue)].as_mut()?;
        if peek16(ring.at.available + 2) == ring.next {
            return None;
        }
        let id = peek16(ring.at.available + 4 + 2 * u64::from(ring.next % ring.at.size));
        ring.next = ring.next.wrapping_add(1);
        Some(chain(ring.at.descriptors, ring.at.size, id))
    }

    /// Waits for a chain, for ten seconds at most.
    pub fn wait(&self, queue: u16) -> Taken {
        for _ in 0..10_000 {
            if let Some(taken) = self.take(queue) {
                return taken;
            }
            let registers = self.registers.lock().unwrap();
            drop(self.bell.wait_timeout(registers, Duration::from_millis(1)).unwrap());
        }
        panic!("nothing in queue {queue}");
    }

    /// Returns a chain.
    pub fn give(&self, queue: u16, taken: &Taken, len: u32) {
        {
            let mut registers = self.registers.lock().unwrap();
            let Some(ring) = registers.rings[usize::from(queue)].as_mut() else { return };
            let entry = ring.at.used + 4 + 8 * u64::from(ring.done % ring.at.size);
            assert!(poke(entry, &u32::from(taken.id).to_le_bytes()) && poke(entry + 4, &len.to_le_bytes()));
            ring.done = ring.done.wrapping_add(1);
            assert!(poke(ring.at.used + 2, &ring.done.to_le_bytes()));
        }
        self.raise(Cause::QUEUE);
    }

    /// Fills the next buffer of a queue with `bytes`.
    pub fn put(&self, queue: u16, bytes: &[u8]) {
        let taken = self.wait(queue);
        taken.fill(bytes);
        self.give(queue, &taken, bytes.len() as u32);
    }

    /// Takes what was sent in a queue.
    pub fn get(&self, queue: u16) -> Vec<u8> {
        let taken = self.wait(queue);
        self.give(queue, &taken, 0);
        taken.message
    }

    /// Says something about a port.
    pub fn say(&self, port: u32, event: u16, value: u16, text: &[u8]) {
        self.put(2, &[&crate::console::control::message(port, event, value)[..], text].concat());
    }

    /// The same, if there is a buffer for it just now: else it is forgotten, as QEMU does. Whether it was said.
    pub fn say_if_it_can(&self, port: u32, event: u16, value: u16, text: &[u8]) -> bool {
        let Some(taken) = self.take(2) else { return false };
        let bytes = [&crate::console::control::message(port, event, value)[..], text].concat();
        taken.fill(&bytes);
        self.give(2, &taken, bytes.len() as u32);
        true
    }

    /// Breaks down, as QEMU's devices do, and says so.
    pub fn break_down(&self) {
        self.registers.lock().unwrap().status |= 0x40;
        self.raise(Cause::CONFIG);
    }

    /// Changes its configuration, and says so.
    pub fn configure(&self, offset: usize, bytes: &[u8]) {
        self.config.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.raise(Cause::CONFIG);
    }

    /// Does several things before the one interrupt for all.
    pub fn hold(&self, what: impl FnOnce()) {
        let before = self.held.swap(true, SeqCst);
        what();
        self.held.store(before, SeqCst);
        self.raise(Cause::QUEUE);
    }

    /// An interrupt of the queues, with or without a reason.
    pub fn interrupt(&self) {
        self.call(Cause::QUEUE);
    }

    fn raise(&self, cause: Cause) {
        if !self.held.load(SeqCst) {
            self.call(cause);
        }
    }

    fn call(&self, cause: Cause) {
        let handler = self.handler.lock().unwrap().clone();
        if let Some(handler) = handler {
            handler(cause);
        }
    }
}

impl VirtioTransport for FakeTransport {
    fn kind(&self) -> &'static str {
        "modern"
    }

    fn offered(&self) -> u64 {
        self.features
    }

    fn accept(&self, features: u64) {
        assert_eq!(features, self.features);
    }

    fn status(&self) -> u8 {
        self.registers.lock().unwrap().status
    }

    fn set_status(&self, status: u8) {
        self.registers.lock().unwrap().status = status;
    }

    fn reset(&self) -> Result<(), Failure> {
        let _idle = self.working.lock().unwrap();
        let mut registers = self.registers.lock().unwrap();
        registers.status = 0;
        registers.rings.fill(None);
        registers.resets += 1;
        if *self.dead.lock().unwrap() { Err(Failure::new("dead")) } else { Ok(()) }
    }

    fn queue_limit(&self, queue: u16) -> u16 {
        let n = self.registers.lock().unwrap().rings.len();
        if usize::from(queue) >= n {
            0
        } else if matches!(queue, 2 | 3) {
            32
        } else {
            128
        }
    }

    fn queue_start(&self, queue: u16, ring: &RingAddress) -> Result<(), Failure> {
        let mut registers = self.registers.lock().unwrap();
        assert_eq!(registers.status & 4, 0, "queues are set up before the device runs");
        registers.rings[usize::from(queue)] = Some(Ring { at: *ring, next: 0, done: 0 });
        Ok(())
    }

    fn notify(&self, queue: u16) {
        self.bell.notify_all();
        // It may say something of which the driver notifies it.
        let act = self.at_once.lock().unwrap().clone();
        if let Some(act) = act {
            act(queue);
        }
    }

    fn connect(&self, _name: &str, handler: Handler) -> Result<Interrupts, Failure> {
        *self.handler.lock().unwrap() = Some(handler);
        Ok(Interrupts { text: "fake".into(), handles: vec![], line: None })
    }

    fn arm(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure> {
        buf.copy_from_slice(&self.config.lock().unwrap()[offset..offset + buf.len()]);
        Ok(())
    }

    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure> {
        self.config.lock().unwrap()[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }
}
