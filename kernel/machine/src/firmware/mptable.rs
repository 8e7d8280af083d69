//! The MP table as a function of bytes: which processors there are, for machines without ACPI.
//!
//! QEMU: `-M microvm,acpi=off`, where qboot makes one; SeaBIOS makes one for `pc` and `q35`. Intel's MultiProcessor
//! Specification 1.4, sections 4.1 (the pointer), 4.2 and 4.3.1 (the table, its processors). Nothing is trusted: a
//! table whose length or checksum is wrong does not exist.

use crate::firmware::acpi::PhysRead;
use alloc::vec;
use alloc::vec::Vec;

const POINTER: usize = 16;
const HEADER: usize = 44;
const PROCESSOR: usize = 20;
/// Bytes of an entry of any other kind.
const OTHER: usize = 8;
const ENABLED: u8 = 1;
/// Where the pointer may be, besides the extended BIOS data area: the last kilobyte of memory below 640 KiB, and the
/// firmware's own.
const PLACES: [(u64, u64); 2] = [(639 << 10, 1 << 10), (0xf_0000, 0x1_0000)];
/// Where the firmware says in which paragraph its data area begins.
const DATA_AREA: u64 = 0x40e;

fn sums_to_zero(b: &[u8]) -> bool {
    b.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    b.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

/// The table's address, from the pointer's bytes.
fn parse_pointer(b: &[u8]) -> Option<u64> {
    let right = b.starts_with(b"_MP_") && b.get(8) == Some(&1) && sums_to_zero(b.get(..POINTER)?);
    u32_at(b, 4).filter(|at| right && *at != 0).map(u64::from)
}

/// APIC ids of the processors that may be started, from the table's bytes.
fn parse_table(table: &[u8]) -> Option<Vec<u32>> {
    if !table.starts_with(b"PCMP") || !sums_to_zero(table) {
        return None;
    }
    let mut ids = Vec::new();
    let mut rest = table.get(HEADER..)?;
    for _ in 0..u16_at(table, 34)? {
        let len = if *rest.first()? == 0 { PROCESSOR } else { OTHER };
        let entry = rest.get(..len)?;
        if len == PROCESSOR && entry.get(3)? & ENABLED != 0 {
            ids.push(u32::from(*entry.get(1)?));
        }
        rest = rest.get(len..)?;
    }
    Some(ids)
}

fn search(memory: &dyn PhysRead) -> Option<Vec<u32>> {
    let mut places = Vec::from(PLACES);
    let mut area = [0; 2];
    if memory.read(DATA_AREA, &mut area) && area != [0, 0] {
        places.insert(0, (u64::from(u16::from_le_bytes(area)) << 4, 1 << 10));
    }
    places.iter().find_map(|&(start, len)| {
        let mut block = vec![0; len as usize];
        if !memory.read(start, &mut block) {
            return None;
        }
        let mut pointers = block.chunks_exact(POINTER).filter_map(parse_pointer);
        pointers.find_map(|at| {
            let mut header = [0; HEADER];
            let len = memory.read(at, &mut header).then(|| u16_at(&header, 4))??;
            let mut table = vec![0; usize::from(len)];
            memory.read(at, &mut table).then(|| parse_table(&table))?
        })
    })
}

/// APIC ids of this machine's processors, the first among them, if there is a table.
pub fn find() -> Option<Vec<u32>> {
    search(&crate::mem::read_phys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        bytes[at] = bytes.iter().fold(0u8, |sum, b| sum.wrapping_sub(*b));
        bytes
    }

    fn pointer(to: u32) -> Vec<u8> {
        let mut b = b"_MP_".to_vec();
        b.extend(to.to_le_bytes());
        b.extend([1, 4, 0, 0, 0, 0, 0, 0]);
        sealed(b, 10)
    }

    /// Two processors that can be used, one that cannot, a bus, and one more.
    fn table() -> Vec<u8> {
        let mut entries = Vec::new();
        let processor = |id: u8, flags: u8| {
            let mut e = vec![0, id, 0x14, flags];
            e.resize(PROCESSOR, 0);
            e
        };
        entries.extend(processor(0, 3));
        entries.extend(processor(1, 1));
        entries.extend(processor(2, 0));
        entries.extend(*b"\x01\x00ISA   ");
        entries.extend(processor(9, 1));
        let mut t = b"PCMP".to_vec();
        t.extend(((HEADER + entries.len()) as u16).to_le_bytes());
        t.resize(34, 0);
        t.extend(5u16.to_le_bytes());
        t.resize(HEADER, 0);
        t.extend(entries);
        sealed(t, 7)
    }

    /// Memory with some bytes in it, and zeros around them.
    fn memory(parts: Vec<(u64, Vec<u8>)>) -> impl PhysRead {
        move |phys: u64, buf: &mut [u8]| {
            for (i, b) in buf.iter_mut().enumerate() {
                let at = phys + i as u64;
                let part =
                    parts.iter().find(|(start, bytes)| (*start..*start + bytes.len() as u64).contains(&at));
                *b = part.map_or(0, |(start, bytes)| bytes[(at - start) as usize]);
            }
            true
        }
    }

    #[test]
    fn processors_are_found_wherever_the_pointer_is() {
        for place in [0xf_5af0, 0x9_fc00, 0x9_f000] {
            let area = (0x40e, vec![0x00, 0x9f]);
            let m = memory(vec![area, (place, pointer(0x1234)), (0x1234, table())]);
            assert_eq!(search(&m), Some(vec![0, 1, 9]), "{place:#x}");
        }
        assert_eq!(search(&memory(vec![])), None);
    }

    #[test]
    fn what_is_broken_does_not_exist() {
        let place = 0xf_0000;
        let mut bad = pointer(0x1000);
        bad[11] ^= 1;
        assert_eq!(search(&memory(vec![(place, bad), (0x1000, table())])), None);
        let mut bad = table();
        bad[50] ^= 1;
        assert_eq!(search(&memory(vec![(place, pointer(0x1000)), (0x1000, bad)])), None);
        // More entries than there are bytes, under a right checksum.
        let mut bad = table();
        bad[34] += 1;
        bad[7] = 0;
        let bad = sealed(bad, 7);
        assert_eq!(search(&memory(vec![(place, pointer(0x1000)), (0x1000, bad)])), None);
        assert_eq!(search(&|_: u64, _: &mut [u8]| false), None);
    }
}
