//! What tells a device from others of its class, read from its configuration: for devices without a driver too.
//!
//! Follows virtio 1.3 section 5, the configuration layout of each class. Nothing is known to be true: what cannot be
//! read is left out.

use crate::inventory::names::id;
use crate::transport::VirtioTransport;
use alloc::format;
use alloc::string::String;

/// Feature bits that say which fields there are: network MAC and console size.
const NET_MAC: u64 = 1 << 5;
const CONSOLE_SIZE: u64 = 1;
const CONSOLE_MULTIPORT: u64 = 1 << 1;

fn word<const N: usize>(device: &dyn VirtioTransport, at: usize) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    device.config_read(at, &mut bytes).ok()?;
    Some(bytes)
}

fn u16_at(device: &dyn VirtioTransport, at: usize) -> Option<u16> {
    word(device, at).map(u16::from_le_bytes)
}

fn u32_at(device: &dyn VirtioTransport, at: usize) -> Option<u32> {
    word(device, at).map(u32::from_le_bytes)
}

fn u64_at(device: &dyn VirtioTransport, at: usize) -> Option<u64> {
    word(device, at).map(u64::from_le_bytes)
}

/// A text of at most `N` bytes that ends with a zero byte or with its field.
fn text<const N: usize>(device: &dyn VirtioTransport, at: usize) -> Option<String> {
    let bytes: [u8; N] = word(device, at)?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(N);
    bytes.get(..end).filter(|t| !t.is_empty()).map(|t| String::from_utf8_lossy(t).into_owned())
}

/// The identity of a device of the class with this virtio id; empty when it has none.
pub fn of(class: u16, device: &dyn VirtioTransport) -> String {
    read(class, device).unwrap_or_default()
}

fn read(class: u16, device: &dyn VirtioTransport) -> Option<String> {
    let offers = |bit| device.offered() & bit != 0;
    match class {
        id::NET if offers(NET_MAC) => {
            let [a, b, c, d, e, f] = word(device, 0)?;
            Some(format!("{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}"))
        }
        id::BLOCK => Some(format!("{} sectors", u64_at(device, 0)?)),
        id::CONSOLE if offers(CONSOLE_MULTIPORT) => Some(format!("{} ports", u32_at(device, 4)?)),
        id::CONSOLE if offers(CONSOLE_SIZE) => match (u16_at(device, 0)?, u16_at(device, 2)?) {
            (0, _) | (_, 0) => None,
            (columns, rows) => Some(format!("{columns}x{rows}")),
        },
        id::BALLOON => Some(format!("{} of {} pages", u32_at(device, 4)?, u32_at(device, 0)?)),
        id::NINEP => {
            let len = usize::from(u16_at(device, 0)?);
            let mut tag = [0; 256];
            let tag = tag.get_mut(..len)?;
            device.config_read(2, tag).ok()?;
            Some(String::from_utf8_lossy(tag).into_owned())
        }
        id::GPU => Some(format!("{} scanouts", u32_at(device, 8)?)),
        id::VSOCK => Some(format!("cid {}", u64_at(device, 0)?)),
        id::SOUND => Some(format!("{} streams", u32_at(device, 4)?)),
        id::FS => text::<36>(device, 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, MmioRegisters, Quirks};
    use crate::transport::mmio::{self, Slot};
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use machine::host;

    fn identity(id: u16, config: &[u8]) -> String {
        host::new_machine();
        let slot = Slot { base: 0xFEB0_0E00, size: 0x200, gsi: 12 };
        let fake = Fake::with(config.into(), 8, Quirks::default());
        host::io::host_register_mmio(slot.base, 0x200, Arc::new(MmioRegisters(fake, 2)));
        of(id, &mmio::MmioTransport::open(&slot, &Default::default()).unwrap())
    }

    #[test]
    fn each_class_says_what_it_configures() {
        let bytes = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
        assert_eq!(identity(2, &bytes(&[20480, 0])), "20480 sectors");
        assert_eq!(identity(5, &bytes(&[7, 5])), "5 of 7 pages");
        assert_eq!(identity(9, b"\x04\0hostrest"), "host");
        assert_eq!(identity(16, &bytes(&[0, 0, 2])), "2 scanouts");
        assert_eq!(identity(19, &bytes(&[3, 0])), "cid 3");
        assert_eq!(identity(26, b"my files\0"), "my files");
        assert_eq!(identity(26, b"\0"), "");
        assert_eq!(identity(4, b""), "");
        // More than the field can have.
        assert_eq!(identity(9, b"\xff\xffx"), "");
        // This fake offers neither a MAC nor ports, but bit 0.
        assert_eq!(identity(1, &[1, 2, 3, 4, 5, 6]), "");
        assert_eq!(identity(3, &[80, 0, 25, 0]), "80x25");
        assert_eq!(identity(3, &[0, 0, 25, 0]), "");
    }
}
