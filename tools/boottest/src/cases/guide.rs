//! The guide "Using Virtio", line by line, on its own machine: two shares, then a serial device with one port. On both
//! boards, with every form of a virtio device, with interrupts by messages and by lines, with either firmware.

use std::fs;

use anyhow::{Context, Result, ensure};
use vm::{Board, Flavour, Share, Vm};

use super::{MOTD, motd};
use crate::case::{Case, World, re};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for board in [Board::Pc, Board::Q35] {
        let name = |what: &str| format!("guide/{}{what}", board.name());
        let vm = || Vm::new(board);
        let (plain, modern, legacy) = (Flavour::Transitional, Flavour::Modern, Flavour::Legacy);
        cases.push(guide(Case::new(name(""), vm()), plain, " modern msix:"));
        cases.push(guide(Case::new(name("-modern"), vm()), modern, " modern msix:"));
        cases.push(guide(Case::new(name("-legacy"), vm()), legacy, " legacy msix:"));
        cases.push(guide(Case::new(name("-nomsi"), vm()).append("nomsi"), plain, " modern intx:"));
        let lines = Case::new(name("-legacy-qboot-nomsi"), vm().qboot()).append("nomsi");
        cases.push(guide(lines, legacy, " legacy intx:"));
    }
    cases
}

/// All of the guide on this machine, whose devices are of this flavour and attached in this `way`.
fn guide(case: Case, flavour: Flavour, way: &'static str) -> Case {
    let option = match flavour {
        Flavour::Transitional => "",
        Flavour::Modern => ",disable-legacy=on",
        Flavour::Legacy => ",disable-modern=on",
    };
    let case = case
        .share_as(Share::new("harvtmp", "").flavour(flavour), motd)
        .share_as(Share::new("hosttmp", "").flavour(flavour), motd)
        .folder("served", motd)
        .chardev("c0")
        .device(&format!("virtio-serial-pci,max_ports=1{option}"))
        .device("virtconsole,chardev=c0");
    last(proxy(console(tags(devices(case, way)))))
}

/// What the kernel has found.
fn devices(case: Case, way: &str) -> Case {
    case.line("cat /dev/virtio")
        .gives(re(&format!("^virtio-9p-0 +pci .*{way}.* harvtmp ")))
        .gives(re(&format!("^virtio-9p-1 +pci .*{way}.* hosttmp ")))
        .gives(re(&format!("^virtio-console-2 +pci .*{way}.* console ports 1 ")))
        .line("cat /dev/irqalloc")
        .check(|w| interrupts(w, false))
        .line("ls -l /dev/mtags /dev/irqalloc")
        .gives(re("^--r--r--r-- P 0 glenda glenda 0 .* /dev/mtags$"))
        .gives(re("^--r--r--r-- P 0 glenda glenda 0 .* /dev/irqalloc$"))
}

/// The phantom's two tags, one after the other and both at once.
fn tags(case: Case) -> Case {
    case.line("cat /dev/mtags")
        .is("harvtmp:-\nhosttmp:-\n")
        .line("mount -d '#9' /dev/null /mnt/xxx harvtmp")
        .is("")
        .line("cat /dev/mtags")
        .is("harvtmp:9P2000.u:131096:2:2\nhosttmp:-\n")
        .line("ls -l /mnt/xxx; cat /mnt/xxx/motd")
        .gives(re("^--rw-[r-][w-]-[r-]-- M [0-9]+ .* 19 .* /mnt/xxx/motd$"))
        .gives(MOTD)
        // Not with -c: nothing can be made in it.
        .line("echo new >/mnt/xxx/new")
        .gives("/mnt/xxx/new")
        .line("mount -c -d '#9' /dev/null /mnt/two hosttmp:9P2000.L")
        .is("")
        .line("cp /mnt/xxx/motd /mnt/two/copy; cmp /mnt/xxx/motd /mnt/two/copy; cat /dev/mtags")
        .check(|w| {
            counters(&w.output, "harvtmp:9P2000.u:131096")?;
            counters(&w.output, "hosttmp:9P2000.L:131096")?;
            ensure!(fs::read_to_string(w.folder("hosttmp")?.join("copy"))? == MOTD, "the copy differs");
            Ok(())
        })
        .line("@{ unmount /mnt/xxx; sed 's/(u:[0-9]+).*/\\1/' /dev/mtags } </mnt/xxx/motd")
        .gives(re("^harvtmp:9P2000.u:131096$"))
        .line("cat /dev/mtags")
        .gives(re("^harvtmp:-\nhosttmp:9P2000.L:131096:"))
        .line("mount -c -d '#9' /dev/null /mnt/xxx harvtmp; cat /dev/mtags")
        .gives(re("^harvtmp:9P2000.u:131096:2:2\nhosttmp:9P2000.L:131096:"))
        .line("cp /mnt/two/copy /mnt/xxx/back; unmount /mnt/xxx; unmount /mnt/two; cat /dev/mtags")
        .is("harvtmp:-\nhosttmp:-\n")
        .check(|w| {
            ensure!(fs::read_to_string(w.folder("harvtmp")?.join("back"))? == MOTD, "not what was sent back");
            Ok(())
        })
}

