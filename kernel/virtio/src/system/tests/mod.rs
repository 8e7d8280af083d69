//! Whole machines: from a captured bus with devices plugged in to running drivers.

mod malformed;

use super::*;
use crate::fake::{Fake, FakeSpace, Noise, Quirks};
use alloc::vec;
use machine::irq;
use pci::fake::captured::ALL;
use pci::fake::captured::{self, MICROVM, PC};
use pci::{PciAddress, address};

const TAKEN: [Range<u64>; 2] = [0..0x2000_0000, 0x1_0000_0000..0x1_2000_0000];

fn plugged(fixture: &str, devices: &[(PciAddress, Arc<Fake>)]) -> System {
    let space = FakeSpace::new(fixture);
    for (at, device) in devices {
        space.plug(*at, device);
    }
    init_on(space.boxed(), &TAKEN, Choice::default())
}

fn tags(system: &System) -> Vec<String> {
    system.nine_p.iter().map(|d| alloc::format!("{} {}", d.name, d.tag)).collect()
}

#[test]
fn every_device_of_a_machine_has_its_line() {
    let system = plugged(
        PC,
        &[
            (address(0, 2, 0), Fake::ninep("host")),
            (address(0, 3, 0), Fake::ninep("modern tag")),
            (address(0, 4, 0), Fake::ninep("old")),
            (address(0, 6, 0), Fake::with(vec![], 8, Quirks::default())),
        ],
    );
    assert_eq!(tags(&system), ["virtio-9p-0 host", "virtio-9p-1 modern tag", "virtio-9p-2 old"]);
    let text = system.table.text();
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert_eq!(lines[0][..4], ["virtio-9p-0", "pci", "0.2.0", "modern"]);
    assert!(lines[0][4].starts_with("msix:"));
    assert_eq!(lines[0][5..9], ["host", "0x10130000001", "0x110000001", "9p"], "{text}");
    assert!(text.contains("'modern tag'"));
    assert_eq!(lines[2][..4], ["virtio-9p-2", "pci", "0.4.0", "legacy"]);
    assert!(lines[2][4].starts_with("msix:"));
    assert_eq!(lines[2][5..9], ["old", "0x79000001", "0x10000001", "9p"], "{text}");
    assert!(lines[3].ends_with(&["device", "does", "not", "answer"]), "nothing is plugged in there: {text}");
    assert_eq!(lines[4][..4], ["virtio-rng-4", "pci", "0.6.0", "modern"]);
    assert!(lines[4][4].starts_with("msix:") && lines[4].ends_with(&["rng", "requests", "1"]), "{text}");
    let details = system.table.details();
    let old = details.split("virtio-9p-").find(|d| d.starts_with('2')).unwrap();
    for line in
        ["id 9", "place pci 0.4.0", "transport legacy", "identity old", "driver 9p", "taken 0x10000001"]
    {
        assert!(old.contains(&alloc::format!("\n\t{line}\n")), "{line}: {details}");
    }
    assert!(
        old.contains("\n\tqueue 0 size 128 descriptors 0x") && old.contains("\n\tresets 1\n"),
        "{details}"
    );
    assert!(details.contains("\n\tfailure device does not answer\n"), "{details}");
    let names: Vec<String> = irq::snapshot().unwrap().into_iter().map(|l| l.name).collect();
    for name in ["virtio-9p-0", "virtio-9p-0.config", "virtio-9p-1"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
}

#[test]
fn devices_are_reached_where_the_firmware_assigned_nothing() {
    let qboot = captured::PC_QBOOT;
    let system = plugged(qboot, &[(address(0, 2, 0), Fake::ninep("q"))]);
    assert_eq!(tags(&system), ["virtio-9p-0 q"]);
    // Behind two bridges. The buses were 3, and 1 and 2, when this was captured.
    let ports = captured::PORTS_QBOOT;
    let far = [(address(3, 0, 0), Fake::ninep("near")), (address(2, 3, 0), Fake::ninep("far"))];
    assert_eq!(tags(&plugged(ports, &far)), ["virtio-9p-0 near", "virtio-9p-1 far"]);
}

#[test]
fn each_form_of_the_interface_is_driven() {
    let forms = [
        (captured::ROOT_PORT, address(1, 0, 0), "modern"),
        (captured::ROOT_PORT_QBOOT, address(1, 0, 0), "modern"),
        (captured::NO_LEGACY, address(0, 1, 0), "modern"),
        (captured::NO_MODERN, address(0, 1, 0), "legacy"),
    ];
    for (fixture, at, form) in forms {
        let system = plugged(fixture, &[(at, Fake::ninep("host"))]);
        assert_eq!(tags(&system), ["virtio-9p-0 host"]);
        let text = system.table.text();
        assert_eq!(text.split_whitespace().nth(3), Some(form), "{text}");
    }
}

#[test]
fn a_machine_without_pci_has_nothing() {
    let system = init(&Config::default());
    assert!(system.pci.is_none() && system.nine_p.is_empty());
    assert_eq!(system.table.text(), "");
}

#[test]
fn a_device_that_fails_a_step_is_left_alone_and_named() {
    let at = address(0, 2, 0);
    let tag = |len: u16| [len.to_le_bytes().as_slice(), &[b'x'; 300]].concat();
    let cases = [
        (Quirks { refuse_features: true, ..Quirks::default() }, tag(3), 128, "refuses features 0x110000001"),
        (Quirks { refuse_vectors: true, ..Quirks::default() }, tag(3), 128, "refuses its interrupt vector"),
        (Quirks { stuck: true, ..Quirks::default() }, tag(3), 128, "does not finish its reset"),
        (Quirks { restless: true, ..Quirks::default() }, tag(3), 128, "does not stand still"),
        (Quirks { far_doorbell: true, ..Quirks::default() }, tag(3), 128, "outside its area"),
        (Quirks::default(), tag(0), 128, "mount tag of 0 bytes"),
        (Quirks::default(), tag(256), 128, "mount tag of 256 bytes"),
        (Quirks::default(), tag(3), 0, "no request queue"),
    ];
    for (quirks, config, limit, why) in cases {
        let bad = Fake::with(config, limit, quirks);
        let system = plugged(PC, &[(at, bad.clone()), (address(0, 3, 0), Fake::ninep("good"))]);
        let text = system.table.text();
        assert!(text.lines().next().unwrap().ends_with(why), "{text}");
        assert_eq!(tags(&system), ["virtio-9p-1 good"]);
        assert!(quirks.stuck || bad.registers().status & 0x80 != 0, "marked as failed");
    }
}

#[test]
fn out_of_memory_is_a_reason_like_any_other() {
    let space = FakeSpace::new(PC);
    space.plug(address(0, 2, 0), &Fake::ninep("host"));
    machine::host::limit_pages(20);
    let system = init_on(space.boxed(), &TAKEN, Choice::default());
    assert!(system.nine_p.is_empty());
    assert!(system.table.text().contains("out of memory"), "{}", system.table.text());
}

#[test]
fn configuration_spaces_of_noise_neither_panic_nor_loop() {
    let mut noise = Noise::new(42);
    let mut alive = 0;
    for round in 0..180 {
        let space = FakeSpace::new(ALL[round % ALL.len()]);
        let devices =
            space.functions().iter().filter(|f| f.bytes[0] == 0xF4).map(|f| f.captured).collect::<Vec<_>>();
        for at in devices {
            let quirks = Quirks { lenient: true, ..Quirks::default() };
            space.plug(at, &Fake::with(b"\x01\0t".to_vec(), 128, quirks));
        }
        let functions = space.functions().len() as u64;
        for _ in 0..1 + noise.below(12) {
            let f = &mut space.functions()[noise.below(functions) as usize];
            // Mostly the capabilities of a device, since that is where most is believed.
            let place = if noise.below(3) == 0 { noise.below(256) } else { 0x40 + noise.below(0x70) };
            f.bytes[place as usize] = match noise.below(4) {
                0 => 0xFF,
                1 => 0,
                2 => f.bytes[place as usize] ^ (1 << noise.below(8)),
                _ => noise.below(256) as u8,
            };
        }
        let choice = Choice { nomsi: round % 2 == 0, ioapics: 1 };
        alive += init_on(space.boxed(), &TAKEN, choice).nine_p.len();
        assert_eq!(space.strays(), 0, "round {round}");
    }
    assert!(alive > 90, "most devices survive some noise: {alive}");
}

#[test]
fn microvm_has_no_ports() {
    let mut space = FakeSpace::new(MICROVM);
    space.ports = false;
    let (at, device) = (space.functions()[1].captured, Fake::ninep("host"));
    space.plug(at, &device);
    let system = init_on(space.boxed(), &TAKEN, Choice::default());
    assert_eq!(tags(&system), ["virtio-9p-0 host"]);
    let bars = system.pci.unwrap().find(at).unwrap().bars;
    assert_eq!(bars[0].unwrap().address, 0);
    assert!((0xC000_0000..0xE000_0000).contains(&bars[4].unwrap().address));
}
