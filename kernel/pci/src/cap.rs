//! The list of capabilities in a function's configuration space (PCI 3.0 section 6.7).
//!
//! The list is written by a device, so nothing about it is believed: it may point anywhere, point at itself, or end
//! in the middle of a structure.

use super::config::{Address, ConfigSpace};
use alloc::vec::Vec;

/// MSI-X.
pub const MSIX: u8 = 0x11;
/// Vendor specific: virtio's structures.
pub const VENDOR: u8 = 0x09;

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Its offset in configuration space, 0x40 to 0xFC.
    pub at: u16,
}

impl Capability {
    /// Whether `len` bytes from the start of this capability are inside the first 256 bytes.
    pub fn holds(&self, len: u16) -> bool {
        self.at.saturating_add(len) <= 256
    }
}

/// The capabilities of a function, in list order, each offset once.
pub fn list(space: &dyn ConfigSpace, at: Address) -> Vec<Capability> {
    let mut found = Vec::new();
    if space.read16(at, 0x06) & 0x10 == 0 {
        return found;
    }
    let mut next = u16::from(space.read8(at, 0x34) & 0xFC);
    // One bit for each place where an entry can start: a second visit ends the walk.
    let mut seen = 0u64;
    while next >= 0x40 {
        let bit = 1u64 << (next / 4);
        if seen & bit != 0 {
            break;
        }
        seen |= bit;
        let id = space.read8(at, next);
        if id == 0xFF {
            break;
        }
        found.push(Capability { id, at: next });
        next = u16::from(space.read8(at, next + 1) & 0xFC);
    }
    found
}
