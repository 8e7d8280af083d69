//! A virtio device as QEMU makes one, with its registers in the places QEMU has them, and with ways to
//! misbehave.
//!
//! A test plays the device itself: [`Fake::take`] takes a chain as the device would, [`Fake::give`] returns it
//! and interrupts. All memory is reached by physical address.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use machine::host::dma::{peek, poke};
use machine::host::irq::{host_raise_gsi, host_raise_msi};
use pci::fake::FakeRegisters;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

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

#[derive(Clone, Debug, Default)]
pub struct QueueRegisters {
    pub size: u16,
    pub vector: u16,
    pub enabled: bool,
    /// Where a legacy device's ring is.
    pub page: u32,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    /// Next entries of the available and the used ring.
    pub next: u16,
    pub done: u16,
}

#[derive(Clone, Debug)]
pub struct Registers {
    pub status: u8,
    pub isr: u8,
    pub select: [u32; 2],
    pub accepted: [u32; 2],
    pub config_vector: u16,
    pub generation: u8,
    pub queue_select: u16,
    pub queue: QueueRegisters,
    pub table: [[u32; 4]; 2],
    pub notified: u64,
    pub resets: u64,
}

/// The device.
pub struct Fake {
    pub quirks: Mutex<Quirks>,
    pub config: Vec<u8>,
    pub queue_limit: u16,
    /// The GSI of its line, when it does not interrupt by messages.
    pub line: Mutex<Option<u32>>,
    pub(super) registers: Mutex<Registers>,
    bell: Condvar,
    /// Called in the middle of a reset.
    pub on_reset: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// A chain that the device has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: u16,
    /// Resets of the device until then.
    resets: u64,
    pub message: Vec<u8>,
    /// Address and length of each piece.
    pub readable: Vec<(u64, u32)>,
    pub writable: Vec<(u64, u32)>,
    /// It came in an indirect table.
    pub indirect: bool,
}

impl Taken {
    /// Writes into the room for the reply.
    pub fn fill(&self, mut bytes: &[u8]) {
        for &(phys, len) in &self.writable {
            let (mut at, end) = (phys, phys + u64::from(len));
            // It may be several pages which happen to follow each other.
            while at < end && !bytes.is_empty() {
                let n = bytes.len().min((end - at).min(4096 - at % 4096) as usize);
                assert!(poke(at, &bytes[..n]), "the device writes where no memory is: {at:#x}");
                (at, bytes) = (at + n as u64, &bytes[n..]);
            }
        }
        assert!(bytes.is_empty(), "no room for the reply");
    }
}

impl QueueRegisters {
    /// Puts a chain into the used ring, if there is one.
    fn give(&mut self, id: u32, len: u32) {
        if !self.enabled {
            return;
        }
        let entry = self.used + 4 + 8 * u64::from(self.done % self.size);
        assert!(poke(entry, &id.to_le_bytes()) && poke(entry + 4, &len.to_le_bytes()));
        self.done = self.done.wrapping_add(1);
        assert!(poke(self.used + 2, &self.done.to_le_bytes()));
    }
}

impl Registers {
    fn new(limit: u16) -> Registers {
        Registers {
            status: 0,
            isr: 0,
            select: [0; 2],
            accepted: [0; 2],
            config_vector: 0xFFFF,
            generation: 0,
            queue_select: 0,
            queue: QueueRegisters { size: limit, vector: 0xFFFF, ..QueueRegisters::default() },
            table: [[0, 0, 0, 1]; 2],
            notified: 0,
            resets: 0,
        }
    }
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

    pub(super) fn features(&self) -> [u32; 2] {
        let direct = self.quirks.lock().unwrap().direct;
        [if direct { 0x2000_0001 } else { 0x3000_0001 }, 0x101]
    }
}

