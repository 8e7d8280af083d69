//! The end of a machine, and what the host does to a machine as a whole: the power button, a reset, standing still.

use anyhow::ensure;
use serde_json::json;
use vm::{Board, Vm};

use super::{MOUNT, motd};
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
                .line("rc -c 'fn sighup {echo goes >/n/host/told; exit}; while() sleep 60' &")
                .line("sleep 60 &")
                .line("sleep 1")
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
            // Stopped by QEMU its clock stands still, too; stopped by the host it goes on, and what was due is done.
            Case::new(format!("power/still-{name}"), vm())
                .share("host", motd)
                .line(MOUNT)
                .line("@{sleep 3; echo woken >/n/host/slept} &")
                .qmp("stop", json!({}))
                .waits(4)
                .qmp("cont", json!({}))
                .line("cat /n/host/motd; sleep 1; echo on")
                .gives("on\n")
                .stands(5)
                .line("sleep 1; cat /n/host/slept; cat /n/host/motd")
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
    cases
}
