//! The registers, as QEMU has them.

use super::*;
use crate::Windows;
use crate::fake::FakeSpace;
use crate::fake::captured::{MICROVM, PC, Q35 as CAPTURED_Q35};
use alloc::sync::Arc;
use machine::host::io::host_register_ports;
use machine::io::PortBackend;
use std::sync::Mutex;

#[derive(Default)]
struct State {
    bus: u32,
    alone: bool,
    bridge_first: bool,
    /// Slots of three buses: filled, to be emptied.
    slots: [[u32; 2]; 3],
    /// Bus and slots.
    let_go: Vec<(u32, u32)>,
}

#[derive(Default)]
struct Board(Mutex<State>);

impl PortBackend for Board {
    fn read(&self, off: u16, len: usize) -> u32 {
        assert_eq!(len, 4);
        let mut state = self.0.lock().unwrap();
        let bus = state.bus as usize;
        match off {
            // Nothing to select: one bus.
            SELECT => return if state.alone { u32::MAX } else { state.bus },
            // All can go but what is part of the board.
            CAN_GO => return if bus == 0 && !state.bridge_first { !3 } else { u32::MAX },
            _ => {}
        }
        let Some(slots) = state.slots.get_mut(bus) else { return 0 };
        match off {
            FILLED => core::mem::take(&mut slots[0]),
            TO_EMPTY => slots[1],
            _ => panic!("{off:#x}"),
        }
    }

    fn write(&self, off: u16, len: usize, value: u32) {
        assert_eq!(len, 4);
        let mut state = self.0.lock().unwrap();
        let bus = state.bus;
        match off {
            SELECT if state.alone => {}
            SELECT => state.bus = value,
            LET_GO => {
                state.slots[bus as usize][1] &= !value;
                state.let_go.push((bus, value));
            }
            _ => panic!("{off:#x}"),
        }
    }
}

fn all(slots: &Slots) -> Vec<Change> {
    slots.buses().flat_map(|bus| slots.changes(bus)).collect()
}

#[test]
fn slots_are_looked_at_and_let_go() {
    for (fixture, port, root) in [(PC, 0xae00, true), (CAPTURED_Q35, 0x0cc0, false)] {
        let space = FakeSpace::new(fixture);
        let board = Arc::new(Board::default());
        host_register_ports(port, LEN, board.clone());
        let slots = Slots::find(&*space.boxed()).unwrap();
        assert_eq!(all(&slots), []);
        board.0.lock().unwrap().slots = [[0, 1 << 3], [1 << 31, 0], [0, 1]];
        let changes = all(&slots);
        let change = |bus, slot, empty| Change { bus, slot, empty };
        assert_eq!(changes, [change(0, 3, true), change(1, 31, false), change(2, 0, true)]);
        assert_eq!(slots.on_root_bus(changes[0]), root.then_some(3));
        assert_eq!(slots.on_root_bus(changes[1]), None);
        slots.let_go(changes[0]);
        slots.let_go(changes[2]);
        assert_eq!(board.0.lock().unwrap().let_go, [(0, 8), (2, 1)]);
        assert_eq!(all(&slots), [], "what was filled is told once");
        assert!(Slots::find(&*space.boxed()).is_none(), "they have an owner");
    }
    assert!(Slots::find(&*FakeSpace::new(MICROVM).boxed()).is_none());
}

#[test]
fn which_bus_is_the_first_is_known() {
    for (alone, bridge_first, root) in [(false, false, true), (false, true, false), (true, false, true)] {
        let space = FakeSpace::new(PC);
        let board = Arc::new(Board::default());
        *board.0.lock().unwrap() = State { alone, bridge_first, ..State::default() };
        host_register_ports(0xae00, LEN, board.clone());
        let slots = Slots::find(&*space.boxed()).unwrap();
        board.0.lock().unwrap().slots[0] = [0, 4];
        let changes = all(&slots);
        assert_eq!(changes.len(), 1, "once");
        assert_eq!(slots.on_root_bus(changes[0]), root.then_some(2));
    }
}

#[test]
fn who_came_and_who_went_is_known() {
    let space = FakeSpace::new(PC);
    let pci = Pci::scan(space.boxed(), &Windows::below_4g(&[], true), 0);
    let (known, free) = (address(0, 2, 0), address(0, 29, 0));
    let mut present = Present::at_boot(&pci);
    assert!(answers(&pci, known) && !answers(&pci, free));
    assert_eq!(present.gone(&pci, None), []);
    assert!(!present.has_newcomer(&pci, Some(2)) && !present.has_newcomer(&pci, Some(29)));
    assert!(!present.has_newcomer(&pci, None));
    let mut newcomer = space.functions()[4].clone();
    newcomer.captured = free;
    space.functions().push(newcomer);
    assert!(answers(&pci, free) && present.has_newcomer(&pci, Some(29)));
    // Whoever comes into a slot that was let go is new there, even at once.
    assert!(present.is_on(0));
    assert_eq!(present.gone(&pci, Some((0, 2))), [known]);
    assert_eq!(present.gone(&pci, Some((0, 2))), []);
    assert!(present.has_newcomer(&pci, Some(2)));
}