impl FakeRegisters for Fake {
    fn read(&self, bar: u8, at: usize, width: usize) -> u64 {
        let quirks = *self.quirks.lock().unwrap();
        let mut r = self.registers.lock().unwrap();
        if bar == 1 {
            return r.table.as_flattened().get(at / 4).map_or(0, |v| u64::from(*v));
        }
        match (at, width) {
            (0x04, 4) => u64::from(self.features().get(r.select[0] as usize).copied().unwrap_or(0)),
            (0x10, 2) => u64::from(r.config_vector),
            (0x12, 2) => 1,
            (0x14, 1) if quirks.stuck => 1,
            (0x14, 1) => u64::from(r.status),
            (0x15, 1) => {
                r.generation = r.generation.wrapping_add(u8::from(quirks.restless));
                u64::from(r.generation)
            }
            (0x18, 2) if r.queue_select == 0 => u64::from(r.queue.size),
            (0x18, 2) => 0,
            (0x1A, 2) => u64::from(r.queue.vector),
            (0x1C, 2) => u64::from(r.queue.enabled),
            (0x1E, 2) => u64::from(quirks.far_doorbell) * 0xFFFF,
            (0x1000, 1) => u64::from(std::mem::take(&mut r.isr)),
            (0x2000..0x3000, 1) => self.config.get(at - 0x2000).map_or(0, |b| u64::from(*b)),
            _ if quirks.lenient => 0,
            _ => panic!("read of {width} bytes at {at:#x}"),
        }
    }

    fn write(&self, bar: u8, at: usize, width: usize, value: u64) {
        let quirks = *self.quirks.lock().unwrap();
        if bar == 4 && at == 0x14 && value == 0 {
            return self.reset();
        }
        let mut r = self.registers.lock().unwrap();
        let half = |whole: &mut u64, high: bool| {
            let shift = if high { 32 } else { 0 };
            *whole = *whole & !(0xFFFF_FFFF << shift) | value << shift;
        };
        if bar == 1 {
            if let Some(word) = r.table.as_flattened_mut().get_mut(at / 4) {
                *word = value as u32;
            }
            return;
        }
        let vector = |value: u64| if quirks.refuse_vectors || value > 1 { 0xFFFF } else { value as u16 };
        match (at, width) {
            (0x00, 4) => r.select[0] = value as u32,
            (0x08, 4) => r.select[1] = value as u32,
            (0x0C, 4) => {
                assert!(quirks.lenient || r.status & 8 == 0, "features written after FEATURES_OK");
                let n = r.select[1] as usize & 1;
                r.accepted[n] = value as u32;
            }
            (0x10, 2) => r.config_vector = vector(value),
            (0x14, 1) => {
                r.status = value as u8;
                if quirks.refuse_features {
                    r.status &= !8;
                }
            }
            (0x16, 2) => r.queue_select = value as u16,
            (0x18, 2) => r.queue.size = value as u16,
            (0x1A, 2) => r.queue.vector = vector(value),
            (0x1C, 2) => {
                assert!(quirks.lenient || value == 1, "a queue can only be enabled");
                r.queue.enabled = true;
            }
            (0x20 | 0x24, 4) => half(&mut r.queue.descriptors, at == 0x24),
            (0x28 | 0x2C, 4) => half(&mut r.queue.available, at == 0x2C),
            (0x30 | 0x34, 4) => half(&mut r.queue.used, at == 0x34),
            (0x3000, 2) => {
                assert!(
                    quirks.lenient || (value, r.status & 4) == (0, 4),
                    "notified a queue before DRIVER_OK"
                );
                r.notified += 1;
                self.bell.notify_all();
            }
            _ if quirks.lenient => {}
            _ => panic!("write of {width} bytes at {at:#x}"),
        }
    }

    /// The legacy interface, which depends on whether MSI-X is enabled.
    fn port_read(&self, at: u16, width: usize, msix: bool) -> u32 {
        let quirks = *self.quirks.lock().unwrap();
        let mut r = self.registers.lock().unwrap();
        let config = if msix { 0x18 } else { 0x14 };
        match (at, width) {
            (0x00, 4) => self.features()[0] | 0x4900_0000,
            (0x08, 4) => r.queue.page,
            (0x0C, 2) if r.queue_select == 0 => u32::from(self.queue_limit),
            (0x0C, 2) => 0,
            (0x12, 1) if quirks.stuck => 1,
            (0x12, 1) => u32::from(r.status),
            (0x13, 1) => u32::from(std::mem::take(&mut r.isr)),
            (0x14, 2) if msix => u32::from(r.config_vector),
            (0x16, 2) if msix => u32::from(r.queue.vector),
            (_, 1) if at >= config => {
                r.generation = r.generation.wrapping_add(u8::from(quirks.restless));
                let byte = self.config.get(usize::from(at - config)).map_or(0, |b| *b);
                u32::from(byte.wrapping_add(r.generation))
            }
            _ if quirks.lenient => 0,
            _ => panic!("read of {width} bytes at port {at:#x}"),
        }
    }

