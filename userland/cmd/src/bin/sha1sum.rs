//! sha1sum [file ...]: print the SHA1 checksum of each file.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use lib9::Args;
use sha1::{Digest, Sha1};

lib9::program!(main);

fn main(args: &Args) -> lib9::Result<()> {
    cmd::sum::run(args, Sha1::new, |state, piece| state.update(piece), |state| state.finalize().to_vec())
}
