//! cat [file ...]: copy the files, or standard input, to standard output.

use lib9::{Args, File, Result, error};

pub fn main(args: &Args) -> Result<()> {
    if args.words().is_empty() {
        return cmd::copy::copy(0, 1, "<stdin>", "<stdout>");
    }
    for name in args.words() {
        let file = File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?;
        cmd::copy::copy(file.fd(), 1, name, "<stdout>")?;
    }
    Ok(())
}
