//! newns [-ad] [-n namespace] [command [arg ...]]: build a name space from a file, and run a command in it.
//!
//! The file is read line by line while the name space is being built, since its later lines may be seen only then.
//! What does not work is passed over, as in Plan 9, where files name what only some machines have; -d tells of it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use cmd::nsbuild;
use lib9::{Args, Result, Rfork, error, file, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut add, mut debug, mut name) = (false, false, "/lib/namespace");
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'a' => add = true,
            'd' => debug = true,
            'n' => name = flags.value().unwrap_or_else(|_| synopsis(args)),
            _ => synopsis(args),
        }
    }
    // Before the name space is emptied: the file is in the old one.
    let text = file::read(name).map_err(|e| error!("can't open {name}: {e}"))?;
    if !add {
        let user = file::read_string("#c/user")?;
        proc::rfork(Rfork::ENVG)?;
        nsbuild::set("user", &user)?;
        nsbuild::set("home", &format!("/usr/{user}"))?;
        proc::rfork(Rfork::CNAMEG)?;
    }
    nsbuild::build(&String::from_utf8_lossy(&text), debug);
    let command: &[String] = flags.rest();
    let usual = [String::from("/bin/rc"), String::from("-i")];
    let command = if command.is_empty() { &usual[..] } else { command };
    let Some(program) = command.first() else { synopsis(args) };
    let path = match program.starts_with(['/', '.', '#']) {
        true => program.clone(),
        false => format!("/bin/{program}"),
    };
    let argv: Vec<&str> = command.iter().map(String::as_str).collect();
    proc::exec(&path, &argv).map(drop).map_err(|e| error!("{e}"))
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-ad] [-n namespace] [command [arg ...]]")
}
