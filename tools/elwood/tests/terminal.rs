//! `elwood run` on a terminal of its own: keys, exit status, and the terminal as it was before, however it ends.

mod sample;

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use tempfile::TempDir;

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/qemu");

struct Terminal {
    near: File,
    far: File,
    seen: String,
    /// What passes for a kernel, in a folder that goes with this.
    kernel: (TempDir, PathBuf),
}

impl Terminal {
    fn new() -> Terminal {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Terminal { near: near.into(), far: far.into(), seen: String::new(), kernel: sample::file() }
    }

    fn run(&self, linger: bool) -> Child {
        self.run_with(if linger { &["LINGER"] } else { &[] })
    }

    /// With these variables set, which the stand-in knows.
    fn run_with(&self, variables: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elwood"));
        command.args(["run", "--accel", "tcg", "--kernel"]).arg(&self.kernel.1).env("QEMU", STAND_IN);
        command.envs(variables.iter().map(|name| (name, "1")));
        let far = || self.far.try_clone().unwrap();
        command.stdin(far()).stdout(far()).stderr(far()).spawn().unwrap()
    }

    fn expect(&mut self, text: &str) {
        let mut piece = [0; 256];
        while !self.seen.contains(text) {
            let mut fds = [PollFd::new(&self.near, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&Timespec { tv_sec: 30, tv_nsec: 0 })).unwrap();
            assert_ne!(ready, 0, "{text:?} does not come after {:?}", self.seen);
            let n = self.near.read(&mut piece).unwrap();
            self.seen += std::str::from_utf8(&piece[..n]).unwrap();
        }
    }

    /// The settings, as text that can be compared.
    fn settings(&self) -> String {
        let t: Termios = tcgetattr(&self.far).unwrap();
        let flags = rustix::fs::fcntl_getfl(&self.far).unwrap();
        format!(
            "{:?} {:?} {:?} {:?} {flags:?}",
            t.input_modes, t.output_modes, t.local_modes, t.control_modes
        )
    }
}

fn code(mut child: Child) -> ExitStatus {
    child.wait().unwrap()
}

#[test]
fn keys_go_in_and_the_status_comes_out() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let child = terminal.run(false);
    terminal.expect("ctrl-a x");
    terminal.expect("ready\r\n");
    assert_ne!(terminal.settings(), before, "the machine has the terminal to itself");
    // In two goes: what QEMU does to its end must not change ours.
    terminal.near.write_all(b"a\x03").unwrap();
    terminal.expect("61 7f");
    terminal.near.write_all(b"\x7f\r").unwrap();
    terminal.expect("08 0d");
    assert_eq!(code(child).code(), Some(7));
    assert_eq!(terminal.settings(), before);
}

#[test]
fn the_way_out_works_when_nobody_listens() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let child = terminal.run(true);
    terminal.expect("ready\r\n");
    terminal.near.write_all(b"abcd\x01x").unwrap();
    terminal.expect("63 64");
    assert_eq!(code(child).code(), Some(128 + 15));
    assert_eq!(terminal.settings(), before);
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let mut terminal = Terminal::new();
    let before = terminal.settings();
    let child = terminal.run(true);
    terminal.expect("ready\r\n");
    terminal.near.write_all(b"abcd").unwrap();
    terminal.expect("63 64");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(code(child).code(), Some(128 + 15));
    assert_eq!(terminal.settings(), before);
}

#[test]
fn the_guest_is_told_how_large_the_window_is() {
    let mut terminal = Terminal::new();
    let size = |rows, columns| Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal.far, size(24, 80)).unwrap();
    let child = terminal.run_with(&["SHOW"]);
    terminal.expect("M-^?elwood size 24 80");
    tcsetwinsize(&terminal.far, size(50, 132)).unwrap();
    // The terminal of a window tells whom it controls; this one controls nobody.
    kill_process(Pid::from_child(&child), Signal::WINCH).unwrap();
    terminal.expect("M-^?elwood size 50 132");
    terminal.near.write_all(b"\x01x").unwrap();
    assert_eq!(code(child).code(), Some(128 + 15));
}
