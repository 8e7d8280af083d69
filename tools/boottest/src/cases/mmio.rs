//! Virtio devices in memory slots: every layout of QEMU's microvm, both versions of the registers, and what places a
//! device.

use anyhow::{Context, Result, ensure};
use vm::{Board, Flavour, Share, Vm};

use super::{MOTD, MOUNT, motd, q35};
use crate::case::{Case, World, re};

/// The boards: name, options, slot of the first device, its interrupt.
const LAYOUTS: [(&str, &[&str], u32, u32); 6] = [
    ("plain", &[], 23, 47),
    ("one-ioapic", &["ioapic2=off"], 7, 23),
    ("no-acpi", &["acpi=off"], 7, 12),
    ("no-acpi-no-words", &["acpi=off", "auto-kernel-cmdline=off"], 7, 12),
    ("bare", &["pic=off", "pit=off", "rtc=off"], 23, 47),
    ("pcie", &["pcie=on"], 23, 47),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, options, slot, irq) in LAYOUTS {
        for (flavour, interface) in [(Flavour::Legacy, "legacy"), (Flavour::Modern, "modern")] {
            let vm = options.iter().fold(Vm::new(Board::Microvm), |vm, o| vm.board_option(*o));
            let (first, second) = (0xfeb0_0000 + 0x200 * slot, 0xfeb0_0000 + 0x200 * (slot - 1));
            cases.push(
                Case::new(format!("mmio/{name}-{interface}"), vm)
                    .share_as(Share::new("host", "").flavour(flavour), motd)
                    .device("virtio-rng-device")
                    .device("virtio-gpu-device")
                    .line(MOUNT)
                    .is("")
                    .line("cat /n/host/motd; echo back >/n/host/new; cat /n/host/new")
                    .is(format!("{MOTD}back\n"))
                    .line("cat /dev/virtio")
                    .gives(re(&format!(
                        "^virtio-9p-0 +mmio {first:#x} slot {slot} +{interface} mmio:{irq} +host "
                    )))
                    .gives(re(&format!("virtio-rng-1 +mmio {second:#x} slot {} ", slot - 1)))
                    .gives(re(&format!("virtio-gpu-2 +mmio 0x[0-9a-f]+ slot {} ", slot - 2)))
                    .line("cat /dev/irqalloc")
                    .gives(re(&format!(" {irq} +[1-9][0-9]* +[0-9]+ ioapic   virtio-9p-0\n")))
                    // The clock goes right, whatever it was measured against.
                    .line("sleep 1; cat /dev/mtags")
                    .gives("host:9P2000.u:131096:")
                    .check(|w| {
                        let new = std::fs::read_to_string(w.folder("host")?.join("new"))?;
                        ensure!(new == "back\n", "the host has {new:?}");
                        Ok(())
                    }),
            );
        }
    }
    let full = (0..24).fold(Vm::new(Board::Microvm), |vm, _| vm.arg("-device").arg("virtio-rng-device"));
    cases.extend([
        Case::new("mmio/nothing", Vm::new(Board::Microvm))
            .line("wc -l /dev/virtio")
            .gives(re("^ *0 /dev/virtio")),
        Case::new("mmio/words", Vm::new(Board::Microvm))
            .append(
                "virtio_mmio.device=512@0xfeb02c00:46 virtio_mmio.device=nonsense \
                 virtio_mmio.device=4K@0xfeb10000:9",
            )
            // More bits than the processor has addresses for.
            .append("virtio_mmio.device=512@0x8000000000000:5")
            .device("virtio-rng-device")
            .device("virtio-rng-device")
            .sees("virtio: virtio_mmio.device=nonsense ignored: it is size@address:interrupt\n")
            .sees("virtio: mmio 0xfeb10000: magic 0x0: not a virtio slot\n")
            .sees("virtio: mmio 0x8000000000000: cannot be mapped: no such device address\n")
            // Only the slot that they name counts.
            .line("cat /dev/virtio")
            .gives(re("^virtio-rng-0 mmio 0xfeb02c00 slot 22 [^\n]*rng[^\n]*\n$")),
        // Without bus= the slots are filled from the top; with it the numbers follow the place.
        Case::new("mmio/bus", Vm::new(Board::Microvm))
            .device("virtio-rng-device,bus=virtio-mmio-bus.1")
            .device("virtio-gpu-device,bus=virtio-mmio-bus.6")
            .device("virtio-serial-device")
            .line("virtio | sed 's/  *mmio.* slot  *([0-9]+).*/ \\1/'")
            .gives("virtio-console-0 23\nvirtio-gpu-1 6\nvirtio-rng-2 1\n"),
        // The same devices in three orders: numbers change, names and places that were set hold.
        reordered("one", &["virtio-serial-device,bus=virtio-mmio-bus.9", PORT], 0),
        reordered(
            "two",
            &["virtio-serial-device,bus=virtio-mmio-bus.9", PORT, "virtio-rng-device", "virtio-gpu-device"],
            2,
        ),
        reordered("three", &["virtio-rng-device", "virtio-serial-device,bus=virtio-mmio-bus.9", PORT], 1),
        Case::new("mmio/full", full)
            .line("cat /dev/virtio")
            .check(all_in_order)
            .line("cat /dev/virtio | grep -c ' interrupts 1 in 64'")
            .gives("24")
            // The first of them is asked for more when programs use random bytes.
            .line(
                "dd -if /dev/random -of /dev/null -bs 65536 -count 2 >[2]/dev/null; \
                 while(! virtio virtio-rng-0 | grep 'interrupts 3' >/dev/null) sleep 1; \
                 virtio virtio-rng-0 virtio-rng-1",
            )
            .gives(re(
                "(?s)virtio-rng-0 .* requests 3 interrupts 3 in 192\n.* requests 1 interrupts 1 in 64\n",
            )),
        shared_pin(),
    ]);
    cases
}

