//! The PC's keyboard controller, with the keyboard and the mouse behind it.
//!
//! QEMU: every `-M pc` and `-M q35` has one (`i8042=off` takes it away); `-M microvm` has none. The commands are those
//! of the IBM PS/2 technical reference (keyboard and auxiliary device controller), the mouse's wheel is asked for
//! by the three sample rates of Microsoft's IntelliMouse.
//!
//! Written on [`Ports`] and [`irq`], so it is the same on both halves. QEMU answers every command at once; each wait is
//! `LOOKS` looks at the status and no longer, so a controller that is not there or never answers costs little.
//!
//! Lock: `DRAINING` is held while a handler empties the controller and calls the receivers, which may take leaves
//! and wake sleepers: two handlers on two processors would mix up what the two devices say.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::io::Ports;
use machine::irq::{self, IrqError, IrqHandle};
use machine::lock::Lock;
use machine::places::pc_ports;

/// The port of data, and the one of commands and status.
const DATA: u16 = 0x60;
const COMMAND: u16 = 0x64;

/// Status: a byte is there to be read.
const FULL: u8 = 0x01;
/// Status: the controller has not taken the last byte yet.
const BUSY: u8 = 0x02;
/// Status: the byte that is there is the mouse's.
const FROM_MOUSE: u8 = 0x20;
/// What a bus without a controller says.
const NOBODY: u8 = 0xff;

/// Interrupts of both devices on, both clocks on, scan codes translated to set 1.
const CONFIG: u8 = 0x43;
const KEYBOARD_INTERRUPT: u8 = 0x01;
const MOUSE_INTERRUPT: u8 = 0x02;

const WRITE_CONFIG: u8 = 0x60;
const MOUSE_OFF: u8 = 0xa7;
const MOUSE_ON: u8 = 0xa8;
const TEST_MOUSE: u8 = 0xa9;
const SELF_TEST: u8 = 0xaa;
const TEST_KEYBOARD: u8 = 0xab;
const KEYBOARD_OFF: u8 = 0xad;
const KEYBOARD_ON: u8 = 0xae;
const TO_MOUSE: u8 = 0xd4;
const SELF_TEST_PASSED: u8 = 0x55;
const PORT_PASSED: u8 = 0;

const IDENTIFY: u8 = 0xf2;
const SAMPLE_RATE: u8 = 0xf3;
const ENABLE: u8 = 0xf4;
const DEFAULTS: u8 = 0xf6;
const ACKNOWLEDGE: u8 = 0xfa;
/// The identity of a mouse that reports its wheel.
const WHEEL: u8 = 3;

const KEYBOARD_IRQ: u8 = 1;
const MOUSE_IRQ: u8 = 12;

/// How often a wait looks before it gives up: below a millisecond.
const LOOKS: usize = 500;
/// Bytes served in one interrupt; a device that never falls silent must not keep the processor.
const AT_ONCE: usize = 64;

/// What gets the bytes of a device one by one, in interrupt context.
pub type Receiver = Box<dyn Fn(u8) + Send + Sync>;

/// Which of the two devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Keyboard,
    Mouse,
}

/// A mouse that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    /// Its packets have a fourth byte for the wheel.
    pub wheel: bool,
}

/// The controller's two ports. Between them are some that belong to others.
#[derive(Clone)]
struct Registers {
    data: Ports,
    command: Ports,
}

impl Registers {
    fn claim() -> Option<Registers> {
        Some(Registers { data: pc_ports(DATA, 1).ok()?, command: pc_ports(COMMAND, 1).ok()? })
    }
}

/// A controller that was found and tested; it is quiet until [`start`](I8042::start).
pub struct I8042 {
    ports: Registers,
    /// What was typed before.
    typed: Vec<u8>,
    keyboard: bool,
    mouse: Option<Mouse>,
}

/// Looks for the controller and its devices. Nothing: there is none, or it does not work.
pub fn probe() -> Option<I8042> {
    let mut it = I8042 { ports: Registers::claim()?, typed: Vec::new(), keyboard: false, mouse: None };
    if it.status() == NOBODY {
        return None;
    }
    it.command(KEYBOARD_OFF)?;
    it.command(MOUSE_OFF)?;
    it.keep_typed();
    it.command(SELF_TEST)?;
    if it.answer()? != SELF_TEST_PASSED {
        return None;
    }
    it.keyboard = it.ask(TEST_KEYBOARD) == Some(PORT_PASSED);
    let port = it.ask(TEST_MOUSE) == Some(PORT_PASSED);
    // Scan codes are translated, no device interrupts yet.
    it.configure(CONFIG & !(KEYBOARD_INTERRUPT | MOUSE_INTERRUPT))?;
    if port {
        it.command(MOUSE_ON)?;
        it.mouse = it.start_mouse();
    }
    if it.keyboard {
        it.command(KEYBOARD_ON)?;
        it.keyboard = it.tell(Device::Keyboard, ENABLE).is_some();
    }
    Some(it)
}

impl I8042 {
    /// Whether a keyboard answers.
    pub fn keyboard(&self) -> bool {
        self.keyboard
    }

    /// The mouse, if one answers.
    pub fn mouse(&self) -> Option<Mouse> {
        self.mouse
    }

