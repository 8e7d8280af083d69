//! What the board itself tells: the power button, and PCI slots whose content is to change.
//!
//! On pc and q35 these are ACPI's fixed registers (ACPI 6.5, section 4.8: PM1a events and general purpose events) and
//! the system control interrupt, on microvm its generic event device (section 5.6.9). No AML is interpreted: what a
//! general purpose event means is what QEMU's boards mean by it.
//!
//! The registers are this module's alone. After [`listen`] only the interrupt handler touches them, under its vector's
//! lock; it looks until nothing is pending, since the interrupt is a level that stays while anything is.

use super::irq::{self, IrqHandle};
use crate::amd64::dev::io::{Mmio, Ports};
use crate::amd64::dev::ioapic;
use crate::firmware::acpi::{self, Events};
use crate::types::Trigger;
use alloc::boxed::Box;
use spin::Once;

/// Something that the board tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The power button was pressed: QEMU's `system_powerdown`.
    PowerButton,
    /// Somebody wants to take a PCI device out of its slot, or has put one in.
    PciSlots,
}

/// What is told, in interrupt context.
pub type Receiver = Box<dyn Fn(Event) + Send + Sync>;

/// PM1: the power button, in status and enable. A status bit is cleared by writing it.
const POWER_BUTTON: u16 = 1 << 8;
/// PM1 control: ACPI has the registers, and not the firmware.
const SCI_ENABLE: u16 = 1;
/// General purpose event: a PCI slot, on pc and on q35.
const PCI_SLOTS: u16 = 1;
/// Generic event device: the power button.
const GENERIC_BUTTON: u32 = 1 << 1;
/// How often one interrupt looks for more: a board that never falls silent must not keep the processor.
const ROUNDS: usize = 16;

/// The handler, for as long as the machine runs.
static LISTENING: Once<IrqHandle> = Once::new();

/// Fixed registers.
struct Fixed {
    pm1a: Ports,
    gpe0: Option<Gpe>,
}

/// General purpose events: status bits, and behind them as many bits that let them interrupt.
struct Gpe {
    ports: Ports,
    /// Bytes of each half.
    half: u16,
}

impl Gpe {
    fn open(port: u16, events: u8) -> Option<Gpe> {
        let half = u16::from(events / 8);
        let ports = Ports::claim(port, 2 * half).ok().filter(|_| PCI_SLOTS / 8 < half)?;
        Some(Gpe { ports, half })
    }

    /// Lets nothing but PCI slots interrupt.
    fn enable(&self) {
        for at in 0..self.half {
            self.ports.out8(at, 0xff);
            self.ports.out8(self.half + at, if at == PCI_SLOTS / 8 { 1 << (PCI_SLOTS % 8) } else { 0 });
        }
    }

    /// Whether a PCI slot wants something; it is forgotten.
    fn take(&self) -> bool {
        let bit = 1 << (PCI_SLOTS % 8);
        let pending = self.ports.in8(PCI_SLOTS / 8) & bit != 0;
        if pending {
            self.ports.out8(PCI_SLOTS / 8, bit);
        }
        pending
    }
}

impl Fixed {
    fn take_button(&self) -> bool {
        let pending = self.pm1a.in16(0) & POWER_BUTTON != 0;
        if pending {
            self.pm1a.out16(0, POWER_BUTTON);
        }
        pending
    }

    fn serve(&self, receiver: &Receiver) {
        for _ in 0..ROUNDS {
            let (button, slots) = (self.take_button(), self.gpe0.as_ref().is_some_and(Gpe::take));
            if button {
                receiver(Event::PowerButton);
            }
            if slots {
                receiver(Event::PciSlots);
            }
            if !button && !slots {
                return;
            }
        }
    }
}

/// Has `receiver` told from now on, if this board tells anything. To be called once.
///
/// # Errors
/// What is wrong, in words. A board without ACPI tells nothing, which is no error.
pub fn listen(receiver: Receiver) -> Result<(), &'static str> {
    let Some(events) = acpi::events() else { return Ok(()) };
    let handle = match events {
        Events::Fixed { irq, pm1a, gpe0, enable } => fixed(irq, pm1a, gpe0, enable, receiver)?,
        Events::Generic { register, line } => generic(register, line, receiver)?,
    };
    LISTENING.call_once(|| handle);
    Ok(())
}

fn fixed(
    irq: u8,
    pm1a: u16,
    gpe0: Option<(u16, u8)>,
    enable: Option<(u16, u8)>,
    receiver: Receiver,
) -> Result<IrqHandle, &'static str> {
    let ports = Ports::claim(pm1a, 4).map_err(|_| "the ports of ACPI's events are taken")?;
    let control = acpi::power().and_then(|power| power.control);
    if let (Some(control), Some((port, value))) = (control, enable)
        && Ports::of_kernel(control, 2).in16(0) & SCI_ENABLE == 0
    {
        // QEMU does it before the next instruction.
        Ports::of_kernel(port, 1).out8(0, value);
    }
    let fixed = Fixed { pm1a: ports.clone(), gpe0: gpe0.and_then(|(port, events)| Gpe::open(port, events)) };
    let slots = fixed.gpe0.as_ref().map(|gpe| (gpe.ports.clone(), gpe.half));
    // What was pressed before the kernel ran is no wish to end it.
    ports.out16(2, 0);
    ports.out16(0, 0xffff);
    // The interrupt is a level, whatever an ISA interrupt without a word of the tables is.
    let line = if irq < 16 { ioapic::isa(irq).0 } else { u32::from(irq) };
    let handler = Box::new(move || fixed.serve(&receiver));
    let handle = irq::gsi(line, Trigger::Level, "acpi", handler).map_err(|_| "ACPI's interrupt is taken")?;
    ports.out16(2, POWER_BUTTON);
    if let Some((ports, half)) = slots {
        Gpe { ports, half }.enable();
    }
    Ok(handle)
}

fn generic(register: u64, line: u32, receiver: Receiver) -> Result<IrqHandle, &'static str> {
    let register = Mmio::map(register, 4).map_err(|_| "the registers of ACPI's events are taken")?;
    // Reading says what has come, and forgets it.
    register.read32(0);
    let handler = Box::new(move || {
        if register.read32(0) & GENERIC_BUTTON != 0 {
            receiver(Event::PowerButton);
        }
    });
    irq::gsi(line, Trigger::Edge, "acpi", handler).map_err(|_| "ACPI's interrupt is taken")
}
