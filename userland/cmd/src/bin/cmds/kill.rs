//! kill name ...: print the commands that would kill the user's processes that run these programs. `kill rc | rc` does
//! it.

use cmd::processes;
use lib9::{Args, Result, eprintln, error, exits, file, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let names = args.no_flags("name ...");
    if names.is_empty() {
        usage(args, "name ...");
    }
    let user = file::read_string("/dev/user").map_err(|e| error!("can't read /dev/user: {e}"))?;
    let user = user.trim_end();
    let all = processes::all()?;
    let mut missing = false;
    for name in names {
        let mut there = all.iter().filter(|(_, status)| status.name == *name && status.user == user).peekable();
        if there.peek().is_none() {
            eprintln!("kill: no process {name} of {user}");
            missing = true;
        }
        for (pid, status) in there {
            // One that is broken takes no notes.
            let file = if status.state == "Broken" { "ctl" } else { "note" };
            // What is behind a newline would be a command.
            println!("echo kill>/proc/{pid}/{file} # {}", name.replace(['\n', '\r'], " "));
        }
    }
    if missing { exits("no process") } else { Ok(()) }
}
