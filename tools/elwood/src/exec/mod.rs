//! `elwood exec`: one program in a machine of its own, as if it were a program of the host.
//!
//! `describe` makes a job of the command line, an archive that carries it, and a machine whose ports are sockets that
//! only this process and QEMU have. Then there is QEMU, bound to this process ([`bound`]), and threads: one for each
//! standard file ([`streams`]), one for signals, one for what the guest says, one for the machine's console. They all
//! report to the main thread as `Event`s; it alone decides how this ends. No file, socket or port of the host has a
//! name here, so any number of these run side by side and nothing is left of them.

pub mod bound;
mod initrd;
mod places;
mod session;
mod status;
mod streams;
pub mod words;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abi::job::{self, Job, Mount};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use vm::{Board, Share, Vm};

use crate::archive;
use crate::machine::{self, Common, Machine};
use crate::net::Network;

pub use streams::inherit;

/// What `elwood exec` takes.
#[derive(Args)]
pub struct Options {
    /// A word of the environment for the program: a variable of this one's by its NAME, or NAME=VALUE. May be repeated
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// End the machine, and this command with 124, after that long: 90s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// One more folder that the program sees, at its own path; with :rw it may change what is in it. May be repeated
    #[arg(long, value_name = "DIR[:rw]")]
    share: Vec<String>,
    /// A folder whose files are laid over the guest's root
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// A tar archive whose files are laid over the guest's root
    #[arg(long, value_name = "TAR")]
    initrd: Option<PathBuf>,
    /// The kind of machine; without it $MACHINE, or else microvm
    #[arg(short = 'M', long, value_enum)]
    machine: Option<Machine>,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    common: Common,
    /// Show what the machine prints on its console, on standard error
    #[arg(short, long)]
    verbose: bool,
    /// The program's file; a name without a slash may also be a command of the guest's /bin
    program: OsString,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// A machine that has not been started, and our ends of its ports.
struct Plan {
    command: Vec<OsString>,
    control: UnixStream,
    input: UnixStream,
    output: UnixStream,
    error: Option<UnixStream>,
    /// What QEMU inherits; ours to close when it has.
    theirs: (Vec<UnixStream>, File),
}

/// Runs the program; the exit status is the program's.
pub fn exec(options: &Options) -> Result<u8> {
    let plan = describe(options)?;
    if options.common.print {
        machine::print(&plan.command)?;
        return Ok(0);
    }
    vm::check_named_qemu()?;
    session::run(plan, options.timeout, options.verbose)
}

/// The machine that `options` ask for.
fn describe(options: &Options) -> Result<Plan> {
    let board = Board::from(machine(options.machine)?);
    let vm = options.common.vm(board)?;
    let job = job(options)?;
    let (initrd, root) = (options.initrd.as_deref(), options.root.as_deref());
    ensure!(root.is_none_or(Path::is_dir), "--root: no such folder");
    if let Some(initrd) = initrd {
        archive::check("--initrd", initrd)?;
    }
    let archive = initrd::make(&job, &initrd::More { root, initrd })?;
    streams::inherit(archive.as_fd())?;
    let initrd = format!("/proc/self/fd/{}", archive.as_raw_fd());
    let mut vm = options.common.append(vm.initrd(initrd).append("boot=/bin/hostexec"));
    if board != Board::Microvm {
        vm = vm.qboot();
    }
    for mount in &job.mounts {
        let share = Share::new(&mount.tag, &mount.place);
        vm = vm.share(if mount.writable { share } else { share.readonly() });
    }
    let bus = if board == Board::Microvm { "virtio-serial-device" } else { "virtio-serial-pci" };
    vm = vm.arg("-device").arg(bus);
    let mut theirs = Vec::new();
    let mut port = |vm: Vm, name: &str| -> Result<(Vm, UnixStream)> {
        let (ours, other) = streams::pair().context("a port of the machine")?;
        let fd = other.as_raw_fd();
        let vm = vm
            .arg("-chardev")
            .arg(format!("socket,id=c{fd},fd={fd}"))
            .arg("-device")
            .arg(format!("virtserialport,chardev=c{fd},name={name}"));
        theirs.push(other);
        Ok((vm, ours))
    };
    let (vm, control) = port(vm, job::CONTROL)?;
    let (vm, input) = port(vm, job::INPUT)?;
    let (mut vm, output) = port(vm, job::OUTPUT)?;
    let mut error = None;
    if !job.one_output {
        let ours;
        (vm, ours) = port(vm, job::ERROR)?;
        error = Some(ours);
    }
    let vm = options.network.add(vm, "none")?;
    Ok(Plan { command: vm.command_line()?, control, input, output, error, theirs: (theirs, archive) })
}

/// What is to be run, where, and with what.
fn job(options: &Options) -> Result<Job> {
    let dir = std::env::current_dir().context("the current folder")?;
    let file = host_file(&options.program)?;
    let goroot = std::env::var_os("GOROOT");
    let places = places::places(&places::Around {
        dir: &dir,
        program: file.as_deref(),
        goroot: goroot.as_deref(),
        said: &options.share,
    })?;
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("{}: Plan 9 has no such names", path.display()),
    };
    let args = std::iter::once(&options.program).chain(&options.args);
    Ok(Job {
        program: text(file.as_deref().unwrap_or(Path::new(&options.program)))?,
        args: args.map(|a| a.as_bytes().to_vec()).collect(),
        dir: text(&dir)?,
        mounts: (0..)
            .zip(places)
            .map(|(n, place)| Mount { tag: format!("d{n}"), place: place.path, writable: place.writable })
            .collect(),
        env: environment(&options.env, std::env::vars_os())?,
        one_output: streams::same(std::io::stdout().as_fd(), std::io::stderr().as_fd()),
    })
}

