//! Which virtio devices there are, and what they are called.
//!
//! Virtio 1.3 sections 4.1.2 (PCI device discovery) and 5 (device ids). Enumeration is separate from PCI's: it lists
//! what every transport found, in one order, and counts over all classes, so `virtio-console-2` is the third virtio
//! device of the machine. On PCI the order is ascending by bus, device and function; slots in memory come behind, in
//! descending order, because QEMU fills them from the highest down: so both have the order of QEMU's command line, as
//! long as no `addr=` or `bus=` puts a device elsewhere. A device without a driver has its name and number like any
//! other.

use crate::transport::mmio;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use pci::{Function, HeaderType, Pci, PciAddress, Plan9};

/// Vendor of all virtio devices on PCI.
const VENDOR: u16 = 0x1AF4;

/// Where a device sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// A PCI function.
    Pci(PciAddress),
    /// A slot in memory.
    Mmio(mmio::Slot),
}

impl Location {
    /// As the name of a file: `pci-0.4.0`, `mmio-0xfeb02e00`.
    pub fn file_name(&self) -> String {
        match self {
            Location::Pci(at) => format!("pci-{}", Plan9(*at)),
            Location::Mmio(slot) => format!("mmio-{:#x}", slot.base),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Pci(at) => write!(f, "pci {}", Plan9(*at)),
            Location::Mmio(slot) => write!(f, "{slot}"),
        }
    }
}

/// A virtio device, with or without a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDevice {
    /// `virtio-<class>-<n>`.
    pub name: String,
    /// Number among all virtio devices, from 0.
    pub n: usize,
    /// Virtio device id (9 is 9P, 3 is a console).
    pub id: u16,
    /// Name of the class.
    pub class: Cow<'static, str>,
    /// Where it sits.
    pub location: Location,
}

impl NamedDevice {
    /// The `n`th device: one of virtio id `id`, at `location`.
    pub fn new(n: usize, id: u16, location: Location) -> NamedDevice {
        let class = class(id);
        NamedDevice { name: format!("virtio-{class}-{n}"), n, id, class, location }
    }
}

/// Virtio ids (section 5) of the classes of which more is known here than the name.
pub(crate) mod id {
    pub const NET: u16 = 1;
    pub const BLOCK: u16 = 2;
    pub const CONSOLE: u16 = 3;
    pub const ENTROPY: u16 = 4;
    pub const BALLOON: u16 = 5;
    pub const NINEP: u16 = 9;
    pub const GPU: u16 = 16;
    pub const VSOCK: u16 = 19;
    pub const SOUND: u16 = 25;
    pub const FS: u16 = 26;
}

/// The name of a device class by its virtio id.
pub fn class(id: u16) -> Cow<'static, str> {
    Cow::Borrowed(match id {
        id::NET => "net",
        id::BLOCK => "block",
        id::CONSOLE => "console",
        id::ENTROPY => "rng",
        id::BALLOON => "balloon",
        6 => "iomem",
        7 => "rpmsg",
        8 => "scsi",
        id::NINEP => "9p",
        10 => "mac80211-wlan",
        11 => "rproc-serial",
        12 => "caif",
        13 => "memory-balloon",
        id::GPU => "gpu",
        17 => "clock",
        18 => "input",
        id::VSOCK => "vsock",
        20 => "crypto",
        21 => "signal-dist",
        22 => "pstore",
        23 => "iommu",
        24 => "mem",
        id::SOUND => "sound",
        id::FS => "fs",
        27 => "pmem",
        28 => "rpmb",
        29 => "mac80211-hwsim",
        30 => "video-encoder",
        31 => "video-decoder",
        32 => "scmi",
        33 => "nitro-sec-mod",
        34 => "i2c",
        35 => "watchdog",
        36 => "can",
        37 => "dmabuf",
        38 => "param-server",
        39 => "audio-policy",
        40 => "bluetooth",
        41 => "gpio",
        _ => return Cow::Owned(format!("{id}")),
    })
}

