//! The same driver on devices of other kinds: the legacy interface, interrupts by shared lines.

use super::*;
use crate::fake::{Fake, FakeSpace, MmioRegisters, Quirks};
use crate::system::init_on;
use crate::transport::mmio::{self, Slot};
use crate::transport::pci_interrupts::Choice;
use alloc::vec::Vec;
use io::message::TransportError::HungUp;
use machine::irq;
use pci::{PciAddress, address};

/// On the captured `pc` these two slots share a line, and this one has another. That of `old_place` was made with
/// `disable-modern=on`.
fn new_place() -> PciAddress {
    address(0, 3, 0)
}

fn old_place() -> PciAddress {
    address(0, 4, 0)
}

const SHARED: u32 = 11;
const LINES: Choice = Choice { nomsi: true, ioapics: 1 };

fn start(at: PciAddress, device: &Arc<Fake>, choice: Choice) -> (FakeSpace, Arc<P9>) {
    let (space, mut drivers) = start_on(&[(at, device)], choice);
    (space, drivers.remove(0))
}

/// Three hundred messages go through, and one more after a reset: rings and interrupts are there again.
fn works_and_resets(p9: &P9, device: &Fake) {
    for tag in 0..300 {
        let done = submit(p9, request(tag));
        let taken = device.take().unwrap();
        assert_eq!((tag_of(&taken), taken.indirect), (tag, true));
        device.answer(&taken, b"data");
        assert_eq!(wait(&done).result, Ok(11));
    }
    assert_eq!((counter(p9, "interrupts"), device.registers().notified), (300, 300));
    assert_eq!(p9.reset(), Ok(()));
    let done = submit(p9, request(1));
    device.answer(&device.take().unwrap(), b"");
    assert_eq!(wait(&done).result, Ok(7));
}

#[test]
fn a_legacy_device_with_messages_and_without() {
    for (choice, text) in [(Choice::default(), "msix:"), (LINES, "intx:11")] {
        let device = Fake::ninep("old");
        *device.line.lock().unwrap() = choice.nomsi.then_some(SHARED);
        let (_space, p9) = start(old_place(), &device, choice);
        // The tag is read with and without MSI-X enabled at different ports.
        assert_eq!((p9.tag(), p9.max_in_flight()), ("old", 128));
        assert!(p9.status().interrupts.starts_with(text), "{}", p9.status().interrupts);
        let registers = device.registers();
        assert_eq!((registers.status, registers.accepted), (7, [0x1000_0001, 0]));
        assert_eq!(registers.queue.descriptors % 4096, 0);
        works_and_resets(&p9, &device);
    }
}

#[test]
fn configuration_moves_when_messages_are_enabled() {
    let device = Fake::ninep("old");
    let (space, p9) = start(old_place(), &device, Choice::default());
    let pci = pci::Pci::scan(space.boxed(), &pci::Windows::below_4g(&[], true), 0);
    drop(p9);
    let function = pci.find(old_place()).unwrap();
    let mut tag = [0; 3];
    // Opening it anew switches the messages off; connecting switches them on.
    // The driver's threads let go of its ports when they see that it is gone.
    let legacy =
        core::iter::repeat_with(|| crate::transport::legacy::Legacy::open(&pci, function, Choice::default()))
            .inspect(|_| machine::thread::yield_now())
            .take(1_000_000)
            .find_map(Result::ok)
            .unwrap();
    legacy.config_read(2, &mut tag).unwrap();
    assert_eq!(&tag, b"old");
    let _interrupts = legacy.connect("again", Arc::new(|_| {})).unwrap();
    tag.fill(0);
    legacy.config_read(2, &mut tag).unwrap();
    assert_eq!(&tag, b"old");
    assert!(legacy.config_read(0, &mut [0; 9]).is_err(), "beyond the 32 ports");
    assert!(legacy.config_read(usize::MAX, &mut tag).is_err());
}

#[test]
fn a_legacy_device_where_the_firmware_switched_nothing_on() {
    let space = FakeSpace::new(pci::fake::captured::PC_QBOOT);
    for f in space.functions().iter_mut().filter(|f| f.captured == old_place()) {
        f.bytes[4] = 0;
    }
    let device = Fake::ninep("old");
    space.plug(old_place(), &device);
    let system = init_on(space.boxed(), &[], Choice::default());
    let p9 = &system.nine_p[0].driver;
    let done = submit(p9, request(1));
    device.answer(&device.take().unwrap(), b"");
    assert_eq!(wait(&done).result, Ok(7));
}

#[test]
fn the_size_of_a_legacy_queue_is_the_devices() {
    for (limit, works) in [(16, true), (256, true), (1024, true), (2048, false), (96, false), (0, false)] {
        let device = Fake::with(b"\x01\0t".to_vec(), limit, Quirks::default());
        let (_space, drivers) = start_on(&[(old_place(), &device)], Choice::default());
        let sizes: Vec<usize> = drivers.iter().map(|d| d.max_in_flight()).collect();
        assert_eq!(sizes, if works { alloc::vec![usize::from(limit)] } else { alloc::vec![] });
        // A table for each entry, all as long as the queue, would be 16 MiB in one piece.
        assert!(drivers.iter().all(|d| d.max_segments() <= 128));
    }
}

