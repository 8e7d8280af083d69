//! A process that dies with the one that started it, however that one dies.
//!
//! Only a process itself can ask the host for that, so QEMU's place is first taken by this command, which asks and then
//! becomes QEMU: what was asked for holds on through an execution (Linux, `PR_SET_PDEATHSIG`).

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// What `elwood bound` takes.
#[derive(Args)]
pub struct Options {
    /// The process to die with: the one that has started this one
    parent: i32,
    /// The program to become, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// The command that starts `program` with `arguments` bound to this process. It has to be spawned by a thread that
/// lives as long as this process does: the host looks at the thread.
pub fn command(program: &OsString, arguments: &[OsString]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("bound").arg(std::process::id().to_string()).arg("--").arg(program).args(arguments);
    command
}

/// Becomes the program. Returns only when that does not work.
pub fn become_it(options: &Options) -> Result<u8> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("prctl")?;
    // It may have died before it was asked for.
    let parent = getppid().map(Pid::as_raw_nonzero);
    ensure!(parent.is_some_and(|p| p.get() == options.parent), "the process {} has ended", options.parent);
    let (program, arguments) = options.command.split_first().context("no program")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
