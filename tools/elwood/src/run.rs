//! `elwood run`: from options to a QEMU command line, and that QEMU with the terminal on its serial line.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use abi::quote::quote;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use vm::{Board, Serial, Share, Vm};

use crate::archive;
use crate::certs::Certs;
use crate::machine::{self, Common, Machine};
use crate::net::Network;
use crate::root;
use crate::terminal;

/// How long QEMU may take to end by itself after `ctrl-a x`.
const QUIT_GRACE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What `elwood run` takes.
#[derive(Args)]
pub struct Options {
    /// A folder of this machine and its mount tag (`host`, unless said); it is mounted on /n/TAG, with `,cache` so that
    /// what is read of its files is kept. May be repeated
    #[arg(long, value_name = "DIR[:TAG][,cache]")]
    share: Vec<String>,
    /// The kind of machine
    #[arg(long, value_enum, default_value_t = Machine::Q35)]
    machine: Machine,
    /// Start with QEMU's small firmware instead of SeaBIOS
    #[arg(long)]
    qboot: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    root: root::Root,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    certs: Certs,
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
    let (vm, archive) = describe(options)?;
    let words = vm.command_line()?;
    if options.common.print {
        machine::print(&words)?;
        return Ok(0);
    }
    vm::check_named_qemu()?;
    let (program, arguments) = words.split_first().context("an empty command line")?;
    let accel = if arguments.iter().any(|a| a == "kvm") { "KVM" } else { "TCG" };
    let place = |s: &Share| match &options.root.root {
        Some(_) if s.tag() == root::TAG => format!(", {} as the root", s.path().display()),
        Some(_) => format!(", {} in /srv/{}", s.path().display(), s.tag()),
        None => format!(", {} on /n/{}", s.path().display(), s.tag()),
    };
    let folders: String = vm.shares().iter().map(place).collect();
    eprintln!(
        "elwood: {}, {accel}, {} MiB{folders}. Leave with ctrl-a x.",
        vm.board().name(),
        options.common.memory
    );

