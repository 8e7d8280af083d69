//! test expression: the status is empty when the expression is true, else `false`. Called `[` it wants a `]` at the
//! end.

use cmd::condition::{World, evaluate};
use lib9::{Args, Dir, File, Result, error, exits, fd, proc};

pub fn main(args: &Args) -> Result<()> {
    let mut words = args.words();
    if args.name() == "[" {
        let [inside @ .., last] = words else { return Err("] missing".into()) };
        if last != "]" {
            return Err("] missing".into());
        }
        words = inside;
    }
    let truth = evaluate(words, &System).map_err(|e| error!("{e}"))?;
    exits(if truth { "" } else { "false" })
}

/// The files that are really there.
struct System;

impl World for System {
    fn stat(&self, name: &str) -> Option<Dir> {
        fd::stat(name).ok()
    }

    fn opens(&self, name: &str, mode: u32) -> bool {
        // A directory is never opened for writing; its permissions say who may create in it.
        if mode == abi::OWRITE && fd::stat(name).is_ok_and(|d| d.is_dir() && d.mode & 0o222 != 0) {
            return true;
        }
        File::open(name, mode).is_ok()
    }

    fn is_console(&self, fd: i32) -> bool {
        let Ok(dir) = fd::fstat(fd) else { return false };
        let console = fd::stat("/dev/cons");
        console.is_ok_and(|c| c.qid.path == dir.qid.path && c.kind == dir.kind && c.dev == dir.dev)
    }

    fn now(&self) -> i64 {
        proc::seconds()
    }
}
