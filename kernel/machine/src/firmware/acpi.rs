//! ACPI's static tables, as functions of bytes: where the interrupt controllers and the PCI configuration space are.
//!
//! Follows the ACPI specification 6.5, sections 5.2.5 (RSDP), 5.2.6 (headers), 5.2.7 and 5.2.8 (RSDT, XSDT), 5.2.12 (MADT), and
//! the PCI Firmware Specification 3.3, section 4.1.2 (MCFG). Nothing is trusted: a table whose length or checksum is
//! wrong does not exist, and an entry that leaves its table ends it.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Reads physical memory; false when it cannot.
pub trait PhysRead {
    /// Fills `buf` from `phys` on.
    fn read(&self, phys: u64, buf: &mut [u8]) -> bool;
}

impl<F: Fn(u64, &mut [u8]) -> bool> PhysRead for F {
    fn read(&self, phys: u64, buf: &mut [u8]) -> bool {
        self(phys, buf)
    }
}

/// Longest table that is believed, in bytes.
const MAX_TABLE: usize = 1 << 20;
/// Bytes of the header every table begins with.
const HEADER: usize = 36;

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

/// Memory-mapped PCI configuration space of some buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// Physical address of bus 0's, even when that is not among them.
    pub base: u64,
    /// PCI segment.
    pub segment: u16,
    /// First bus.
    pub bus_start: u8,
    /// Last bus.
    pub bus_end: u8,
}

fn bytes<const N: usize>(b: &[u8], at: usize) -> Option<[u8; N]> {
    b.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    bytes(b, at).map(u16::from_le_bytes)
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    bytes(b, at).map(u32::from_le_bytes)
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    bytes(b, at).map(u64::from_le_bytes)
}

