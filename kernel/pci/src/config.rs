//! Access to PCI configuration space: the two ports of mechanism 1, or the memory-mapped window of PCI Express.
//!
//! PCI Local Bus Specification 3.0 section 3.2.2.3.2 (ports 0xCF8 and 0xCFC), PCI Express Base Specification
//! section 7.2.2 (ECAM). QEMU's `pc` has only the ports, `q35` has both, `microvm,pcie=on` only the window.
//!
//! [`Cf8`] guards its two ports with one Lock, because an access is two port operations; [`Ecam`] needs none:
//! its windows are mapped during the scan and do not change afterwards.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use machine::firmware::acpi;
use machine::io::{Mmio, Ports};
use machine::lock::Lock;

/// Where a function sits: bus 0 to 255, device 0 to 31, function 0 to 7. Printed as Plan 9 does, `0.4.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Bus number.
    pub bus: u8,
    /// Device on the bus, 0 to 31.
    pub dev: u8,
    /// Function of the device, 0 to 7.
    pub fun: u8,
}

impl Address {
    /// The address with these parts; bits that do not fit are dropped.
    pub const fn new(bus: u8, dev: u8, fun: u8) -> Address {
        Address { bus, dev: dev & 31, fun: fun & 7 }
    }

    /// Device and function in the eight bits in which both access mechanisms take them.
    const fn devfn(self) -> u32 {
        ((self.dev as u32 & 31) << 3) | (self.fun as u32 & 7)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.bus, self.dev, self.fun)
    }
}

/// How many bytes one access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte = 1,
    /// Two bytes, at an even offset.
    Word = 2,
    /// Four bytes, at an offset divisible by four.
    Long = 4,
}

/// The configuration space of one PCI segment.
///
/// Reading what does not exist gives all ones, writing there does nothing: as on the bus itself.
pub trait ConfigSpace: Send + Sync {
    /// Makes the functions of `bus` reachable. False when they cannot be. Called by the scan, once a bus.
    fn reach(&mut self, bus: u8) -> bool;

    /// Whether this segment's bridges pass port I/O, so that an I/O base address register is of use.
    fn has_ports(&self) -> bool;

    /// Reads at `offset`, which is aligned to the width.
    fn read(&self, at: Address, offset: u16, width: Width) -> u32;

    /// Writes at `offset`, which is aligned to the width.
    fn write(&self, at: Address, offset: u16, width: Width, value: u32);

    /// Reads one byte.
    fn read8(&self, at: Address, offset: u16) -> u8 {
        self.read(at, offset, Width::Byte) as u8
    }

    /// Reads two bytes.
    fn read16(&self, at: Address, offset: u16) -> u16 {
        self.read(at, offset, Width::Word) as u16
    }

    /// Reads four bytes.
    fn read32(&self, at: Address, offset: u16) -> u32 {
        self.read(at, offset, Width::Long)
    }

    /// Writes one byte.
    fn write8(&self, at: Address, offset: u16, value: u8) {
        self.write(at, offset, Width::Byte, u32::from(value));
    }

    /// Writes two bytes.
    fn write16(&self, at: Address, offset: u16, value: u16) {
        self.write(at, offset, Width::Word, u32::from(value));
    }

    /// Writes four bytes.
    fn write32(&self, at: Address, offset: u16, value: u32) {
        self.write(at, offset, Width::Long, value);
    }
}

/// Mechanism 1: an address into port 0xCF8, then the data at 0xCFC.
pub struct Cf8 {
    ports: Lock<Ports>,
}

impl Cf8 {
    /// Enable bit of the address register.
    const ENABLE: u32 = 0x8000_0000;
    /// The data register behind the address register.
    const DATA: u16 = 4;

    /// The two ports, if the machine has them (`microvm` has not).
    pub fn probe() -> Option<Cf8> {
        Cf8::on(Ports::claim(0xCF8, 8).ok()?)
    }

    /// Mechanism 1 on the given eight ports, if the address register holds what is written to it.
    pub fn on(ports: Ports) -> Option<Cf8> {
        let before = ports.in32(0);
        ports.out32(0, Cf8::ENABLE);
        let there = ports.in32(0) == Cf8::ENABLE;
        ports.out32(0, before);
        there.then(|| Cf8 { ports: Lock::new(ports) })
    }

    fn select(at: Address, offset: u16) -> u32 {
        Cf8::ENABLE | (u32::from(at.bus) << 16) | (at.devfn() << 8) | u32::from(offset & 0xFC)
    }
}

impl ConfigSpace for Cf8 {
    fn reach(&mut self, _bus: u8) -> bool {
        true
    }

    fn has_ports(&self) -> bool {
        true
    }

    fn read(&self, at: Address, offset: u16, width: Width) -> u32 {
        if offset > 0xFF {
            return u32::MAX;
        }
        let ports = self.ports.lock();
        ports.out32(0, Cf8::select(at, offset));
        match width {
            Width::Byte => u32::from(ports.in8(Cf8::DATA + (offset & 3))),
            Width::Word => u32::from(ports.in16(Cf8::DATA + (offset & 2))),
            Width::Long => ports.in32(Cf8::DATA),
        }
    }

    fn write(&self, at: Address, offset: u16, width: Width, value: u32) {
        if offset > 0xFF {
            return;
        }
        let ports = self.ports.lock();
        ports.out32(0, Cf8::select(at, offset));
        match width {
            Width::Byte => ports.out8(Cf8::DATA + (offset & 3), value as u8),
            Width::Word => ports.out16(Cf8::DATA + (offset & 2), value as u16),
            Width::Long => ports.out32(Cf8::DATA, value),
        }
    }
}

/// Bytes of one bus in a window: 32 devices of 8 functions of 4096 bytes.
const BUS: u64 = 1 << 20;

