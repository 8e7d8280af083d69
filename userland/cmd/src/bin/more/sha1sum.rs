//! sha1sum [-2 bits] [file ...]: print the SHA1 checksum of each file, or the SHA2 one of so many bits.

use cmd::sum::run;
use lib9::{Args, Result, usage};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-2 bits] [file ...]") };
    let mut sum: fn(&Args, &[lib9::alloc::string::String]) -> Result<()> = run::<Sha1>;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        sum = match (letter, flags.value()) {
            ('2', Ok("224")) => run::<Sha224>,
            ('2', Ok("256")) => run::<Sha256>,
            ('2', Ok("384")) => run::<Sha384>,
            ('2', Ok("512")) => run::<Sha512>,
            _ => synopsis(),
        };
    }
    sum(args, flags.rest())
}
