//! md5sum [file ...]: print the MD5 checksum of each file.

use lib9::Args;
use md5::{Digest, Md5};

pub fn main(args: &Args) -> lib9::Result<()> {
    cmd::sum::run(args, Md5::new, |state, piece| state.update(piece), |state| state.finalize().to_vec())
}
