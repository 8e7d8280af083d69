//! Captured buses with one thing wrong, and with much wrong: whatever a capability or a register says, nothing outside
//! a function's memory is touched, nothing loops, and the devices beside it work.

use super::*;
use crate::fake::{Fake, FakeSpace, Noise, Quirks};
use alloc::vec;
use core::array::from_fn;
use pci::fake::captured::ALL;
use pci::{PciAddress, address};

use pci::fake::captured::NO_LEGACY;
const TAKEN: [Range<u64>; 2] = [0..0x2000_0000, 0xB000_0000..0xC000_0000];
/// The 9P device of that machine, whose configuration space is changed, and the one that must go on working.
fn spoilt_address() -> PciAddress {
    address(0, 1, 0)
}

fn beside() -> PciAddress {
    address(0, 2, 0)
}

const COMMON: u8 = 1;
const NOTIFY: u8 = 2;

/// A configuration space that is to be spoilt.
struct Space<'a> {
    bytes: &'a mut [u8; 256],
    ones: &'a mut Vec<(u16, u32)>,
}

impl Space<'_> {
    /// Where the capability of an id is, and with a kind virtio's of that.
    fn cap(&self, id: u8, kind: Option<u8>) -> usize {
        let mut at = usize::from(self.bytes[0x34]);
        while self.bytes[at] != id || kind.is_some_and(|k| self.bytes[at + 3] != k) {
            at = usize::from(self.bytes[at + 1]);
        }
        at
    }

    /// Changes bytes of one of virtio's capabilities.
    fn structure(&mut self, kind: u8, offset: usize, bytes: &[u8]) {
        let at = self.cap(9, Some(kind)) + offset;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn ones(&mut self, register: u16, ones: Option<u32>) {
        self.ones.retain(|(at, _)| *at != register);
        self.ones.extend(ones.map(|ones| (register, ones)));
    }
}

