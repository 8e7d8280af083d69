//! What the loader brings beside the kernel (`-initrd`), wherever it puts it: small and large, on every machine and
//! firmware.

use std::path::Path;

use anyhow::Result;
use vm::{Board, Vm};

use crate::case::{Case, World, re};

/// SeaBIOS as it is made for microvm. From QEMU 8 on it is what microvm with ACPI starts with, and older ones can be
/// given it.
const SEABIOS: &str = "/usr/share/seabios/bios-microvm.bin";
/// Processors whose ACPI tables are too long for the place that SeaBIOS likes best: they lie at the end of memory,
/// where a module lies, too, on microvm.
const MANY: u32 = 32;

pub fn cases() -> Vec<Case> {
    let microvm = || Vm::new(Board::Microvm);
    let seabios = || if Path::new(SEABIOS).exists() { microvm().firmware(SEABIOS) } else { microvm() };
    let machines = [
        ("pc", Vm::new(Board::Pc)),
        ("pc-qboot", Vm::new(Board::Pc).qboot()),
        ("q35", Vm::new(Board::Q35)),
        ("microvm", microvm()),
        ("microvm-seabios", seabios()),
        ("microvm-acpi-off", microvm().board_option("acpi=off")),
    ];
    let mut cases = Vec::new();
    for (name, vm) in machines {
        let case = Case::new(format!("module/small-{name}"), vm.clone());
        cases.push(case.overlay(&[("lib/news", "laid over\n")]).line("cat /lib/news").is("laid over\n"));
        cases.push(large(Case::new(format!("module/large-{name}"), vm.memory_mib(64))));
    }
    let crowded = Case::new("module/over-the-tables", seabios().smp(MANY).memory_mib(128));
    cases.push(
        large(crowded)
            .line("cat /dev/kmesg")
            .gives("acpi: the tables in memory are damaged; fw_cfg has a copy\n")
            .gives(&*format!("cpu: {MANY} of {MANY} used (ACPI)\n")),
    );
    // A file that is no archive is told, and the machine works without it.
    cases.push(
        Case::new("module/no-archive", microvm().initrd(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")))
            .sees(re("root: the module of [0-9]+ bytes at 0x[0-9a-f]+: "))
            .line("echo up")
            .is("up\n"),
    );
    cases.into_iter().map(Case::pinned).collect()
}

/// Compares ten megabytes of the archive with the same on a share.
fn large(case: Case) -> Case {
    let text = text();
    let copy = text.clone();
    let put = move |folder: &Path| -> Result<()> { Ok(std::fs::write(folder.join("big"), &copy)?) };
    case.overlay(&[("lib/big", &*text)])
        .share("host", put)
        .append("mount=host:/n/host")
        .line("cmp /lib/big /n/host/big && echo the same")
        .is("the same\n")
        .line("wc -c /lib/big")
        .check(move |w: &World| {
            anyhow::ensure!(w.output.contains(&text.len().to_string()), "{}", w.output);
            Ok(())
        })
}

/// Ten megabytes, no line of which is like another.
fn text() -> String {
    (0..1_000_000).map(|n| format!("{n:09}\n")).collect()
}