/// Physical addresses that a memory-mapped window occupies.
pub fn range(window: &acpi::Ecam) -> Range<u64> {
    let start = window.base.saturating_add(u64::from(window.bus_start) * BUS);
    start..window.base.saturating_add((u64::from(window.bus_end) + 1) * BUS)
}

/// The window itself: 4096 bytes a function, mapped bus by bus as the scan finds them.
pub struct Ecam {
    window: acpi::Ecam,
    ports: bool,
    buses: Vec<Option<Mmio>>,
}

impl Ecam {
    /// A window with nothing mapped yet. `ports` says whether the machine also passes port I/O to its functions.
    pub fn new(window: acpi::Ecam, ports: bool) -> Ecam {
        Ecam { window, ports, buses: Vec::new() }
    }

    fn place(&self, at: Address, offset: u16, width: Width) -> Option<(&Mmio, usize)> {
        let bus = self.buses.get(usize::from(at.bus))?.as_ref()?;
        if usize::from(offset) + width as usize > 4096 {
            return None;
        }
        Some((bus, ((at.devfn() as usize) << 12) | usize::from(offset)))
    }
}

impl ConfigSpace for Ecam {
    fn reach(&mut self, bus: u8) -> bool {
        if bus < self.window.bus_start || bus > self.window.bus_end {
            return false;
        }
        let n = usize::from(bus);
        if self.buses.len() <= n {
            self.buses.resize_with(n + 1, || None);
        }
        let phys = self.window.base.saturating_add(u64::from(bus) * BUS);
        match self.buses.get_mut(n) {
            Some(slot @ None) => {
                *slot = Mmio::map(phys, BUS as usize).ok();
                slot.is_some()
            }
            Some(Some(_)) => true,
            None => false,
        }
    }

    fn has_ports(&self) -> bool {
        self.ports
    }

    fn read(&self, at: Address, offset: u16, width: Width) -> u32 {
        let Some((bus, place)) = self.place(at, offset, width) else { return u32::MAX };
        match width {
            Width::Byte => u32::from(bus.read8(place)),
            Width::Word => u32::from(bus.read16(place)),
            Width::Long => bus.read32(place),
        }
    }

    fn write(&self, at: Address, offset: u16, width: Width, value: u32) {
        let Some((bus, place)) = self.place(at, offset, width) else { return };
        match width {
            Width::Byte => bus.write8(place, value as u8),
            Width::Word => bus.write16(place, value as u16),
            Width::Long => bus.write32(place, value),
        }
    }
}

/// The host bridge of `q35`, which says where its window is even when there is no MCFG table.
const Q35_HOST: u32 = 0x29C0_8086;
/// PCIEXBAR of that bridge: 64 bits; bit 0 enables, bits 2:1 give the length.
const Q35_PCIEXBAR: u16 = 0x60;

/// The window that the host bridge of a q35 machine decodes, read through the ports.
fn q35_window(ports: &Cf8) -> Option<acpi::Ecam> {
    let host = Address::new(0, 0, 0);
    if ports.read32(host, 0) != Q35_HOST {
        return None;
    }
    let low = ports.read32(host, Q35_PCIEXBAR);
    let high = ports.read32(host, Q35_PCIEXBAR + 4);
    let last = match (low >> 1) & 3 {
        0 => 255,
        1 => 127,
        2 => 63,
        _ => return None,
    };
    let base = (u64::from(high) << 32) | u64::from(low & 0xF000_0000);
    (low & 1 != 0 && base != 0).then_some(acpi::Ecam { base, segment: 0, bus_start: 0, bus_end: last })
}

/// The window of `microvm,pcie=on`, whose ACPI has no MCFG table (QEMU 7.2 tells it only in its device tree).
const MICROVM: acpi::Ecam = acpi::Ecam { base: 0xE000_0000, segment: 0, bus_start: 0, bus_end: 255 };
/// QEMU's generic host bridge, by which that window is known.
const GENERIC_HOST: u32 = 0x0008_1B36;

/// Whether the machine has the ports of PCI's first configuration mechanism, as every PC but `microvm` has.
pub fn has_ports() -> bool {
    Cf8::probe().is_some()
}

/// The best way to reach the machine's configuration space, and the window it occupies if it is one.
///
/// `windows` are those of ACPI's MCFG table, possibly none; `taken` is the memory map. A window is used only when a
/// host bridge answers in it. `None`: a machine without PCI.
pub fn find(
    windows: &[acpi::Ecam],
    taken: &[Range<u64>],
) -> Option<(Box<dyn ConfigSpace>, Option<acpi::Ecam>)> {
    let ports = Cf8::probe();
    let told = windows.iter().copied().find(|w| w.segment == 0 && w.bus_start == 0);
    let window = told.or_else(|| ports.as_ref().and_then(q35_window));
    if let Some(window) = window
        && let Some(space) = open(window, ports.is_some(), |host| !matches!(host as u16, 0 | 0xFFFF))
    {
        return Some((space, Some(window)));
    }
    if let Some(ports) = ports {
        return Some((Box::new(ports), None));
    }
    let used = range(&MICROVM);
    if taken.iter().any(|t| t.start < used.end && used.start < t.end) {
        return None;
    }
    Some((open(MICROVM, false, |host| host == GENERIC_HOST)?, Some(MICROVM)))
}

/// A window, if its host bridge is one that will do.
fn open(window: acpi::Ecam, ports: bool, will_do: impl Fn(u32) -> bool) -> Option<Box<dyn ConfigSpace>> {
    let mut ecam = Ecam::new(window, ports);
    let there = ecam.reach(0) && will_do(ecam.read32(Address::new(0, 0, 0), 0));
    there.then(|| Box::new(ecam) as Box<dyn ConfigSpace>)
}
