//! The tables are those of QEMU 7.2 with `-smp 2 -m 64`, taken out of the guest's memory.

use super::checked::parse_rsdp;
use super::*;
use acpi::hpet::HpetTable;
use acpi::madt::Madt as Apic;
use alloc::collections::BTreeMap;
use alloc::vec;

const PC_RSDP: &str = "525344205054522003424f4348532000331bfe0300000000";
const PC_RSDT: &str = "525344543400000001a7424f434853204258504320202020010000004258504301000000\
    df19fe03531afe03d31afe030b1bfe03";
const Q35_RSDP: &str = "525344205054522003424f43485320002b23fe0300000000";
const Q35_RSDT: &str = "525344543800000001ed424f434853204258504320202020010000004258504301000000\
    1b21fe030f22fe038f22fe03c722fe030323fe03";
/// The same on pc and q35.
const APIC: &str = "41504943800000000177424f43485320425850432020202001000000425850430100000000\
    00e0fe0100000000080000010000000008010101000000010c00000000c0fe00000000020a0000020000000000020a00050500\
    00000d00020a0009090000000d00020a000a0a0000000d00020a000b0b0000000d000406ff000001";
const MCFG: &str = "4d4346473c000000018c424f4348532042585043202020200100000042585043010000000000\
    000000000000000000b000000000000000ff00000000";
const MICROVM_RSDP: &str = "525344205054522050424f43485320020000000024000000b6ff0e000000000019000000";
const MICROVM_XSDT: &str = "58534454340000000158424f43485320425850432020202001000000425850430100000050\
    fe0e00000000005cff0e0000000000";
const MICROVM_APIC: &str = "415049435a0000000170424f4348532042585043202020200100000042585043010000000000\
    e0fe0100000000080000010000000008010101000000010c00000000c0fe00000000010c01000000c1fe180000000406ff000001";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|c| (c as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect()
}

/// Some stretches of memory; reads must stay inside one.
struct Memory(BTreeMap<u64, Vec<u8>>);

impl Memory {
    fn new(parts: &[(u64, &str)]) -> Memory {
        Memory(parts.iter().map(|(at, text)| (*at, unhex(text))).collect())
    }
}

impl PhysRead for Memory {
    fn read(&self, phys: u64, buf: &mut [u8]) -> bool {
        let Some((start, part)) = self.0.range(..=phys).next_back() else { return false };
        let off = (phys - start) as usize;
        let Some(bytes) = off.checked_add(buf.len()).and_then(|end| part.get(off..end)) else { return false };
        buf.copy_from_slice(bytes);
        true
    }
}

/// A table, if it is there; whether another one is damaged does not count.
fn found<T: AcpiTable>(memory: &Memory, rsdp: u64) -> Option<Vec<u8>> {
    find_table::<T>(memory, rsdp).ok().flatten()
}

fn q35() -> Memory {
    // With the memory behind the root pointer, since 36 bytes are read there.
    let mut m = Memory::new(&[(0x3fe_232b, Q35_RSDT), (0x3fe_220f, APIC), (0x3fe_22c7, MCFG)]);
    let mut bios = unhex(Q35_RSDP);
    bios.resize(64, 0xaa);
    m.0.insert(0xf_59e0, bios);
    m
}

#[test]
fn q35_has_what_it_has() {
    let m = q35();
    let rsdp = find_rsdp(&m).unwrap();
    assert_eq!(rsdp, 0xf_59e0);
    let madt = parse_madt(&found::<Apic>(&m, rsdp).unwrap()).unwrap();
    assert_eq!(madt.lapic_addr, 0xfee0_0000);
    assert!(madt.has_8259);
    assert_eq!(madt.lapics, [Lapic { id: 0, enabled: true }, Lapic { id: 1, enabled: true }]);
    assert_eq!(madt.ioapics, [Ioapic { id: 0, addr: 0xfec0_0000, gsi_base: 0 }]);
    let plain = Override { irq: 4, gsi: 4, active_low: false, level: false };
    assert_eq!(madt.isa(4), plain);
    assert_eq!(madt.isa(0), Override { irq: 0, gsi: 2, active_low: false, level: false });
    // Flags 0x000d: active high, level.
    assert_eq!(madt.isa(9), Override { irq: 9, gsi: 9, active_low: false, level: true });
    let ecam = Ecam { base: 0xb000_0000, segment: 0, bus_start: 0, bus_end: 255 };
    assert_eq!(parse_mcfg(&found::<Mcfg>(&m, rsdp).unwrap()), [ecam]);
    assert_eq!(found::<HpetTable>(&m, rsdp), None);
}

