//! The names that random calls are given: every file of every device, and what may be done with it.
//!
//! Files that would end the machine, or harm a stranger's process, are for reading at most, unless the attack is
//! asked to spare nothing.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::{fd, proc};

/// The names.
#[derive(Clone)]
pub struct Names {
    /// Whatever is done with these harms nobody else.
    pub own: Vec<String>,
    /// These are only read.
    pub read: Vec<String>,
}

/// Devices whose files are not listed: what is in them is found by the usual names, or is too much.
const NOT_LISTED: &[char] = &['/', 'p', 'M', '9'];

/// Words in names of files that change something for everybody when they are written.
const SPARED: &[&str] = &["reboot", "elwood", "exec.ctl", "ctl", "note", "mem", "cons", "raw", "data", "eia"];

impl Names {
    /// Those of this machine.
    pub fn now(all: bool) -> Names {
        let mut names = Names { own: Vec::new(), read: Vec::new() };
        for letter in ('!'..='~').filter(|c| !NOT_LISTED.contains(c)) {
            names.list(&format!("#{letter}"), 3);
        }
        for name in
            ["/", "/bin", "/dev", "/proc", "/proc/1", "/proc/1/status", "/proc/1/ns", "/bin/cat", "#p", "#/"]
        {
            names.read.push(name.into());
        }
        for name in
            ["", ".", "..", "a", "b", "c/d", "a/b/../../c", "/env/attack", "/fd/0", "/fd/1", "/fd/9ctl", "#|"]
        {
            names.own.push(name.into());
        }
        for name in
            ["#", "#\u{1f600}", "#M", "#9", "#c/", "#p/1", "#s/attack", "#d/../..", "#e//x", "/srv/attack.x"]
        {
            names.own.push(name.into());
        }
        names.own.push("x".repeat(200));
        names.own.push("a/".repeat(600));
        if all {
            names.own.append(&mut names.read);
        }
        names
    }

    /// The same, and the files of the process that asks.
    pub fn mine(&self) -> Names {
        let mut names = self.clone();
        let pid = proc::getpid();
        for name in
            ["status", "segment", "ns", "fd", "args", "wait", "text", "regs", "mem", "ctl", "note", "noteid"]
        {
            names.own.push(format!("/proc/{pid}/{name}"));
        }
        names
    }

    /// The files of a device, some levels down.
    fn list(&mut self, name: &str, levels: u32) {
        self.read.push(name.into());
        for dir in fd::readdir(name).unwrap_or_default().iter().take(60) {
            let below = format!("{name}/{}", dir.name);
            if dir.is_dir() && levels > 0 {
                self.list(&below, levels - 1);
            } else {
                self.read.push(below);
            }
        }
    }

    /// Whether something that is only read may be opened to read: consoles have one reader, which is not us.
    pub fn may_open(name: &str) -> bool {
        !SPARED.iter().any(|word| name.contains(word)) || name.ends_with("status")
    }
}
