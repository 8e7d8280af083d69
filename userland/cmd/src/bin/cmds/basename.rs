//! basename [-d] string [suffix]: print the last element of a name, without `suffix`; with -d what is before it.

use lib9::{Args, Result, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let (directory, words) = args.one_flag('d', "[-d] string [suffix]");
    let (name, suffix) = match words {
        [name] => (name, ""),
        [name, suffix] => (name, suffix.as_str()),
        _ => usage(args, "[-d] string [suffix]"),
    };
    let (before, last) = name.rsplit_once('/').unwrap_or((".", name));
    if directory {
        println!("{before}");
    } else {
        println!("{}", last.strip_suffix(suffix).unwrap_or(last));
    }
    Ok(())
}
