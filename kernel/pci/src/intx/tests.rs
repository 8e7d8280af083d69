//! Routes, against what was measured on QEMU with every pin of the I/O APICs open:
//! docs/facts/virtio-9p.md section 1.7.

use super::*;
use crate::fake::FakeSpace;
use crate::fake::captured::{MICROVM, PC, PC_QBOOT, PORTS, PORTS_QBOOT, Q35};
use crate::{ConfigSpace as _, HeaderType, Windows};
use alloc::string::ToString;

fn scan(fixture: &str) -> (FakeSpace, Pci) {
    let space = FakeSpace::new(fixture);
    let pci = Pci::scan(space.boxed(), &Windows::below_4g(&[], true), 0);
    (space, pci)
}

/// A function with INTA in some slot of the root bus.
fn in_slot(slot: u8) -> Function {
    pinned(slot, 1)
}

fn pinned(slot: u8, pin: u8) -> Function {
    Function {
        address: address(0, slot, 0),
        bridge: None,
        vendor: 0x1AF4,
        device: 0x1009,
        revision: 0,
        class: [0; 3],
        header: HeaderType::Endpoint,
        subsystem: (0, 0),
        line: 7,
        pin,
        bars: [None; 6],
        capabilities: alloc::vec![],
    }
}

#[test]
fn lines_are_where_they_were_measured() {
    for fixture in [PC, PC_QBOOT] {
        let (_, pci) = scan(fixture);
        for (slot, line) in [(2, 10), (3, 11), (4, 11), (5, 10), (29, 10)] {
            assert_eq!(gsi(&pci, &in_slot(slot), 1), Ok(line), "slot {slot}");
        }
        // Slot 0 is the host bridge's own.
        assert_eq!(gsi(&pci, &in_slot(0), 1), Ok(11));
        assert_eq!((gsi(&pci, &pinned(2, 2), 1), gsi(&pci, &pinned(2, 4), 1)), (Ok(11), Ok(10)));
    }
    let (_, pci) = scan(Q35);
    for (slot, line) in [(1, 21), (2, 22), (3, 23), (4, 20), (24, 20), (25, 16), (29, 16), (30, 20), (31, 16)]
    {
        assert_eq!(gsi(&pci, &in_slot(slot), 1), Ok(line), "slot {slot}");
    }
    assert_eq!((gsi(&pci, &pinned(29, 4), 1), gsi(&pci, &pinned(30, 4), 1)), (Ok(19), Ok(23)));
    let (_, pci) = scan(MICROVM);
    assert_eq!((gsi(&pci, &in_slot(1), 2), gsi(&pci, &in_slot(2), 2)), (Ok(17), Ok(18)));
    assert_eq!((gsi(&pci, &in_slot(1), 1), gsi(&pci, &in_slot(5), 1)), (Ok(13), Ok(13)));
}

#[test]
fn bridges_turn_the_pins() {
    for fixture in [PORTS, PORTS_QBOOT] {
        let (_, pci) = scan(fixture);
        let line = |at| gsi(&pci, pci.find(at).unwrap(), 1);
        // Slot 0 behind the port in slot 1; slot 3 behind the bridge in slot 0 behind the port in slot 2.
        assert_eq!(line(address(1, 0, 0)), Ok(21));
        assert_eq!(line(address(3, 3, 0)), Ok(21));
    }
}

#[test]
fn what_leads_nowhere_is_told() {
    let why = |pci: &Pci, f: &Function, apics| gsi(pci, f, apics).unwrap_err().to_string();
    let (space, pci) = scan(PC);
    assert_eq!(why(&pci, &pinned(2, 0), 1), "device has no interrupt pin");
    assert_eq!(why(&pci, &pinned(2, 5), 1), "device has no interrupt pin");
    for f in space.functions().iter_mut().filter(|f| f.captured == address(0, PIIX3_DEVICE, 0)) {
        f.bytes[0x61] = 0x80;
    }
    assert_eq!(why(&pci, &in_slot(2), 1), "interrupt line is not connected");
    assert_eq!(why(&scan(MICROVM).1, &in_slot(1), 0), "interrupt lines of this board are not known");
    for f in space.functions().iter_mut().filter(|f| f.captured == address(0, 0, 0)) {
        f.bytes[2] = 0;
    }
    assert_eq!(why(&pci, &in_slot(3), 1), "interrupt lines of this board are not known");
}

#[test]
fn a_function_pulls_its_line_only_while_it_has_a_handler() {
    let (space, pci) = scan(PC);
    disable_all(&pci);
    let silent = |dev| space.read16(address(0, dev, 0), 4) & OFF.bits() != 0;
    assert!(silent(2) && silent(3) && silent(6), "all with a pin");
    assert!(!silent(0), "the host bridge has none");
    let line = Line::open(&pci, pci.find(address(0, 2, 0)).unwrap(), 1).unwrap();
    let connected = line.connect("x", Box::new(|| {})).unwrap();
    assert!(!silent(2) && silent(3));
    drop(connected);
    assert!(silent(2));
    let _edge = irq::gsi(10, Trigger::Edge, "edge", Box::new(|| {})).unwrap();
    assert!(line.connect("x", Box::new(|| {})).is_err() && silent(2));
}