#[test]
fn pc_has_no_mcfg() {
    let m = Memory::new(&[(0xf_59d0, PC_RSDP), (0x3fe_1b33, PC_RSDT), (0x3fe_1a53, APIC)]);
    assert!(found::<Apic>(&m, 0xf_59d0).is_some());
    assert_eq!(found::<Mcfg>(&m, 0xf_59d0), None);
}

#[test]
fn microvm_has_an_xsdt_and_two_ioapics() {
    let m = Memory::new(&[(0xf_3490, MICROVM_RSDP), (0xe_ffb6, MICROVM_XSDT), (0xe_ff5c, MICROVM_APIC)]);
    let rsdp = find_rsdp(&m).unwrap();
    let madt = parse_madt(&found::<Apic>(&m, rsdp).unwrap()).unwrap();
    assert_eq!(madt.ioapics[1], Ioapic { id: 1, addr: 0xfec1_0000, gsi_base: 24 });
    assert_eq!(madt.ioapics.len(), 2);
    assert!(madt.overrides.is_empty());
}

#[test]
fn a_pointer_of_revision_2_with_a_bad_second_checksum_falls_back() {
    let mut b = unhex(MICROVM_RSDP);
    assert_eq!(parse_rsdp(&b), Some((0xe_ffb6, true)));
    b[34] ^= 1;
    assert_eq!(parse_rsdp(&b), Some((0, false)));
    b[3] ^= 1;
    assert_eq!(parse_rsdp(&b), None);
    for n in 0..20 {
        assert_eq!(parse_rsdp(&unhex(Q35_RSDP)[..n]), None);
    }
}

#[test]
fn a_damaged_table_does_not_exist() {
    let mut m = q35();
    for at in [4, 5, 20, 60] {
        let table = m.0.get_mut(&0x3fe_220f).unwrap();
        table[at] ^= 0x40;
        assert_eq!(found::<Apic>(&m, 0xf_59e0), None, "byte {at}");
        m.0.get_mut(&0x3fe_220f).unwrap()[at] ^= 0x40;
    }
    // The others are still found behind it.
    m.0.get_mut(&0x3fe_220f).unwrap()[60] ^= 1;
    assert!(found::<Mcfg>(&m, 0xf_59e0).is_some());
    // What is not there is there for all one knows, as long as one of the others cannot be read.
    assert_eq!(find_table::<Apic>(&m, 0xf_59e0), Err(Damaged));
    assert_eq!(find_table::<HpetTable>(&m, 0xf_59e0), Err(Damaged));
    m.0.remove(&0x3fe_232b);
    assert_eq!(find_table::<Mcfg>(&m, 0xf_59e0), Err(Damaged));
    assert_eq!(find_table::<Mcfg>(&m, 0x5), Err(Damaged));
}

/// QEMU's own copy: the tables one after the other, without checksums, with room between them.
fn copy() -> Vec<u8> {
    let mut bytes = Vec::new();
    for table in ["464143534000000000000000", APIC, MCFG] {
        let mut table = unhex(table);
        table.resize(table.len().max(64), 0);
        table[9] = 0;
        bytes.resize(bytes.len().next_multiple_of(64), 0);
        bytes.append(&mut table);
    }
    bytes
}

fn in_copy(bytes: &[u8], signature: &[u8; 4]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let next = |n: usize| {
        let (head, tail) = rest.split_at(n.min(rest.len()));
        rest = tail;
        head.to_vec()
    };
    find_in_copy(next, signature)
}

