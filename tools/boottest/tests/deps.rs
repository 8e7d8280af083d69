//! What `make` does to its user's machine: `boot/deps`, with stand-ins for apt-get, cargo and rustc.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A machine with a Rust, a C compiler and what every Debian has, and without QEMU.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { folder: TempDir::new().unwrap() };
        let bin = machine.bin();
        fs::create_dir(&bin).unwrap();
        for tool in ["sh", "sed", "sort", "dirname", "id", "env"] {
            let path = std::env::var_os("PATH").unwrap();
            let real = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|p| p.is_file()).unwrap();
            symlink(real, bin.join(tool)).unwrap();
        }
        let sysroot = machine.folder.path().join("sysroot");
        fs::create_dir_all(sysroot.join("lib/rustlib/x86_64-unknown-none")).unwrap();
        machine.program("cargo", "echo cargo 1.999.0");
        machine.program(
            "rustc",
            &format!("case $1 in --print) echo '{}';; *) echo rustc 1.999.0;; esac", sysroot.display()),
        );
        machine.program("cc", "");
        machine.program("strip", "");
        machine.program("sudo", "exec \"$@\"");
        machine
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.bin().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// An apt-get that notes how it is called, and answers a simulation with `plan`.
    fn apt_get(&self, plan: &str) {
        let script =
            format!("echo \"$*\" >>'{}'\ncase $1 in -s) echo '{plan}';; esac", self.calls().display());
        self.program("apt-get", &script);
    }

    fn calls(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// Runs `boot/deps`: whether it succeeded, what it said, and how apt-get was called.
    fn deps(&self) -> (bool, String, Vec<String>) {
        self.deps_for(&[])
    }

    /// The same with words behind it.
    fn deps_for(&self, words: &[&str]) -> (bool, String, Vec<String>) {
        let deps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boot/deps");
        let mut command = Command::new("/bin/sh");
        let output = command.arg(deps).args(words).env_clear().env("PATH", self.bin()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let calls = fs::read_to_string(self.calls()).unwrap_or_default();
        (output.status.success(), said, calls.lines().map(String::from).collect())
    }
}

#[test]
fn what_is_there_is_not_installed() {
    let machine = Machine::new();
    machine.apt_get("");
    machine.program("qemu-system-x86_64", "");
    assert_eq!(machine.deps(), (true, String::new(), vec![]));
}

#[test]
fn what_is_missing_is_installed_and_nothing_removed() {
    let machine = Machine::new();
    machine.apt_get("Inst qemu-system-x86 (1:7.2 Debian:12/stable [amd64])");
    let (done, said, calls) = machine.deps();
    assert!(done, "{said}");
    assert_eq!(said, "deps: installing: qemu-system-x86\n");
    assert_eq!(
        calls,
        [
            "-qq update",
            "-s -y install --no-install-recommends qemu-system-x86",
            "-qq -y --no-remove install --no-install-recommends qemu-system-x86"
        ]
    );
}

#[test]
fn what_times_and_counts_needs_more() {
    let machine = Machine::new();
    machine.apt_get("Inst lz4 (1.9 Debian:12/stable [amd64])");
    for there in ["qemu-system-x86_64", "xz"] {
        machine.program(there, "");
    }
    let (done, said, _) = machine.deps_for(&["bench"]);
    assert!(done && said == "deps: installing: gcc libc6-dev lz4\n", "{said}");
    for there in ["gcc", "lz4"] {
        machine.program(there, "");
    }
    assert_eq!(machine.deps_for(&["bench"]).1, "");
}

#[test]
fn a_package_of_the_users_is_never_removed() {
    let machine = Machine::new();
    machine.program("apt-cache", "echo ' Installed: 1:9.2-1~bpo12+1'");
    machine
        .apt_get("Remv qemu-utils [1:9.2-1~bpo12+1]\nInst qemu-system-x86 (1:7.2 Debian:12/stable [amd64])");
    let (done, said, calls) = machine.deps();
    assert!(!done);
    assert!(said.contains("    qemu-utils 1:9.2-1~bpo12+1\n"), "{said}");
    for advice in ["apt-get install -t RELEASE qemu-system-x86\n", "apt-get remove qemu-utils\n"] {
        assert!(said.contains(advice), "{said}");
    }
    assert!(calls.iter().all(|call| call == "-qq update" || call.starts_with("-s ")), "{calls:?}");
}

#[test]
fn what_apt_cannot_do_is_told() {
    let machine = Machine::new();
    machine.program("apt-get", "case $1 in -s) echo 'E: Unable to locate package'; exit 100;; esac");
    let (done, said, _) = machine.deps();
    assert!(!done);
    assert!(said.contains("E: Unable to locate package\ndeps: apt-get cannot install that"), "{said}");

    // It may also be that there is no way at all to have both.
    machine.program(
        "apt-get",
        "case $1 in -s) echo ' qemu-utils : Breaks: qemu-system-common (< 1:8) but 1:7 is to be installed'; \
         exit 100;; esac",
    );
    let (done, said, _) = machine.deps();
    assert!(!done && said.contains("apt-get remove qemu-utils\n"), "{said}");
}
