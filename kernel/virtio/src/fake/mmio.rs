//! The device in a slot of memory, of either version of the registers.

use super::Fake;
use alloc::sync::Arc;
use machine::host::io::MmioBackend;
use pci::fake::FakeRegisters;

/// A device, and the version of its registers.
pub struct MmioRegisters(pub Arc<Fake>, pub u32);

impl MmioBackend for MmioRegisters {
    fn read(&self, off: usize, width: usize) -> u64 {
        self.0.slot_read(off, width, self.1)
    }

    fn write(&self, off: usize, width: usize, value: u64) {
        self.0.slot_write(off, width, value, self.1);
    }
}

impl Fake {
    /// Reads the registers of a slot in memory, of either version.
    pub fn slot_read(&self, at: usize, width: usize, version: u32) -> u64 {
        let r = self.registers();
        let limit = if r.queue_select == 0 { u64::from(self.queue_limit) } else { 0 };
        match (at, width) {
            (0x000, 4) => 0x7472_6976,
            (0x004, 4) => u64::from(version),
            (0x008, 4) => 9,
            (0x010, 4) if version == 1 => u64::from(self.features()[0] | 0x4000_0000),
            (0x010, 4) => self.read(4, 0x04, 4),
            (0x034, 4) => limit,
            (0x040, 4) if version == 1 => u64::from(r.queue.page),
            (0x044, 4) if version == 2 => u64::from(r.queue.enabled),
            (0x060, 4) => u64::from(r.isr),
            (0x070, 4) => self.read(4, 0x14, 1),
            (0x0FC, 4) if version == 2 => self.read(4, 0x15, 1),
            (0x100.., 1) if version == 2 => self.read(4, 0x2000 + at - 0x100, 1),
            (0x100.., 1) => u64::from(self.port_read(0x14 + (at - 0x100) as u16, 1, false)),
            _ => panic!("read of {width} bytes at {at:#x} of a slot of version {version}"),
        }
    }

    /// Writes them.
    pub fn slot_write(&self, at: usize, width: usize, value: u64, version: u32) {
        assert_eq!(width, 4, "registers have 32 bits");
        match (at, version) {
            (0x014 | 0x024, 1) => assert_eq!(value, 0, "there is one word of features"),
            (0x014, _) => self.write(4, 0x00, 4, value),
            (0x024, _) => self.write(4, 0x08, 4, value),
            (0x020, 1) => self.port_write(0x04, 4, value as u32, false),
            (0x020, _) => self.write(4, 0x0C, 4, value),
            (0x028, 1) | (0x03C, 1) => assert_eq!(value, 4096),
            (0x030, _) => self.write(4, 0x16, 2, value),
            (0x038, 1) => assert_eq!(value, u64::from(self.queue_limit), "this fake's rings have one size"),
            (0x038, _) => self.write(4, 0x18, 2, value),
            // As in QEMU: without a page for one of its queues the whole device is reset.
            (0x040, 1) if value == 0 => self.reset(),
            (0x040, 1) => self.port_write(0x08, 4, value as u32, false),
            (0x044, 2) => self.registers.lock().unwrap().queue.enabled = value != 0,
            (0x050, 1) => self.port_write(0x10, 2, value as u32, false),
            (0x050, _) => self.write(4, 0x3000, 2, value),
            (0x064, _) => self.registers.lock().unwrap().isr &= !(value as u8),
            (0x070, 1) => self.port_write(0x12, 1, value as u32, false),
            (0x070, _) => self.write(4, 0x14, 1, value),
            (0x080 | 0x084, 2) => self.write(4, at - 0x80 + 0x20, 4, value),
            (0x090 | 0x094, 2) => self.write(4, at - 0x90 + 0x28, 4, value),
            (0x0A0 | 0x0A4, 2) => self.write(4, at - 0xA0 + 0x30, 4, value),
            _ => panic!("write of {value:#x} at {at:#x} of a slot of version {version}"),
        }
    }
}
