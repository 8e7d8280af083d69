//! MSI-X: interrupts as messages that the device writes (PCI 3.0 section 6.8.2).
//!
//! The table sits in one of the device's memory registers, an address, a datum and a mask bit for each entry. A
//! device reset does not touch it. Owned by the device's transport; entries are written once, at start, so
//! there is no lock.

use super::bar::MEMORY;
use super::cap::{self, Capability};
use super::config::{Address, ConfigSpace};
use super::{Function, Pci};
use crate::Failure;
use alloc::sync::Arc;
use machine::io::Mmio;

/// Message control: enable.
const ENABLE: u16 = 1 << 15;
/// Message control: all entries masked.
const MASK_ALL: u16 = 1 << 14;
/// Vector control: this entry is masked.
const MASKED: u32 = 1;
/// Bytes of an entry.
const ENTRY: usize = 16;

/// A function's MSI-X table, mapped.
pub struct Msix {
    space: Arc<dyn ConfigSpace>,
    at: Address,
    control: u16,
    entries: u16,
    table: Mmio,
}

impl Msix {
    /// The table of a function, switched off whatever it was; `None` when it has no such capability.
    ///
    /// # Errors
    /// When the capability is nonsense: leaves configuration space, or points outside the device's memory.
    pub fn open(pci: &Pci, function: &Function) -> Result<Option<Msix>, Failure> {
        let Some(found) = function.capability(cap::MSIX) else { return Ok(None) };
        let space = pci.space();
        // Where the firmware did nothing, the table does not answer yet.
        pci.enable(function, MEMORY);
        let (entries, bar, offset) = Msix::locate(&**space, function.address, &found)?;
        let table = pci.map(function, bar, u64::from(offset), u64::from(entries) * ENTRY as u64)?;
        let msix = Msix { space: space.clone(), at: function.address, control: found.at + 2, entries, table };
        msix.disable();
        Ok(Some(msix))
    }

    /// Number of entries, and the register and offset of the table.
    fn locate(space: &dyn ConfigSpace, at: Address, found: &Capability) -> Result<(u16, u8, u32), Failure> {
        if !found.holds(12) {
            return Err(Failure::new("MSI-X capability leaves configuration space"));
        }
        let entries = (space.read16(at, found.at + 2) & 0x7FF) + 1;
        let table = space.read32(at, found.at + 4);
        Ok((entries, (table & 7) as u8, table & !7))
    }

    /// Number of entries, 1 to 2048.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Lets `entry` send `data` to `address`. Entries that do not exist are ignored.
    pub fn set(&self, entry: u16, address: u64, data: u32) {
        if entry >= self.entries {
            return;
        }
        let at = usize::from(entry) * ENTRY;
        self.table.write32(at + 12, MASKED);
        self.table.write32(at, address as u32);
        self.table.write32(at + 4, (address >> 32) as u32);
        self.table.write32(at + 8, data);
        self.table.write32(at + 12, 0);
    }

    /// Turns the whole of it on. INTx of the function is off from then.
    pub fn enable(&self) {
        let control = self.space.read16(self.at, self.control);
        self.space.write16(self.at, self.control, (control | ENABLE) & !MASK_ALL);
    }

    /// Turns the whole of it off.
    fn disable(&self) {
        let control = self.space.read16(self.at, self.control);
        if control & ENABLE != 0 {
            self.space.write16(self.at, self.control, control & !ENABLE);
        }
    }
}

impl Drop for Msix {
    /// Off again, so that nothing is sent to handlers that are gone.
    fn drop(&mut self) {
        self.disable();
    }
}
