//! kill name ...: print the commands that would kill the user's processes that run these programs. `kill rc | rc` does
//! it.

use cmd::processes;
use lib9::{Args, Result, error, file, println, usage};

pub fn main(args: &Args) -> Result<()> {
    if args.words().is_empty() {
        usage(args, "name ...");
    }
    let user = file::read_string("/dev/user").map_err(|e| error!("can't read /dev/user: {e}"))?;
    let user = user.trim_end();
    let all = processes::all()?;
    for name in args.words() {
        for (pid, status) in all.iter().filter(|(_, status)| status.name == *name && status.user == user) {
            // One that is broken takes no notes.
            let file = if status.state == "Broken" { "ctl" } else { "note" };
            // What is behind a newline would be a command.
            println!("echo kill>/proc/{pid}/{file} # {}", name.replace(['\n', '\r'], " "));
        }
    }
    Ok(())
}
