//! Slots: what tells of them, what is in them, and a driver on a device of either version.

use super::*;
use crate::fake::{Fake, MmioRegisters, Quirks};
use crate::transport::{VERSION_1, VirtioTransport, negotiate};
use alloc::sync::Arc;
use alloc::vec;
use machine::host;
use machine::host::io::{MmioBackend, host_register_mmio};
use machine::places::MAGIC;

/// A slot in which nothing is; every register but the first reads as 0.
struct Registers(Vec<u32>);

impl MmioBackend for Registers {
    fn read(&self, off: usize, width: usize) -> u64 {
        assert_eq!(width, 4);
        u64::from(self.0.get(off / 4).copied().unwrap_or(0))
    }

    fn write(&self, _off: usize, _width: usize, _value: u64) {}
}

const SLOT: Slot = Slot { base: 0xFEB0_2E00, size: 0x200, gsi: 47 };

fn plug(slot: Slot, fake: &Arc<Fake>, version: u32) {
    *fake.line.lock().unwrap() = Some(slot.gsi);
    host_register_mmio(slot.base, 0x200, Arc::new(MmioRegisters(fake.clone(), version)));
}

fn words(values: &[&str]) -> Vec<(String, String)> {
    values.iter().map(|v| (String::from(WORD), String::from(*v))).collect()
}

#[test]
fn the_command_line_tells_of_slots() {
    let (slots, wrong) =
        from_words(&words(&["512@0xfeb00e00:12", "4K@0xd0000000:5:1", "0x1000@3489660928:6"]));
    assert_eq!(wrong, [""; 0]);
    let slot = |base, size, gsi| Slot { base, size, gsi };
    let all = [slot(0xFEB0_0E00, 512, 12), slot(0xD000_0000, 4096, 5), slot(0xD000_0000, 4096, 6)];
    assert_eq!(slots, all);
    assert_eq!(from_words(&[("virtio".into(), "512@0xfeb00e00:12".into())]), (vec![], vec![]));
    let bad = [
        "",
        "512",
        "512@",
        "512@0xfeb00e00",
        "512@0xfeb00e00:",
        "@1:2",
        "512@zz:1",
        "512@0xfeb00e00:12:x",
        "512@0xfeb00e00:12:1:2",
        "16@0xfeb00e00:1",
        "1G@0xfeb00e00:1",
        "512@0:1",
        "512@1:1",
        "512@0xffffffffffffff00:1",
        "512@0xfeb00e00:-1",
        "512@0xfeb00e00:99999999999",
        "18014398509481984K@4:1",
    ];
    let (slots, wrong) = from_words(&words(&bad));
    assert_eq!((slots, wrong.len()), (vec![], bad.len()));
    assert_eq!(wrong[1], "virtio_mmio.device=512 ignored: it is size@address:interrupt");
}

#[test]
fn qemus_board_is_known_by_its_slots() {
    let first = 0xFEB0_0000;
    let board = |acpi| Board { acpi, ioapics: [None; 2] };
    let with = |slots: u64, acpi| from_board(&board(acpi), |base| base < first + slots * 0x200);
    let gsis = |slots: Vec<Slot>| (slots.len(), slots.first().map(|p| p.gsi), slots.last().map(|p| p.gsi));
    assert_eq!(gsis(with(24, true)), (24, Some(24), Some(47)));
    assert_eq!(gsis(with(8, true)), (8, Some(16), Some(23)));
    assert_eq!(gsis(with(8, false)), (8, Some(5), Some(12)));
    assert_eq!(with(0, true), []);
    assert_eq!(with(24, true)[23], SLOT);
    assert_eq!(format!("{SLOT}"), "mmio 0xfeb02e00 slot 23");
    assert_eq!(format!("{}", Slot { base: 0xFEB0_0010, ..SLOT }), "mmio 0xfeb00010");
    assert_eq!(format!("{}", Slot { base: 0xFEB0_3000, ..SLOT }), "mmio 0xfeb03000");
}

#[test]
fn interrupts_of_the_device_tree_belong_to_their_io_apic() {
    let board = Board { acpi: true, ioapics: [Some((0xFEC0_0000, 0)), Some((0xFEC1_0000, 24))] };
    assert_eq!(board.first_gsi(0xFEC1_0000), Some(24));
    assert_eq!(board.first_gsi(0xFEC2_0000), None);
    assert_eq!(Board::default().first_gsi(0xFEC0_0000), Some(0));
    assert_eq!(Board { acpi: true, ..Board::default() }.first_gsi(0xFEC0_0000), None);
}

#[test]
fn slots_are_empty_or_full_or_wrong() {
    host::new_machine();
    let at = |n: u64, registers: &[u32]| {
        let slot = Slot { base: 0xFEB0_0000 + n * 0x200, size: 0x200, gsi: 24 };
        host_register_mmio(slot.base, 0x200, Arc::new(Registers(registers.into())));
        look(&slot).map_err(|e| format!("{e}"))
    };
    assert_eq!(at(0, &[MAGIC, 1, 0]), Ok(None));
    assert_eq!(at(1, &[MAGIC, 2, 9]), Ok(Some(9)));
    assert_eq!(at(2, &[MAGIC, 1, 0x12345]), Ok(Some(u16::MAX)));
    assert_eq!(at(3, &[MAGIC, 3, 9]), Err("mmio 0xfeb00600 slot 3: version 0x3: not a virtio slot".into()));
    assert_eq!(at(4, &[0, 1, 9]), Err("mmio 0xfeb00800 slot 4: magic 0x0: not a virtio slot".into()));
    assert!(look(&SLOT).is_err(), "nothing is there at all");
}

#[test]
fn misbehaviour_is_an_error() {
    host::new_machine();
    for version in [1, 2] {
        for (n, quirks) in [
            (0, Quirks { stuck: true, ..Quirks::default() }),
            (1, Quirks { restless: true, ..Quirks::default() }),
        ] {
            let slot =
                Slot { base: 0xFEB0_0000 + (u64::from(version) * 4 + n) * 0x200, size: 0x200, gsi: 24 };
            let fake = Fake::with(vec![1, 0, b'x'], 8, quirks);
            plug(slot, &fake, version);
            let device = MmioTransport::open(&slot, &SharedPin::default()).unwrap();
            if quirks.stuck {
                assert!(negotiate(&device, 1, 1).is_err());
                assert!(!fake.registers().queue.enabled, "its queues are stopped");
            } else {
                assert!(device.config_read(0, &mut [0; 3]).is_err());
            }
            assert!(device.config_read(0x100, &mut [0]).is_err());
            assert!(device.config_read(usize::MAX, &mut [0]).is_err());
            assert_eq!(device.queue_limit(7), 0);
        }
    }
    let fake = Fake::with(vec![], 8, Quirks { refuse_features: true, ..Quirks::default() });
    plug(SLOT, &fake, 2);
    let device = MmioTransport::open(&SLOT, &SharedPin::default()).unwrap();
    assert!(format!("{}", negotiate(&device, 1, VERSION_1).unwrap_err()).contains("refuses features"));
}
