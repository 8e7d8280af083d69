//! sleep seconds: wait; a fraction such as 0.25 counts to the millisecond.

use lib9::{Args, Result, error, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let [text] = args.no_flags("seconds") else { usage(args, "seconds") };
    let mut left = cmd::number::milliseconds(text).ok_or_else(|| error!("bad number {text}"))?;
    while left > 0 {
        let piece = left.min(1 << 30);
        proc::sleep(piece as u32)?;
        left -= piece;
    }
    Ok(())
}
