//! Several processors: that all are found and work, that notes reach the programs on them, that they can be left alone.

use anyhow::{Context, Result, ensure};
use vm::{Board, Vm};

use super::q35;
use crate::case::{Case, World, re};

/// Twelve pipelines at once, each of several processes, three times.
const PIPELINES: &str = "for(i in 1 2 3 4 5 6 7 8 9 10 11 12) \
                         {for(j in 1 2 3) {ls /bin | sort | sed 's/^/x/' | grep '^x' | md5sum} &}; wait";

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for board in [Board::Pc, Board::Q35, Board::Microvm] {
        for n in [2, 4, 8] {
            let name = format!("smp/{}-{n}", board.name());
            cases.push(all_work(Case::new(name, Vm::new(board).smp(n)), n));
        }
    }
    let quiet = Vm::new(Board::Microvm).board_option("acpi=off").smp(4);
    cases.push(all_work(Case::new("smp/microvm-no-acpi", quiet), 4));
    let packages = Vm::new(Board::Pc).board_option("acpi=off").smp(1).arg("-smp").arg("4,sockets=4");
    cases.push(all_work(Case::new("smp/pc-mp-table", packages).sees("cpu: 4 of 4 used (MP table)"), 4));
    cases.extend([
        Case::new("smp/qboot", q35().qboot().smp(4)).line("cat /dev/sysstat").check(|w| lines(w, 4)),
        Case::new("smp/fewer", q35().smp(4).append("ncpu=3"))
            .sees("cpu: 3 of 4 used (ACPI)\n")
            .line("cat /dev/sysstat")
            .check(|w| lines(w, 3)),
        Case::new("smp/plan9-word", q35().smp(4).append("*ncpu=1"))
            .line("cat /dev/sysstat")
            .check(|w| lines(w, 1))
            .line("echo $'*ncpu'")
            .is("1\n"),
        // Each of them computes without a system call, and there is one for each processor but the shell's.
        Case::new("smp/note", q35().smp(4))
            .line("pids=(); for(i in 1 2 3) { {while(~ a a) {}} & pids=($pids $apid) }")
            // Each has computed for half a second; who has just lost its processor is ready.
            .line(
                "fn idle {s=`{cat /proc/$1/status}; ! {test $s(4) -ge 500 && ~ $s(3) Running Ready}}; \
                 for(p in $pids) while(idle $p) sleep 1",
            )
            .is("")
            .line(
                "for(p in $pids) echo -n interrupt >/proc/$p/note; wait; \
                 for(p in $pids) ls -d /proc/$p >[2]/dev/null; echo all",
            )
            .is("all\n")
            .line("{while(~ a a) {}} & sleep 1; echo kill >/proc/$apid/ctl; wait $apid; echo gone")
            .gives("gone\n"),
        Case::new("smp/times", q35().smp(2))
            // ps and grep may have its processor at that moment: then it is ready.
            .line(
                "{while(~ a a) {}} & \
                 while(! ps | grep ' 0:0[2-9] +0:0[0-9] .*(Running|Ready) +rc$' >/dev/null) sleep 1; echo counted",
            )
            .gives("counted\n")
            .line("echo kill >/proc/$apid/ctl; wait $apid"),
        Case::new("smp/usertests", q35().smp(4))
            .line("usertests smp storm fork note sem rendezvous mem")
            .gives(re("^usertests: [0-9]+ tests, 0 failed, [0-9]+ ms$"))
            .budget(240),
        Case::new("smp/exit", q35().smp(4))
            .init("{while(~ a a) {}} & sleep 1; exit bad")
            .ends(crate::case::End::Fails),
    ]);
    cases
}

/// All processors are there, all run threads, and the work comes out right.
fn all_work(case: Case, n: u32) -> Case {
    case.line("cat /dev/sysstat")
        .check(move |w| lines(w, n))
        .line("echo 0 >/dev/sysstat")
        .is("")
        .line(format!("{{{PIPELINES}}} >/tmp/sums; sort -u /tmp/sums | wc -l; wc -l /tmp/sums"))
        .gives(re("^ *1\n *36 "))
        .line("cat /dev/sysstat")
        .check(move |w| {
            for (id, line) in stat(w)?.iter().enumerate() {
                let [number, switches, interrupts, syscalls, faults, ..] = line[..] else {
                    anyhow::bail!("a line of {} numbers", line.len())
                };
                ensure!(number == id as u64, "processor {id} calls itself {number}");
                ensure!(switches > 50 && interrupts > 10, "processor {id} has not worked");
                ensure!(syscalls > 20 && faults > 20, "processor {id} has run no programs");
            }
            Ok(())
        })
        .budget(120)
}

/// `/dev/sysstat`, as numbers.
fn stat(world: &World) -> Result<Vec<Vec<u64>>> {
    let numbers = |line: &str| line.split_whitespace().map(|n| n.parse().context("a number")).collect();
    world.output.lines().map(numbers).collect()
}

/// It has so many lines.
fn lines(world: &World, n: u32) -> Result<()> {
    let found = stat(world)?.len();
    ensure!(u32::try_from(found) == Ok(n), "{found} processors, not {n}");
    Ok(())
}
