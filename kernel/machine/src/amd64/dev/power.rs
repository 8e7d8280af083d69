//! Ways out of the machine: by the registers that ACPI names, or where QEMU usually has them.
//!
//! Most of these ports belong to a driver as well (the reset register is one of PCI's, the keyboard controller's
//! command port is its driver's), and are written without a claim: the machine ends with it. A panic comes here too,
//! so nothing here takes a lock or allocates: what has to be mapped is mapped by `init`.

use super::io::{Mmio, Ports};
use crate::firmware::acpi::{self, Register};
use core::arch::asm;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

/// Where QEMU's isa-debug-exit usually is.
const DEBUG_EXIT: u16 = 0xf4;
/// Power management control on pc and q35, where SeaBIOS and qboot put it.
const USUAL_CONTROL: u16 = 0x604;
/// The reset register of a PC's chipset, and what it is told.
const USUAL_RESET: u16 = 0xcf9;
const RESET_ALL: u8 = 0x06;
/// The keyboard controller's command port, and the command that resets the processor.
const KEYBOARD: u16 = 0x64;
const PULSE_RESET: u8 = 0xfe;
/// Sleep, with the type that QEMU's boards have for "off" in PM1 control, 0.
const CONTROL_OFF: u16 = 1 << 13;
/// The same for the sleep control register of reduced hardware, where the type is 5.
const SLEEP_OFF: u8 = 1 << 5 | 5 << 2;

/// A register of 8 bits.
enum Byte {
    Port(Ports),
    Memory(Mmio),
}

impl Byte {
    fn find(register: Register) -> Option<Byte> {
        match register {
            Register::Port(port) => Some(Byte::Port(Ports::of_kernel(port, 1))),
            Register::Memory(at) => Mmio::map(at, 1).ok().map(Byte::Memory),
        }
    }

    fn write(&self, value: u8) {
        match self {
            Byte::Port(port) => port.out8(0, value),
            Byte::Memory(registers) => registers.write8(0, value),
        }
    }
}

/// What ACPI has told.
struct Told {
    control: Option<Ports>,
    sleep: Option<Byte>,
    reset: Option<(Byte, u8)>,
}

static TOLD: Once<Told> = Once::new();

/// Maps the registers that ACPI names, if there is ACPI.
pub(crate) fn init(power: Option<acpi::Power>) {
    let Some(power) = power else { return };
    TOLD.call_once(|| Told {
        control: power
            .control
            .or(power.sleep.is_none().then_some(USUAL_CONTROL))
            .and_then(|port| Ports::claim(port, 2).ok()),
        sleep: power.sleep.and_then(Byte::find),
        reset: power.reset.and_then(|(register, value)| Some((Byte::find(register)?, value))),
    });
}

/// Switches the machine off. Where nothing does that (microvm without ACPI), it resets, which ends QEMU under
/// `-no-reboot`.
pub fn off() -> ! {
    interrupts::disable();
    match TOLD.get() {
        Some(told) => {
            if let Some(control) = &told.control {
                control.out16(0, CONTROL_OFF);
            }
            if let Some(sleep) = &told.sleep {
                sleep.write(SLEEP_OFF);
            }
        }
        None => Ports::of_kernel(USUAL_CONTROL, 2).out16(0, CONTROL_OFF),
    }
    pause();
    triple_fault()
}

/// Starts the machine anew.
pub fn reset() -> ! {
    interrupts::disable();
    if let Some((register, value)) = TOLD.get().and_then(|told| told.reset.as_ref()) {
        register.write(*value);
        pause();
    }
    Ports::of_kernel(USUAL_RESET, 1).out8(0, RESET_ALL);
    pause();
    Ports::of_kernel(KEYBOARD, 1).out8(0, PULSE_RESET);
    pause();
    triple_fault()
}

/// Ends QEMU with exit status 2 * `code` + 1, if it has an isa-debug-exit device; returns if not.
pub fn exit_qemu(code: u8) {
    Ports::of_kernel(DEBUG_EXIT, 4).out32(0, u32::from(code));
    pause();
}

/// Machines stop a little after they were told to.
fn pause() {
    for _ in 0..1_000_000 {
        core::hint::spin_loop();
    }
}

/// The processor's own reset: a trap that cannot be delivered.
fn triple_fault() -> ! {
    let nothing = DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    loop {
        // SAFETY: the machine is to end, and interrupts are off; without a table the trap resets the processor.
        unsafe {
            lidt(&nothing);
            asm!("int3");
        }
    }
}
