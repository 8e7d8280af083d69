//! INTx: the interrupt lines of PCI functions, and which global system interrupt (GSI) each one reaches.
//!
//! PCI 3.0 section 2.2.6, PCI-to-PCI Bridge Architecture 1.2 section 9.1 (what a bridge does to pins), Intel's
//! 82371SB (PIIX3) and ICH9 data sheets. The firmware's interrupt line registers are not used: qboot writes wrong
//! ones and microvm none. What is used are the chipset's own registers and the wiring of QEMU's boards.
//!
//! Lines are level-triggered and shared. A function may pull its line only while it has a handler
//! ([`disable_all`], [`Connected`]): one that pulls it without would stop the machine.

use crate::{Command, CommandRegister, Failure, Function, Pci, address};
use alloc::boxed::Box;
use machine::irq::{self, IrqHandle, Trigger};

/// A function with this bit in its command register does not pull its line.
const OFF: CommandRegister = CommandRegister::INTERRUPT_DISABLE;

/// Host bridges, by which boards are known: device and vendor id in one.
const PC: u32 = 0x1237_8086;
const Q35: u32 = 0x29C0_8086;
const MICROVM: u32 = 0x0008_1B36;
/// The ISA bridge of `pc`, PIIX3, and its registers that say which ISA interrupt each PCI line is.
const PIIX3_DEVICE: u8 = 1;
const PIRQ: u16 = 0x60;
/// First GSI of the eight PCI lines of `q35`. They also pull ISA interrupts, which stay masked.
const Q35_FIRST: u32 = 16;

/// Where a pin (0 INTA to 3 INTD) of a function arrives on its root bus: bus, device number and pin there.
fn root(pci: &Pci, function: &Function) -> Option<(u8, u32, u32)> {
    let mut pin = u32::from(function.pin).checked_sub(1).filter(|pin| *pin < 4)?;
    let mut at = function;
    // Bridges come before what is behind them, so this ends.
    while let Some(above) = at.bridge.and_then(|i| pci.functions().get(i)) {
        pin = (pin + u32::from(at.address.device())) & 3;
        at = above;
    }
    Some((at.address.bus(), u32::from(at.address.device()), pin))
}

/// The GSI that a function's line reaches, on a machine with so many I/O APICs.
///
/// # Errors
/// When the function has no pin, the board is not one of those known, or its chipset connects the line to nothing.
pub fn gsi(pci: &Pci, function: &Function, ioapics: usize) -> Result<u32, Failure> {
    let (bus, device, pin) = root(pci, function).ok_or(Failure::new("device has no interrupt pin"))?;
    let space = pci.space();
    match space.read32(address(0, 0, 0), 0) {
        PC => {
            // A device's INTA is the line of the number before the device's, on every root bus.
            let line = (device + pin + 3) & 3;
            match u32::from(space.read8(address(0, PIIX3_DEVICE, 0), PIRQ + line as u16)) {
                isa @ 0..16 => Ok(isa),
                _ => Err(Failure::new("interrupt line is not connected")),
            }
        }
        // Where QEMU connects them depends on the slot of the bus's own device, and which device that is nothing tells.
        Q35 if bus != 0 => Err(Failure::new("interrupt lines of a further root bus are not known")),
        Q35 => Ok(Q35_FIRST
            + match device {
                // The chipset's own devices.
                25..=29 | 31 => pin,
                30 => 4 + pin,
                _ => 4 + ((device + pin) & 3),
            }),
        // With two I/O APICs the second one has the memory-mapped devices, and the first its upper pins free.
        MICROVM if ioapics > 0 => Ok(if ioapics > 1 { 16 } else { 12 } + ((device + pin) & 3)),
        _ => Err(Failure::new("interrupt lines of this board are not known")),
    }
}

/// Keeps all functions from pulling their lines, whatever the firmware left them doing.
pub fn disable_all(pci: &Pci) {
    for function in pci.functions().iter().filter(|f| f.pin != 0) {
        pci.command(function).set(OFF);
    }
}

/// A function's line.
pub struct Line {
    command: Command,
    gsi: u32,
}

/// A function that may pull its line; dropping it ends that, and removes the handler.
pub struct Connected {
    command: Command,
    _handle: IrqHandle,
}

impl Line {
    /// The line of a function.
    ///
    /// # Errors
    /// As [`gsi`].
    pub fn open(pci: &Pci, function: &Function, ioapics: usize) -> Result<Line, Failure> {
        let gsi = gsi(pci, function, ioapics)?;
        Ok(Line { command: pci.command(function), gsi })
    }

    /// Its GSI.
    pub fn gsi(&self) -> u32 {
        self.gsi
    }

    /// Connects a handler, which is also called when others on the line want something. It must take back what
    /// made the function pull the line.
    ///
    /// # Errors
    /// When the line has an edge-triggered handler, no I/O APIC has it, or there is no vector left.
    pub fn connect(&self, name: &str, handler: Box<dyn Fn() + Send + Sync>) -> Result<Connected, Failure> {
        let handle = irq::gsi(self.gsi, Trigger::Level, name, handler)?;
        self.command.clear(OFF);
        Ok(Connected { command: self.command.clone(), _handle: handle })
    }
}

impl Drop for Connected {
    /// The line is let go first, and then it has no handler.
    fn drop(&mut self) {
        self.command.set(OFF);
    }
}

#[cfg(test)]
mod tests;