/// The program's file on the host. A name without a slash that is no file here is one of the guest's commands.
fn host_file(program: &OsString) -> Result<Option<PathBuf>> {
    ensure!(!program.is_empty(), "the program's name is empty");
    let path = Path::new(program);
    if !path.exists() {
        return match program.as_bytes().contains(&b'/') {
            // The guest has the words for it.
            true => Ok(path
                .parent()
                .and_then(|p| p.canonicalize().ok())
                .zip(path.file_name())
                .map(|(p, n)| p.join(n))),
            false => Ok(None),
        };
    }
    Ok(Some(path.canonicalize()?))
}

/// The environment: this one's Go variables, and the words asked for.
fn environment(
    asked: &[String],
    ours: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let ours: Vec<(String, Vec<u8>)> =
        ours.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_vec()))).collect();
    let mut out: Vec<(String, Vec<u8>)> = ours.iter().filter(|(n, _)| n.starts_with("GO")).cloned().collect();
    for word in asked {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.as_bytes().to_vec()),
            // One that is not set here is not set there.
            None => match ours.iter().find(|(name, _)| name == word) {
                Some((_, value)) => (word.as_str(), value.clone()),
                None => continue,
            },
        };
        ensure!(!matches!(name, "" | "." | ".."), "--env {word}: no name");
        out.retain(|(n, _)| n != name);
        out.push((name.into(), value));
    }
    // A variable is a file, and not every name is a file's.
    out.retain(|(name, _)| !name.contains('/') && !name.contains(char::is_control));
    Ok(out)
}

/// The machine that was asked for, by option or environment.
fn machine(said: Option<Machine>) -> Result<Machine> {
    let name = std::env::var("MACHINE").unwrap_or_default();
    // Other tools have a variable of this name, too; theirs is none of our machines.
    let named = <Machine as clap::ValueEnum>::from_str(&name, true).ok();
    Ok(said.or(named).unwrap_or(Machine::Microvm))
}

/// Reads `90s`, `5m`, `1h30m`, `500ms`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; 90s, 5m and 1h30m are");
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" if number.len() == text.len() => 1.0,
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * seconds;
        rest = behind;
    }
    Duration::try_from_secs_f64(total).ok().filter(|d| !d.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for bad in ["", "0", "s", "5x", "-1s", "1s5", "1..2s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn gos_words_and_those_asked_for() {
        let ours = || {
            [("GOGC", "50"), ("HOME", "/root"), ("A", "b=c"), ("GO/X", "1")]
                .map(|(n, v)| (n.into(), v.into()))
        };
        let all = |asked: &[&str]| {
            let asked: Vec<_> = asked.iter().map(|&a| a.to_owned()).collect();
            let all = environment(&asked, ours().into_iter())?;
            anyhow::Ok(
                all.into_iter()
                    .map(|(n, v)| format!("{n}={}", String::from_utf8(v).unwrap()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(all(&[]).unwrap(), ["GOGC=50"]);
        assert_eq!(all(&["A", "NONE", "GOGC=1", "B="]).unwrap(), ["A=b=c", "GOGC=1", "B="]);
        assert!(all(&["=x"]).is_err());
    }
}
