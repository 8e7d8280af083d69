//! comm [-123] file1 file2: print the lines of two sorted files in three columns: in the first alone, in the second
//! alone, in both. A digit leaves its column away; `-` is standard input.

use cmd::lines::open;
use lib9::{Args, Reader, Result, error, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-123] file1 file2";
    let mut shown = [true; 3];
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        let column = letter.to_digit(10).and_then(|n| shown.get_mut((n as usize).wrapping_sub(1)));
        *column.unwrap_or_else(|| usage(args, synopsis)) = false;
    }
    let [a, b] = flags.rest() else { usage(args, synopsis) };
    let (a, b) = (open(a)?, open(b)?);
    let (mut a, mut b) = (Reader::new(a.fd()), Reader::new(b.fd()));
    cmd::comm::comm(&mut a, &mut b, shown, &mut out::write).map_err(|e| error!("read error: {e}"))
}