    /// From now on the keyboard's scan codes (set 1) go to `keys`, beginning with those typed before, and the mouse's
    /// bytes to `moves`. The handlers stay as long as what is returned.
    ///
    /// # Errors
    /// When an interrupt cannot be had.
    pub fn start(self, keys: Receiver, moves: Receiver) -> Result<Vec<IrqHandle>, IrqError> {
        self.typed.iter().for_each(|&code| keys(code));
        let drain = Arc::new(Drain { ports: self.ports.clone(), draining: Lock::new(()), keys, moves });
        let mut handles = Vec::new();
        let mut config = CONFIG & !(KEYBOARD_INTERRUPT | MOUSE_INTERRUPT);
        let devices = [
            (self.keyboard, KEYBOARD_IRQ, "keyb", KEYBOARD_INTERRUPT),
            (self.mouse.is_some(), MOUSE_IRQ, "mouse", MOUSE_INTERRUPT),
        ];
        for (there, line, name, bit) in devices {
            if there {
                let drain = drain.clone();
                handles.push(irq::isa(line, name, Box::new(move || drain.run()))?);
                config |= bit;
            }
        }
        // A controller that answered a moment ago takes this, too; what it holds by then raises its line.
        if self.configure(config).is_none() {
            return Err(IrqError::NoLine);
        }
        Ok(handles)
    }

    fn status(&self) -> u8 {
        self.ports.command.in8(0)
    }

    /// Waits until the controller can be written to.
    fn ready(&self) -> Option<()> {
        (0..LOOKS).any(|_| self.status() & BUSY == 0).then_some(())
    }

    fn command(&self, command: u8) -> Option<()> {
        self.ready()?;
        self.ports.command.out8(0, command);
        Some(())
    }

    fn configure(&self, config: u8) -> Option<()> {
        self.command(WRITE_CONFIG)?;
        self.ready()?;
        self.ports.data.out8(0, config);
        Some(())
    }

    /// The next byte, whoever says it.
    fn answer(&self) -> Option<u8> {
        (0..LOOKS).any(|_| self.status() & FULL != 0).then(|| self.ports.data.in8(0))
    }

    /// A command to the controller that has an answer.
    fn ask(&self, command: u8) -> Option<u8> {
        self.command(command)?;
        self.answer()
    }

    /// Reads what was there before the first command: keys are kept, moves of the mouse are not.
    fn keep_typed(&mut self) {
        for _ in 0..AT_ONCE {
            let status = self.status();
            if status & FULL == 0 {
                break;
            }
            let byte = self.ports.data.in8(0);
            if status & FROM_MOUSE == 0 {
                self.typed.push(byte);
            }
        }
    }

    /// A byte to a device, which acknowledges it. Keys that are pressed meanwhile are kept.
    fn tell(&mut self, device: Device, byte: u8) -> Option<()> {
        if device == Device::Mouse {
            self.command(TO_MOUSE)?;
        }
        self.ready()?;
        self.ports.data.out8(0, byte);
        for _ in 0..AT_ONCE {
            match (self.device_says(device)?, device) {
                (ACKNOWLEDGE, _) => return Some(()),
                (code, Device::Keyboard) => self.typed.push(code),
                _ => {}
            }
        }
        None
    }

    /// The next byte of one device; the other's are kept if they are keys.
    fn device_says(&mut self, device: Device) -> Option<u8> {
        for _ in 0..LOOKS {
            let status = self.status();
            if status & FULL == 0 {
                continue;
            }
            let byte = self.ports.data.in8(0);
            match (status & FROM_MOUSE != 0, device) {
                (true, Device::Mouse) | (false, Device::Keyboard) => return Some(byte),
                (false, Device::Mouse) => self.typed.push(byte),
                (true, Device::Keyboard) => {}
            }
        }
        None
    }

    /// Sets the mouse up and finds out whether it has a wheel.
    fn start_mouse(&mut self) -> Option<Mouse> {
        self.tell(Device::Mouse, DEFAULTS)?;
        // These rates in this order are the question whether it has a wheel; the last is the one that stays.
        for rate in [200, 100, 80] {
            self.tell(Device::Mouse, SAMPLE_RATE)?;
            self.tell(Device::Mouse, rate)?;
        }
        self.tell(Device::Mouse, IDENTIFY)?;
        let wheel = self.device_says(Device::Mouse)? == WHEEL;
        self.tell(Device::Mouse, SAMPLE_RATE)?;
        self.tell(Device::Mouse, 100)?;
        self.tell(Device::Mouse, ENABLE)?;
        Some(Mouse { wheel })
    }
}

/// What the interrupts do: both devices share the one data port.
struct Drain {
    ports: Registers,
    draining: Lock<()>,
    keys: Receiver,
    moves: Receiver,
}

impl Drain {
    fn run(&self) {
        let _one = self.draining.lock();
        for _ in 0..AT_ONCE {
            let status = self.ports.command.in8(0);
            if status & FULL == 0 {
                return;
            }
            let byte = self.ports.data.in8(0);
            if status & FROM_MOUSE == 0 { (self.keys)(byte) } else { (self.moves)(byte) }
        }
    }
}

#[cfg(test)]
mod tests;
