//! sleep seconds: wait; a fraction such as 0.25 counts to the millisecond.

use lib9::{Args, Result, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let [text] = args.words() else { usage(args, "seconds") };
    let mut left = cmd::number::milliseconds(text).ok_or("bad number")?;
    while left > 0 {
        let piece = left.min(1 << 30);
        proc::sleep(piece as u32)?;
        left -= piece;
    }
    Ok(())
}
