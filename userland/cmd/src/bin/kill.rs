//! kill name ...: print the commands that would kill the processes running these programs. `kill rc | rc` does it.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use cmd::processes;
use lib9::{Args, Result, println, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    if args.words().is_empty() {
        usage(args, "name ...");
    }
    let all = processes::all()?;
    for name in args.words() {
        for (pid, status) in all.iter().filter(|(_, status)| status.name == *name) {
            // One that is broken takes no notes.
            let file = if status.state == "Broken" { "ctl" } else { "note" };
            println!("echo kill>/proc/{pid}/{file} # {name}");
        }
    }
    Ok(())
}
