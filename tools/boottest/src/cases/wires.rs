//! How virtio devices are attached: the legacy interface, interrupts by lines, lines that devices share. On every board
//! with every firmware, because who assigns ports and who routes lines differs.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use vm::{Board, Flavour, Share, Vm};

use super::load::{noise, same};
use super::{DOTL, MOUNT};
use crate::case::{Case, World, re};

/// The size of the file that is read and written: some pages, and not a whole number of them.
const SIZE: u64 = 3_000_001;

/// A script in which processes on two shares at once read with small messages: thousands of requests on each.
const BOTH: &str = "for(i in 1 2 3 4 5 6 7 8 9 10 11 12) {
	cmp /n/host/a /n/host/b && echo equal &
	cmp /n/one/a /n/one/b && echo equal &
}
wait
";

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for board in [Board::Pc, Board::Q35] {
        for (firmware, vm) in [("seabios", Vm::new(board)), ("qboot", Vm::new(board).qboot())] {
            let name = |what: &str| format!("wires/{what}-{}-{firmware}", board.name());
            let legacy = Case::new(name("legacy"), vm.clone());
            cases.push(there_and_back(legacy, Flavour::Legacy, "legacy msix:"));
            let lines = Case::new(name("nomsi"), vm.clone()).append("nomsi");
            cases.push(there_and_back(lines, Flavour::Transitional, "modern intx:"));
            cases.push(shared(Case::new(name("shared"), vm), board));
        }
    }
    cases.push(
        Case::new("wires/no-msix", Vm::new(Board::Q35).arg("-global").arg("virtio-9p-pci.vectors=0"))
            .share("host", |folder| noise(&folder.join("a"), SIZE))
            .line("cat /dev/virtio")
            .gives("modern intx:21 host")
            .line(MOUNT)
            .is("")
            .line("cmp /n/host/a /n/host/a; echo $status")
            .is("\n"),
    );
    cases
}

/// Mounts a share of this flavour, which is attached in this way, and copies a file there and back. The one dialect has
/// written what the other reads.
fn there_and_back(case: Case, flavour: Flavour, way: &'static str) -> Case {
    case.share_as(Share::new("host", "").flavour(flavour), |folder| noise(&folder.join("a"), SIZE))
        .line("cat /dev/virtio")
        .gives(way)
        .line(MOUNT)
        .is("")
        .line("cp /n/host/a /n/host/b && cmp /n/host/a /n/host/b; echo $status")
        .is("\n")
        .check(|w| same(w, "a", "b"))
        .line("unmount /n/host; cat /dev/mtags")
        .is("host:-\n")
        .line(DOTL.mount())
        .is("")
        .line("cmp /n/host/a /n/host/b; echo $status")
        .is("\n")
}

/// Two devices on one line, of which one has the legacy interface, and others between them: slots that are four apart
/// share a line on both boards, and on `pc` the second and the third slot do.
fn shared(mut case: Case, board: Board) -> Case {
    // The first free slot is 2 on `pc` and 1 on `q35`.
    let (before, between, gsi) = if board == Board::Pc { (1, 0, 11) } else { (0, 3, 21) };
    let idle = |case: Case, n: usize| case.share(&format!("idle{n}"), |_| Ok(()));
    case = (0..before).fold(case.append("nomsi"), idle);
    case = case.share_as(Share::new("host", "").flavour(Flavour::Legacy), |folder| {
        noise(&folder.join("a"), SIZE)?;
        fs::copy(folder.join("a"), folder.join("b"))?;
        Ok(fs::write(folder.join("both"), BOTH)?)
    });
    case = (0..between).fold(case, idle);
    case.share("other", |folder| {
        noise(&folder.join("a"), SIZE)?;
        Ok(fs::copy(folder.join("a"), folder.join("b")).map(drop)?)
    })
    .line("mount -d '#9' /dev/null /n/host host:9P2000.u:8216; mount -d '#9' /dev/null /n/one other:9P2000.L:8216")
    .is("")
    .line("rc /n/host/both")
    .is("equal\n".repeat(24))
    .line("cat /dev/virtio")
    .gives(re(&format!("legacy intx:{gsi} +host ")))
    .gives(re(&format!("modern intx:{gsi} +other ")))
    .line("cat /dev/virtio /dev/irqalloc")
    .check(|w| none_lost(w, ["host", "other"]))
    .never("spurious")
    .budget(120)
}

/// Every interrupt on the shared line was for at least one of the two devices, every request has come back, and
/// there were thousands of both.
fn none_lost(world: &World, tags: [&str; 2]) -> Result<()> {
    let mut interrupts = Vec::new();
    let mut lines = Vec::new();
    for tag in tags {
        let row = world.output.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        let row = row.into_iter().find(|r| r.get(5) == Some(&tag)).context("no such tag")?;
        let (name, counters) = (*row.first().unwrap_or(&""), row.get(9..).unwrap_or_default());
        let counters: BTreeMap<&str, &str> =
            counters.chunks_exact(2).filter_map(|c| Some((*c.first()?, *c.get(1)?))).collect();
        let count = |what: &str| counters.get(what).map_or(Ok(0), |n| n.parse::<u64>());
        ensure!(count("requests")? > 8700, "{tag}: only {} requests", count("requests")?);
        ensure!(count("outstanding")? == 0 && count("resets")? == 0, "{tag}: requests were lost: {row:?}");
        interrupts.push(count("interrupts")?);
        let line = world.output.lines().find(|l| l.contains(" ioapic ") && l.ends_with(name));
        let line: Vec<&str> = line.context("no line in irqalloc")?.split_whitespace().take(3).collect();
        lines.push(line.join(" "));
    }
    let [Some(one), Some(other)] = [lines.first(), lines.get(1)] else { unreachable!("two tags") };
    ensure!(one == other, "devices on one line with different numbers: {one}, {other}");
    let count: u64 = one.rsplit(' ').next().unwrap_or_default().parse()?;
    let (sum, most) = (interrupts.iter().sum::<u64>(), interrupts.iter().copied().max().unwrap_or(0));
    ensure!(
        (most..=sum).contains(&count),
        "{count} interrupts on the line, of which {interrupts:?} were used"
    );
    // Requests that end together share an interrupt, so there are fewer.
    ensure!(count > 100, "only {count} interrupts");
    Ok(())
}