/// What the table says of the device when its space has been changed so.
fn spoilt(change: impl Fn(&mut Space<'_>)) -> String {
    let space = FakeSpace::new(NO_LEGACY);
    space.plug(
        spoilt_address(),
        &Fake::with(b"\x01\0t".to_vec(), 128, Quirks { lenient: true, ..Quirks::default() }),
    );
    space.plug(beside(), &Fake::with(vec![], 8, Quirks::default()));
    for f in space.functions().iter_mut().filter(|f| f.captured == spoilt_address()) {
        change(&mut Space { bytes: &mut f.bytes, ones: &mut f.ones });
    }
    let text = init_on(space.boxed(), &TAKEN, Choice::default()).table.text();
    assert_eq!(space.strays(), 0, "{text}");
    let mut lines = text.lines();
    let first = lines.next().unwrap().into();
    assert!(lines.next().unwrap().contains(" rng requests "), "{text}");
    first
}

/// The line of a device that works.
fn works(line: &str) -> bool {
    line.ends_with(" 9p") || line.contains(" 9p ")
}

#[test]
fn structures_outside_their_register_are_refused() {
    for (offset, len) in
        [(0x4000u32, 0x1000u32), (0x3FFC, 0x1000), (0xFFFF_FFF0, 0x38), (0, 0x4001), (0, u32::MAX)]
    {
        for kind in [COMMON, NOTIFY] {
            let line = spoilt(|s| {
                s.structure(kind, 8, &offset.to_le_bytes());
                s.structure(kind, 12, &len.to_le_bytes());
            });
            assert!(line.contains("not inside base address register 4"), "{line}");
        }
    }
}

#[test]
fn structures_that_are_cut_off_or_crooked_are_refused() {
    let line = spoilt(|s| s.structure(COMMON, 12, &[0x37, 0, 0, 0]));
    assert!(line.contains("too short or not aligned"), "{line}");
    let line = spoilt(|s| s.structure(COMMON, 8, &[2, 0, 0, 0]));
    assert!(line.contains("too short or not aligned"), "{line}");
    let line = spoilt(|s| s.structure(COMMON, 2, &[15]));
    assert!(line.contains("no virtio structure of type 1"), "{line}");
    let line = spoilt(|s| s.structure(NOTIFY, 2, &[16]));
    assert!(line.contains("no virtio structure of type 2"), "{line}");
    for bar in [6, 7, 255] {
        let line = spoilt(|s| s.structure(COMMON, 4, &[bar]));
        assert!(line.contains("no virtio structure of type 1"), "{line}");
    }
    // The list goes on in the last four bytes of the space.
    let line = spoilt(|s| {
        let last = s.cap(9, Some(COMMON));
        s.bytes[last] = 0x42;
        s.bytes[last + 1] = 0xFC;
        s.bytes[0xFC..].copy_from_slice(&[9, 0, 16, 1]);
    });
    assert!(line.contains("no virtio structure of type 1"), "{line}");
}

#[test]
fn a_list_that_bites_its_tail_is_read_once() {
    for to in [0x34usize, 0x98, 0x84, 0x40] {
        let line = spoilt(|s| {
            let (last, first) = (s.cap(9, Some(COMMON)), s.bytes[0x34]);
            s.bytes[last + 1] = if to == 0x34 { first } else { to as u8 };
        });
        assert!(works(&line), "{line}");
    }
}

#[test]
fn structures_over_one_another_do_no_harm() {
    // Where the queue is notified, another structure is; the device suffers, nobody else.
    for offset in [0u32, 0x1000, 0x2000] {
        spoilt(|s| s.structure(NOTIFY, 8, &offset.to_le_bytes()));
    }
    // All of them in the register with the interrupt table.
    spoilt(|s| [1, 2, 3, 4].into_iter().for_each(|kind| s.structure(kind, 4, &[1, 0, 0, 0, 0, 0, 0, 0])));
    for multiplier in [1u32, 3, 0x8000_0001, u32::MAX] {
        spoilt(|s| s.structure(NOTIFY, 16, &multiplier.to_le_bytes()));
    }
}

#[test]
fn registers_of_impossible_sizes_have_no_address() {
    // None at all; a terabyte; everything there is; the upper half of the last register.
    let line = spoilt(|s| {
        s.bytes[0x20..0x28].fill(0);
        s.ones(0x20, None);
        s.ones(0x24, None);
    });
    assert!(line.contains("no base address register 4"), "{line}");
    for (low, high) in [(0xC, 0xFFFF_FF00), (0xC, 0x8000_0000), (0x8000_000C, 0)] {
        let line = spoilt(|s| {
            s.bytes[0x20..0x28].fill(0);
            s.ones(0x20, Some(low));
            s.ones(0x24, Some(high));
        });
        assert!(line.contains("base address register 4 has no memory address"), "{line}");
    }
    let line = spoilt(|s| {
        s.ones(0x20, Some(0xFFFF_F000));
        s.bytes[0x20..0x28].fill(0);
        s.ones(0x24, Some(0xFFFF_C00C));
        s.bytes[0x24] = 0xC;
        s.structure(COMMON, 4, &[5]);
    });
    assert!(!works(&line) && !line.contains("no base address register 5"), "{line}");
    // One byte less than the structures need.
    let line = spoilt(|s| s.ones(0x20, Some(0xFFFF_E00C)));
    assert!(line.contains("not inside base address register 4"), "{line}");
}

#[test]
fn interrupt_tables_outside_their_register_are_refused() {
    let table = |offset: u32| {
        move |s: &mut Space<'_>| {
            let at = s.cap(0x11, None) + 4;
            s.bytes[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        }
    };
    for offset in [7, 2, 0xFF1, 0xFFFF_FFF9] {
        let line = spoilt(table(offset));
        assert!(!works(&line) || line.contains("ioapic"), "{line}");
    }
    // More entries than the register has room for.
    let line = spoilt(|s| {
        let at = s.cap(0x11, None) + 2;
        s.bytes[at..at + 2].copy_from_slice(&0x7FFu16.to_le_bytes());
    });
    assert!(!works(&line) || line.contains("ioapic"), "{line}");
}

/// Values that are wrong in an interesting way more often than chance would have it.
fn garbage(noise: &mut Noise) -> u32 {
    const EDGES: [u32; 12] =
        [0, 1, 2, 0x37, 0x38, 0xFFC, 0x1000, 0x3000, 0x3FFF, 0x4000, 0x7FFF_FFFF, 0xFFFF_FFFF];
    match noise.below(3) {
        0 => noise.below(1 << 32) as u32,
        _ => EDGES[noise.below(EDGES.len() as u64) as usize],
    }
}

/// A list of capabilities that never was: entries anywhere, also over one another, of which most lead to the next.
fn plausible_garbage(noise: &mut Noise, bytes: &mut [u8; 256]) {
    let places: [usize; 9] = from_fn(|_| 0x40 + 4 * noise.below(48) as usize);
    bytes[0x34] = places[0] as u8;
    for (n, &at) in places.iter().enumerate() {
        let next = if noise.below(8) == 0 { noise.below(256) as u8 } else { places[(n + 1) % 9] as u8 };
        let id = [9, 9, 9, 9, 0x11, noise.below(256) as u8][noise.below(6) as usize];
        let len = [16, 20, 20, 20, noise.below(256) as u8][noise.below(5) as usize];
        let head = [
            id,
            next,
            len,
            1 + n as u8 % 5,
            [4, 4, 4, 1, 0, 5, noise.below(256) as u8][noise.below(7) as usize],
        ];
        let room = bytes.len() - at;
        bytes[at..][..room.min(5)].copy_from_slice(&head[..room.min(5)]);
        for place in [8, 12, 16].into_iter().map(|o| at + o).filter(|p| p + 4 <= 256) {
            bytes[place..place + 4].copy_from_slice(&garbage(noise).to_le_bytes());
        }
    }
}

#[test]
fn plausible_garbage_touches_nothing_outside_a_register() {
    let (mut works, mut named) = (0, 0);
    for seed in 0..300 {
        let mut noise = Noise::new(seed);
        let space = FakeSpace::new(ALL[seed as usize % ALL.len()]);
        let devices: Vec<PciAddress> =
            space.functions().iter().filter(|f| f.bytes[0] == 0xF4).map(|f| f.captured).collect();
        for at in devices {
            space.plug(
                at,
                &Fake::with(b"\x01\0t".to_vec(), 128, Quirks { lenient: true, ..Quirks::default() }),
            );
        }
        for f in space.functions().iter_mut().filter(|f| f.bytes[0] == 0xF4) {
            if noise.below(4) != 0 {
                plausible_garbage(&mut noise, &mut f.bytes);
            }
            if noise.below(3) == 0 {
                f.ones.iter_mut().for_each(|(_, ones)| *ones = (*ones ^ garbage(&mut noise)) | *ones & 0xF);
            }
        }
        let choice = Choice { nomsi: seed % 2 == 0, ioapics: 1 };
        let system = init_on(space.boxed(), &TAKEN, choice);
        assert_eq!(space.strays(), 0, "seed {seed}");
        works += system.nine_p.len();
        named += system.table.text().lines().count();
    }
    assert!(works > 50 && named > 500, "{works} of {named} devices got over it");
}
