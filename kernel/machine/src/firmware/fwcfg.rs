//! QEMU's fw_cfg: files and numbers that the machine's maker left for the guest.
//!
//! Follows QEMU's `docs/specs/fw_cfg`: a 16-bit selector at port 0x510, bytes at 0x511. Selecting begins an item
//! anew, and its bytes come one after the other. One reader at a time: whoever reads has claimed the ports, and a
//! second one is told that there is no such item.

use crate::heap;
use crate::io::Ports;
use alloc::vec::Vec;

const PORT: u16 = 0x510;
const SIGNATURE: u16 = 0x00;
const PROCESSORS: u16 = 0x05;
#[cfg(target_os = "none")]
const COMMAND_LINE_SIZE: u16 = 0x14;
const DIRECTORY: u16 = 0x19;
/// A directory of more entries is not believed.
const MOST: u32 = 1024;
/// What is longer is not read.
const MOST_BYTES: usize = 1 << 20;
/// Bytes of a directory entry: size, selector, two unused, name.
const ENTRY: usize = 64;

/// An item whose bytes are being read.
pub struct Item {
    ports: Ports,
    /// How many there are left.
    left: usize,
}

impl Item {
    fn select(ports: Ports, selector: u16, left: usize) -> Item {
        ports.out16(0, selector);
        Item { ports, left }
    }

    /// The next bytes: `n`, or as many as there are. None when that is more than is believed, or than there is memory
    /// for.
    pub fn read(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.left);
        self.left -= n;
        if n > MOST_BYTES {
            return Vec::new();
        }
        let Ok(mut bytes) = heap::try_bytes(n) else { return Vec::new() };
        bytes.iter_mut().for_each(|b| *b = self.ports.in8(1));
        bytes
    }
}

/// How many processors the machine was made with. `None`: this is not QEMU.
pub fn processors() -> Option<u16> {
    let count: [u8; 2] = Item::select(qemu()?, PROCESSORS, 2).read(2).try_into().ok()?;
    Some(u16::from_le_bytes(count))
}

/// Bytes of the command line that the machine was started with, however much of it has arrived. `None`: this is not
/// QEMU. It is asked before there is memory or anybody else.
#[cfg(target_os = "none")]
pub(crate) fn command_line_len() -> Option<usize> {
    let ports = Ports::of_kernel(PORT, 2);
    let word = |selector| {
        ports.out16(0, selector);
        [(); 4].map(|()| ports.in8(1))
    };
    // The size is with the zero at its end; without a command line it is 0.
    (word(SIGNATURE) == *b"QEMU")
        .then(|| (u32::from_le_bytes(word(COMMAND_LINE_SIZE)) as usize).saturating_sub(1))
}

/// How many PCI root buses the machine has besides bus 0, at most 255. QEMU tells of them when it has some.
pub fn extra_pci_roots() -> usize {
    let count = open("etc/extra-pci-roots").and_then(|mut file| <[u8; 8]>::try_from(file.read(8)).ok());
    count.map_or(0, |bytes| u64::from_le_bytes(bytes).min(255) as usize)
}

/// The ports, if it is there.
fn qemu() -> Option<Ports> {
    let ports = Ports::claim(PORT, 2).ok()?;
    (Item::select(ports.clone(), SIGNATURE, 4).read(4) == b"QEMU").then_some(ports)
}

/// The file of this name. `None`: not there, or this is not QEMU.
pub fn open(name: &str) -> Option<Item> {
    let ports = qemu()?;
    let mut directory = Item::select(ports.clone(), DIRECTORY, usize::MAX);
    let count: [u8; 4] = directory.read(4).try_into().ok()?;
    let count = u32::from_be_bytes(count);
    let mut found = None;
    for _ in 0..count.min(MOST) {
        let entry = directory.read(ENTRY);
        let (head, rest) = entry.split_at_checked(8)?;
        let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
        if rest.get(..end) == Some(name.as_bytes()) {
            let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            found = Some((u16::from_be_bytes([head[4], head[5]]), usize::try_from(size).ok()?));
            break;
        }
    }
    let (selector, size) = found?;
    Some(Item::select(ports, selector, size))
}

/// Gives the calling thread's machine a fw_cfg with one file.
#[cfg(test)]
pub(crate) fn host_add_file(name: &str, bytes: Vec<u8>) {
    let mut directory = 1u32.to_be_bytes().to_vec();
    directory.extend(tests::entry(bytes.len() as u32, 0x20, name));
    let items = alloc::vec![(SIGNATURE, b"QEMU".to_vec()), (DIRECTORY, directory), (0x20, bytes)];
    crate::host::io::host_register_ports(
        PORT,
        2,
        alloc::sync::Arc::new(tests::Fake(Default::default(), items)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::host::io::{PortBackend, host_register_ports};
    use alloc::sync::Arc;
    use alloc::vec;
    use std::sync::Mutex;

    /// The selected item and how far it was read, and all items.
    pub(super) struct Fake(pub(super) Mutex<(u16, usize)>, pub(super) Vec<(u16, Vec<u8>)>);

    impl PortBackend for Fake {
        fn read(&self, off: u16, width: usize) -> u32 {
            assert_eq!((off, width), (1, 1));
            let mut at = self.0.lock().unwrap();
            let item = self.1.iter().find(|(s, _)| *s == at.0).map_or(&[][..], |(_, b)| b);
            at.1 += 1;
            u32::from(item.get(at.1 - 1).copied().unwrap_or(0))
        }
        fn write(&self, off: u16, width: usize, value: u32) {
            assert_eq!((off, width), (0, 2));
            *self.0.lock().unwrap() = (value as u16, 0);
        }
    }

    pub(super) fn entry(size: u32, selector: u16, name: &str) -> Vec<u8> {
        let mut e = size.to_be_bytes().to_vec();
        e.extend(selector.to_be_bytes());
        e.extend([0, 0]);
        e.extend(name.as_bytes());
        e.resize(ENTRY, 0);
        e
    }

    #[test]
    fn files_are_found_by_name() {
        host::new_machine();
        assert!(open("etc/fdt").is_none(), "no fw_cfg, no files");
        assert_eq!(extra_pci_roots(), 0);
        assert_eq!(processors(), None);
        let mut directory = 2u32.to_be_bytes().to_vec();
        directory.extend(entry(7, 0x20, "etc/acpi"));
        directory.extend(entry(5, 0x21, "etc/fdt"));
        let items = vec![
            (0, b"QEMU".to_vec()),
            (PROCESSORS, vec![3, 1]),
            (DIRECTORY, directory),
            (0x21, b"hello".to_vec()),
        ];
        host_register_ports(PORT, 2, Arc::new(Fake(Mutex::default(), items)));
        let mut file = open("etc/fdt").unwrap();
        assert_eq!((file.read(2), file.read(99), file.read(1)), (b"he".to_vec(), b"llo".to_vec(), vec![]));
        assert!(processors().is_none(), "somebody is reading");
        drop(file);
        assert!(open("etc/fd").is_none());
        assert_eq!(Item::select(qemu().unwrap(), 0x21, usize::MAX).read(usize::MAX), [], "not believed");
        assert_eq!(processors(), Some(259));
    }
}