/// The console as a pipe to the host.
fn console(case: Case) -> Case {
    case.line("ls -l /dev/virtcon")
        .gives(re("^--rw-rw---- C 0 glenda glenda 0 .* /dev/virtcon/virtio-console-2$"))
        .line("ls /dev/virtcon")
        .is("/dev/virtcon/by-place\n/dev/virtcon/virtio-console-2\n")
        .connects("c0")
        .line("echo hello console >/dev/virtcon/virtio-console-2")
        .is("")
        .hears("c0", b"hello console\n")
        .says("c0", b"abc\n")
        .line("dd -if /dev/virtcon/virtio-console-2 -bs 32 -count 1 -quiet 1 | wc -c")
        .gives(re("^ +4$"))
        .says("c0", b"from the host\n")
        .line("dd -if /dev/virtcon/virtio-console-2 -bs 4096 -iseek 7 -count 1 -quiet 1")
        .is("dd: iseek: seek on a stream\n")
        // Three reads at growing offsets, of which the last gives what is there.
        .line("dd -if /dev/virtcon/virtio-console-2 -bs 6 -count 3 -quiet 1")
        .is("from the host\n")
        .leaves("c0")
}

/// The console as the way to a 9P server.
fn proxy(case: Case) -> Case {
    case.check(|w| w.programs.serve_calling("server", w.folder("served")?, &w.sockets.path("c0")))
        .line("srv -e '9pvpxy /dev/virtcon/virtio-console-2' vc2")
        .is("post...\n")
        .line("mount -c -n /srv/vc2 /mnt/xxx")
        .is("")
        .line("ls -l /mnt/xxx; cat /mnt/xxx/motd")
        .gives(re("^--rw-[r-][w-]-[r-]-- M [0-9]+ .* 19 .* /mnt/xxx/motd$"))
        .gives(MOTD)
        .line("cp /mnt/xxx/motd /mnt/xxx/new; mv /mnt/xxx/new /mnt/xxx/newer; rm /mnt/xxx/motd; ls /mnt/xxx")
        .is("/mnt/xxx/newer\n")
        .check(|w| {
            ensure!(fs::read_to_string(w.folder("served")?.join("newer"))? == MOTD, "the copy differs");
            Ok(())
        })
        .line("unmount /mnt/xxx; rm /srv/vc2; ls /mnt/xxx")
        .is("")
        // When nobody uses it any more, the proxy is gone. QEMU does not tell the server of it; a new session begins.
        .line("while(ps | grep 9pvpxy >/dev/null) sleep 1")
        .is("")
        .line("srv -e '9pvpxy /dev/virtcon/virtio-console-2' vc2; mount -c -n /srv/vc2 /mnt/xxx; cat /mnt/xxx/newer")
        .is(format!("post...\n{MOTD}"))
}

/// Each device has interrupted.
fn last(case: Case) -> Case {
    case.line("cat /dev/irqalloc").check(|w| interrupts(w, true)).never("spurious")
}

/// The tag's line in `/dev/mtags` begins like this, and each of its requests went through its process's own slot.
fn counters(mtags: &str, begin: &str) -> Result<()> {
    let line = mtags.lines().find(|l| l.starts_with(begin)).with_context(|| format!("no {begin}"))?;
    let counters = line.get(begin.len()..).unwrap_or_default();
    let (uses, hits) = counters.trim_start_matches(':').split_once(':').context("no counters")?;
    ensure!(uses == hits && uses.parse::<u64>()? > 2, "{line}: all requests are hits, and more than two");
    Ok(())
}

/// `/dev/irqalloc` has its columns, its order, and a line for each of the guide's devices, which has counted something
/// if it is `busy`.
fn interrupts(world: &World, busy: bool) -> Result<()> {
    let form = re(
        "^[ 0-9]{10}[0-9] [ 0-9]{10}[0-9] [ 0-9]{19}[0-9] [ 0-9]{19}[0-9] (trap  |lapic |ioapic|msi   )   [^ ].*$",
    );
    let mut last = 0;
    for line in world.output.lines() {
        ensure!(form.is_in(line), "not a line of irqalloc: {line:?}");
        let vector: u32 = line.split_whitespace().next().unwrap_or_default().parse()?;
        ensure!(vector >= last, "not by vector: {line:?}");
        last = vector;
    }
    let count = |name: &str| {
        let line = world.output.lines().find(|l| l.ends_with(name));
        let field = line.and_then(|l| l.split_whitespace().nth(2));
        field.with_context(|| format!("no line {name}"))?.parse::<u64>().context("the count")
    };
    for name in ["#BP", "#NM", "#DF", "#15", "#MF", "#XF"] {
        count(&format!(" trap     {name}"))?;
    }
    for name in [" trap     #PF", " lapic    APIC timer", " ioapic   keyb", " ioapic   mouse"] {
        count(name)?;
    }
    for name in [" virtio-9p-0", " virtio-9p-1", " virtio-console-2"] {
        ensure!(count(name)? > 0 || !busy, "no interrupt of {name}");
    }
    Ok(())
}
