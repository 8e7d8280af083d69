//! How the interrupts of a PCI device reach its driver: as messages, or by a line that others may share.
//!
//! Virtio 1.3 sections 4.1.4.5 (ISR status) and 4.1.5.1.2 (MSI-X vectors). The same for both PCI transports; they
//! differ in where the vectors are written and where the ISR register is, which they do themselves.
//!
//! MSI-X is taken where there is one, because it needs no routing and no register access at an interrupt; a line
//! otherwise, or when the command line says `nomsi`. A [`PciInterrupts`] belongs to its transport; the two vectors are
//! written once, by [`PciInterrupts::connect`].

use crate::Failure;
use crate::transport::{Cause, Handler, Interrupts, on};
use alloc::boxed::Box;
use alloc::vec;
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use machine::irq;
use pci::intx::Line;
use pci::msix::Msix;
use pci::{Function, Pci};

/// The vector of what does not interrupt, or not by messages.
pub const NO_VECTOR: u16 = 0xFFFF;

/// What has to be known of the machine to choose, and to route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// No messages, even where they are possible.
    pub nomsi: bool,
    /// Number of I/O APICs that ACPI tells of.
    pub ioapics: usize,
}

/// Reads the ISR register, which takes the interrupt back.
pub type Isr = Box<dyn Fn() -> u8 + Send + Sync>;

enum Way {
    Messages(Msix),
    Line(Line),
    None(Failure),
}

/// The interrupts of one device.
pub struct PciInterrupts {
    way: Way,
    /// MSI-X entries in use for the configuration and for the queues.
    config_vector: AtomicU16,
    queue_vector: AtomicU16,
    messages: AtomicBool,
}

impl PciInterrupts {
    /// How this function will interrupt. Until it is connected it does not: its messages are off.
    ///
    /// # Errors
    /// When its MSI-X capability is nonsense.
    pub fn open(pci: &Pci, function: &Function, choice: Choice) -> Result<PciInterrupts, Failure> {
        // A table that is not wanted is switched off by being dropped.
        let way = match Msix::open(pci, function)?.filter(|_| !choice.nomsi) {
            Some(msix) => Way::Messages(msix),
            None => match Line::open(pci, function, choice.ioapics) {
                Ok(line) => Way::Line(line),
                Err(why) => Way::None(why),
            },
        };
        Ok(PciInterrupts {
            way,
            config_vector: AtomicU16::new(NO_VECTOR),
            queue_vector: AtomicU16::new(NO_VECTOR),
            messages: AtomicBool::new(false),
        })
    }

    /// Connects a handler, once. `isr` is needed for a line.
    ///
    /// # Errors
    /// When there is no way for the device to interrupt, or no vector left.
    pub fn connect(&self, name: &str, handler: Handler, isr: Option<Isr>) -> Result<Interrupts, Failure> {
        match &self.way {
            Way::Messages(msix) => self.connect_messages(msix, name, &handler),
            Way::Line(line) => {
                let isr = isr.ok_or(Failure::new("device has neither MSI-X nor an ISR register"))?;
                let handler = move || match Cause(isr() & Cause::ANY.0) {
                    // Another device on the line.
                    Cause(0) => {}
                    cause => handler(cause),
                };
                let line_handle = line.connect(name, Box::new(handler))?;
                let text = alloc::format!("intx:{}", line.gsi());
                Ok(Interrupts { text, handles: vec![], line: Some(line_handle) })
            }
            Way::None(why) => Err(why.clone()),
        }
    }

    fn connect_messages(&self, msix: &Msix, name: &str, handler: &Handler) -> Result<Interrupts, Failure> {
        let mut interrupts = Interrupts { text: "msix:".into(), handles: vec![], line: None };
        // One entry for the queues and one for the rest; or one for both, where there is only one.
        let causes: &[Cause] =
            if msix.entries() > 1 { &[Cause::QUEUE, Cause::CONFIG] } else { &[Cause::ANY] };
        for (entry, &cause) in (0u16..).zip(causes) {
            let label = if cause == Cause::CONFIG { alloc::format!("{name}.config") } else { name.into() };
            let message = irq::msi(&label, on(cause, handler))?;
            msix.set(entry, message.address, message.data);
            if entry > 0 {
                interrupts.text.push(',');
            }
            interrupts.text.push_str(&alloc::format!("{}", message.data & 0xFF));
            interrupts.handles.push(message.handle);
            if cause.includes(Cause::QUEUE) {
                self.queue_vector.store(entry, Relaxed);
            }
            if cause.includes(Cause::CONFIG) {
                self.config_vector.store(entry, Relaxed);
            }
        }
        msix.enable();
        self.messages.store(true, Relaxed);
        Ok(interrupts)
    }

    /// Whether messages are switched on, which moves a legacy device's registers.
    pub fn messages(&self) -> bool {
        self.messages.load(Relaxed)
    }

    /// The vector for changes of the configuration, [`NO_VECTOR`] without messages.
    pub fn config_vector(&self) -> u16 {
        self.config_vector.load(Relaxed)
    }

    /// The vector for queues, [`NO_VECTOR`] without messages.
    pub fn queue_vector(&self) -> u16 {
        self.queue_vector.load(Relaxed)
    }
}
