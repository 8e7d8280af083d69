//! Virtio over PCI, the modern way: registers in memory, found through capabilities.
//!
//! Created by `-device virtio-9p-pci,...` (also the transitional kind, which has both interfaces) on `-M pc`
//! and `-M q35`, and on `-M microvm,pcie=on`. Follows virtio 1.3 section 4.1; register offsets are those of
//! section 4.1.4.3.
//!
//! The device's registers are reached through four capabilities. What they point at is checked against the base
//! address register before it is mapped, once, so that no access afterwards can leave it. `select` guards the
//! two-step accesses (a queue or half of the feature bits is selected, then read or written); notifying needs
//! no lock.

use crate::Failure;
use crate::transport::pci_interrupts::{Choice, Isr, PciInterrupts};
use crate::transport::{
    GONE, Handler, Interrupts, RingAddress, VirtioTransport, await_pci_reset, device_config,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use machine::io::Mmio;
use machine::lock::Lock;
use pci::capability::is_inside;
use pci::{Command, CommandRegister, ConfigSpace, Function, Pci, PciAddress};

/// Types of virtio's capabilities that are used here.
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const ISR: u8 = 3;
const DEVICE: u8 = 4;

/// Registers of the common configuration.
const FEATURE_SELECT: usize = 0x00;
const FEATURE: usize = 0x04;
const DRIVER_FEATURE_SELECT: usize = 0x08;
const DRIVER_FEATURE: usize = 0x0C;
const CONFIG_VECTOR: usize = 0x10;
const NUM_QUEUES: usize = 0x12;
const STATUS: usize = 0x14;
const GENERATION: usize = 0x15;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_VECTOR: usize = 0x1A;
const QUEUE_ENABLE: usize = 0x1C;
const QUEUE_NOTIFY_OFF: usize = 0x1E;
const QUEUE_DESC: usize = 0x20;
const QUEUE_DRIVER: usize = 0x28;
const QUEUE_DEVICE: usize = 0x30;
/// Bytes of the common configuration that are needed.
const COMMON_LEN: u32 = 0x38;

/// What lets the device answer at its registers.
const ANSWER: CommandRegister = CommandRegister::IO_ENABLE.union(CommandRegister::MEMORY_ENABLE);
/// A queue that cannot be notified.
const NOWHERE: usize = usize::MAX;
/// Most queues a device is believed to have.
const QUEUES_MOST: u16 = 1024;
/// Most of a device configuration or notification area that is mapped, in bytes.
const MAP_MOST: u32 = 4 << 20;

/// One of virtio's capabilities: a structure in the memory of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Structure {
    kind: u8,
    bar: u8,
    offset: u32,
    len: u32,
    multiplier: u32,
}

/// A modern PCI device.
pub struct Modern {
    command: Command,
    common: Mmio,
    notify: Mmio,
    multiplier: usize,
    device: Option<Mmio>,
    /// Where what interrupts is told, when there are no messages.
    isr: Option<Mmio>,
    interrupts: PciInterrupts,
    /// Where each queue is notified, in `notify`.
    doorbells: Vec<AtomicUsize>,
    select: Lock<()>,
}

/// Whether a function has the modern interface, as far as its capabilities tell.
pub fn is_modern(pci: &Pci, function: &Function) -> bool {
    !structures(&**pci.space(), function).is_empty()
}

impl Modern {
    /// Opens a function, if it has the modern interface: lets it answer, and finds its registers. The device
    /// goes on doing what it did; it may start transfers only after a [reset](VirtioTransport::reset).
    ///
    /// # Errors
    /// When the interface is missing, or what its capabilities say is impossible.
    pub fn open(pci: &Pci, function: &Function, choice: Choice) -> Result<Modern, Failure> {
        let all = structures(&**pci.space(), function);
        if all.is_empty() {
            return Err(Failure::new("no virtio structures"));
        }
        pci.enable(function, ANSWER);
        let common = map(pci, function, &all, COMMON, COMMON_LEN)?.0;
        let (notify, structure) = map(pci, function, &all, NOTIFY, 2)?;
        // A device without configuration has no such structure.
        let device = map(pci, function, &all, DEVICE, 1).ok().map(|(registers, _)| registers);
        let isr = map(pci, function, &all, ISR, 1).ok().map(|(registers, _)| registers);
        if common.read8(STATUS) == GONE {
            return Err(Failure::new("device does not answer"));
        }
        let queues = common.read16(NUM_QUEUES).min(QUEUES_MOST);
        Ok(Modern {
            command: pci.command(function),
            multiplier: structure.multiplier as usize,
            interrupts: PciInterrupts::open(pci, function, choice)?,
            doorbells: (0..queues).map(|_| AtomicUsize::new(NOWHERE)).collect(),
            select: Lock::new(()),
            common,
            notify,
            device,
            isr,
        })
    }

    /// Writes a 64-bit address as two halves.
    fn write_address(&self, offset: usize, address: u64) {
        self.common.write32(offset, address as u32);
        self.common.write32(offset + 4, (address >> 32) as u32);
    }

    /// Writes a vector register and sees whether the device took it.
    fn route(&self, register: usize, vector: u16) -> Result<(), Failure> {
        self.common.write16(register, vector);
        let now = self.common.read16(register);
        if now == vector { Ok(()) } else { Err(Failure::new("device refuses its interrupt vector")) }
    }
}