#[test]
fn tables_are_found_in_the_copy() {
    let bytes = copy();
    let madt = parse_madt(&in_copy(&bytes, b"APIC").unwrap()).unwrap();
    assert_eq!((madt.lapics.len(), madt.ioapics.len()), (2, 1));
    assert_eq!(parse_mcfg(&in_copy(&bytes, b"MCFG").unwrap()).len(), 1);
    assert_eq!(in_copy(&bytes, b"SLIT"), None);
    for n in 0..bytes.len() {
        let _ = in_copy(&bytes[..n], b"MCFG");
        assert!(in_copy(&bytes[..n], b"SLIT").is_none());
    }
    for length in [0, 35, 0x00ff_ffff, u32::MAX] {
        let mut bad = bytes.clone();
        bad[4..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(in_copy(&bad, b"APIC"), None, "{length:#x}");
    }
}

#[test]
fn a_module_over_the_tables_leaves_qemu_s_copy() {
    crate::host::new_machine();
    assert_eq!(source(), Source::Nowhere);
    for (phys, bytes) in q35().0 {
        // Where the list of tables was, there are zeros now.
        let bytes = if phys == 0x3fe_232b { vec![0; bytes.len()] } else { bytes };
        crate::boot::host_add_firmware(phys, bytes);
    }
    assert_eq!((source(), madt()), (Source::Lost, None));
    crate::firmware::fwcfg::host_add_file(COPY, copy());
    assert_eq!(source(), Source::Copy);
    assert_eq!(madt().unwrap().lapics.len(), 2);
    assert_eq!(mcfg().len(), 1);
}

#[test]
fn no_bytes_make_the_parsers_panic() {
    for table in [unhex(APIC), unhex(MICROVM_APIC), unhex(MCFG)] {
        for n in 0..table.len() {
            let _ = parse_madt(&table[..n]);
            let _ = parse_mcfg(&table[..n]);
        }
        for at in 4..table.len() {
            for value in [0, 1, 2, 0x7f, 0xff] {
                let mut t = table.clone();
                t[at] = value;
                let _ = parse_madt(&t);
                let _ = parse_mcfg(&t);
            }
        }
    }
    // An entry of length zero does not loop; one that is too short for its kind is left out.
    let mut t = unhex(APIC);
    t[45] = 0;
    assert!(parse_madt(&t).unwrap().lapics.is_empty());
    let short = [&unhex(APIC)[..44], &[0, 3, 0], &[1, 2], &[2, 2], &[5, 2], &[9, 2]].concat();
    assert_eq!(parse_madt(&short), Some(Madt { lapic_addr: 0xfee0_0000, has_8259: true, ..Madt::default() }));
}

/// A table with the right length and checksum.
fn sealed(mut table: Vec<u8>) -> Vec<u8> {
    let len = table.len() as u32;
    table[4..8].copy_from_slice(&len.to_le_bytes());
    table[9] = 0;
    table[9] = table.iter().fold(0u8, |sum, b| sum.wrapping_sub(*b));
    table
}

#[test]
fn tables_that_are_right_by_their_checksum_and_wrong_otherwise_do_no_harm() {
    // Each byte of each table, the lists of tables too, has had every unpleasant value, under a right checksum.
    for (phys, text) in [(0x3fe_232b, Q35_RSDT), (0x3fe_220f, APIC), (0x3fe_22c7, MCFG)] {
        let table = unhex(text);
        for at in (0..table.len()).filter(|at| !(4..8).contains(at)) {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut t = table.clone();
                t[at] = value;
                let mut m = q35();
                m.0.insert(phys, sealed(t));
                let _ = found::<Apic>(&m, 0xf_59e0).and_then(|t| parse_madt(&t));
                let _ = found::<Mcfg>(&m, 0xf_59e0).map(|t| parse_mcfg(&t));
            }
        }
        for n in 36..table.len() {
            let mut m = q35();
            m.0.insert(phys, sealed(table[..n].to_vec()));
            let _ = found::<Apic>(&m, 0xf_59e0).and_then(|t| parse_madt(&t));
            let _ = found::<Mcfg>(&m, 0xf_59e0).map(|t| parse_mcfg(&t));
        }
    }
    // A list that names itself, a table without a processor, one whose maker's name is no text.
    let mut m = q35();
    let mut list = unhex(Q35_RSDT);
    list[36..40].copy_from_slice(&0x3fe_232bu32.to_le_bytes());
    m.0.insert(0x3fe_232b, sealed(list));
    assert!(found::<Mcfg>(&m, 0xf_59e0).is_some());
    assert_eq!(parse_madt(&sealed(unhex(APIC)[..44].to_vec())).unwrap().lapics, []);
    let mut odd = unhex(APIC);
    odd[10] = 0xff;
    m.0.insert(0x3fe_220f, sealed(odd));
    assert_eq!(found::<Apic>(&m, 0xf_59e0), None);
}

