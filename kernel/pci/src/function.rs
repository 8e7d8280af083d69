//! One function of a device: what its header says, and its command register.

use crate::bar::Bar;
use crate::{bar, capability};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use machine::pci_config::{ConfigSpace, Segment, access};
use pci_types::capability::{MsixCapability, PciCapability};
use pci_types::device_type::DeviceType;
use pci_types::{CommandRegister, EndpointHeader, HeaderType, PciAddress, PciHeader};

/// Offset of the interrupt line and pin, one byte each.
const INTERRUPT: u16 = 0x3C;

/// The function of a bus (0 to 255), device (0 to 31) and function number (0 to 7) of the only segment. Bits that do
/// not fit are dropped.
pub fn address(bus: u8, device: u8, function: u8) -> PciAddress {
    PciAddress::new(0, bus, device & 31, function & 7)
}

/// An address as Plan 9 prints it: bus, device and function in decimal, `0.4.0`.
pub struct Plan9(pub PciAddress);

impl fmt::Display for Plan9 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0.bus(), self.0.device(), self.0.function())
    }
}

/// One function of a PCI device.
#[derive(Clone, Debug)]
pub struct Function {
    /// Where it sits.
    pub address: PciAddress,
    /// Index in [`crate::Pci::functions`] of the bridge it is behind; `None` on a root bus.
    pub bridge: Option<usize>,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Base class, subclass, programming interface.
    pub class: [u8; 3],
    /// What kind of header it has.
    pub header: HeaderType,
    /// Subsystem vendor and id; zeros for bridges.
    pub subsystem: (u16, u16),
    /// Interrupt line as the firmware wrote it. Not to be trusted: qboot writes a wrong one.
    pub line: u8,
    /// Interrupt pin: 0 none, 1 INTA to 4 INTD.
    pub pin: u8,
    /// Base address registers; a 64-bit one takes the place of two.
    pub bars: [Option<Bar>; 6],
    /// Capabilities in list order.
    pub capabilities: Vec<PciCapability>,
}

impl Function {
    /// Reads a function's header, if there is a function, without its registers and capabilities. The second answer
    /// says that the device may have more functions.
    pub(crate) fn identify(
        space: &dyn ConfigSpace,
        at: PciAddress,
        bridge: Option<usize>,
    ) -> Option<(Function, bool)> {
        let space_access = access(space);
        let header = PciHeader::new(at);
        let (vendor, device) = header.id(space_access);
        if vendor == 0 || vendor == 0xFFFF {
            return None;
        }
        let (revision, base, sub, interface) = header.revision_and_class(space_access);
        let several = header.has_multiple_functions(space_access);
        let kind = header.header_type(space_access);
        let endpoint = EndpointHeader::from_header(header, space_access);
        let (subsystem, subsystem_vendor) = endpoint.map_or((0, 0), |e| e.subsystem(space_access));
        let [line, pin] = space.read16(at, INTERRUPT).to_le_bytes();
        let function = Function {
            address: at,
            bridge,
            vendor,
            device,
            revision,
            class: [base, sub, interface],
            header: kind,
            subsystem: (subsystem_vendor, subsystem),
            line,
            pin,
            bars: [None; 6],
            capabilities: Vec::new(),
        };
        Some((function, several))
    }

    /// Reads and sizes its base address registers, and reads its capabilities.
    pub(crate) fn examine(&mut self, space: &dyn ConfigSpace) {
        let host_bridge = self.kind() == DeviceType::HostBridge;
        self.bars = bar::read(space, self.address, self.header, host_bridge);
        self.capabilities = capability::list(space, self.address);
    }

    /// What kind of device it is, by its class.
    pub fn kind(&self) -> DeviceType {
        let [base, sub, _] = self.class;
        DeviceType::from((base, sub))
    }

    /// Whether there is a bus behind it.
    pub fn is_bridge(&self) -> bool {
        self.header == HeaderType::PciPciBridge
    }

    /// Its MSI-X capability, the first if there are several, and its offset.
    pub(crate) fn msix(&self) -> Option<(u16, MsixCapability)> {
        self.capabilities.iter().find_map(|c| {
            if let PciCapability::MsiX(msix) = c { Some((c.address().offset, *msix)) } else { None }
        })
    }

    /// Offsets of its vendor-specific capabilities, which hold virtio's structures, in list order.
    pub fn vendor_capabilities(&self) -> impl Iterator<Item = u16> + '_ {
        self.capabilities
            .iter()
            .filter_map(|c| if let PciCapability::Vendor(address) = c { Some(address.offset) } else { None })
    }
}

/// The command register of a function, for the driver that owns it.
#[derive(Clone)]
pub struct Command {
    space: Arc<dyn Segment>,
    at: PciAddress,
}

impl Command {
    /// That of the function at an address.
    pub(crate) fn new(space: &Arc<dyn Segment>, at: PciAddress) -> Command {
        Command { space: space.clone(), at }
    }

    /// Sets bits.
    pub fn set(&self, bits: CommandRegister) {
        change_command(&*self.space, self.at, bits, CommandRegister::empty());
    }

    /// Clears bits.
    pub fn clear(&self, bits: CommandRegister) {
        change_command(&*self.space, self.at, CommandRegister::empty(), bits);
    }
}

/// Sets and clears bits of a command register, which is written only when that changes it. The answer is what it was.
pub(crate) fn change_command(
    space: &dyn ConfigSpace,
    at: PciAddress,
    set: CommandRegister,
    clear: CommandRegister,
) -> CommandRegister {
    let mut header = PciHeader::new(at);
    let before = header.command(access(space));
    let wanted = (before | set) - clear;
    if wanted != before {
        header.update_command(access(space), |_| wanted);
    }
    before
}
