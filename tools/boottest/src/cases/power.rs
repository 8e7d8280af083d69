//! The end of a machine, and what the host does to a machine as a whole: the power button, a reset, standing still.

use anyhow::ensure;
use serde_json::json;
use vm::{Board, Vm};

use super::{MOTD, MOUNT, motd};
use crate::case::{Case, End, re};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for board in [Board::Pc, Board::Q35, Board::Microvm] {
        let name = board.name();
        let vm = || Vm::new(board);
        cases.extend([
            // What runs is told; with nobody left who takes no notice it is over at once.
            Case::new(format!("power/button-{name}"), vm())
                .share("host", motd)
                .line(MOUNT)
                .line("rc -c 'fn sighup {echo goes >/n/host/told; exit}; echo y >/tmp/begun; while() sleep 60' &")
                .line("sleep 60 & while(! test -s /tmp/begun) {}")
                .qmp("system_powerdown", json!({}))
                .sees("power: the button was pressed, the machine ends\n")
                .sees("power: off\n")
                .never("killed processes")
                .check(|w| {
                    let told = std::fs::read(w.folder("host")?.join("told"))?;
                    ensure!(told == b"goes\n", "{told:?}");
                    Ok(())
                })
                .ends(End::Exits(0)),
            // A reset starts the firmware, which starts the kernel again.
            Case::new(format!("power/reset-{name}"), vm().reboots())
                .line("echo first")
                .is("first\n")
                .qmp("system_reset", json!({}))
                .sees(re("(?m)^boot: [0-9]+ ms$"))
                .line("echo second")
                .is("second\n")
                .types("echo -n reboot >/dev/reboot\n")
                .sees(re("(?m)^boot: [0-9]+ ms$"))
                .line("echo third")
                .is("third\n"),
            // Stopped by QEMU its clock stands still, too, but for the board's, which the date follows from wherever it
            // had been set; stopped by the host it goes on, and what was due is done.
            Case::new(format!("power/still-{name}"), vm())
                .share("host", motd)
                .line(MOUNT)
                .line("@{sleep 3; echo woken >/n/host/slept} &")
                .line("echo -n 1000000 >/dev/time")
                .qmp("stop", json!({}))
                .waits(9)
                .qmp("cont", json!({}))
                .line("cat /n/host/motd; while(! grep -s board /dev/kmesg) sleep 1; echo on")
                .gives("on\n")
                .line("sed -n 's/clock: .* jumped by ([0-9]+) s.*/\\1 jumped/p' /dev/kmesg")
                .gives(re("^([89]|1[0-9]) jumped$"))
                .line("t=`{cat /dev/time}; test $t(1) -ge 1000008 -a $t(1) -lt 1000100 && echo by as much")
                .is("by as much\n")
                .stands(5)
                .line("while(! test -s /n/host/slept) sleep 1; cat /n/host/slept; cat /n/host/motd")
                .gives("woken\n"),
        ]);
    }
    cases.push(
        // Who takes no notice is killed after a while, and what runs in place of a shell is told as well.
        Case::new("power/button-stubborn", Vm::new(Board::Q35).debug_exit())
            .init("fn sighup {echo told}; echo begun; while() sleep 60")
            .sees("begun\n")
            .qmp("system_powerdown", json!({}))
            .sees("told\n")
            .sees("power: killed processes: ")
            .sees("power: off\n")
            .ends(End::Exits(0)),
    );
    cases.push(
        // The date of the host jumps; nothing waits by it.
        Case::new("power/date", Vm::new(Board::Q35))
            .line("echo -n 1 >/dev/time; sleep 1; date")
            .gives("1970")
            .line("echo -n 9000000000 >/dev/time; sleep 1; date")
            .gives("2255"),
    );
    // What the clock of the board says at the start is believed, whatever it is, and goes on. (QEMU 7.2 itself makes
    // another date of those far ahead.)
    for (base, year) in [("1970-01-01T00:00:00", "1970"), ("2038-01-19T03:14:05", "2038")] {
        cases.push(
            Case::new(format!("power/rtc-{year}"), Vm::new(Board::Q35))
                .arg("-rtc")
                .arg(&format!("base={base}"))
                .line("date; sleep 4; date")
                .gives(re(&format!("{year}\n.*{year}$"))),
        );
    }
    cases.extend(slots());
    cases
}

/// Devices that are taken out of a running machine, and put in: in pc's root bus, behind ports of q35 that ACPI looks
/// after, and behind such that look after themselves.
fn slots() -> Vec<Case> {
    let port = |n: u32| format!("pcie-root-port,id=port{n},chassis={n}");
    let q35 =
        |name: &str| Case::new(name, Vm::new(Board::Q35)).device(&port(1)).device(&port(2)).device(&port(3));
    let native = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"];
    let native = native.iter().fold(q35("power/device-del-native"), |case, arg| case.arg(arg));
    [(Case::new("power/device-del-pc", Vm::new(Board::Pc)), false), (q35("power/device-del-q35"), true), (native, true)]
        .into_iter()
        .map(|(case, ports)| {
            let behind = |n: u32| if ports { format!(",bus=port{n}") } else { String::new() };
            let newcomer = |n: u32| {
                let bus = if ports { format!("port{n}") } else { "pci.0".into() };
                json!({ "driver": "virtio-rng-pci", "id": format!("new{n}"), "bus": bus })
            };
            case.share("other", motd)
                .disk("d", vec![b'x'; 1 << 20], "file=", &format!(",id=disk{}", behind(1)))
                .device(&format!("virtio-rng-pci,id=rng{}", behind(2)))
                .line("mount -c -d '#9' /dev/null /n/other other; cat /n/other/motd")
                .is(MOTD)
                // Somebody is at it.
                .line("@{while(dd -if '#S/sdF0/data' -of /dev/null >[2]/dev/null) {}; echo ends >/tmp/ends} >[2=1] &")
                .qmp("device_del", json!({ "id": "disk" }))
                .happens("DEVICE_DELETED", "disk")
                .line("while(! test -s /tmp/ends) {}; cat /tmp/ends; grep block /dev/virtio")
                .gives("ends\n")
                .gives("device was taken out")
                .line("cat '#S/sdF0/data' >/dev/null")
                .gives("i/o error")
                .qmp("device_del", json!({ "id": "rng" }))
                .happens("DEVICE_DELETED", "rng")
                .line("dd -if /dev/random -bs 100 -count 1 >[2]/dev/null | wc -c; cat /n/other/motd")
                .gives("100\n")
                .gives(MOTD)
                // What is put in is let go, in a new place as in one that has been emptied, again and again.
                .qmp("device_add", newcomer(3))
                .happens("DEVICE_DELETED", "new3")
                .line("grep 'not used' /dev/kmesg")
                .gives("of the running machine is not used\n")
                .qmp("device_add", newcomer(1))
                .happens("DEVICE_DELETED", "new1")
                .qmp("device_add", newcomer(1))
                .happens("DEVICE_DELETED", "new1")
                .line("cat /n/other/motd")
                .is(MOTD)
        })
        .collect()
}
