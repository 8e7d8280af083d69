//! sha1sum [file ...]: print the SHA1 checksum of each file.

use lib9::Args;
use sha1::{Digest, Sha1};

pub fn main(args: &Args) -> lib9::Result<()> {
    cmd::sum::run(args, Sha1::new, |state, piece| state.update(piece), |state| state.finalize().to_vec())
}
