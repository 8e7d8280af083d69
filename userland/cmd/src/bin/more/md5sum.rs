//! md5sum [file ...]: print the MD5 checksum of each file.

use lib9::Args;
use md5::Md5;

pub fn main(args: &Args) -> lib9::Result<()> {
    cmd::sum::run::<Md5>(args, args.no_flags("[file ...]"))
}
