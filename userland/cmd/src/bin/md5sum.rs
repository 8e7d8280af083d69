//! md5sum [file ...]: print the MD5 checksum of each file.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use lib9::Args;
use md5::{Digest, Md5};

lib9::program!(main);

fn main(args: &Args) -> lib9::Result<()> {
    cmd::sum::run(args, Md5::new, |state, piece| state.update(piece), |state| state.finalize().to_vec())
}
