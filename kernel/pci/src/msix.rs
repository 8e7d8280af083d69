//! MSI-X: interrupts as messages that the device writes (PCI 3.0 section 6.8.2).
//!
//! The table sits in one of the device's memory registers, an address, a datum and a mask bit for each entry. A
//! device reset does not touch it. Owned by the device's transport; entries are written once, at start, so
//! there is no lock.

use crate::capability::is_inside;
use crate::{CommandRegister, Failure, Function, Pci};
use alloc::sync::Arc;
use machine::io::Mmio;
use machine::pci_config::{Segment, access};
use pci_types::capability::MsixCapability;

/// Vector control: this entry is masked.
const MASKED: u32 = 1;
/// Bytes of an entry.
const ENTRY: usize = 16;

/// Bytes of the capability.
const CAPABILITY: u16 = 12;

/// A function's MSI-X table, mapped.
pub struct Msix {
    space: Arc<dyn Segment>,
    capability: MsixCapability,
    table: Mmio,
}

impl Msix {
    /// The table of a function, switched off whatever it was; `None` when it has no such capability.
    ///
    /// # Errors
    /// When the capability is nonsense: leaves configuration space, or points outside the device's memory.
    pub fn open(pci: &Pci, function: &Function) -> Result<Option<Msix>, Failure> {
        let Some((offset, capability)) = function.msix() else { return Ok(None) };
        if !is_inside(offset, CAPABILITY) {
            return Err(Failure::new("MSI-X capability leaves configuration space"));
        }
        // Where the firmware did nothing, the table does not answer yet.
        pci.enable(function, CommandRegister::MEMORY_ENABLE);
        let len = u64::from(capability.table_size()) * ENTRY as u64;
        let table = pci.map(function, capability.table_bar(), u64::from(capability.table_offset()), len)?;
        let msix = Msix { space: pci.space().clone(), capability, table };
        msix.disable();
        Ok(Some(msix))
    }

    /// Number of entries, 1 to 2048.
    pub fn entries(&self) -> u16 {
        self.capability.table_size()
    }

    /// Lets `entry` send `data` to `address`. Entries that do not exist are ignored.
    pub fn set(&self, entry: u16, address: u64, data: u32) {
        if entry >= self.entries() {
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
        let mut capability = self.capability;
        capability.set_function_mask(false, access(&*self.space));
        capability.set_enabled(true, access(&*self.space));
    }

    /// Turns the whole of it off.
    fn disable(&self) {
        let mut capability = self.capability;
        if capability.enabled(access(&*self.space)) {
            capability.set_enabled(false, access(&*self.space));
        }
    }
}

impl Drop for Msix {
    /// Off again, so that nothing is sent to handlers that are gone.
    fn drop(&mut self) {
        self.disable();
    }
}
