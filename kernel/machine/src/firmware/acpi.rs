//! ACPI's static tables: where the interrupt controllers, the PCI configuration space and the power registers are.
//!
//! The `acpi` crate finds the tables and knows their layout. This is the checked face in front of it: the crate
//! believes what a table says of itself, and here nothing is believed. So it is given copies only, which `checked`
//! has looked through (lengths, checksums, that each entry lies inside). A table whose length or checksum is wrong
//! does not exist, and an entry that leaves its table ends it.
//!
//! ACPI specification 6.5, sections 5.2.5 (RSDP), 5.2.6 (headers), 5.2.7 and 5.2.8 (RSDT, XSDT), 5.2.9 (FADT), 5.2.12
//! (MADT), and the PCI Firmware Specification 3.3, section 4.1.2 (MCFG).

mod checked;

use acpi::AcpiTable;
use acpi::address::{AddressSpace, GenericAddress};
use acpi::fadt::Fadt;
use acpi::madt::{self, MadtEntry};
use acpi::mcfg::Mcfg;
use alloc::vec::Vec;
use checked::Table;
pub use checked::{Damaged, PhysRead, find_rsdp};

/// An interrupt controller of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ioapic {
    /// Its APIC id.
    pub id: u8,
    /// Physical address of its registers.
    pub addr: u32,
    /// Global system interrupt of its first pin.
    pub gsi_base: u32,
}

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapic {
    /// Its APIC id.
    pub id: u32,
    /// It may be started.
    pub enabled: bool,
}

/// An ISA interrupt that arrives somewhere else than at the line of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA interrupt.
    pub irq: u8,
    /// Where it arrives.
    pub gsi: u32,
    /// Active low (else as the bus says: high).
    pub active_low: bool,
    /// Level-triggered (else as the bus says: edge).
    pub level: bool,
}

/// The multiple APIC description table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Madt {
    /// Physical address of each processor's own APIC.
    pub lapic_addr: u64,
    /// The processors.
    pub lapics: Vec<Lapic>,
    /// The controllers of devices.
    pub ioapics: Vec<Ioapic>,
    /// ISA interrupts that are not where one expects them.
    pub overrides: Vec<Override>,
    /// The old pair of 8259 is there too and must be masked.
    pub has_8259: bool,
}

impl Madt {
    /// Where an ISA interrupt arrives: line, active low, level.
    pub fn isa(&self, irq: u8) -> Override {
        let plain = Override { irq, gsi: u32::from(irq), active_low: false, level: false };
        self.overrides.iter().find(|o| o.irq == irq).copied().unwrap_or(plain)
    }
}

/// A register that ACPI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// A port.
    Port(u16),
    /// A physical address.
    Memory(u64),
}

/// The registers by which a machine is switched off and reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// PM1a control, 16 bits wide.
    pub control: Option<u16>,
    /// Sleep control of a machine with reduced hardware, 8 bits wide.
    pub sleep: Option<Register>,
    /// The reset register, 8 bits wide, and what is written there.
    pub reset: Option<(Register, u8)>,
}

/// How a machine tells that its power button was pressed, or that a PCI slot is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// By the fixed registers of section 4.8.3, and a level-triggered interrupt.
    Fixed {
        /// The system control interrupt: an ISA interrupt if there is a pair of 8259, else a line.
        irq: u8,
        /// First port of the PM1a events: status and enable, 16 bits wide each.
        pm1a: u16,
        /// First port of the general purpose events and how many there are: status bits, then as many to enable them.
        gpe0: Option<(u16, u8)>,
        /// What makes the firmware hand these registers over: a port, and what is written there.
        enable: Option<(u16, u8)>,
    },
    /// By the generic event device of QEMU's microvm: a register, which says what has come and forgets it, and an
    /// edge-triggered line. Where they are stands in AML only, which nobody reads here; the board has them in one
    /// place.
    Generic {
        /// Physical address of the register, which is 32 bits wide.
        register: u64,
        /// The line.
        line: u32,
    },
}

/// Where QEMU's microvm has its generic event device, the registers by which it is switched off, and its interrupt.
const GENERIC: u64 = 0xfea0_0000;
const GENERIC_SLEEP: u64 = GENERIC + 0x200;
const GENERIC_LINE: u32 = 9;

