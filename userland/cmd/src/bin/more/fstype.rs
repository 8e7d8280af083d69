//! fstype file: say what kind of file system is in a file, by its beginning.

use alloc::vec;

use cmd::fstype::{FRONT, kind};
use lib9::{Args, File, Result, error, exits, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let [name] = args.no_flags("file") else { usage(args, "file") };
    let file = File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?;
    let mut front = vec![0; FRONT];
    let mut got = 0;
    while let Some(rest) = front.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.pread(rest, got as u64).map_err(|e| error!("{name}: {e}"))? {
            0 => break,
            n => got += n,
        }
    }
    match kind(front.get(..got).unwrap_or(&[])) {
        Some(kind) => println!("{kind}"),
        None => exits("unknown"),
    }
    Ok(())
}