/// A table that begins like this, with numbers of some width at some places.
fn fadt(len: usize, revision: u8, numbers: &[(usize, usize, u64)]) -> Vec<u8> {
    let mut t = [&b"FACP"[..], &unhex(APIC)[4..36]].concat();
    t.resize(len, 0);
    t[8] = revision;
    for &(at, width, n) in numbers {
        t[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
    }
    sealed(t)
}

#[test]
fn power_registers_are_told() {
    // pc: the first version, ports. The length of the register in bytes is at 89.
    let control = (64, 4, 0x604);
    let power = parse_fadt(&fadt(116, 1, &[control, (89, 1, 2)])).unwrap();
    assert_eq!(power, Power { control: Some(0x604), sleep: None, reset: None });
    // q35: and a reset port: one bit of the flags, space 1, 8 bits.
    let reset = [(112, 4, 1 << 10), (116, 2, 0x0801), (120, 8, 0xcf9), (128, 1, 0x0f)];
    let power = parse_fadt(&fadt(244, 3, &[&[control, (89, 1, 2)], &reset[..]].concat())).unwrap();
    assert_eq!(power.reset, Some((Register::Port(0xcf9), 0x0f)));
    assert_eq!(power.control, Some(0x604));
    // microvm: reduced hardware, in memory.
    let reduced = [
        (112, 4, 1 << 20 | 1 << 10),
        (116, 2, 0x0800),
        (120, 8, 0xfea0_0202),
        (128, 1, 0x42),
        (244, 2, 0x0800),
        (248, 8, 0xfea0_0200),
    ];
    let power = parse_fadt(&fadt(276, 5, &reduced)).unwrap();
    let register = |at| Register::Memory(at);
    let sleep = Some(register(0xfea0_0200));
    assert_eq!(power, Power { control: None, sleep, reset: Some((register(0xfea0_0202), 0x42)) });
    // No bytes do harm; a length that the crate cannot multiply is none.
    for at in 36..276 {
        for value in [1, 0x1f, 0x20, 0x7f, 0x80, 0xff] {
            let mut t = fadt(276, 5, &reduced);
            t[at] = value;
            let _ = parse_fadt(&t);
            t[112] = 0;
            t[114] = 0;
            let _ = parse_fadt(&t[..at]);
        }
    }
    assert_eq!(parse_fadt(&unhex(APIC)), None);
}

#[test]
fn the_power_buttons_registers_are_told() {
    // pc: the interrupt at 46, the command port at 48 and its value at 52, PM1a events at 56 and their length at 88,
    // general purpose events at 80 and their length at 92.
    let pc =
        [(46, 2, 9), (48, 4, 0xb2), (52, 1, 0xf1), (56, 4, 0x600), (80, 4, 0xafe0), (88, 1, 4), (92, 1, 4)];
    let events = parse_events(&fadt(116, 1, &pc)).unwrap();
    let (gpe0, enable) = (Some((0xafe0, 16)), Some((0xb2, 0xf1)));
    assert_eq!(events, Events::Fixed { irq: 9, pm1a: 0x600, gpe0, enable });
    // Without the optional ones.
    let events = parse_events(&fadt(116, 1, &[(46, 2, 9), (56, 4, 0x600), (88, 1, 4)])).unwrap();
    assert_eq!(events, Events::Fixed { irq: 9, pm1a: 0x600, gpe0: None, enable: None });
    // No register, or an interrupt that is none.
    assert_eq!(parse_events(&fadt(116, 1, &[(46, 2, 9)])), None);
    assert_eq!(parse_events(&fadt(116, 1, &[(46, 2, 0x109), (56, 4, 0x600)])), None);
    // microvm, and a board with reduced hardware that is not known.
    let reduced = |at: u64| [(112, 4, 1 << 20), (244, 2, 0x0800), (248, 8, at)];
    let events = parse_events(&fadt(276, 5, &reduced(0xfea0_0200))).unwrap();
    assert_eq!(events, Events::Generic { register: 0xfea0_0000, line: 9 });
    assert_eq!(parse_events(&fadt(276, 5, &reduced(0xfea0_0300))), None);
    // No bytes do harm.
    for at in 36..116 {
        for value in [1, 0x1f, 0x7f, 0x80, 0xff] {
            let mut t = fadt(116, 1, &pc);
            t[at] = value;
            let _ = parse_events(&t);
            let _ = parse_events(&t[..at]);
        }
    }
    assert_eq!(parse_events(&unhex(APIC)), None);
}

#[test]
fn entries_of_large_machines_are_read() {
    let mut t = unhex(APIC)[..44].to_vec();
    t.extend([9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0]);
    t.extend([5, 12, 0, 0, 0, 0, 0xe1, 0xfe, 1, 0, 0, 0]);
    t.extend([2, 10, 0, 14, 20, 0, 0, 0, 0x0f, 0]);
    t.extend([0, 8, 3, 3, 0, 0, 0, 0]);
    let madt = parse_madt(&t).unwrap();
    assert_eq!(madt.lapics, [Lapic { id: 256, enabled: true }, Lapic { id: 3, enabled: false }]);
    assert_eq!(madt.lapic_addr, 0x1_fee1_0000);
    assert_eq!(madt.isa(14), Override { irq: 14, gsi: 20, active_low: true, level: true });
}

#[test]
fn registers_that_cannot_be_are_left_out() {
    let mut t = unhex(APIC)[..44].to_vec();
    t.extend([1, 12, 1, 0, 2, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    t.extend([1, 12, 2, 0, 0, 0x10, 0xc0, 0xfe, 0x01, 0xff, 0xff, 0xff]);
    t.extend([1, 12, 3, 0, 0, 0x20, 0xc0, 0xfe, 0xff, 0xfe, 0xff, 0xff]);
    let last = Ioapic { id: 3, addr: 0xfec0_2000, gsi_base: 0xffff_feff };
    assert_eq!(parse_madt(&t).unwrap().ioapics, [last]);
    let mut t = unhex(MCFG);
    assert_eq!(parse_mcfg(&t).len(), 1);
    t[44] = 2;
    assert_eq!(parse_mcfg(&t), []);
}

#[test]
fn this_machine_s_tables_come_through_read_phys() {
    crate::host::new_machine();
    assert_eq!(madt(), None);
    assert!(mcfg().is_empty());
    let m = q35();
    for (phys, bytes) in m.0 {
        crate::boot::host_add_firmware(phys, bytes);
    }
    assert_eq!(madt().unwrap().ioapics.len(), 1);
    assert_eq!(mcfg().len(), 1);
    // What the loader says comes first.
    crate::boot::host_add_firmware(0x1000, unhex(MICROVM_RSDP));
    crate::boot::host_add_firmware(0xe_ffb6, unhex(MICROVM_XSDT));
    crate::boot::host_add_firmware(0xe_ff5c, unhex(MICROVM_APIC));
    crate::host::set_boot_info(crate::types::BootInfo { rsdp: Some(0x1000), ..Default::default() });
    assert_eq!(madt().unwrap().ioapics.len(), 2);
}
