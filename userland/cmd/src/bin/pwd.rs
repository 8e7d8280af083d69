//! pwd: print the name of the current directory.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use lib9::{Args, Result, error, fd, println};

lib9::program!(main);

fn main(_args: &Args) -> Result<()> {
    println!("{}", fd::getwd().map_err(|e| error!("can't get directory: {e}"))?);
    Ok(())
}
