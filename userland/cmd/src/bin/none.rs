//! none command [arg ...]: run the command as the user none.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use lib9::{Args, Result, error, file, proc, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let [command, ..] = args.words() else { usage(args, "command [arg ...]") };
    file::control("#c/user", "none").map_err(|e| error!("can't become none: {e}"))?;
    let words: Vec<&str> = args.words().iter().map(String::as_str).collect();
    let Err(mut error) = proc::exec(command, &words);
    if !command.starts_with(['/', '.', '#']) {
        let Err(e) = proc::exec(&alloc::format!("/bin/{command}"), &words);
        error = e;
    }
    Err(error!("can't exec {command}: {error}"))
}
