//! `elwood run`: from options to a QEMU command line, and that QEMU with the terminal on its serial line.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use abi::quote::quote;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use vm::{Board, Serial, Share, Vm};

use crate::archive;
use crate::machine::{self, Common, Machine};
use crate::terminal;

/// How long QEMU may take to end by itself after `ctrl-a x`.
const QUIT_GRACE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What `elwood run` takes.
#[derive(Args)]
pub struct Options {
    /// A folder of this machine and its mount tag (`host`, unless said); it is mounted on /n/TAG. May be repeated
    #[arg(long, value_name = "DIR[:TAG]")]
    share: Vec<String>,
    /// The kind of machine
    #[arg(long, value_enum, default_value_t = Machine::Q35)]
    machine: Machine,
    /// Start with QEMU's small firmware instead of SeaBIOS
    #[arg(long)]
    qboot: bool,
    #[command(flatten)]
    common: Common,
    /// A tar archive whose files are laid over the root
    #[arg(long, value_name = "TAR")]
    initrd: Option<PathBuf>,
    /// A command to run instead of a prompt; the machine ends with it
    #[arg(long, value_name = "CMD")]
    init: Option<String>,
    /// Show the machine's screen as QEMU's -display does (gtk, vnc=:1...), with the console on it as well as here
    #[arg(long, value_name = "WHERE")]
    display: Option<String>,
    /// What the terminal is connected to; with virtio the machine has no serial line
    #[arg(long, value_enum, default_value_t = Console::Uart)]
    console: Console,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Console {
    Uart,
    Virtio,
}

/// Runs the machine and returns QEMU's exit status.
pub fn run(options: &Options) -> Result<u8> {
    let vm = describe(options)?;
    let words = vm.command_line()?;
    if options.common.print {
        machine::print(&words)?;
        return Ok(0);
    }
    vm::check_named_qemu()?;
    let (program, arguments) = words.split_first().context("an empty command line")?;
    let accel = if arguments.iter().any(|a| a == "kvm") { "KVM" } else { "TCG" };
    let folders: String =
        vm.shares().iter().map(|s| format!(", {} on /n/{}", s.path().display(), s.tag())).collect();
    eprintln!(
        "elwood: {}, {accel}, {} MiB{folders}. Leave with ctrl-a x.",
        vm.board().name(),
        options.common.memory
    );

    // Before QEMU starts, so that no signal can end us and leave it and the terminal behind.
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
    let raw = terminal::Raw::enter().context("the terminal")?;
    // Pipes both ways: QEMU would make the terminal non-blocking, for us and for the shell after us.
    let mut qemu = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let keyboard = qemu.stdin.take().context("no keyboard")?;
    let printed = qemu.stdout.take().context("no screen")?;
    // A handle, not a number: a number might be somebody else's by the time a signal comes.
    let handle = pidfd_open(Pid::from_child(&qemu), PidfdFlags::empty()).context("a handle on QEMU")?;
    let other_handle = handle.try_clone()?;
    let screen = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    std::thread::spawn(move || {
        let stdin = std::io::stdin();
        // When either side is gone nobody types any more; the machine goes on.
        if terminal::relay(stdin.lock(), keyboard, stdin.is_terminal()) == terminal::End::Quit {
            // QEMU does not listen while the guest does not; then it is told otherwise.
            let mut fds = [PollFd::new(&other_handle, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&QUIT_GRACE));
            let _ = pidfd_send_signal(&other_handle, Signal::TERM);
        }
    });
    let output = std::thread::spawn(move || terminal::show(printed, screen));
    std::thread::spawn(move || {
        // QEMU ends in good order on SIGTERM, and wait() below returns. Who signals twice is in a hurry.
        let politeness = std::iter::once(Signal::TERM).chain(std::iter::repeat(Signal::KILL));
        for (_, signal) in signals.forever().zip(politeness) {
            let _ = pidfd_send_signal(&handle, signal);
        }
    });
    let status = qemu.wait().context("waiting for QEMU");
    // All that the machine has printed, before the terminal is as it was.
    let _ = output.join();
    drop(raw);
    Ok(u8::try_from(vm::exit_code(status?)).unwrap_or(u8::MAX))
}

/// The machine that `options` ask for.
fn describe(options: &Options) -> Result<Vm> {
    let board = Board::from(options.machine);
    let mut vm = options.common.vm(board)?.serial(Serial::StdioAndMonitor);
    if options.console == Console::Virtio {
        vm = vm.virtio_console();
    }
    if options.qboot {
        vm = vm.qboot();
    }
    if let Some(initrd) = &options.initrd {
        archive::check("--initrd", initrd)?;
        vm = vm.initrd(initrd);
    }
    let mut tags: Vec<String> = Vec::new();
    for share in &options.share {
        let (dir, tag) = split_share(share)?;
        ensure!(!tags.contains(&tag), "--share: two folders have the tag '{tag}'; write DIR:TAG");
        vm = vm.append(format!("mount={}", quote(&format!("{tag}:/n/{tag}")))).share(Share::new(&tag, dir));
        tags.push(tag);
    }
    if let Some(display) = &options.display {
        ensure!(board != Board::Microvm, "--display: microvm has no screen");
        // Before the user's words, of which the last counts.
        let here = if options.console == Console::Virtio { "virtio" } else { "uart" };
        vm = vm.display(display).append(format!("console={here},vga"));
    }
    vm = options.common.append(vm);
    if let Some(command) = &options.init {
        vm = vm.append(format!("init={}", quote_value(command)));
    }
    Ok(vm)
}

/// Cuts `DIR[:TAG]`. A colon that belongs to the folder's name is recognised by the folder being there.
fn split_share(share: &str) -> Result<(PathBuf, String)> {
    let (dir, tag) = match share.rsplit_once(':') {
        Some((dir, tag)) if !Path::new(share).is_dir() => (dir, tag),
        _ => (share, "host"),
    };
    if !Path::new(dir).is_dir() {
        bail!("--share {share}: no folder {dir}");
    }
    ensure!(
        !tag.contains('/') && tag != "." && tag != "..",
        "--share {share}: '{tag}' cannot be a mount tag"
    );
    Ok((PathBuf::from(dir), tag.into()))
}

/// `text` in single quotes with inner ones doubled: always, so that rc's own signs are safe too.
fn quote_value(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// The QEMU command line for `words`, with a kernel that is there.
    fn qemu(words: &[&str]) -> Result<String> {
        let kernel = env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml";
        let line = ["run", "--accel", "tcg", "--kernel", &kernel].into_iter().chain(words.iter().copied());
        let words = describe(&Line::try_parse_from(line)?.options)?.command_line()?;
        Ok(words.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_share_is_a_device_and_a_mount_word() {
        let line =
            qemu(&["--share", "/", "--share", "/tmp:t", "--machine", "pc", "--append", "debug=1"]).unwrap();
        assert!(line.contains("-M pc -m 512 -smp 1") && line.contains("-serial mon:stdio"), "{line}");
        assert!(line.contains("-append mount=host:/n/host mount=t:/n/t debug=1"), "{line}");
        assert!(line.contains("path=/ ") && line.contains("mount_tag=t"), "{line}");
        assert!(line.contains("isa-debug-exit"), "{line}");
    }

    #[test]
    fn a_command_is_quoted_as_rc_quotes() {
        assert!(qemu(&["--init", "echo it's"]).unwrap().contains("-append init='echo it''s'"));
    }

    #[test]
    fn a_display_brings_a_screen_and_the_console_on_it() {
        let line = qemu(&["--display", "vnc=:1", "--append", "console=vga"]).unwrap();
        assert!(line.contains("-display vnc=:1 -vga std") && !line.contains("-display none"), "{line}");
        assert!(line.contains("-append console=uart,vga console=vga"), "{line}");
        let line = qemu(&[]).unwrap();
        assert!(line.contains("-display none") && !line.contains("-vga"), "{line}");
        assert!(qemu(&["--display", "gtk", "--machine", "microvm"]).is_err());
        let line = qemu(&["--display", "gtk", "--console", "virtio"]).unwrap();
        assert!(line.contains("-append console=virtio console=virtio,vga"), "{line}");
        assert!(line.contains("-serial none") && line.contains("virtconsole,chardev=console"), "{line}");
    }

    #[test]
    fn shares_that_cannot_be_are_refused() {
        assert!(qemu(&["--share", "/no/such/folder"]).is_err());
        assert!(qemu(&["--share", "/", "--share", "/tmp"]).is_err());
        assert!(qemu(&["--share", "/:a/b"]).is_err());
        assert!(qemu(&["--share", "/:a,b"]).is_err());
        assert!(qemu(&["-m", "4"]).is_err() && qemu(&["--smp", "0"]).is_err());
    }
}
