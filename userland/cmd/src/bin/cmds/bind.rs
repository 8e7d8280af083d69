//! bind [-abcq] new old: make `new` appear at `old` in this name space.

use cmd::namespace::{bind_flag, contradicts_itself};
use lib9::{Args, Result, eprintln, exits, fd, ns, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let mut quiet = false;
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'q' => quiet = true,
            _ => flag |= bind_flag(letter).unwrap_or_else(|| synopsis(args)),
        }
    }
    let [new, old] = flags.rest() else { synopsis(args) };
    if contradicts_itself(flag) {
        synopsis(args);
    }
    let Err(error) = ns::bind(new, old, flag) else { return Ok(()) };
    if quiet {
        return Ok(());
    }
    // The kernel's text does not always say which of the two is missing.
    match [new, old].into_iter().find_map(|name| fd::stat(name).err().map(|e| (name, e))) {
        Some((name, e)) => eprintln!("bind: {name}: {e}"),
        None => eprintln!("bind {new} {old}: {error}"),
    }
    exits("bind")
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-b|-a|-c|-bc|-ac] [-q] new old")
}
