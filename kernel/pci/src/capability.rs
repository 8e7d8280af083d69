//! The list of capabilities in a function's configuration space (PCI 3.0 section 6.7).
//!
//! The list is written by a device, so nothing about it is believed: it may point anywhere, point at itself, or end
//! in the middle of a structure. `pci_types` follows whatever it finds, so it is given a copy of the list, which ends.

use alloc::vec::Vec;
use core::cell::Cell;
use machine::pci_config::{ConfigSpace, Width, access};
use pci_types::capability::PciCapability;
use pci_types::{EndpointHeader, PciAddress, PciHeader};

/// Offset of the status register's half of the command and status registers, and of the pointer to the list.
const COMMAND_AND_STATUS: u16 = 0x04;
const POINTER: u16 = 0x34;
/// Where the list can be.
const FIRST: u16 = 0x40;
const END: u16 = 0x100;
/// Id of an MSI-X capability, of which `pci_types` reads the two words behind the first.
const MSIX: u8 = 0x11;

/// Whether `len` bytes from `offset` of a capability on are inside the first 256 bytes, in which capabilities are.
pub fn is_inside(offset: u16, len: u16) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= END)
}

/// The words of a configuration space that make up the list. Everything else in it reads as zeros, so it is an
/// endpoint's; the lists of bridges are the same.
struct List([Cell<u32>; END as usize / 4]);

impl ConfigSpace for List {
    fn read(&self, _at: PciAddress, offset: u16, _width: Width) -> u32 {
        self.0.get(usize::from(offset / 4)).map_or(u32::MAX, Cell::get)
    }

    fn write(&self, _at: PciAddress, _offset: u16, _width: Width, _value: u32) {}
}

impl List {
    fn set(&self, offset: u16, word: u32) {
        if let Some(place) = self.0.get(usize::from(offset / 4)) {
            place.set(word);
        }
    }

    /// Copies the list of a function: each entry once, in its order, up to the first that leads to one seen before, to
    /// a place where no capability can be, or to nothing.
    fn copy(space: &dyn ConfigSpace, at: PciAddress) -> List {
        let list = List([const { Cell::new(0) }; END as usize / 4]);
        let status = space.read32(at, COMMAND_AND_STATUS);
        list.set(COMMAND_AND_STATUS, status);
        // The word that points at the next entry, and that entry.
        let (mut link, mut word, mut shift) = (POINTER, 0, 0);
        let mut next = u16::from(space.read8(at, POINTER) & 0xFC);
        // One bit for each place where an entry can start.
        let mut visited = 0u64;
        while next >= FIRST && !is_visited(visited, next) {
            visited |= 1 << (next / 4);
            let entry = space.read32(at, next);
            let [id, following, ..] = entry.to_le_bytes();
            if id == 0xFF {
                break;
            }
            list.set(link, word | u32::from(next) << shift);
            if id == MSIX {
                // Links of this list must not become the device's again.
                for behind in [next + 4, next + 8].into_iter().filter(|word| !is_visited(visited, *word)) {
                    list.set(behind, space.read32(at, behind));
                }
            }
            // Until it is known that there is another one, this is the last.
            (link, word, shift) = (next, entry & !0xFF00, 8);
            list.set(link, word);
            next = u16::from(following & 0xFC);
        }
        list
    }
}

/// Whether the bit of the word at an offset is set; there is none for those beyond the end.
fn is_visited(visited: u64, offset: u16) -> bool {
    visited.checked_shr(u32::from(offset / 4)).is_some_and(|rest| rest & 1 != 0)
}

/// The capabilities of a function, in list order, each offset once.
pub(crate) fn list(space: &dyn ConfigSpace, at: PciAddress) -> Vec<PciCapability> {
    let list = List::copy(space, at);
    let endpoint = EndpointHeader::from_header(PciHeader::new(at), access(&list));
    endpoint.map_or_else(Vec::new, |endpoint| endpoint.capabilities(access(&list)).collect())
}
