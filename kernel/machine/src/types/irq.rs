//! Interrupts: what delivers them, how, and who is called.

use alloc::string::String;
use core::fmt;

/// What delivers an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// A processor exception.
    Trap,
    /// The processor's own APIC: timer and inter-processor interrupts.
    Lapic,
    /// A pin of an I/O APIC.
    Ioapic,
    /// A message from a PCI device.
    Msi,
}

impl Controller {
    /// The word `/dev/irqalloc` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Controller::Trap => "trap",
            Controller::Lapic => "lapic",
            Controller::Ioapic => "ioapic",
            Controller::Msi => "msi",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One handler of an interrupt vector, as `/dev/irqalloc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Vector in the processor's table, 0 to 255.
    pub vector: u32,
    /// Line at the controller (global system interrupt, local vector...).
    pub irq: u32,
    /// Times the handler was called.
    pub count: u64,
    /// Cycles of the time stamp counter spent in the handler.
    pub cycles: u64,
    /// What delivers it.
    pub controller: Controller,
    /// Name given by the driver.
    pub name: String,
}

/// How a line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// By its rising edge; the line cannot be shared.
    Edge,
    /// By its level, active low as on PCI; the line may be shared.
    Level,
}

/// Why an interrupt could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqError {
    /// All vectors are taken.
    NoVector,
    /// No controller has this line.
    NoLine,
    /// The line has a handler and is not to be shared, or with another trigger.
    Busy,
    /// The kernel has no memory left for the handler.
    OutOfMemory,
}

impl fmt::Display for IrqError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IrqError::NoVector => "no free interrupt vector",
            IrqError::NoLine => "no such interrupt line",
            IrqError::Busy => "interrupt line in use",
            IrqError::OutOfMemory => "no memory for an interrupt handler",
        })
    }
}

impl core::error::Error for IrqError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn controllers_pad_like_words() {
        assert_eq!(format!("{:<8}|", Controller::Msi), "msi     |");
        assert_eq!(format!("{:<8}|", Controller::Ioapic), "ioapic  |");
    }
}
