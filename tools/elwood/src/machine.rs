//! What the commands that start a machine have in common: their options, and the beginning of QEMU's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use vm::{Accel, Board, Vm};

use crate::kernel;

/// The options that each of them takes.
#[derive(Args)]
pub struct Common {
    /// Memory, in MiB
    #[arg(short, long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..))]
    pub memory: u32,
    /// Number of processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    smp: u32,
    /// What executes the guest; auto is KVM if it is seen to work
    #[arg(long, value_enum, default_value_t = Acceleration::Auto)]
    accel: Acceleration,
    /// The kernel; unless said, the one beside this command, or installed with it, or build/kernel.elf
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// More words for the kernel's command line, as name=value, quoted as rc quotes
    #[arg(long, value_name = "WORDS", value_parser = whole_words)]
    append: Vec<String>,
    /// An option of the machine, as QEMU's -machine has it (acpi=off). May be repeated
    #[arg(long, value_name = "OPTION")]
    machine_option: Vec<String>,
    /// Show QEMU's command line and do nothing
    #[arg(long, display_order = 998)]
    pub print: bool,
}

impl Common {
    /// The machine as these options have it, which ends when the guest says so.
    ///
    /// # Errors
    /// There is no kernel; an option of the machine is none.
    pub fn vm(&self, board: Board) -> Result<Vm> {
        for option in &self.machine_option {
            ensure!(
                option.contains('=') && !option.contains(','),
                "--machine-option {option}: not name=value"
            );
        }
        let vm = self.machine_option.iter().fold(Vm::new(board), |vm, option| vm.board_option(option));
        Ok(vm
            .kernel(find_kernel(self.kernel.as_deref())?)
            .memory_mib(self.memory)
            .smp(self.smp)
            .accel(self.accel.into())
            .debug_exit())
    }

    /// The user's words for the kernel, behind those that `vm` has: of two of one name the last counts.
    pub fn append(&self, vm: Vm) -> Vm {
        self.append.iter().fold(vm, |vm, words| vm.append(words))
    }
}

/// Words for the kernel whose quotes are closed: one that is not would take the words behind it in.
fn whole_words(text: &str) -> Result<String, String> {
    if !text.matches('\'').count().is_multiple_of(2) {
        return Err("a quote is not closed".into());
    }
    Ok(text.into())
}

/// Prints QEMU's command line as a shell would take it.
///
/// # Errors
/// A word that no shell can be given.
pub fn print(command: &[OsString]) -> Result<()> {
    let words: Vec<_> = command.iter().map(|w| w.to_string_lossy()).collect();
    println!("{}", shlex::try_join(words.iter().map(|w| w.as_ref()))?);
    Ok(())
}

/// The kinds of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    Pc,
    Q35,
    Microvm,
}

/// What may execute the guest.
#[derive(Clone, Copy, ValueEnum)]
enum Acceleration {
    Auto,
    Tcg,
    Kvm,
}

impl From<Machine> for Board {
    fn from(machine: Machine) -> Board {
        match machine {
            Machine::Pc => Board::Pc,
            Machine::Q35 => Board::Q35,
            Machine::Microvm => Board::Microvm,
        }
    }
}

impl From<Acceleration> for Accel {
    fn from(accel: Acceleration) -> Accel {
        match accel {
            Acceleration::Auto => Accel::Auto,
            Acceleration::Tcg => Accel::Tcg,
            Acceleration::Kvm => Accel::Kvm,
        }
    }
}

/// The kernel to boot, if it is there.
fn find_kernel(said: Option<&Path>) -> Result<PathBuf> {
    if let Some(kernel) = said {
        ensure!(kernel.is_file(), "--kernel {}: no such file", kernel.display());
        kernel::check(kernel).context("--kernel")?;
        return Ok(kernel.into());
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let found = kernel_places(&exe).into_iter().find(|p| p.is_file()).with_context(|| {
        format!(
            "no kernel.elf beside {} or in ../share/elwood from there, and no build/kernel.elf; \
             say --kernel FILE, or make it with 'make'",
            exe.display()
        )
    })?;
    kernel::check(&found)?;
    Ok(found)
}

/// Where the kernel may be for a command that is the file `exe`: beside it, as `make` leaves them; where `make
/// install` puts it; and in the source that this is called in.
fn kernel_places(exe: &Path) -> Vec<PathBuf> {
    let folder = exe.parent();
    let beside = folder.map(|bin| bin.join("kernel.elf"));
    let installed = folder.and_then(Path::parent).map(|prefix| prefix.join("share/elwood/kernel.elf"));
    beside.into_iter().chain(installed).chain([PathBuf::from("build/kernel.elf")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_beside_the_command_or_installed_with_it() {
        let places = kernel_places(Path::new("/usr/local/bin/elwood"));
        let wanted = ["/usr/local/bin/kernel.elf", "/usr/local/share/elwood/kernel.elf", "build/kernel.elf"];
        assert_eq!(places, wanted.map(PathBuf::from));
        assert_eq!(kernel_places(Path::new("")), [PathBuf::from("build/kernel.elf")]);
    }

    #[test]
    fn a_quote_that_is_not_closed_would_take_in_what_follows() {
        for good in ["a=b c=d", "a='b c'", "a='it''s' b=''", ""] {
            assert_eq!(whole_words(good).as_deref(), Ok(good));
        }
        for bad in ["x='a", "'", "a='it's'"] {
            assert!(whole_words(bad).is_err(), "{bad}");
        }
    }
}
