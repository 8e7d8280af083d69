//! The registers of a [fake device](super::device) in the places where QEMU has them: the modern layout in its BARs,
//! and the legacy one in ports.

use pci::fake::FakeRegisters;

use crate::fake::Fake;
use machine::host::dma::poke;

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

impl QueueRegisters {
    /// Puts a chain into the used ring, if there is one.
    pub(super) fn give(&mut self, id: u32, len: u32) {
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
    pub(super) fn new(limit: u16) -> Registers {
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
