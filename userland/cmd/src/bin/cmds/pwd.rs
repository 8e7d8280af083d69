//! pwd: print the name of the current directory.

use lib9::{Args, Result, error, fd, println, usage};

pub fn main(args: &Args) -> Result<()> {
    if !args.words().is_empty() {
        usage(args, "");
    }
    println!("{}", fd::getwd().map_err(|e| error!("can't get directory: {e}"))?);
    Ok(())
}
