//! Who has which device registers, as arithmetic: ports, and stretches of physical address space.
//!
//! Registers are claimed by whoever has found a device, and nobody else gets any of them until they are given back. So
//! two drivers cannot be led to one device, and none to the registers that the kernel itself uses. On the real machine
//! only this crate can claim, and it does so for itself (ACPI's tables, fw_cfg, the APICs) and for others in two
//! places: [`pci_config`](crate::pci_config), which reads itself where a function's registers are, and
//! [`places`](crate::places), which has a list of the PC's own devices and looks itself whether a slot of virtio
//! registers begins at an address that a device tree or the command line names.
//!
//! How many registers there are is the word of who claims them, and so is the address that `kernel/pci` writes into a
//! function, or a word of the command line gives. A wrong word does no harm to memory, whoever says it: what the memory
//! map calls RAM is refused (what lies beyond it is nobody's), the ports and registers by which memory can be written
//! or an interrupt raised behind everybody's back are the kernel's or kept back, and what is left is the registers of
//! devices that nobody uses, or nothing. What a driver tells its own device to do with memory, or which
//! interrupt to raise, is not checked here or anywhere: so `kernel/pci` and `kernel/virtio` are trusted with that.

use crate::heap;
use crate::types::IoError;
use alloc::vec::Vec;

/// Ports that are never given to drivers: first, last.
///
/// The kernel's own: the interrupt controllers that it keeps silent, the timer and its gate, the clock,
/// isa-debug-exit, COM1. And what can write memory or stop the machine behind everybody's back: the ISA DMA
/// controllers with their page registers, among which is the fast reset, and the port by which the firmware is
/// called.
const KEPT_PORTS: [(u16, u16); 11] = [
    (0x00, 0x0f),
    (0x20, 0x21),
    (0x40, 0x43),
    (0x61, 0x61),
    (0x70, 0x71),
    (0x80, 0x9f),
    (0xa0, 0xa1),
    (0xb2, 0xb3),
    (0xc0, 0xdf),
    (0xf4, 0xf7),
    (0x3f8, 0x3ff),
];

/// The stretches that somebody has, first and last address of each.
#[derive(Debug)]
pub(crate) struct Claims(Vec<(u64, u64)>);

impl Claims {
    /// None.
    pub(crate) const fn new() -> Claims {
        Claims(Vec::new())
    }

    /// Gives a stretch to the caller.
    ///
    /// # Errors
    /// Somebody has part of it; there is no memory to remember who has it.
    pub(crate) fn claim(&mut self, first: u64, last: u64) -> Result<(), IoError> {
        if self.0.iter().any(|c| c.0 <= last && first <= c.1) {
            return Err(IoError::InUse);
        }
        heap::try_reserve(&mut self.0, 1).map_err(|_| IoError::OutOfMemory)?;
        self.0.push((first, last));
        Ok(())
    }

    /// Takes it back.
    pub(crate) fn give_back(&mut self, first: u64, last: u64) {
        self.0.retain(|c| *c != (first, last));
    }
}

impl Default for Claims {
    fn default() -> Claims {
        Claims::new()
    }
}

/// First and last port of a stretch that a driver may have.
///
/// # Errors
/// It is empty, has ports that do not exist, or such as no driver gets.
pub(crate) fn ports(base: u16, len: u16) -> Result<(u16, u16), IoError> {
    let last = len.checked_sub(1).and_then(|n| base.checked_add(n)).ok_or(IoError::NoSuchAddress)?;
    if KEPT_PORTS.iter().any(|k| k.0 <= last && base <= k.1) {
        return Err(IoError::InUse);
    }
    Ok((base, last))
}

/// First and last address of a stretch.
///
/// # Errors
/// It is empty, or leaves the address space.
pub(crate) fn window(phys: u64, len: usize) -> Result<(u64, u64), IoError> {
    let last = len.checked_sub(1).and_then(|n| phys.checked_add(n as u64));
    Ok((phys, last.ok_or(IoError::NoSuchAddress)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_what_another_has_until_it_is_given_back() {
        let mut c = Claims::new();
        assert_eq!(c.claim(0x100, 0x1ff), Ok(()));
        for (first, last) in [(0x100, 0x1ff), (0, 0x100), (0x1ff, 0x1ff), (0x150, 0x151), (0, u64::MAX)] {
            assert_eq!(c.claim(first, last), Err(IoError::InUse), "{first:#x} {last:#x}");
        }
        assert_eq!((c.claim(0, 0xff), c.claim(0x200, u64::MAX)), (Ok(()), Ok(())));
        c.give_back(0x100, 0x1ff);
        assert_eq!(c.claim(0x180, 0x180), Ok(()));
    }

    #[test]
    fn what_the_kernel_uses_is_nobody_s() {
        for (base, len) in
            [(0x3f0, 0x10), (0x3ff, 1), (0x20, 2), (0x1f, 2), (0x43, 1), (0, u16::MAX), (0x60, 5)]
        {
            assert_eq!(ports(base, len), Err(IoError::InUse), "{base:#x} {len:#x}");
        }
        for (base, len) in [(0x60, 0), (0xffff, 2), (0xc000, 0x4001)] {
            assert_eq!(ports(base, len), Err(IoError::NoSuchAddress), "{base:#x} {len:#x}");
        }
        assert_eq!(ports(0x60, 1), Ok((0x60, 0x60)));
        assert_eq!(ports(0xff00, 0x100), Ok((0xff00, 0xffff)));
        assert_eq!(window(u64::MAX, 1), Ok((u64::MAX, u64::MAX)));
        assert_eq!(
            (window(u64::MAX, 2), window(5, 0)),
            (Err(IoError::NoSuchAddress), Err(IoError::NoSuchAddress))
        );
    }
}
