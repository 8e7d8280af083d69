//! none command [arg ...]: run the command as the user none, who can change nothing of the caller's.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::{Args, Result, Rfork, error, file, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let words = args.no_flags("command [arg ...]");
    let [command, ..] = words else { usage(args, "command [arg ...]") };
    proc::rfork(Rfork::NAMEG | Rfork::ENVG | Rfork::NOTEG | Rfork::REND)?;
    file::control("#c/user", "none").map_err(|e| error!("can't become none: {e}"))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Err(mut error) = proc::exec(command, &words);
    if !command.starts_with(['/', '.', '#']) {
        let Err(e) = proc::exec(&alloc::format!("/bin/{command}"), &words);
        error = e;
    }
    Err(error!("can't exec {command}: {error}"))
}