/// The virtio id of a PCI function, if it is a virtio device.
///
/// Device ids from 0x1040 on say it themselves. Those below belong to devices that also speak the old
/// interface; the subsystem id says what they are.
pub fn pci_id(function: &Function) -> Option<u16> {
    if function.vendor != VENDOR || function.header != HeaderType::Endpoint {
        return None;
    }
    match function.device {
        0x1000..=0x103F => Some(function.subsystem.1),
        0x1040..=0x107F => Some(function.device - 0x1040),
        _ => None,
    }
}

/// All virtio devices of the machine, in the order of their numbers: those on PCI, and those in the slots.
pub fn enumerate(pci: Option<&Pci>, slots: &[(mmio::Slot, u16)]) -> Vec<NamedDevice> {
    let functions = pci.map_or(&[][..], |pci| pci.functions());
    let on_pci = functions.iter().filter_map(|f| Some((pci_id(f)?, Location::Pci(f.address))));
    let mut slots = slots.to_vec();
    slots.sort_unstable_by_key(|(slot, _)| core::cmp::Reverse(slot.base));
    let in_slots = slots.into_iter().map(|(slot, id)| (id, Location::Mmio(slot)));
    on_pci.chain(in_slots).enumerate().map(|(n, (id, location))| NamedDevice::new(n, id, location)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pci::fake::FakeSpace;
    use pci::fake::captured::{NO_MODERN, PC, PORTS, PORTS_QBOOT, ROOT_PORT};
    use pci::{Windows, address};

    #[test]
    fn devices_of_captured_machines() {
        let names = |fixture| -> Vec<String> {
            let pci = Pci::scan(FakeSpace::new(fixture).boxed(), &Windows::below_4g(&[], true), 0);
            enumerate(Some(&pci), &[]).iter().map(|f| format!("{} {}", f.name, f.location)).collect()
        };
        assert_eq!(
            names(PC),
            [
                "virtio-9p-0 pci 0.2.0",
                "virtio-9p-1 pci 0.3.0",
                "virtio-9p-2 pci 0.4.0",
                "virtio-console-3 pci 0.5.0",
                "virtio-rng-4 pci 0.6.0"
            ]
        );
        assert_eq!(names(ROOT_PORT), ["virtio-9p-0 pci 1.0.0"]);
        assert_eq!(names(NO_MODERN), ["virtio-9p-0 pci 0.1.0", "virtio-rng-1 pci 0.2.0"]);
        // They do not depend on the firmware.
        for fixture in [PORTS, PORTS_QBOOT] {
            assert_eq!(names(fixture), ["virtio-9p-0 pci 1.0.0", "virtio-9p-1 pci 3.3.0"]);
        }
    }

    #[test]
    fn names_count_over_all_classes() {
        let at = Location::Pci(address(0, 4, 0));
        assert_eq!(NamedDevice::new(0, 9, at).name, "virtio-9p-0");
        assert_eq!(NamedDevice::new(2, 3, at).name, "virtio-console-2");
        assert_eq!(NamedDevice::new(7, 999, at).name, "virtio-999-7");
        assert_eq!(NamedDevice::new(3, 11, at).name, "virtio-rproc-serial-3");
        assert_eq!((format!("{at}"), at.file_name()), ("pci 0.4.0".into(), "pci-0.4.0".into()));
    }

    #[test]
    fn slots_count_down_behind_pci() {
        let slot = |n: u64| mmio::Slot { base: 0xFEB0_0000 + n * 0x200, size: 0x200, gsi: 24 };
        let found = enumerate(None, &[(slot(1), 9), (slot(23), 4), (slot(7), 999)]);
        let text: Vec<String> = found.iter().map(|f| format!("{} {}", f.name, f.location)).collect();
        assert_eq!(
            text,
            [
                "virtio-rng-0 mmio 0xfeb02e00 slot 23",
                "virtio-999-1 mmio 0xfeb00e00 slot 7",
                "virtio-9p-2 mmio 0xfeb00200 slot 1"
            ]
        );
    }
}
