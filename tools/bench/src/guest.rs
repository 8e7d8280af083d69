//! Elwood as a guest: boots with the programs of `guest/elwood` laid over its root, and does sets of rows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use vm::{Accel, Board, Share, Vm};

use crate::far_end;

/// What a guest prints last.
pub const END: &str = "BENCH-END";
/// What it prints first.
pub const FIRST: &str = "USERLAND";
/// How long a boot may take with all that it does. The longest set needs less than two minutes on a quiet host.
pub const PATIENCE: Duration = Duration::from_secs(400);

/// What all guests are alike in.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub board: Board,
    pub smp: u32,
    pub accel: Accel,
}

impl Machine {
    /// A machine without devices, but with the processor's every feature, which all guests are given alike.
    pub fn bare(&self) -> Vm {
        let vm = Vm::new(self.board).smp(self.smp).accel(self.accel).memory_mib(512);
        if self.accel == Accel::Tcg { vm.cpu("max") } else { vm }
    }

    /// A machine that answers another on a wire, which is a socket in `folder`. (Of a `socket,connect=` of TCP one
    /// would time how the host puts off small pieces: 40 ms for a connection.)
    pub fn answering(&self, folder: &Path) -> Vm {
        self.bare().network(&wire(folder, true), Some("52:54:00:12:34:02"))
    }

    /// One that has the share, and for the set serial two ports, whose other ends are in `folder`; for those of the
    /// network a card, at the user network, or at the wire's other end.
    pub fn with_devices(&self, set: &str, share: &Path, folder: &Path) -> Result<Vm> {
        let mut vm = self.bare().share(Share::new("host", share));
        vm = match set {
            "netuser" => vm.network("user", None),
            "netwire" => vm.network(&wire(folder, false), None),
            _ => vm,
        };
        if set == "serial" {
            let model = if self.board == Board::Microvm { "device" } else { "pci" };
            vm = vm.arg("-device").arg(format!("virtio-serial-{model}"));
            for (name, device) in [("con", "virtconsole"), ("port", "virtserialport,name=bench.raw")] {
                let socket = folder.join(name);
                far_end::listen(&socket)?;
                vm = vm.arg("-chardev").arg(format!("socket,id={name},server=off,path={}", socket.display()));
                vm = vm.arg("-device").arg(format!("{device},chardev={name}"));
            }
        }
        Ok(vm)
    }
}

/// The port at which a guest answers another.
pub const WIRE_PORT: u16 = 5000;
/// The set of a guest that answers the one that is timed.
pub const SERVE: &str = "netserve";

/// One end of a wire between two machines; who serves has to be there first.
fn wire(folder: &Path, serves: bool) -> String {
    let server = if serves { "on" } else { "off" };
    format!("stream,server={server},addr.type=unix,addr.path={}", folder.join("wire").display())
}

/// Is it another guest that is at the other end of a set's network?
pub fn is_wired(set: &str) -> bool {
    set == "netwire"
}

/// The port at the other end of a set's network.
pub fn other_end(set: &str) -> Result<u16> {
    Ok(if set == "netuser" { far_end::listen_tcp()? } else { WIRE_PORT })
}

/// Starts a guest that answers, and waits until it does.
pub fn serving(vm: Vm) -> Result<vm::Guest> {
    let mut guest = vm.start()?;
    guest.expect(vm::Pattern::regex("^SERVING\r?\n")?, PATIENCE)?;
    Ok(guest)
}

/// How much is done.
#[derive(Clone, Debug)]
pub enum Much {
    /// Repetitions of so many milliseconds each.
    Milliseconds(u32),
    /// Repetitions of so many operations each.
    Operations(u32),
}

/// Elwood with its programs.
pub struct Elwood {
    pub kernel: PathBuf,
    pub archive: PathBuf,
}

impl Elwood {
    /// Does `set`, of it only rows whose names contain one of `only` (with commas; all if empty), with who is at `port`
    /// of the network's other end. What it printed.
    pub fn run(
        &self,
        vm: Vm,
        set: &str,
        only: &str,
        much: &Much,
        repetitions: u32,
        port: u16,
    ) -> Result<String> {
        let much = match much {
            Much::Milliseconds(ms) => format!("-m {ms}"),
            Much::Operations(n) => format!("-k {n}"),
        };
        let only = if only.is_empty() { String::new() } else { format!(" -o {only}") };
        run_to_end(self.told(vm, set, &format!("{much} -r {repetitions}{only}"), port), END)
    }

    /// The machine that will do it, by words of the program's.
    pub fn told(&self, vm: Vm, set: &str, words: &str, port: u16) -> Vm {
        // What else is at boot is not waited for.
        let own = if set == SERVE { "10.0.2.2" } else { "10.0.2.15" };
        let address = format!("ip/ipconfig ether /net/ether0 {own} 255.255.255.0; ");
        let first = if set.starts_with("net") { address.as_str() } else { "" };
        let words = format!("init='{first}bench {words} -n {} -p {port} {set}'", vm.processors());
        let vm = if first.is_empty() { vm } else { vm.append("net=none") };
        vm.kernel(&self.kernel).initrd(&self.archive).append(words)
    }
}

/// Starts a machine, and waits until it has printed a line with `end`. What it printed before that line's end.
pub fn run_to_end(vm: Vm, end: &str) -> Result<String> {
    let mut guest = vm.start()?;
    let found = guest.expect(vm::Pattern::regex(&format!("^{end}.*\n"))?, PATIENCE)?;
    let said = found.before + &found.text;
    let wrong: Vec<&str> = said.lines().filter(|line| is_wrong(line)).collect();
    ensure!(wrong.is_empty(), "the guest says: {}", wrong.join("; "));
    Ok(said)
}

/// Whether a line says that something was not done. LOST is QEMU's: it throws away what a virtconsole writes too fast.
fn is_wrong(line: &str) -> bool {
    ["# FAIL", "FAIL ", "Kernel panic"].iter().any(|begin| line.starts_with(begin)) || line.contains("panic:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_fails_is_no_result() {
        for line in ["# FAIL /tmp/t: no such file", "FAIL hpet", "Kernel panic - not syncing", "panic: lock"]
        {
            assert!(is_wrong(line), "{line}");
        }
        for line in ["# LOST about 512 of 1000", "# skip serial.hvc.out4k", "R cpu.x 1 ns 1 1 1 1"] {
            assert!(!is_wrong(line), "{line}");
        }
    }

    #[test]
    fn serial_ports_are_the_boards() {
        let dir = tempfile::tempdir().unwrap();
        let line = |board, set| {
            let machine = Machine { board, smp: 1, accel: Accel::Tcg };
            let folder = tempfile::tempdir_in(dir.path()).unwrap();
            let words = machine.with_devices(set, dir.path(), folder.path()).unwrap().command_line().unwrap();
            words.iter().map(|w| w.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert!(line(Board::Q35, "serial").contains("-device virtio-serial-pci "));
        assert!(line(Board::Microvm, "serial").contains("-device virtio-serial-device "));
        assert!(!line(Board::Q35, "cpu").contains("virtio-serial"));
        assert!(
            line(Board::Q35, "netwire")
                .contains("-netdev stream,id=net0,server=off,addr.type=unix,addr.path=/")
        );
        assert!(line(Board::Q35, "netuser").contains("-netdev user,id=net0 "));
    }
}
