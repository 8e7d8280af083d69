//! pwd: print the name of the current directory.

use lib9::{Args, Result, error, fd, println};

pub fn main(_args: &Args) -> Result<()> {
    println!("{}", fd::getwd().map_err(|e| error!("can't get directory: {e}"))?);
    Ok(())
}