/// Memory-mapped PCI configuration space of some buses. Only this crate finds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// Physical address of bus 0's, even when that is not among them.
    pub(crate) base: u64,
    /// PCI segment.
    pub(crate) segment: u16,
    /// First bus.
    pub(crate) bus_start: u8,
    /// Last bus.
    pub(crate) bus_end: u8,
}

impl Ecam {
    /// Whether bus 0 of the first segment is among them, with which a scan begins.
    pub fn has_bus_0(&self) -> bool {
        self.segment == 0 && self.bus_start == 0
    }
}

/// Parses a MADT, header included.
pub fn parse_madt(table: &[u8]) -> Option<Madt> {
    let table = Table::new(table.to_vec())?;
    let found = table.view::<madt::Madt>()?;
    let mut madt = Madt {
        lapic_addr: u64::from(found.local_apic_address),
        has_8259: found.supports_8259(),
        ..Madt::default()
    };
    for entry in found.entries() {
        match entry {
            MadtEntry::LocalApic(e) => {
                madt.lapics.push(Lapic { id: u32::from(e.apic_id), enabled: e.flags & 1 != 0 });
            }
            MadtEntry::LocalX2Apic(e) => {
                madt.lapics.push(Lapic { id: e.x2apic_id, enabled: e.flags & 1 != 0 });
            }
            MadtEntry::IoApic(e) => {
                let (addr, gsi_base) = (e.io_apic_address, e.global_system_interrupt_base);
                // It has up to 256 lines, and registers of words.
                if addr.is_multiple_of(4) && gsi_base.checked_add(256).is_some() {
                    madt.ioapics.push(Ioapic { id: e.io_apic_id, addr, gsi_base });
                }
            }
            MadtEntry::InterruptSourceOverride(e) => madt.overrides.push(Override {
                irq: e.irq,
                gsi: e.global_system_interrupt,
                active_low: e.flags & 3 == 3,
                level: e.flags >> 2 & 3 == 3,
            }),
            MadtEntry::LocalApicAddressOverride(e) => madt.lapic_addr = e.local_apic_address,
            _ => {}
        }
    }
    Some(madt)
}

/// Parses an MCFG, header included.
pub fn parse_mcfg(table: &[u8]) -> Vec<Ecam> {
    let Some(table) = Table::new(table.to_vec()) else { return Vec::new() };
    let Some(found) = table.view::<Mcfg>() else { return Vec::new() };
    let entries = found.get_ref().entries().iter().map(|e| Ecam {
        base: e.base_address,
        segment: e.pci_segment_group,
        bus_start: e.bus_number_start,
        bus_end: e.bus_number_end,
    });
    // A function has a page of it.
    entries.filter(|e| e.bus_start <= e.bus_end && e.base.is_multiple_of(4096)).collect()
}

fn register(a: GenericAddress) -> Option<Register> {
    match a.address_space {
        _ if a.address == 0 => None,
        AddressSpace::SystemIo => u16::try_from(a.address).ok().map(Register::Port),
        AddressSpace::SystemMemory => Some(Register::Memory(a.address)),
        _ => None,
    }
}

/// What a FADT, header included, says of the machine's events.
pub fn parse_events(table: &[u8]) -> Option<Events> {
    let table = Table::new(table.to_vec())?;
    let found = table.view::<Fadt>()?;
    if { found.flags }.system_is_hw_reduced_acpi() {
        let sleep = found.sleep_control_register().ok().flatten().and_then(register);
        let microvm = sleep == Some(Register::Memory(GENERIC_SLEEP));
        return microvm.then_some(Events::Generic { register: GENERIC, line: GENERIC_LINE });
    }
    let Some(Register::Port(pm1a)) = found.pm1a_event_block().ok().and_then(register) else { return None };
    let gpe0 = found.gpe0_block().ok().flatten();
    let gpe0 = gpe0.and_then(|block| match register(block)? {
        Register::Port(port) => Some((port, block.bit_width / 2)),
        Register::Memory(_) => None,
    });
    let smi = u16::try_from(found.smi_cmd_port).ok().filter(|port| *port != 0 && found.acpi_enable != 0);
    Some(Events::Fixed {
        irq: u8::try_from(found.sci_interrupt).ok()?,
        pm1a,
        gpe0: gpe0.filter(|(_, events)| *events != 0),
        enable: smi.map(|port| (port, found.acpi_enable)),
    })
}