/// A port with a name.
const PORT: &str = "virtserialport,chardev=c0,name=org.elwood.port";

/// A console in slot 9 among other devices, where it is the `n`th: found by its name and by its place, whatever its
/// number.
fn reordered(name: &str, devices: &[&str], n: usize) -> Case {
    let case = Case::new(format!("mmio/order-{name}"), Vm::new(Board::Microvm)).chardev("c0");
    devices
        .iter()
        .fold(case, |case, device| case.device(device))
        .line("ls /dev/virtcon/by-name /dev/virtcon/by-place")
        .is("/dev/virtcon/by-name/org.elwood.port\n/dev/virtcon/by-place/mmio-0xfeb01200.1\n")
        .connects("c0")
        .line("while(! grep 'connected 1' /dev/virtio >/dev/null) sleep 1")
        .is("")
        .line(format!("echo number >/dev/virtcon/virtio-console-{n}.1"))
        .is("")
        .hears("c0", b"number\n")
        .line("echo name >/dev/virtcon/by-name/org.elwood.port; echo place >/dev/virtcon/by-place/mmio-0xfeb01200.1")
        .is("")
        .hears("c0", b"name\nplace\n")
}

/// All slots full, and traffic at the two that share a pin.
fn shared_pin() -> Case {
    let disk = |letter: u8| vec![letter; 1 << 20];
    let disks = Case::new("mmio/shared-pin", q35())
        .disk("third", disk(b'a'), "file=", ",bus=virtio-mmio-bus.2")
        .disk("first", disk(b'b'), "file=", ",bus=virtio-mmio-bus.0");
    (0..22)
        .fold(disks, |case, _| case.device("virtio-rng-pci"))
        .line("cat /dev/virtio")
        .gives(re("(?m)^virtio-block-21 mmio .* slot 2 (.|\n)*^virtio-block-23 mmio .* slot 0 "))
        .line("for(i in 1 2 3) for(d in 0 1) dd -quiet 1 -if /dev/sdF$d/data -bs 512 -of /dev/null &; wait; echo a^ll")
        .is("all\n")
        .line("cat /dev/irqalloc")
        .gives(re("(?m) 26 +[0-9]{4,} .* virtio-block-21$"))
        .on(Board::Microvm, Flavour::Transitional)
}

/// 24 devices, each in the slot below the one before.
fn all_in_order(world: &World) -> Result<()> {
    let lines: Vec<&str> = world.output.lines().collect();
    ensure!(lines.len() == 24, "{} devices", lines.len());
    for (n, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let slot: usize = words.get(4).context("no slot")?.parse()?;
        ensure!(words[0] == format!("virtio-rng-{n}") && slot == 23 - n, "{line}");
    }
    Ok(())
}