    // Before QEMU starts, so that no signal can end us and leave it and the terminal behind.
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
    let mut windows = Signals::new([SIGWINCH])?;
    let raw = terminal::Raw::enter().context("the terminal")?;
    // Pipes both ways: QEMU would make the terminal non-blocking, for us and for the shell after us.
    let mut qemu = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    drop(archive);
    let keyboard = qemu.stdin.take().context("no keyboard")?;
    let printed = qemu.stdout.take().context("no screen")?;
    // A handle, not a number: a number might be somebody else's by the time a signal comes.
    let handle = pidfd_open(Pid::from_child(&qemu), PidfdFlags::empty()).context("a handle on QEMU")?;
    let other_handle = handle.try_clone()?;
    let screen = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let guest = Arc::new(terminal::Guest::new(keyboard));
    let typed = guest.clone();
    // A thread of its own, since the guest may take its time.
    std::thread::spawn(move || {
        guest.tell_size();
        windows.forever().for_each(|_| guest.tell_size());
    });
    std::thread::spawn(move || {
        let stdin = std::io::stdin();
        // When the machine is gone nobody types any more. When there is nothing more to type it is told, and goes on:
        // whoever reads its console finds the end there, and the shell at the prompt ends the machine.
        if terminal::relay(stdin.lock(), &typed, stdin.is_terminal()) == terminal::End::Quit {
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

/// The machine that `options` ask for, and what QEMU is to find open when it starts.
fn describe(options: &Options) -> Result<(Vm, Option<File>)> {
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
    }
    let kept;
    // A Plan 9 has its own, and a command line that is shown is for others to start, who have no archive of ours.
    let usual = !options.network.is_none() && options.root.root.is_none() && !options.common.print;
    let certs = options.certs.read(usual)?;
    (vm, kept) = root::add(vm, &options.root, certs, options.initrd.as_deref())?;
    let mut tags: Vec<String> = vm.shares().iter().map(|s| s.tag().into()).collect();
    for share in &options.share {
        let (dir, tag, keeps) = split_share(share)?;
        ensure!(!tags.contains(&tag), "--share: two folders have the tag '{tag}'; write DIR:TAG");
        ensure!(tag != root::TAG || options.root.root.is_none(), "--share: '{tag}' is the tag of --root");
        vm = vm.append(format!("mount={}", quote(&format!("{tag}:/n/{tag}")))).share(Share::new(&tag, dir));
        if keeps {
            vm = vm.append(format!("cache={}", quote(&tag)));
        }
        tags.push(tag);
    }
    vm = options.network.add(vm, "user")?;
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
    Ok((vm, kept))
}

/// Cuts `DIR[:TAG][,cache]`; the last says whether contents are to be kept. A colon or comma that belongs to the
/// folder's name is recognised by the folder being there.
fn split_share(share: &str) -> Result<(PathBuf, String, bool)> {
    let (share, keeps) = match share.strip_suffix(",cache") {
        Some(rest) if !Path::new(share).is_dir() => (rest, true),
        _ => (share, false),
    };
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
    Ok((PathBuf::from(dir), tag.into(), keeps))
}

/// `text` in single quotes with inner ones doubled: always, so that rc's own signs are safe too.
fn quote_value(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::kernel::sample;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// The QEMU command line for `words`, with a kernel that is there.
    fn qemu(words: &[&str]) -> Result<String> {
        let (_dir, kernel) = sample::file();
        let line = ["run", "--accel", "tcg", "--certs", "none", "--kernel", kernel.to_str().unwrap()]
            .into_iter()
            .chain(words.iter().copied());
        let words = describe(&Line::try_parse_from(line)?.options)?.0.command_line()?;
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
        assert!(line.ends_with("-netdev user,id=net0 -device virtio-net-pci,netdev=net0,romfile="), "{line}");
        assert!(!qemu(&["--net", "none"]).unwrap().contains(" -netdev "));
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
    fn a_root_is_a_share_or_a_disk() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(place("tree")).unwrap();
        std::fs::write(place("a,b.img"), [0; 512]).unwrap();
        std::fs::write(place("q.img"), b"QFI\xfb and so on").unwrap();
        std::fs::write(place("hjfs"), b"program").unwrap();
        let line = qemu(&["--root", &place("tree"), "--share", "/:x"]).unwrap();
        assert!(line.contains("-append root=root mount=x:/n/x"), "{line}");
        assert!(line.contains("/tree -device virtio-9p-pci,fsdev=share0,mount_tag=root"), "{line}");
        let line = qemu(&["--root", &(place("tree") + ":ro")]).unwrap();
        assert!(line.contains("/tree,readonly=on "), "{line}");
        let line = qemu(&["--root", &place("a,b.img"), "--machine", "microvm"]).unwrap();
        assert!(line.contains("-append root=/dev/sdF0 "), "{line}");
        assert!(
            line.contains("-drive if=none,id=root,format=raw,file=/") && line.contains("/a,,b.img "),
            "{line}"
        );
        assert!(line.contains("-device virtio-blk-device,drive=root"), "{line}");
        let line = qemu(&["--root", &(place("q.img") + ":ro"), "--root-server", &place("hjfs")]).unwrap();
        assert!(
            line.contains("-append root=hjfs!/dev/sdF0 ") && line.contains("-initrd /proc/self/fd/"),
            "{line}"
        );
        assert!(line.contains("format=qcow2,readonly=on,file="), "{line}");
        for wrong in [
            &["--root", "/no/such"][..],
            &["--root", "/dev/null"],
            &["--root", &place("tree"), "--root-server", &place("hjfs")],
            &["--root", &place("q.img"), "--root-server", "/no/such"],
            &["--root-server", &place("hjfs")],
            &["--root", &place("tree"), "--share", "/:root"],
        ] {
            assert!(qemu(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn certificates_are_laid_over_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let pem = dir.path().join("ca.pem");
        std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let (_dir, kernel) = sample::file();
        let options = ["run", "--accel", "tcg", "--kernel", kernel.to_str().unwrap()];
        let words = options.into_iter().chain(["--certs", pem.to_str().unwrap()]);
        let archive = describe(&Line::try_parse_from(words).unwrap().options).unwrap().1.unwrap();
        let mut archive = tar::Archive::new(archive);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("sys/lib/tls/ca.pem"));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        assert!(text.ends_with("CERTIFICATE-----\n"), "{text}");
        // What is shown has none of itself, since it is to be started by others.
        assert!(!qemu(&["--print"]).unwrap().contains("-initrd"));
    }

    #[test]
    fn a_share_may_be_kept() {
        let line = qemu(&["--share", "/:t,cache", "--share", "/tmp,cache"]).unwrap();
        assert!(line.contains("mount=t:/n/t cache=t mount=host:/n/host cache=host"), "{line}");
        assert!(qemu(&["--share", "/:t,cash"]).is_err());
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