/// Parses a FADT, header included.
pub fn parse_fadt(table: &[u8]) -> Option<Power> {
    let table = Table::new(table.to_vec())?;
    let found = table.view::<Fadt>()?;
    let flags = found.flags;
    let mut power = Power::default();
    if flags.system_is_hw_reduced_acpi() {
        power.sleep = found.sleep_control_register().ok().flatten().and_then(register);
    } else if let Some(Register::Port(port)) = found.pm1a_control_block().ok().and_then(register) {
        power.control = Some(port);
    }
    if flags.supports_system_reset_via_fadt() {
        power.reset = found.reset_register().ok().and_then(register).map(|r| (r, found.reset_value));
    }
    Some(power)
}

/// The bytes of the first table of a kind; nothing when there is none.
///
/// # Errors
/// There is none, and something that the root pointer leads to is not right: the table may have been there.
pub fn find_table<T: AcpiTable>(memory: &dyn PhysRead, rsdp: u64) -> Result<Option<Vec<u8>>, Damaged> {
    checked::find::<T>(memory, rsdp)
}

/// The first table with this signature in QEMU's own copy of the tables, the file `etc/acpi/tables` of fw_cfg, from
/// which the firmware made those in memory. Nobody has filled in its checksums and the addresses of tables in it, which
/// nothing here needs.
pub fn find_in_copy(mut next: impl FnMut(usize) -> Vec<u8>, signature: &[u8; 4]) -> Option<Vec<u8>> {
    loop {
        // Between the tables there may be zeros, up to the next one's alignment.
        let mut table = next(1);
        match table.first()? {
            0 => continue,
            _ => table.append(&mut next(checked::HEADER - 1)),
        }
        let len = checked::length(&table)?;
        table.append(&mut next(len - checked::HEADER));
        if table.len() < len {
            return None;
        }
        if table.starts_with(signature) {
            return Some(table);
        }
    }
}

/// Where this machine's tables come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From nowhere: the machine has no ACPI.
    Nowhere,
    /// From memory, where the firmware left them.
    Memory,
    /// From QEMU's own copy: those in memory are damaged. A module of the loader may lie over them.
    Copy,
    /// They are damaged, and there is no copy.
    Lost,
}

/// Where the tables come from that [`madt()`], [`mcfg`] and [`power`] read.
pub fn source() -> Source {
    match rsdp().map(|rsdp| find_table::<madt::Madt>(&crate::mem::read_phys, rsdp)) {
        None => Source::Nowhere,
        Some(Ok(_)) => Source::Memory,
        Some(Err(Damaged)) if super::fwcfg::open(COPY).is_some() => Source::Copy,
        Some(Err(Damaged)) => Source::Lost,
    }
}

/// QEMU's own copy of the tables.
const COPY: &str = "etc/acpi/tables";

/// This machine's root pointer.
fn rsdp() -> Option<u64> {
    crate::boot::info().rsdp.or_else(|| find_rsdp(&crate::mem::read_phys))
}

/// This machine's table of a kind, whose signature is `signature`.
fn table<T: AcpiTable>(signature: &[u8; 4]) -> Option<Vec<u8>> {
    match find_table::<T>(&crate::mem::read_phys, rsdp()?) {
        Ok(found) => found,
        Err(Damaged) => {
            let mut copy = super::fwcfg::open(COPY)?;
            find_in_copy(|n| copy.read(n), signature)
        }
    }
}

/// This machine's interrupt controllers.
pub fn madt() -> Option<Madt> {
    parse_madt(&table::<madt::Madt>(b"APIC")?)
}

/// This machine's memory-mapped PCI configuration spaces.
pub fn mcfg() -> Vec<Ecam> {
    table::<Mcfg>(b"MCFG").map_or_else(Vec::new, |t| parse_mcfg(&t))
}

/// The registers by which this machine is switched off and reset.
pub fn power() -> Option<Power> {
    parse_fadt(&table::<Fadt>(b"FACP")?)
}

/// How this machine tells of its power button.
pub fn events() -> Option<Events> {
    parse_events(&table::<Fadt>(b"FACP")?)
}

#[cfg(test)]
mod tests;
