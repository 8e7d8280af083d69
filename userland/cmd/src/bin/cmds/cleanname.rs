//! cleanname [-d pwd] name ...: print the shortest names of the same files; -d puts a directory before relative ones.

use cmd::cleanname::clean;
use lib9::{Args, Result, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-d pwd] name ...";
    let mut directory = None;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'd' => directory = Some(flags.value().unwrap_or_else(|_| usage(args, synopsis))),
            _ => usage(args, synopsis),
        }
    }
    if flags.rest().is_empty() {
        usage(args, synopsis);
    }
    for name in flags.rest() {
        match directory {
            Some(directory) if !name.starts_with(['/', '#']) => {
                println!("{}", clean(&cmd::copy::join(directory, name)));
            }
            _ => println!("{}", clean(name)),
        }
    }
    Ok(())
}
