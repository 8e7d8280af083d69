//! A virtio device as QEMU makes one, and ways to misbehave.
//!
//! A test plays the device itself: [`Fake::take`] takes a chain as the device would, [`Fake::give`] returns it
//! and interrupts. All memory is reached by physical address. Its registers are in [`registers`](super::registers).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::host::dma::poke;
use machine::host::irq::{host_raise_gsi, host_raise_msi};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::fake::chain::{Taken, chain, peek16};
use crate::fake::registers::Registers;

/// How a device differs from a good one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quirks {
    /// Clears FEATURES_OK.
    pub refuse_features: bool,
    /// Interrupt vectors read back as none.
    pub refuse_vectors: bool,
    /// The status never reads 0 after a reset.
    pub stuck: bool,
    /// The configuration generation changes at every read.
    pub restless: bool,
    /// Indirect tables are not offered.
    pub direct: bool,
    /// Registers are read and written that do not exist.
    pub lenient: bool,
    /// The queue is notified far outside the area for that.
    pub far_doorbell: bool,
}

/// The device.
pub struct Fake {
    pub quirks: Mutex<Quirks>,
    pub config: Vec<u8>,
    pub queue_limit: u16,
    /// The GSI of its line, when it does not interrupt by messages.
    pub line: Mutex<Option<u32>>,
    pub(super) registers: Mutex<Registers>,
    pub(super) bell: Condvar,
    /// Called in the middle of a reset.
    pub on_reset: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Fake {
    /// A 9P device with a mount tag and a queue of 128.
    pub fn ninep(tag: &str) -> Arc<Fake> {
        let mut config = (tag.len() as u16).to_le_bytes().to_vec();
        config.extend(tag.as_bytes());
        Fake::with(config, 128, Quirks::default())
    }

    pub fn with(config: Vec<u8>, queue_limit: u16, quirks: Quirks) -> Arc<Fake> {
        Arc::new(Fake {
            quirks: Mutex::new(quirks),
            config,
            queue_limit,
            line: Mutex::new(None),
            registers: Mutex::new(Registers::new(queue_limit)),
            bell: Condvar::new(),
            on_reset: Mutex::new(None),
        })
    }

    pub fn registers(&self) -> Registers {
        self.registers.lock().unwrap().clone()
    }

    pub(super) fn reset(&self) {
        if let Some(f) = &*self.on_reset.lock().unwrap() {
            f();
        }
        let mut r = self.registers.lock().unwrap();
        let (table, notified, resets) = (r.table, r.notified, r.resets + 1);
        *r = Registers { table, notified, resets, ..Registers::new(self.queue_limit) };
    }

    /// Takes the next chain, if there is one.
    pub fn take(&self) -> Option<Taken> {
        let mut r = self.registers.lock().unwrap();
        let resets = r.resets;
        let q = &mut r.queue;
        if !q.enabled || peek16(q.available + 2) == q.next {
            return None;
        }
        let id = peek16(q.available + 4 + 2 * u64::from(q.next % q.size));
        q.next = q.next.wrapping_add(1);
        Some(Taken { resets, ..chain(q.descriptors, q.size, id) })
    }

    /// Waits for a chain, for a second at most.
    pub fn wait(&self) -> Option<Taken> {
        for _ in 0..1000 {
            if let Some(taken) = self.take() {
                return Some(taken);
            }
            let r = self.registers.lock().unwrap();
            drop(self.bell.wait_timeout(r, Duration::from_millis(1)).unwrap());
        }
        None
    }

    /// Returns a chain without an interrupt, unless there is no ring.
    pub fn give_quietly(&self, id: u32, len: u32) {
        self.registers.lock().unwrap().queue.give(id, len);
    }

    /// Returns a chain, and interrupts.
    pub fn give(&self, id: u32, len: u32) {
        self.give_quietly(id, len);
        self.interrupt_queue();
    }

    /// Claims to have returned `n` more chains than it has.
    pub fn run_ahead(&self, n: u16) {
        let q = self.registers().queue;
        assert!(poke(q.used + 2, &q.done.wrapping_add(n).to_le_bytes()));
        self.interrupt_queue();
    }

    pub fn interrupt_queue(&self) {
        self.raise(1, self.registers().queue.vector);
    }

    /// Breaks down, as QEMU's devices do, and says so.
    pub fn break_down(&self) {
        let vector = {
            let mut r = self.registers.lock().unwrap();
            r.status |= 0x40;
            r.queue.enabled = false;
            r.config_vector
        };
        self.raise(3, vector);
    }

    /// Breaks down as a legacy device does: without a word.
    pub fn fall_silent(&self) {
        self.registers.lock().unwrap().queue.enabled = false;
    }

    fn raise(&self, cause: u8, vector: u16) {
        if let Some(gsi) = *self.line.lock().unwrap() {
            self.registers.lock().unwrap().isr |= cause;
            assert!(host_raise_gsi(gsi), "nobody is on the line");
            assert_eq!(self.registers().isr, 0, "the line stays up, and the machine stands still");
            return;
        }
        let Some([low, high, data, control]) = self.registers().table.get(usize::from(vector)).copied()
        else {
            return;
        };
        assert_eq!(control, 0, "the entry is masked");
        host_raise_msi(u64::from(high) << 32 | u64::from(low), data);
    }

    /// Answers a message with one of the same tag and `payload` behind the head. After a reset the device does not
    /// know the message any more, and neither writes nor interrupts.
    pub fn answer(&self, taken: &Taken, payload: &[u8]) {
        let mut reply = (7 + payload.len() as u32).to_le_bytes().to_vec();
        reply.push(taken.message[4] + 1);
        reply.extend(&taken.message[5..7]);
        reply.extend(payload);
        {
            // Under the lock, as a reset is not over as long as the device writes.
            let mut r = self.registers.lock().unwrap();
            if r.resets != taken.resets {
                return;
            }
            taken.fill(&reply);
            r.queue.give(u32::from(taken.id), reply.len() as u32);
        }
        self.interrupt_queue();
    }
}
