//! Scans of captured machines, and of machines that never were.

use super::*;
use crate::bar::FIRST;
use crate::fake::captured::{
    ALL, EXTRA_ROOTS, MICROVM, NO_LEGACY, NO_MODERN, PC, PC_QBOOT, PORTS, PORTS_QBOOT, ROOT_PORT,
    ROOT_PORT_QBOOT,
};
use crate::fake::{FakeSpace, Noise};
use alloc::string::String;
use alloc::vec::Vec;
use io::PciBus;
use pci_types::capability::PciCapability;

fn scan(space: &FakeSpace) -> Pci {
    let taken = [0..0x2000_0000, 0xB000_0000..0xC000_0000];
    Pci::scan(space.boxed(), &Windows::below_4g(&taken, space.ports), 0)
}

fn addresses(pci: &Pci) -> Vec<String> {
    pci.functions().iter().map(|f| alloc::format!("{}", Plan9(f.address))).collect()
}

#[test]
fn pc_with_seabios() {
    let space = FakeSpace::new(PC);
    let before = space.snapshot();
    let pci = scan(&space);
    assert_eq!(
        addresses(&pci),
        ["0.0.0", "0.1.0", "0.1.1", "0.1.3", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0"]
    );
    assert_eq!(space.snapshot(), before, "what the firmware set up stays");
    let device = pci.find(address(0, 2, 0)).unwrap();
    let bars: Vec<_> = device.bars.iter().map(|b| b.map(|b| (b.register(), b.size))).collect();
    let want = [Some((0xC041, 32)), Some((0xFEBF_B000, 4096)), None, None, Some((0xFEBE_800C, 16384)), None];
    assert_eq!((bars.as_slice(), device.line, device.class), (want.as_slice(), 10, [0, 2, 0]));
}

#[test]
fn forms_of_the_interface() {
    // Device, revision, and how many of virtio's structures: one of each kind and a window, or none.
    let forms = |fixture| -> Vec<(String, u16, u8, usize)> {
        let pci = scan(&FakeSpace::new(fixture));
        let virtio = pci.functions().iter().filter(|f| f.vendor == 0x1AF4);
        let form = |f: &Function| {
            let structures = f.vendor_capabilities().count();
            (alloc::format!("{}", Plan9(f.address)), f.device, f.revision, structures)
        };
        virtio.map(form).collect()
    };
    for fixture in [ROOT_PORT, ROOT_PORT_QBOOT] {
        assert_eq!(forms(fixture), [("1.0.0".into(), 0x1049, 1, 5)], "behind a root port it is modern only");
    }
    assert_eq!(forms(NO_LEGACY), [("0.1.0".into(), 0x1049, 1, 5), ("0.2.0".into(), 0x1044, 1, 5)]);
    assert_eq!(forms(NO_MODERN), [("0.1.0".into(), 0x1009, 0, 0), ("0.2.0".into(), 0x1005, 0, 0)]);
}

#[test]
fn raw_reads_what_is_there_and_ends() {
    let space = FakeSpace::new(PC);
    let pci = scan(&space);
    let shown = io::pci::Address { bus: 0, device: 2, function: 0 };
    assert_eq!(pci.config_size(shown), 256);
    let raw: Vec<u8> = (0..256).map(|offset| pci.read_config(shown, offset)).collect();
    assert_eq!(raw, space.functions()[4].bytes);
    assert_eq!((pci.read_config(shown, 256), pci.read_config(shown, usize::MAX)), (0xff, 0xff));
    // A write of a wrong length, or outside, changes nothing.
    pci.write_config(shown, 4, &[1, 2, 3]);
    pci.write_config(shown, usize::MAX, &[1]);
    pci.write_config(shown, 5, &[1, 2]);
    assert_eq!(pci.read_config(shown, 4), raw[4]);
    pci.write_config(shown, 4, &[raw[4] ^ 4, raw[5]]);
    assert_eq!(pci.read_config(shown, 4), raw[4] ^ 4);
    let all: Vec<_> = (0..).map_while(|n| pci.nth(n)).collect();
    assert_eq!(all.len(), pci.functions().len());
    assert!(all.iter().all(|f| PciBus::find(&pci, f.at).is_some_and(|found| found.device == f.device)));
    let nowhere = io::pci::Address { bus: 0, device: 200, function: 9 };
    assert!(PciBus::find(&pci, nowhere).is_none());
}

#[test]
fn capabilities_in_list_order() {
    let id = |c: &PciCapability| match c {
        PciCapability::MsiX(_) => 0x11,
        PciCapability::Vendor(_) => 9,
        _ => 0,
    };
    let pci = scan(&FakeSpace::new(PC));
    let caps = |dev| -> Vec<(u8, u16)> {
        let f = pci.find(address(0, dev, 0)).unwrap();
        f.capabilities.iter().map(|c| (id(c), c.address().offset)).collect()
    };
    assert_eq!(caps(2), [(0x11, 0x98), (9, 0x84), (9, 0x70), (9, 0x60), (9, 0x50), (9, 0x40)]);
    assert!(!caps(4).iter().any(|c| c.0 == 9), "disable-modern=on");
}

/// Nothing overlaps anything, everything is aligned, and every bridge passes on what is behind it.
fn assert_sound(space: &FakeSpace, pci: &Pci, taken: &[Range<u64>]) {
    let mut used: Vec<(bool, Range<u64>, PciAddress)> = Vec::new();
    for f in pci.functions() {
        for (n, bar) in f.bars.iter().enumerate().filter_map(|(n, b)| Some((n, (*b)?))) {
            if bar.address == 0 {
                assert!(!bar.is_memory() && !space.ports, "{} register {n} has no address", f.address);
                continue;
            }
            assert_eq!(bar.address % bar.size, 0);
            let range = bar.address..bar.address + bar.size;
            for (memory, other, whose) in &used {
                let apart =
                    *memory != bar.is_memory() || range.end <= other.start || other.end <= range.start;
                assert!(apart, "{} register {n} and {whose}", f.address);
            }
            for taken in taken.iter().filter(|_| bar.is_memory()) {
                assert!(range.end <= taken.start || taken.end <= range.start, "{} at {range:x?}", f.address);
            }
            let at = f.address;
            let register = space.read32(at, FIRST + 4 * n as u16);
            assert_eq!(u64::from(register), bar.register());
            let mut above = f.bridge;
            while let Some(b) = above.map(|i| &pci.functions()[i]) {
                let bytes = |off| u64::from(space.read16(b.address, off));
                let window = if bar.is_memory() {
                    let plain = (bytes(0x20) & 0xFFF0) << 16..((bytes(0x22) | 0xF) << 16 | 0xFFFF) + 1;
                    let fetch = (bytes(0x24) & 0xFFF0) << 16..((bytes(0x26) | 0xF) << 16 | 0xFFFF) + 1;
                    if fetch.contains(&range.start) { fetch } else { plain }
                } else {
                    let both = bytes(0x1C);
                    (both & 0xF0) << 8..((both >> 12 << 12) | 0xFFF) + 1
                };
                assert!(
                    window.start <= range.start && range.end <= window.end,
                    "{at}: {range:x?} {window:x?}"
                );
                above = b.bridge;
            }
            used.push((bar.is_memory(), range, at));
        }
    }
}

#[test]
fn what_the_firmware_left_out_is_assigned() {
    for fixture in ALL {
        let mut space = FakeSpace::new(fixture);
        space.ports = fixture != MICROVM;
        let pci = scan(&space);
        assert_sound(&space, &pci, &[0..0x2000_0000, 0xB000_0000..0xC000_0000]);
    }
}

/// A machine with further root buses as SeaBIOS leaves it, or as qboot does, which does not look for them.
fn extra_roots(qboot: bool) -> FakeSpace {
    let space = FakeSpace::new(EXTRA_ROOTS);
    for f in space.functions().iter_mut().filter(|f| qboot && f.captured.bus() != 0) {
        // No addresses and no numbers of buses; the kind of a register stays.
        for at in (0x10..0x28).step_by(4) {
            let kind = if f.bytes[0x0E] & 0x7F == 0 { f.bytes[at] & 0xF } else { 0 };
            f.bytes[at..at + 4].copy_from_slice(&[kind, 0, 0, 0]);
        }
    }
    space
}

/// Where everything sits that is not on bus 0.
fn elsewhere(pci: &Pci) -> Vec<String> {
    addresses(pci).into_iter().filter(|at| !at.starts_with("0.")).collect()
}

#[test]
fn further_root_buses_are_found_where_they_are() {
    for qboot in [false, true] {
        let taken = [0..0x2000_0000, 0xB000_0000..0xC000_0000];
        let windows = Windows::below_4g(&taken, true);
        let space = extra_roots(qboot);
        let before = space.snapshot();
        let pci = Pci::scan(space.boxed(), &windows, 2);
        assert_eq!(elsewhere(&pci), ["64.0.0", "65.0.0", "128.0.0", "129.0.0"]);
        assert_sound(&space, &pci, &taken);
        assert!(qboot || space.snapshot() == before, "what the firmware set up stays");
        // Nobody looks where nobody told of anything, and a wrong count does no harm.
        assert_eq!(elsewhere(&Pci::scan(extra_roots(qboot).boxed(), &windows, 0)), [""; 0]);
        assert_eq!(elsewhere(&Pci::scan(extra_roots(qboot).boxed(), &windows, 255)).len(), 4);
    }
}

#[test]
fn no_bridge_gets_the_number_of_a_root_bus() {
    let space = extra_roots(true);
    // The root bus 128 is 65 now, which the bridge on bus 64 would have got.
    for f in space.functions().iter_mut().filter(|f| f.captured.bus() == 128) {
        f.captured = address(65, f.captured.device(), f.captured.function());
    }
    let pci = Pci::scan(space.boxed(), &Windows::below_4g(&[], true), 2);
    assert_eq!(elsewhere(&pci), ["64.0.0", "65.0.0", "66.0.0"]);
}

#[test]
fn taken_addresses_are_left_alone() {
    let space = FakeSpace::new(PC_QBOOT);
    let taken = [0..0xE000_0000, 0xE800_0000..0xE900_0800];
    let pci = Pci::scan(space.boxed(), &Windows::below_4g(&taken, true), 0);
    assert_sound(&space, &pci, &taken);
    let lowest = pci.functions().iter().flat_map(|f| f.bars.iter().flatten()).filter(|b| b.is_memory());
    assert_eq!(lowest.map(|b| b.address).min(), Some(0xE900_1000));
}

#[test]
fn without_room_registers_stay_without_address() {
    let space = FakeSpace::new(PORTS_QBOOT);
    let pci =
        Pci::scan(space.boxed(), &Windows::below_4g(&[0..0xD000_0000, 0xD000_0000..0xFF00_0000], true), 0);
    for f in pci.functions() {
        assert!(f.bars.iter().flatten().filter(|b| b.is_memory()).all(|b| b.address == 0));
        let why = pci.map(f, 4, 0, 16).err().map(|e| alloc::format!("{e}"));
        assert!(why.is_some(), "{}", Plan9(f.address));
    }
}

#[test]
fn bus_numbers_do_not_depend_on_the_firmware() {
    let (bios, qboot) = (FakeSpace::new(PORTS), FakeSpace::new(PORTS_QBOOT));
    let before = bios.snapshot();
    let (bios_pci, qboot_pci) = (scan(&bios), scan(&qboot));
    assert_eq!(bios.snapshot(), before);
    assert_eq!(addresses(&qboot_pci), addresses(&bios_pci));
}

#[test]
fn bridges_without_numbers_are_numbered() {
    let space = FakeSpace::new(PORTS);
    for f in space.functions().iter_mut().filter(|f| f.bytes[0x0E] == 1) {
        f.bytes[0x18..0x1B].fill(0);
    }
    let pci = scan(&space);
    let last = [address(1, 0, 0), address(3, 3, 0)].map(|at| pci.find(at).map(|f| f.vendor));
    assert_eq!(last, [Some(0x1AF4); 2]);
    let numbers: Vec<[u8; 3]> = space
        .functions()
        .iter()
        .filter(|f| f.bytes[0x0E] == 1)
        .map(|f| f.bytes[0x18..0x1B].try_into().unwrap())
        .collect();
    assert_eq!(numbers, [[0, 1, 1], [0, 2, 3], [2, 3, 3]]);
}

#[test]
fn bridges_that_point_at_themselves_end() {
    for numbers in [[0, 0, 255], [0, 1, 255], [1, 1, 1], [0, 255, 255], [0, 255, 0]] {
        let space = FakeSpace::new(PORTS);
        for f in space.functions().iter_mut().filter(|f| f.bytes[0x0E] == 1) {
            f.bytes[0x18..0x1B].copy_from_slice(&numbers);
        }
        assert_eq!(scan(&space).functions().len(), 9, "{numbers:?}");
    }
}

#[test]
fn functions_ascend_and_know_their_bridge() {
    let pci = scan(&FakeSpace::new(PORTS));
    assert_eq!(
        addresses(&pci),
        ["0.0.0", "0.1.0", "0.2.0", "0.31.0", "0.31.2", "0.31.3", "1.0.0", "2.0.0", "3.3.0"]
    );
    let above = |dev: &Function| dev.bridge.map(|i| pci.functions()[i].address);
    let expected = [(1, address(0, 1, 0)), (2, address(0, 2, 0)), (3, address(2, 0, 0))];
    for (f, (bus, bridge)) in pci.functions()[6..].iter().zip(expected) {
        assert_eq!((f.address.bus(), above(f)), (bus, Some(bridge)));
    }
}

#[test]
fn enabling_enables_the_bridges_above() {
    let space = FakeSpace::new(PORTS_QBOOT);
    let pci = scan(&space);
    let far = pci.find(address(3, 3, 0)).unwrap();
    pci.enable(far, CommandRegister::MEMORY_ENABLE);
    assert_eq!(space.read16(far.address, 4), CommandRegister::MEMORY_ENABLE.bits());
    for at in [address(0, 2, 0), address(2, 0, 0)] {
        assert_eq!(space.read16(at, 4) & 7, 7);
    }
    assert_eq!(space.read16(address(0, 1, 0), 4) & 7, 0, "not its bridge");
}

#[test]
fn capability_lists_that_loop_or_leave_end() {
    let space = FakeSpace::new(PC);
    let at = address(0, 2, 0);
    // Entries that lead to every place, entries without a next one, and a loop through all.
    // Of vendor-specific capabilities, of MSI-X (whose other words may be such entries), of none, and of both.
    for (next, ids) in
        (0..=255u8).flat_map(|next| [[9, 9], [0x11, 0x11], [0, 0], [9, 0x11]].map(|ids| (next, ids)))
    {
        for f in space.functions().iter_mut().filter(|f| f.captured == at) {
            f.bytes[0x34] = next;
            for place in (0x40..256).step_by(4) {
                f.bytes[place] = ids[place / 4 % 2];
                f.bytes[place + 1] = (place as u8).wrapping_add(next);
            }
        }
        let caps = capability::list(&space, at);
        assert!(caps.len() <= 48);
        assert!(caps.iter().all(|c| (0x40..=0xFC).contains(&c.address().offset)));
    }
}

#[test]
fn registers_that_lie_about_their_size_do_not_matter() {
    let mut noise = Noise::new(7);
    for _ in 0..200 {
        let space = FakeSpace::new(PC_QBOOT);
        for f in space.functions().iter_mut() {
            for (_, ones) in &mut f.ones {
                *ones = noise.below(1 << 32) as u32;
            }
        }
        let pci = scan(&space);
        for f in pci.functions() {
            for bar in f.bars.iter().flatten() {
                assert!(bar.size.is_power_of_two());
                assert!(!bar.holds(bar.size, 1) && !bar.holds(u64::MAX, 2));
            }
        }
    }
}