#[test]
fn a_legacy_device_that_fails_a_step_is_left_alone() {
    for quirks in [
        Quirks { refuse_vectors: true, ..Quirks::default() },
        Quirks { stuck: true, ..Quirks::default() },
        Quirks { restless: true, ..Quirks::default() },
    ] {
        let device = Fake::with(b"\x01\0t".to_vec(), 128, quirks);
        assert!(start_on(&[(old_place(), &device)], Choice::default()).1.is_empty(), "{quirks:?}");
        assert!(quirks.stuck || device.registers().status & 0x80 != 0, "marked as failed");
    }
}

#[test]
fn a_legacy_device_that_falls_silent_is_healed_by_a_reset() {
    let device = Fake::ninep("old");
    let (_space, p9) = start(old_place(), &device, Choice::default());
    device.fall_silent();
    let done = submit(&p9, request(1));
    assert_eq!((device.take().is_none(), device.registers().status), (true, 7));
    assert!(counter(&p9, "outstanding") == 1 && p9.status().failure.is_none());
    assert_eq!(p9.reset(), Ok(()));
    assert_eq!(wait(&done).result, Err(HungUp));
    let done = submit(&p9, request(2));
    device.answer(&device.take().unwrap(), b"");
    assert_eq!((wait(&done).result, counter(&p9, "outstanding")), (Ok(7), 0));
}

#[test]
fn two_devices_on_one_line() {
    let (new, old) = (Fake::ninep("new"), Fake::ninep("old"));
    for device in [&new, &old] {
        *device.line.lock().unwrap() = Some(SHARED);
    }
    let (_space, drivers) = start_on(&[(new_place(), &new), (old_place(), &old)], LINES);
    let lines = || -> Vec<_> {
        let all = irq::snapshot().unwrap().into_iter().filter(|l| l.name.starts_with("virtio"));
        all.map(|l| (l.vector, l.irq, l.count)).collect()
    };
    let before = lines();
    assert_eq!(before.len(), 2, "a line for each");
    assert_eq!(before[0], before[1], "and both are the same");
    assert_eq!((before[0].1, before[0].2), (SHARED, 0));
    for n in 0..500 {
        // Requests on both; answers together, apart, and without an interrupt that is theirs.
        let done = [submit(&drivers[0], request(n)), submit(&drivers[1], request(n))];
        old.answer(&old.take().unwrap(), b"o");
        new.answer(&new.take().unwrap(), b"");
        assert_eq!((wait(&done[0]).result, wait(&done[1]).result), (Ok(7), Ok(8)));
    }
    for driver in &drivers {
        assert_eq!(counter(driver, "interrupts"), 500, "only its own");
        assert_eq!(counter(driver, "outstanding"), 0);
    }
    assert!(lines().iter().all(|l| l.2 == 1000), "each handler was asked each time");
    // A modern device says on the line too that it is broken.
    let done = submit(&drivers[0], request(1));
    new.break_down();
    assert_eq!(wait(&done).result, Err(HungUp));
    // One goes, the other stays.
    let mut drivers = drivers;
    drop(drivers.remove(0));
    let done = submit(&drivers[0], request(1));
    old.answer(&old.take().unwrap(), b"");
    assert_eq!((wait(&done).result, lines().len()), (Ok(7), 1));
}

#[test]
fn devices_in_slots_of_either_version() {
    for (version, kind, accepted) in [(1, "legacy", [0x1000_0001, 0]), (2, "modern", [0x1000_0001, 1])] {
        machine::host::new_machine();
        let place = Slot { base: 0xFEB0_0E00, size: 0x200, gsi: 12 };
        let device = Fake::ninep("host");
        *device.line.lock().unwrap() = Some(place.gsi);
        machine::host::io::host_register_mmio(
            place.base,
            0x200,
            Arc::new(MmioRegisters(device.clone(), version)),
        );
        let transport = Arc::new(mmio::MmioTransport::open(&place, &Default::default()).unwrap());
        assert_eq!(transport.kind(), kind);
        let p9 = P9::start("virtio-9p-0", transport).unwrap();
        assert_eq!((p9.tag(), p9.status().interrupts.as_str()), ("host", "mmio:12"));
        assert_eq!((device.registers().accepted, device.registers().queue.enabled), (accepted, true));
        works_and_resets(&p9, &device);
        let line = irq::snapshot().unwrap().into_iter().find(|l| l.name == "virtio-9p-0").unwrap();
        assert_eq!((line.irq, line.controller.as_str(), line.count), (12, "ioapic", 301));
    }
}
