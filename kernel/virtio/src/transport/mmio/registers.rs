//! Virtio in memory, both versions of its registers.
//!
//! Created by `-M microvm -device virtio-9p-device,...`: version 1, unless
//! `-global virtio-mmio.force-legacy=false` asks for version 2. Follows virtio 1.3 sections 4.2.2 and 4.2.3, and
//! 4.2.4 for version 1, which is to version 2 what legacy PCI is to modern: rings are found by a page number and there
//! is no FEATURES_OK.
//!
//! Registers are 32 bits wide; the device's configuration takes other widths too. The interrupt is the slot's own line,
//! level-triggered, and stays up until what it was about is acknowledged.
//!
//! `select` guards the two-step accesses to features and queues; notifying and acknowledging need no lock.

use super::Slot;
use super::shared_pin::{self, SharedPin, Source};
use crate::Failure;
use crate::transport::{
    Handler, Interrupts, LEGACY_PAGE, RingAddress, TRAP, VirtioTransport, await_reset, device_config,
};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use machine::io::Mmio;
use machine::irq::{self, Trigger};
use machine::lock::Lock;
use machine::places::virtio_slot;

const VERSION: usize = 0x004;
const DEVICE_FEATURES: usize = 0x010;
const DEVICE_FEATURES_SELECT: usize = 0x014;
const DRIVER_FEATURES: usize = 0x020;
const DRIVER_FEATURES_SELECT: usize = 0x024;
/// Version 1 alone: unit of ring addresses.
const PAGE_SIZE: usize = 0x028;
const QUEUE_SELECT: usize = 0x030;
const QUEUE_LIMIT: usize = 0x034;
const QUEUE_SIZE: usize = 0x038;
/// Version 1 alone: alignment of the used ring, and the ring's page.
const QUEUE_ALIGN: usize = 0x03C;
const QUEUE_PFN: usize = 0x040;
/// Version 2 alone.
const QUEUE_READY: usize = 0x044;
const QUEUE_NOTIFY: usize = 0x050;
const STATUS: usize = 0x070;
/// Version 2 alone: low and high words of the three addresses.
const DESCRIPTORS: usize = 0x080;
const AVAILABLE: usize = 0x090;
const USED: usize = 0x0A0;
/// Version 2 alone.
const GENERATION: usize = 0x0FC;
const CONFIG: usize = 0x100;

/// Queues that are stopped one by one when a device does not confirm its reset.
const QUEUES: u16 = 64;

/// A device in a slot.
pub struct MmioTransport {
    registers: Mmio,
    gsi: u32,
    modern: bool,
    /// What a stray interrupt may be about.
    shared_pin: SharedPin,
    select: Lock<()>,
}

impl MmioTransport {
    /// Opens the device in a slot. It goes on doing what it did. All devices of a machine get the same `shared_pin`.
    ///
    /// # Errors
    /// When no virtio device of version 1 or 2 is there; no memory to map it.
    pub fn open(slot: &Slot, shared_pin: &SharedPin) -> Result<MmioTransport, Failure> {
        let registers = virtio_slot(slot.base, slot.size as usize)?;
        let modern = match registers.read32(VERSION) {
            1 => false,
            2 => true,
            _ => return Err(Failure::new("no virtio device")),
        };
        Ok(MmioTransport {
            registers,
            gsi: slot.gsi,
            modern,
            shared_pin: shared_pin.clone(),
            select: Lock::new(()),
        })
    }

    fn read(&self, register: usize) -> u32 {
        self.registers.read32(register)
    }

    fn write(&self, register: usize, value: u32) {
        self.registers.write32(register, value);
    }

    /// The status; what does not fit into its eight bits is no status.
    fn state(&self) -> u8 {
        u8::try_from(self.read(STATUS)).unwrap_or(u8::MAX)
    }

    /// Version 1: the ring is one stretch of memory, found by its page.
    fn start_legacy(&self, ring: &RingAddress) -> Result<(), Failure> {
        let page = ring.legacy_page()?;
        // A reset forgets the page size.
        self.write(PAGE_SIZE, LEGACY_PAGE as u32);
        self.write(QUEUE_SIZE, u32::from(ring.size));
        self.write(QUEUE_ALIGN, LEGACY_PAGE as u32);
        self.write(QUEUE_PFN, page);
        if self.read(QUEUE_PFN) == page { Ok(()) } else { Err(Failure::new("device refuses its ring")) }
    }