    fn port_write(&self, at: u16, width: usize, value: u32, msix: bool) {
        let quirks = *self.quirks.lock().unwrap();
        if (at, value) == (0x12, 0) {
            return self.reset();
        }
        let mut r = self.registers.lock().unwrap();
        let vector = if quirks.refuse_vectors || value > 1 { 0xFFFF } else { value as u16 };
        match (at, width) {
            (0x04, 4) => {
                assert_eq!(value & 0x4000_0000, 0, "the driver walked into the trap");
                r.accepted[0] = value;
            }
            (0x08, 4) => {
                assert!(quirks.lenient || value != 0, "this resets the whole device");
                let (start, size) = (u64::from(value) << 12, u64::from(self.queue_limit));
                let used = (start + 18 * size + 6).next_multiple_of(4096);
                let q = &mut r.queue;
                (q.page, q.enabled) = (value, true);
                (q.descriptors, q.available, q.used) = (start, start + 16 * size, used);
            }
            (0x0E, 2) => r.queue_select = value as u16,
            (0x10, 2) => {
                assert!(quirks.lenient || (value, r.status) == (0, 7), "notified before DRIVER_OK");
                r.notified += 1;
                self.bell.notify_all();
            }
            (0x12, 1) => {
                assert_eq!(value & 8, 0, "there is no FEATURES_OK");
                r.status = value as u8;
            }
            (0x14, 2) if msix => r.config_vector = vector,
            (0x16, 2) if msix => r.queue.vector = vector,
            _ if quirks.lenient => {}
            _ => panic!("write of {width} bytes at port {at:#x}"),
        }
    }
}

impl Fake {
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

pub fn peek16(phys: u64) -> u16 {
    let mut b = [0; 2];
    assert!(peek(phys, &mut b), "the device reads where no memory is: {phys:#x}");
    u16::from_le_bytes(b)
}

fn descriptor(table: u64, n: u16) -> (u64, u32, u16, u16) {
    let mut b = [0; 16];
    assert!(peek(table + 16 * u64::from(n), &mut b), "the device reads where no memory is");
    let flags = u16::from_le_bytes([b[12], b[13]]);
    let next = u16::from_le_bytes([b[14], b[15]]);
    (
        u64::from_le_bytes(b[..8].try_into().unwrap()),
        u32::from_le_bytes(b[8..12].try_into().unwrap()),
        flags,
        next,
    )
}

/// Follows a chain as QEMU does, and is as strict.
pub fn chain(table: u64, size: u16, id: u16) -> Taken {
    assert!(id < size);
    let mut taken =
        Taken { id, resets: 0, message: vec![], readable: vec![], writable: vec![], indirect: false };
    let (mut table, mut limit, mut at) = (table, size, id);
    let first = descriptor(table, id);
    if first.2 & 4 != 0 {
        assert_eq!((first.2, first.1 % 16), (4, 0), "an indirect table stands alone");
        (table, limit, at) = (first.0, (first.1 / 16) as u16, 0);
        taken.indirect = true;
    }
    assert!(limit <= size, "longer than the queue");
    for _ in 0..limit {
        let (phys, len, flags, next) = descriptor(table, at);
        assert_ne!(len, 0, "a descriptor without bytes");
        if flags & 2 != 0 {
            taken.writable.push((phys, len));
        } else {
            assert!(taken.writable.is_empty(), "readable behind writable");
            let mut bytes = vec![0; len as usize];
            peek_all(phys, &mut bytes);
            taken.message.extend(bytes);
            taken.readable.push((phys, len));
        }
        if flags & 1 == 0 {
            return taken;
        }
        assert!(next < limit, "a chain that leaves its table");
        at = next;
    }
    panic!("a chain without an end");
}

/// Reads memory that may be several pages which happen to follow each other.
fn peek_all(phys: u64, bytes: &mut [u8]) {
    if peek(phys, bytes) {
        return;
    }
    let mut at = phys;
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = rest.len().min(4096 - (at % 4096) as usize);
        let (now, later) = rest.split_at_mut(n);
        assert!(peek(at, now), "the device reads where no memory is: {at:#x}");
        at += n as u64;
        rest = later;
    }
}
