//! Ways out of the machine.

use super::io::Ports;
use crate::amd64::mem::paging;
use core::arch::asm;
use core::ptr;
use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

/// Where QEMU's isa-debug-exit usually is.
const DEBUG_EXIT: u16 = 0xf4;
/// ACPI's power management control on pc and q35, where SeaBIOS and qboot put it.
const PM_CONTROL: u16 = 0x604;
const PM_SLEEP: u16 = 0x2000;
/// The sleep and reset registers of microvm's reduced-hardware ACPI.
const MICROVM_SLEEP: u64 = 0xfea0_0200;
const MICROVM_RESET: u64 = 0xfea0_0202;
const MICROVM_OFF: u8 = 0x34;
const MICROVM_DO_RESET: u8 = 0x42;

/// Switches the machine off. Where nothing does that (microvm without ACPI), it resets, which ends QEMU under
/// `-no-reboot`.
pub fn off() -> ! {
    interrupts::disable();
    Ports::new(PM_CONTROL, 2).out16(0, PM_SLEEP);
    pause();
    poke_microvm(MICROVM_SLEEP, MICROVM_OFF);
    pause();
    triple_fault()
}

/// Starts the machine anew.
pub fn reset() -> ! {
    interrupts::disable();
    poke_microvm(MICROVM_RESET, MICROVM_DO_RESET);
    Ports::new(0xcf9, 1).out8(0, 6);
    pause();
    Ports::new(0x64, 1).out8(0, 0xfe);
    pause();
    triple_fault()
}

/// Ends QEMU with exit status 2 * `code` + 1, if it has an isa-debug-exit device; returns if not.
pub fn exit_qemu(code: u8) {
    Ports::new(DEBUG_EXIT, 4).out32(0, u32::from(code));
    pause();
}

/// Machines stop a little after they were told to.
fn pause() {
    for _ in 0..1_000_000 {
        core::hint::spin_loop();
    }
}

/// Only microvm has no PCI, hence nothing else at these addresses; others answer PCI's configuration port.
fn poke_microvm(register: u64, value: u8) {
    let pci = Ports::new(0xcf8, 4);
    pci.out32(0, 0x8000_0000);
    if pci.in32(0) == 0x8000_0000 {
        return;
    }
    if let Ok(va) = paging::map_device(register, 1) {
        // SAFETY: a device register, just mapped.
        unsafe { ptr::write_volatile(va as *mut u8, value) };
    }
}

/// The processor's own reset: a trap that cannot be delivered.
fn triple_fault() -> ! {
    let nothing = DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    loop {
        // SAFETY: the machine is to end; without a table the trap resets the processor.
        unsafe {
            lidt(&nothing);
            asm!("int3");
        }
    }
}
