//! Where devices sit: the guest's table beside QEMU's own tree of devices, with places left to QEMU and with places
//! set.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vm::{Board, Flavour, Vm};

use crate::case::{Case, World};

pub fn cases() -> Vec<Case> {
    let three = ["virtio-rng", "virtio-gpu", "virtio-balloon"];
    let slots = [".6", ".1", ".3"].map(|n| format!(",bus=virtio-mmio-bus{n}"));
    let mut cases = vec![
        // Left to QEMU the numbers follow the command line; placed, they follow the places.
        tree(
            "place/slots",
            Vm::new(Board::Microvm),
            &three.map(|d| format!("{d}-device")),
            &["rng", "gpu", "balloon"],
        ),
        tree(
            "place/slots-set",
            Vm::new(Board::Microvm),
            &[0, 1, 2].map(|n| format!("{}-device{}", three[n], slots[n])),
            &["rng", "balloon", "gpu"],
        ),
        tree(
            "place/slots-mixed",
            Vm::new(Board::Microvm),
            &[
                format!("virtio-rng-device{}", slots[1]),
                "virtio-gpu-device".into(),
                "virtio-balloon-device".into(),
            ],
            &["gpu", "balloon", "rng"],
        ),
    ];
    for board in [Board::Pc, Board::Q35] {
        let name = board.name();
        cases.push(tree(
            &format!("place/{name}"),
            Vm::new(board),
            &three.map(|d| format!("{d}-pci")),
            &["rng", "gpu", "balloon"],
        ));
        let addresses = ["0x9", "0x5.1", "0x5,multifunction=on"];
        cases.push(tree(
            &format!("place/{name}-set"),
            Vm::new(board),
            &[0, 1, 2].map(|n| format!("{}-pci,addr={}", three[n], addresses[n])),
            &["balloon", "gpu", "rng"],
        ));
    }
    cases.push(behind_bridges());
    cases.extend(root_buses());
    cases
}

/// A machine with these devices: the guest numbers them so, and says of each the place that QEMU says.
fn tree(name: &str, vm: Vm, devices: &[String], order: &'static [&'static str]) -> Case {
    devices
        .iter()
        .fold(Case::new(name, vm), |case, device| case.device(device))
        .line("cat /dev/virtio")
        .qmp("human-monitor-command", json!({ "command-line": "info qtree" }))
        .check(move |w| {
            let names: Vec<String> =
                order.iter().enumerate().map(|(n, c)| format!("virtio-{c}-{n}")).collect();
            let guest = guests_places(w)?;
            ensure!(guest.iter().map(|(name, _)| name).eq(&names), "{guest:?}, not {names:?}");
            let qemu = qemus_places(w.answer.as_str().context("no text")?);
            ensure!(
                guest.iter().all(|(name, at)| name.split('-').nth(1).and_then(|c| qemu.get(c)) == Some(at)),
                "the guest: {guest:?}, QEMU: {qemu:?}"
            );
            Ok(())
        })
}

/// Each device's name and place by the guest's table: `slot 23` or `0.5.1`.
fn guests_places(world: &World) -> Result<Vec<(String, String)>> {
    let place = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = match *words.get(1)? {
            "pci" => words.get(2)?.to_string(),
            _ => format!("slot {}", words.get(4)?),
        };
        Some((words.first()?.to_string(), place))
    };
    world.output.lines().map(place).collect::<Option<_>>().context("a line of another form")
}

/// Each class's place by `info qtree`, in the same words.
fn qemus_places(tree: &str) -> BTreeMap<String, String> {
    let mut places = BTreeMap::new();
    let (mut slot, mut class) = (None, None);
    for line in tree.lines().map(str::trim) {
        if let Some(n) = line.strip_prefix("bus: virtio-mmio-bus.") {
            slot = Some(n.to_owned());
        } else if let Some(device) = line.strip_prefix("dev: virtio-") {
            let model = device.split(',').next().unwrap_or("");
            class = model.strip_suffix("-pci").map(str::to_owned);
            if let (Some(model), Some(slot)) = (model.strip_suffix("-device"), slot.take()) {
                places.insert(model.to_owned(), format!("slot {slot}"));
            }
        } else if let Some(addr) = line.strip_prefix("addr = ")
            && let Some(class) = class.take()
            && let Some((device, function)) = addr.split_once('.')
            && let Ok(device) = u32::from_str_radix(device, 16)
        {
            places.insert(class, format!("0.{device}.{function}"));
        }
    }
    places
}

/// A device behind a bridge of a root bus of its own, with a firmware that numbers its buses and with one that does
/// not, and with each kind of interrupt.
fn root_buses() -> Vec<Case> {
    let pc = "pci-bridge,id=behind,bus=far,chassis_nr=2,addr=1";
    let q35 = "pcie-root-port,id=behind,bus=far,chassis=1";
    let machine = |name: &str, vm: Vm, pxb: &str, port: &str, at: &str| {
        Case::new(format!("place/root-bus-{name}"), vm)
            .device(&format!("{pxb},id=far,bus_nr=128"))
            .device(port)
            .device(&format!("virtio-rng-pci,bus=behind,addr={at}"))
    };
    // The driver asks it for entropy as it starts, and hears of it by an interrupt.
    let works = |name: &str, vm: Vm, pxb: &str, port: &str, at: &str| {
        machine(name, vm, pxb, port, at)
            .line("cat /dev/virtio | grep -c '^virtio-rng-0 pci 1[23][0-9]\\.'")
            .gives("1")
            .line("virtio virtio-rng-0 | grep -c 'interrupts [1-9]'")
            .gives("1")
    };
    vec![
        works("pc", Vm::new(Board::Pc), "pxb", pc, "1"),
        works("pc-nomsi", Vm::new(Board::Pc).append("nomsi"), "pxb", pc, "1"),
        works("q35", Vm::new(Board::Q35), "pxb-pcie", q35, "0"),
        // QEMU's lines there lead where nothing tells of.
        machine("q35-nomsi", Vm::new(Board::Q35).append("nomsi"), "pxb-pcie", q35, "0")
            .line("cat /dev/virtio")
            .gives("virtio-rng-0 pci 129.0.0")
            .gives("interrupt lines of a further root bus are not known"),
        works("q35-qboot", Vm::new(Board::Q35).qboot(), "pxb-pcie", q35, "0"),
    ]
}

/// Sixty devices behind two root ports with a bridge each: all are found, in order, and work.
fn behind_bridges() -> Case {
    let mut case = Case::new("place/bridges", Vm::new(Board::Q35).on(Board::Q35, Flavour::Transitional));
    for bridge in 0..2 {
        case = case
            .device(&format!("pcie-root-port,id=root{bridge},chassis={},slot={}", bridge + 1, bridge + 1))
            .device(&format!("pcie-pci-bridge,id=bridge{bridge},bus=root{bridge}"));
        for device in 1..31 {
            case = case.device(&format!("virtio-rng-pci,bus=bridge{bridge},addr={device:#x}"));
        }
    }
    case.line("wc -l /dev/virtio")
        .gives("60")
        .line("cat /dev/virtio | grep -c ' interrupts [1-9][0-9]* in 64'")
        .gives("60")
        .line("virtio virtio-rng-0 virtio-rng-59")
        .gives("virtio-rng-0 ")
        .gives("virtio-rng-59")
        .pinned()
}