impl VirtioTransport for Modern {
    fn kind(&self) -> &'static str {
        "modern"
    }

    fn offered(&self) -> u64 {
        let _select = self.select.lock();
        let half = |n| {
            self.common.write32(FEATURE_SELECT, n);
            u64::from(self.common.read32(FEATURE))
        };
        half(0) | half(1) << 32
    }

    fn accept(&self, features: u64) {
        let _select = self.select.lock();
        for (n, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.common.write32(DRIVER_FEATURE_SELECT, n);
            self.common.write32(DRIVER_FEATURE, half);
        }
    }

    fn status(&self) -> u8 {
        self.common.read8(STATUS)
    }

    fn set_status(&self, status: u8) {
        self.common.write8(STATUS, status);
    }

    fn reset(&self) -> Result<(), Failure> {
        self.common.write8(STATUS, 0);
        await_pci_reset(&self.command, ANSWER, || self.common.read8(STATUS))
    }

    fn queue_limit(&self, queue: u16) -> u16 {
        if usize::from(queue) >= self.doorbells.len() {
            return 0;
        }
        let _select = self.select.lock();
        self.common.write16(QUEUE_SELECT, queue);
        self.common.read16(QUEUE_SIZE)
    }

    fn queue_start(&self, queue: u16, ring: &RingAddress) -> Result<(), Failure> {
        let doorbell = self.doorbells.get(usize::from(queue)).ok_or(Failure::new("no such queue"))?;
        let _select = self.select.lock();
        self.common.write16(QUEUE_SELECT, queue);
        self.common.write16(QUEUE_SIZE, ring.size);
        if self.common.read16(QUEUE_SIZE) != ring.size {
            return Err(Failure::new("device refuses the size of its queue"));
        }
        self.write_address(QUEUE_DESC, ring.descriptors);
        self.write_address(QUEUE_DRIVER, ring.available);
        self.write_address(QUEUE_DEVICE, ring.used);
        self.route(QUEUE_VECTOR, self.interrupts.queue_vector())?;
        let place = usize::from(self.common.read16(QUEUE_NOTIFY_OFF)).checked_mul(self.multiplier);
        match place {
            Some(place) if place % 2 == 0 && place <= self.notify.len() - 2 => doorbell.store(place, Relaxed),
            _ => return Err(Failure::new("the queue's notification address is outside its area")),
        }
        self.common.write16(QUEUE_ENABLE, 1);
        Ok(())
    }

    fn notify(&self, queue: u16) {
        let doorbell = self.doorbells.get(usize::from(queue)).map_or(NOWHERE, |d| d.load(Relaxed));
        if doorbell != NOWHERE {
            self.notify.write16(doorbell, queue);
        }
    }

    fn connect(&self, name: &str, handler: Handler) -> Result<Interrupts, Failure> {
        let isr = self.isr.clone().map(|isr| Box::new(move || isr.read8(0)) as Isr);
        self.interrupts.connect(name, handler, isr)
    }

    fn arm(&self) -> Result<(), Failure> {
        self.route(CONFIG_VECTOR, self.interrupts.config_vector())
    }

    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure> {
        let device = self.device.as_ref().ok_or(Failure::new("device has no configuration"))?;
        device_config::check(offset, buf.len(), device.len())?;
        device_config::read_of_one_generation(
            buf,
            || u32::from(self.common.read8(GENERATION)),
            |buf| {
                for (place, byte) in (offset..).zip(buf) {
                    *byte = device.read8(place);
                }
            },
        )
    }

    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure> {
        let device = self.device.as_ref().ok_or(Failure::new("device has no configuration"))?;
        device_config::check_write(offset, device.len())?;
        device.write32(offset, value);
        Ok(())
    }
}

/// All of virtio's structures of a function that could be used, in the device's order of preference.
fn structures(space: &dyn ConfigSpace, function: &Function) -> Vec<Structure> {
    function.vendor_capabilities().filter_map(|offset| structure(space, function.address, offset)).collect()
}

/// Reads one capability; `None` when it is too short for its kind, or of a register that does not exist.
fn structure(space: &dyn ConfigSpace, at: PciAddress, offset: u16) -> Option<Structure> {
    let kind = space.read8(at, offset.checked_add(3)?);
    let need = if kind == NOTIFY { 20 } else { 16 };
    if !is_inside(offset, need) || u16::from(space.read8(at, offset + 2)) < need {
        return None;
    }
    let bar = space.read8(at, offset + 4);
    (bar < 6).then(|| Structure {
        kind,
        bar,
        offset: space.read32(at, offset + 8),
        len: space.read32(at, offset + 12),
        multiplier: if kind == NOTIFY { space.read32(at, offset + 16) } else { 0 },
    })
}

/// Maps the first usable structure of a kind, at least `least` bytes of it.
fn map(
    pci: &Pci,
    function: &Function,
    all: &[Structure],
    kind: u8,
    least: u32,
) -> Result<(Mmio, Structure), Failure> {
    let mut why = Failure::text(alloc::format!("no virtio structure of type {kind}"));
    for structure in all.iter().filter(|s| s.kind == kind) {
        if structure.len < least || !structure.offset.is_multiple_of(4) {
            why =
                Failure::text(alloc::format!("virtio structure of type {kind} is too short or not aligned"));
            continue;
        }
        let len = structure.len.min(MAP_MOST);
        match pci.map(function, structure.bar, u64::from(structure.offset), u64::from(len)) {
            Ok(registers) => return Ok((registers, *structure)),
            Err(e) => why = e,
        }
    }
    Err(why)
}
