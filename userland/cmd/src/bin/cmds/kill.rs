//! kill name ...: print the commands that would kill the user's processes that run these programs. `kill rc | rc` does
//! it.

use cmd::processes;
use lib9::{Args, Result, eprintln, error, exits, println, usage};

pub fn main(args: &Args) -> Result<()> {
    commands(args, None)
}

/// Prints commands that write `kill` to a file of processes: to this one, or to that which suits them.
pub fn commands(args: &Args, file: Option<&str>) -> Result<()> {
    let names = args.no_flags("name ...");
    if names.is_empty() {
        usage(args, "name ...");
    }
    let user = lib9::file::read_string("/dev/user").map_err(|e| error!("can't read /dev/user: {e}"))?;
    let user = user.trim_end();
    let all = processes::all()?;
    let mut missing = false;
    for name in names {
        let mut there = all.iter().filter(|(_, status)| status.name == *name && status.user == user).peekable();
        if there.peek().is_none() {
            eprintln!("{}: no process {name} of {user}", args.name());
            missing = true;
        }
        for (pid, status) in there {
            // One that is broken takes no notes.
            let usual = if status.state == "Broken" { "ctl" } else { "note" };
            let file = file.unwrap_or(usual);
            // What is behind a newline would be a command.
            println!("echo kill>/proc/{pid}/{file} # {}", name.replace(['\n', '\r'], " "));
        }
    }
    if missing { exits("no process") } else { Ok(()) }
}
