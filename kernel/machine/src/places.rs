//! Device registers at places that are known without PCI: the PC's own, and slots of virtio registers.
//!
//! Whoever wants such registers says which; whether they can be there is judged here, so that no other address and no
//! other port can be had. Those of PCI functions are given out by [`pci_config`](crate::pci_config), and those that
//! ACPI tells of are used by this crate alone.

use crate::io::{Mmio, Ports};
use crate::types::IoError;

/// Ports that drivers may have, first and last: keyboard controller, Bochs display, VGA, and QEMU's registers of PCI
/// slots on q35 and pc.
const PC_PORTS: [(u16, u16); 6] =
    [(0x60, 0x60), (0x64, 0x64), (0x1ce, 0x1d0), (0x3c0, 0x3df), (0xcc0, 0xcd7), (0xae00, 0xae17)];
/// The memory of a VGA: address and length.
const SCREEN: (u64, usize) = (0xa_0000, 0x2_0000);
/// `virt`, with which the registers of a virtio slot begin.
pub const MAGIC: u32 = 0x7472_6976;
/// A slot of virtio registers is no larger.
const MOST: usize = 1 << 20;

/// Claims ports of one of the PC's own devices.
///
/// # Errors
/// They are no device's that is known here; somebody has some of them.
pub fn pc_ports(base: u16, len: u16) -> Result<Ports, IoError> {
    let last = len.checked_sub(1).and_then(|n| base.checked_add(n)).ok_or(IoError::NoSuchAddress)?;
    if !PC_PORTS.iter().any(|p| p.0 <= base && last <= p.1) {
        return Err(IoError::NoSuchAddress);
    }
    Ports::claim(base, len)
}

/// Claims the memory of a VGA and maps it.
///
/// # Errors
/// Somebody has it; there is no memory for page tables.
pub fn pc_screen() -> Result<Mmio, IoError> {
    Mmio::map(SCREEN.0, SCREEN.1)
}

/// Claims a slot of virtio registers, if they begin as such do. That they are so many is the caller's word.
///
/// # Errors
/// [`IoError::NoSlot`], with what is there instead; it is not aligned, or larger than a slot can be; as [`IoError`]
/// says.
pub fn virtio_slot(base: u64, len: usize) -> Result<Mmio, IoError> {
    if !base.is_multiple_of(4) || !(4..=MOST).contains(&len) {
        return Err(IoError::NoSuchAddress);
    }
    let registers = Mmio::map(base, len)?;
    match registers.read32(0) {
        MAGIC => Ok(registers),
        other => Err(IoError::NoSlot(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::host::io::{MmioBackend, host_register_mmio};
    use alloc::sync::Arc;

    #[test]
    fn ports_are_those_of_devices_that_a_pc_has() {
        host::new_machine();
        let (keyboard, vga) = (pc_ports(0x60, 1).unwrap(), pc_ports(0x3c0, 0x20).unwrap());
        assert_eq!((keyboard.base(), vga.len()), (0x60, 0x20));
        assert_eq!(pc_ports(0x3d4, 2).err(), Some(IoError::InUse));
        // Between two of them, around one, fw_cfg with its way to memory, the other configuration ports; no ports.
        for (base, len) in [(0x61, 1), (0x60, 5), (0x1cd, 4), (0x514, 8), (0xcf8, 8), (0x64, 0), (0xffff, 2)]
        {
            assert_eq!(pc_ports(base, len).err(), Some(IoError::NoSuchAddress), "{base:#x} {len:#x}");
        }
    }

    /// Registers that all say the same.
    struct Same(u32);

    impl MmioBackend for Same {
        fn read(&self, _off: usize, _width: usize) -> u64 {
            u64::from(self.0)
        }
        fn write(&self, _off: usize, _width: usize, _value: u64) {}
    }

    #[test]
    fn a_slot_is_where_virtio_registers_begin() {
        host::new_machine();
        host_register_mmio(0xfeb0_0000, 0x200, Arc::new(Same(MAGIC)));
        host_register_mmio(0xfeb0_0200, 0x200, Arc::new(Same(7)));
        let slot = virtio_slot(0xfeb0_0000, 0x200).unwrap();
        assert_eq!(slot.len(), 0x200);
        assert_eq!(virtio_slot(0xfeb0_0000, 0x200).err(), Some(IoError::InUse));
        for _ in 0..2 {
            assert_eq!(virtio_slot(0xfeb0_0200, 0x200).err(), Some(IoError::NoSlot(7)), "it is not kept");
        }
        assert_eq!(virtio_slot(0xfec0_0000, 4).err(), Some(IoError::NoSlot(u32::MAX)));
        for (base, len) in
            [(0xfeb0_0002, 0x200), (0xfeb0_0000, 0), (0xfeb0_0000, MOST + 1), (u64::MAX - 3, 8)]
        {
            assert_eq!(virtio_slot(base, len).err(), Some(IoError::NoSuchAddress), "{base:#x} {len:#x}");
        }
    }
}