    /// Version 2.
    fn start_modern(&self, ring: &RingAddress) -> Result<(), Failure> {
        if self.read(QUEUE_READY) != 0 {
            return Err(Failure::new("queue is in use already"));
        }
        self.write(QUEUE_SIZE, u32::from(ring.size));
        for (register, address) in
            [(DESCRIPTORS, ring.descriptors), (AVAILABLE, ring.available), (USED, ring.used)]
        {
            self.write(register, address as u32);
            self.write(register + 4, (address >> 32) as u32);
        }
        self.write(QUEUE_READY, 1);
        if self.read(QUEUE_READY) == 1 { Ok(()) } else { Err(Failure::new("device refuses its ring")) }
    }

    /// Stops all queues, of a device that does not listen to its reset: there is nothing else that would keep it from
    /// memory.
    fn stop_queues(&self) {
        let _select = self.select.lock();
        for queue in 0..QUEUES {
            self.write(QUEUE_SELECT, u32::from(queue));
            self.write(if self.modern { QUEUE_READY } else { QUEUE_PFN }, 0);
        }
    }

    /// Bytes of the device's configuration.
    fn config_room(&self) -> usize {
        self.registers.len().saturating_sub(CONFIG)
    }
}

impl VirtioTransport for MmioTransport {
    fn kind(&self) -> &'static str {
        if self.modern { "modern" } else { "legacy" }
    }

    fn offered(&self) -> u64 {
        let _select = self.select.lock();
        let word = |n: u32| {
            self.write(DEVICE_FEATURES_SELECT, n);
            u64::from(self.read(DEVICE_FEATURES))
        };
        // Version 1 has no second word.
        if self.modern { word(0) | word(1) << 32 } else { word(0) }
    }

    fn accept(&self, features: u64) {
        let features = if self.modern { features } else { features & !TRAP };
        let _select = self.select.lock();
        let words = if self.modern { 2 } else { 1 };
        for n in 0..words {
            self.write(DRIVER_FEATURES_SELECT, n);
            self.write(DRIVER_FEATURES, (features >> (32 * n)) as u32);
        }
    }

    fn status(&self) -> u8 {
        self.state()
    }

    fn set_status(&self, status: u8) {
        self.write(STATUS, u32::from(status));
    }

    fn reset(&self) -> Result<(), Failure> {
        self.write(STATUS, 0);
        await_reset(|| self.state()).inspect_err(|_| self.stop_queues())
    }

    fn queue_limit(&self, queue: u16) -> u16 {
        let _select = self.select.lock();
        self.write(QUEUE_SELECT, u32::from(queue));
        // A ring of more than 32768 cannot be.
        self.read(QUEUE_LIMIT).min(1 << 15) as u16
    }

    fn queue_start(&self, queue: u16, ring: &RingAddress) -> Result<(), Failure> {
        let _select = self.select.lock();
        self.write(QUEUE_SELECT, u32::from(queue));
        if self.read(QUEUE_LIMIT) < u32::from(ring.size) {
            return Err(Failure::new("device refuses the size of its queue"));
        }
        if self.modern { self.start_modern(ring) } else { self.start_legacy(ring) }
    }

    fn notify(&self, queue: u16) {
        self.write(QUEUE_NOTIFY, u32::from(queue));
    }

    fn connect(&self, name: &str, handler: Handler) -> Result<Interrupts, Failure> {
        let source = Source { registers: self.registers.clone(), handler };
        let (mut handles, shared) = (vec![], shared_pin::is_shared(self.gsi));
        if shared {
            self.shared_pin.add(source.clone());
            let shared_pin = self.shared_pin.clone();
            let serve = Box::new(move || shared_pin.serve());
            handles.push(irq::gsi(shared_pin::ARRIVES_AS, Trigger::Level, name, serve)?);
        }
        if !shared || self.gsi != shared_pin::ARRIVES_AS {
            let serve = Box::new(move || drop(source.serve()));
            handles.push(irq::gsi(self.gsi, Trigger::Level, name, serve)?);
        }
        Ok(Interrupts { text: format!("mmio:{}", self.gsi), handles, line: None })
    }

    fn arm(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Only version 2 has a generation.
    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure> {
        device_config::check(offset, buf.len(), self.config_room())?;
        let read = |buf: &mut [u8]| {
            for (place, byte) in (CONFIG + offset..).zip(buf) {
                *byte = self.registers.read8(place);
            }
        };
        if self.modern {
            device_config::read_of_one_generation(buf, || self.read(GENERATION), read)
        } else {
            device_config::read_the_same_twice(buf, read)
        }
    }

    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure> {
        device_config::check_write(offset, self.config_room())?;
        self.registers.write32(CONFIG + offset, value);
        Ok(())
    }
}