fn sums_to_zero(b: &[u8]) -> bool {
    b.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// The root table's address from the root pointer's bytes: `(address, entries are 64 bits wide)`.
pub fn parse_rsdp(b: &[u8]) -> Option<(u64, bool)> {
    if !b.starts_with(b"RSD PTR ") || !sums_to_zero(b.get(..20)?) {
        return None;
    }
    let rsdt = (u64::from(u32_at(b, 16)?), false);
    if b[15] < 2 {
        return Some(rsdt);
    }
    // Revision 2 has a 64-bit address under a checksum of its own.
    match (b.get(..36).is_some_and(sums_to_zero), u64_at(b, 24)) {
        (true, Some(xsdt)) if xsdt != 0 => Some((xsdt, true)),
        _ => Some(rsdt),
    }
}

/// Looks for the root pointer where a PC's firmware leaves it: on a 16-byte boundary below 1 MiB.
pub fn find_rsdp(memory: &dyn PhysRead) -> Option<u64> {
    const PLACES: RangeInclusive<u64> = 0xe_0000..=0xf_ffdc;
    let (mut name, mut b) = ([0; 8], [0; 36]);
    PLACES.step_by(16).find(|&at| {
        // Most places hold something else, and each byte read may cost a trip to the hypervisor.
        memory.read(at, &mut name)
            && name == *b"RSD PTR "
            && memory.read(at, &mut b)
            && parse_rsdp(&b).is_some()
    })
}

/// One table as bytes, header included, when its length and checksum are right.
pub fn read_table(memory: &dyn PhysRead, phys: u64) -> Option<Vec<u8>> {
    let mut header = [0; HEADER];
    if !memory.read(phys, &mut header) {
        return None;
    }
    let len = u32_at(&header, 4)? as usize;
    if !(HEADER..=MAX_TABLE).contains(&len) {
        return None;
    }
    let mut table = vec![0; len];
    (memory.read(phys, &mut table) && sums_to_zero(&table)).then_some(table)
}

/// The firmware's list of tables, or one of the tables in it, is not what was once written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The first table with this signature; nothing when there is none.
///
/// # Errors
/// There is none, and something that the root pointer leads to is not right: the table may have been there.
pub fn find_table(memory: &dyn PhysRead, rsdp: u64, signature: &[u8; 4]) -> Result<Option<Vec<u8>>, Damaged> {
    let mut b = [0; 36];
    // A pointer of revision 0 may be the last 20 bytes that can be read.
    if !memory.read(rsdp, &mut b) && !memory.read(rsdp, &mut b[..20]) {
        return Err(Damaged);
    }
    let (root, wide) = parse_rsdp(&b).ok_or(Damaged)?;
    let root = read_table(memory, root).ok_or(Damaged)?;
    if !root.starts_with(if wide { b"XSDT" } else { b"RSDT" }) {
        return Err(Damaged);
    }
    let mut all_right = true;
    for e in root[HEADER..].chunks_exact(if wide { 8 } else { 4 }) {
        let phys = u64_at(e, 0).or_else(|| u32_at(e, 0).map(u64::from)).ok_or(Damaged)?;
        match read_table(memory, phys) {
            Some(t) if t.starts_with(signature) => return Ok(Some(t)),
            Some(_) => {}
            None => all_right = false,
        }
    }
    if all_right { Ok(None) } else { Err(Damaged) }
}

/// The first table with this signature in QEMU's own copy of the tables, the file `etc/acpi/tables` of fw_cfg, from
/// which the firmware made those in memory. Nobody has filled in its checksums and the addresses in it; the tables that
/// are wanted here hold no addresses of other tables.
pub fn find_in_copy(mut next: impl FnMut(usize) -> Vec<u8>, signature: &[u8; 4]) -> Option<Vec<u8>> {
    loop {
        // Between the tables there may be zeros, up to the next one's alignment.
        let mut table = next(1);
        match table.first()? {
            0 => continue,
            _ => table.append(&mut next(HEADER - 1)),
        }
        let len = u32_at(&table, 4)? as usize;
        if !(HEADER..=MAX_TABLE).contains(&len) {
            return None;
        }
        table.append(&mut next(len - HEADER));
        if table.len() < len {
            return None;
        }
        if table.starts_with(signature) {
            return Some(table);
        }
    }
}

/// Parses a MADT, header included.
pub fn parse_madt(table: &[u8]) -> Option<Madt> {
    if !table.starts_with(b"APIC") {
        return None;
    }
    let mut madt = Madt {
        lapic_addr: u64::from(u32_at(table, 36)?),
        has_8259: u32_at(table, 40)? & 1 != 0,
        ..Madt::default()
    };
    let mut rest = &table[44..];
    while let Some(len) = rest.get(1).map(|len| usize::from(*len)) {
        let Some(entry) = rest.get(..len).filter(|_| len >= 2) else { break };
        // An entry too short for its kind is left out, as is a kind that is not known.
        let _ = madt_entry(&mut madt, entry);
        rest = &rest[len..];
    }
    Some(madt)
}

fn madt_entry(madt: &mut Madt, e: &[u8]) -> Option<()> {
    match e[0] {
        0 => madt.lapics.push(Lapic { id: u32::from(*e.get(3)?), enabled: u32_at(e, 4)? & 1 != 0 }),
        1 => {
            let apic = Ioapic { id: *e.get(2)?, addr: u32_at(e, 4)?, gsi_base: u32_at(e, 8)? };
            // It has up to 256 lines, and registers of words.
            if apic.addr.is_multiple_of(4) && apic.gsi_base.checked_add(256).is_some() {
                madt.ioapics.push(apic);
            }
        }
        2 => {
            let flags = u16_at(e, 8)?;
            madt.overrides.push(Override {
                irq: *e.get(3)?,
                gsi: u32_at(e, 4)?,
                active_low: flags & 3 == 3,
                level: flags >> 2 & 3 == 3,
            });
        }
        5 => madt.lapic_addr = u64_at(e, 4)?,
        9 => madt.lapics.push(Lapic { id: u32_at(e, 4)?, enabled: u32_at(e, 8)? & 1 != 0 }),
        _ => {}
    }
    Some(())
}

/// Parses an MCFG, header included.
pub fn parse_mcfg(table: &[u8]) -> Vec<Ecam> {
    if !table.starts_with(b"MCFG") {
        return Vec::new();
    }
    let entries = table.get(44..).unwrap_or(&[]).chunks_exact(16);
    entries
        .filter_map(|e| {
            Some(Ecam {
                base: u64_at(e, 0)?,
                segment: u16_at(e, 8)?,
                bus_start: *e.get(10)?,
                bus_end: *e.get(11)?,
            })
        })
        // A function has a page of it.
        .filter(|e| e.bus_start <= e.bus_end && e.base.is_multiple_of(4096))
        .collect()
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

/// Where the tables come from that [`madt`] and [`mcfg`] read.
pub fn source() -> Source {
    match rsdp().map(|rsdp| find_table(&crate::mem::read_phys, rsdp, b"APIC")) {
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

/// This machine's table with a signature.
fn table(signature: &[u8; 4]) -> Option<Vec<u8>> {
    match find_table(&crate::mem::read_phys, rsdp()?, signature) {
        Ok(found) => found,
        Err(Damaged) => {
            let mut copy = super::fwcfg::open(COPY)?;
            find_in_copy(|n| copy.read(n), signature)
        }
    }
}

/// This machine's interrupt controllers.
pub fn madt() -> Option<Madt> {
    parse_madt(&table(b"APIC")?)
}

/// This machine's memory-mapped PCI configuration spaces.
pub fn mcfg() -> Vec<Ecam> {
    table(b"MCFG").map_or_else(Vec::new, |t| parse_mcfg(&t))
}

#[cfg(test)]
mod tests;
