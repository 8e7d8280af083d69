//! Virtio over PCI, the way before virtio 1.0: registers in ports, and rings that are found by a page number.
//!
//! Created by `-device virtio-9p-pci,disable-modern=on,...` on `-M pc` and `-M q35`. Follows virtio 1.3 section
//! 4.1.4.10 ("Legacy Interfaces: A Note on PCI Device Layout"). A device that has the modern interface too is
//! driven through that.
//!
//! What is different for a driver: 32 feature bits, no [`VERSION_1`](crate::transport::VERSION_1) and so no
//! FEATURES_OK; the size of a queue is the choice of the device; a device that has met an error says nothing at all,
//! neither in its status nor by an interrupt. A reset heals it.
//!
//! `select` guards the two-step accesses to queues; notifying needs no lock.

use crate::Failure;
use crate::transport::pci_interrupts::{Choice, PciInterrupts};
use crate::transport::{
    GONE, Handler, Interrupts, RingAddress, TRAP, VirtioTransport, await_pci_reset, device_config,
};
use alloc::boxed::Box;
use machine::io::Ports;
use machine::lock::Lock;
use pci::bar::Kind;
use pci::{Command, CommandRegister, Function, Pci};

/// Registers.
const DEVICE_FEATURES: u16 = 0x00;
const DRIVER_FEATURES: u16 = 0x04;
const QUEUE_PFN: u16 = 0x08;
const QUEUE_SIZE: u16 = 0x0C;
const QUEUE_SELECT: u16 = 0x0E;
const QUEUE_NOTIFY: u16 = 0x10;
const STATUS: u16 = 0x12;
const ISR: u16 = 0x13;
/// Only while MSI-X is enabled; otherwise the device's configuration begins here.
const CONFIG_VECTOR: u16 = 0x14;
const QUEUE_VECTOR: u16 = 0x16;
const CONFIG: u16 = 0x14;
const CONFIG_WITH_VECTORS: u16 = 0x18;
/// Most entries of a queue: QEMU's limit. The device chooses how many, and memory for all of them is needed.
const SIZE_MOST: u16 = 1024;

/// Ports that a device has at least.
const LEAST: u64 = 0x18;
/// A legacy PCI device.
pub struct Legacy {
    command: Command,
    ports: Ports,
    interrupts: PciInterrupts,
    select: Lock<()>,
}

impl Legacy {
    /// Opens a function through its legacy interface: lets it answer, and finds its ports. The device goes on
    /// doing what it did.
    ///
    /// # Errors
    /// When it has no ports, or they have no number: on a machine without port I/O.
    pub fn open(pci: &Pci, function: &Function, choice: Choice) -> Result<Legacy, Failure> {
        let [Some(bar), ..] = function.bars else { return Err(Failure::new("no virtio registers")) };
        if bar.kind != Kind::Io || bar.size < LEAST {
            return Err(Failure::new("no virtio registers"));
        }
        let place = (u16::try_from(bar.address), u16::try_from(bar.size));
        let (Ok(base @ 1..), Ok(len)) = place else {
            return Err(Failure::new("legacy device without ports"));
        };
        if base.checked_add(len - 1).is_none() {
            return Err(Failure::new("legacy device without ports"));
        }
        pci.enable(function, CommandRegister::IO_ENABLE);
        let ports = pci.space().ports(function.address, 0, len)?;
        if ports.in8(STATUS) == GONE {
            return Err(Failure::new("device does not answer"));
        }
        Ok(Legacy {
            command: pci.command(function),
            interrupts: PciInterrupts::open(pci, function, choice)?,
            select: Lock::new(()),
            ports,
        })
    }

    /// Writes a vector register, if there are such, and sees whether the device took it.
    fn route(&self, register: u16, vector: u16) -> Result<(), Failure> {
        if !self.interrupts.messages() {
            return Ok(());
        }
        self.ports.out16(register, vector);
        let now = self.ports.in16(register);
        if now == vector { Ok(()) } else { Err(Failure::new("device refuses its interrupt vector")) }
    }

    /// The port at which the configuration begins, and how many ports it has.
    fn config(&self) -> (u16, usize) {
        let first = if self.interrupts.messages() { CONFIG_WITH_VECTORS } else { CONFIG };
        (first, usize::from(self.ports.len().saturating_sub(first)))
    }
}

impl VirtioTransport for Legacy {
    fn kind(&self) -> &'static str {
        "legacy"
    }

    fn offered(&self) -> u64 {
        u64::from(self.ports.in32(DEVICE_FEATURES))
    }

    fn accept(&self, features: u64) {
        self.ports.out32(DRIVER_FEATURES, (features & !TRAP) as u32);
    }

    fn status(&self) -> u8 {
        self.ports.in8(STATUS)
    }

    fn set_status(&self, status: u8) {
        self.ports.out8(STATUS, status);
    }

    fn reset(&self) -> Result<(), Failure> {
        self.ports.out8(STATUS, 0);
        await_pci_reset(&self.command, CommandRegister::IO_ENABLE, || self.ports.in8(STATUS))
    }

    fn queue_limit(&self, queue: u16) -> u16 {
        let _select = self.select.lock();
        self.ports.out16(QUEUE_SELECT, queue);
        self.ports.in16(QUEUE_SIZE)
    }

    /// The device's own size, whatever is wanted.
    fn queue_size(&self, queue: u16, _most: u16) -> u16 {
        let size = self.queue_limit(queue);
        if size.is_power_of_two() && size <= SIZE_MOST { size } else { 0 }
    }

    fn queue_start(&self, queue: u16, ring: &RingAddress) -> Result<(), Failure> {
        let page = ring.legacy_page()?;
        let _select = self.select.lock();
        self.ports.out16(QUEUE_SELECT, queue);
        if self.ports.in16(QUEUE_SIZE) != ring.size {
            return Err(Failure::new("device refuses the size of its queue"));
        }
        self.route(QUEUE_VECTOR, self.interrupts.queue_vector())?;
        self.ports.out32(QUEUE_PFN, page);
        if self.ports.in32(QUEUE_PFN) != page {
            return Err(Failure::new("device refuses its ring"));
        }
        Ok(())
    }

    fn notify(&self, queue: u16) {
        self.ports.out16(QUEUE_NOTIFY, queue);
    }

    fn connect(&self, name: &str, handler: Handler) -> Result<Interrupts, Failure> {
        let ports = self.ports.clone();
        self.interrupts.connect(name, handler, Some(Box::new(move || ports.in8(ISR))))
    }

    fn arm(&self) -> Result<(), Failure> {
        self.route(CONFIG_VECTOR, self.interrupts.config_vector())
    }

    fn config_read(&self, offset: usize, buf: &mut [u8]) -> Result<(), Failure> {
        let (first, room) = self.config();
        device_config::check(offset, buf.len(), room)?;
        let start = first + offset as u16;
        device_config::read_the_same_twice(buf, |buf| {
            for (place, byte) in (start..).zip(buf) {
                *byte = self.ports.in8(place);
            }
        })
    }

    fn config_write(&self, offset: usize, value: u32) -> Result<(), Failure> {
        let (first, room) = self.config();
        device_config::check_write(offset, room)?;
        self.ports.out32(first + offset as u16, value);
        Ok(())
    }
}
