//! The driver against a controller made of a few rules: what it is told it does, with the devices a test wants.

use super::*;
use alloc::collections::VecDeque;
use alloc::vec;
use machine::host::heap::aside;
use machine::host::io::{PortBackend, host_register_ports};
use machine::host::irq::host_raise_gsi;
use std::sync::Mutex;

/// How the controller and its devices behave.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Whole,
    NoWheel,
    NoMouse,
    MuteKeyboard,
    Broken,
    Stuck,
}

struct State {
    out: VecDeque<(u8, bool)>,
    /// The command whose byte comes next.
    pending: u8,
    config: u8,
    rates: Vec<u8>,
    rate_next: bool,
    streaming: bool,
    looks: usize,
}

struct Fake(Kind, Mutex<State>);

impl PortBackend for Fake {
    fn read(&self, off: u16, _width: usize) -> u32 {
        let mut s = self.1.lock().unwrap();
        s.looks += 1;
        if DATA + off == COMMAND {
            let full = s.out.front().map_or(0, |(_, m)| FULL | if *m { FROM_MOUSE } else { 0 });
            return u32::from(full | if self.0 == Kind::Stuck { BUSY } else { 0 });
        }
        u32::from(s.out.pop_front().map_or(0, |(b, _)| b))
    }

    fn write(&self, off: u16, _width: usize, value: u32) {
        let mut s = self.1.lock().unwrap();
        let value = value as u8;
        if DATA + off == COMMAND {
            s.pending = value;
            match value {
                SELF_TEST => s.out.push_back((if self.0 == Kind::Broken { 0xfc } else { 0x55 }, false)),
                TEST_KEYBOARD => s.out.push_back((0, false)),
                TEST_MOUSE => s.out.push_back((u8::from(self.0 == Kind::NoMouse), false)),
                _ => {}
            }
            return;
        }
        match core::mem::take(&mut s.pending) {
            WRITE_CONFIG => s.config = value,
            TO_MOUSE => {
                s.out.push_back((ACKNOWLEDGE, true));
                if core::mem::take(&mut s.rate_next) {
                    s.rates.push(value);
                }
                match value {
                    SAMPLE_RATE => s.rate_next = true,
                    IDENTIFY => {
                        let knocked = s.rates == [200, 100, 80] && self.0 != Kind::NoWheel;
                        s.out.push_back((if knocked { 3 } else { 0 }, true));
                    }
                    ENABLE => s.streaming = true,
                    _ => {}
                }
            }
            _ if self.0 != Kind::MuteKeyboard => s.out.push_back((ACKNOWLEDGE, false)),
            _ => {}
        }
    }
}

fn controller(kind: Kind, before: &[(u8, bool)]) -> Arc<Fake> {
    machine::host::new_machine();
    let out = before.iter().copied().collect();
    let state =
        State { out, pending: 0, config: 0, rates: Vec::new(), rate_next: false, streaming: false, looks: 0 };
    let fake = Arc::new(Fake(kind, Mutex::new(state)));
    host_register_ports(DATA, 5, fake.clone());
    fake
}

#[test]
fn both_devices_are_set_up_and_their_bytes_go_to_the_right_receiver() {
    let fake = controller(Kind::Whole, &[(0x1e, false), (0x08, true), (0x9e, false)]);
    let found = probe().unwrap();
    assert!(found.keyboard());
    assert_eq!(found.mouse(), Some(Mouse { wheel: true }));
    let seen = Arc::new(Lock::new((Vec::new(), Vec::new())));
    let (keys, moves) = (seen.clone(), seen.clone());
    let handles = found
        .start(
            Box::new(move |b| aside(|| keys.lock().0.push(b))),
            Box::new(move |b| aside(|| moves.lock().1.push(b))),
        )
        .unwrap();
    assert_eq!(handles.len(), 2);
    assert_eq!(*seen.lock(), (vec![0x1e, 0x9e], vec![]), "what was typed before is not lost");
    {
        let mut s = fake.1.lock().unwrap();
        assert_eq!(s.config, 0x43, "both interrupts, both clocks, translation");
        assert!(s.streaming && s.rates == [200, 100, 80, 100]);
        s.out.extend([(0x20, false), (0x09, true), (0xa0, false), (1, true)]);
    }
    assert!(host_raise_gsi(1));
    assert_eq!(*seen.lock(), (vec![0x1e, 0x9e, 0x20, 0xa0], vec![9, 1]));
    fake.1.lock().unwrap().out.push_back((2, true));
    assert!(host_raise_gsi(12));
    assert_eq!(seen.lock().1, [9, 1, 2]);
    let lines: Vec<_> = irq::snapshot().unwrap().into_iter().map(|l| (l.name, l.irq, l.count)).collect();
    assert!(lines.contains(&("keyb".into(), 1, 1)) && lines.contains(&("mouse".into(), 12, 1)), "{lines:?}");
}

#[test]
fn what_is_not_there_is_not_used() {
    controller(Kind::NoWheel, &[]);
    assert_eq!(probe().unwrap().mouse(), Some(Mouse { wheel: false }));
    let fake = controller(Kind::NoMouse, &[]);
    let found = probe().unwrap();
    assert_eq!((found.keyboard(), found.mouse()), (true, None));
    assert_eq!(found.start(Box::new(|_| ()), Box::new(|_| ())).unwrap().len(), 1);
    assert_eq!(fake.1.lock().unwrap().config, 0x41);
    assert!(!host_raise_gsi(12));
    controller(Kind::MuteKeyboard, &[]);
    let found = probe().unwrap();
    assert_eq!((found.keyboard(), found.mouse().is_some()), (false, true));
}

#[test]
fn no_controller_or_a_bad_one_is_given_up_soon() {
    machine::host::new_machine();
    assert!(probe().is_none(), "the bus answers 0xff");
    for kind in [Kind::Broken, Kind::Stuck] {
        let fake = controller(kind, &[]);
        assert!(probe().is_none());
        assert!(fake.1.lock().unwrap().looks < 2 * LOOKS);
    }
}
