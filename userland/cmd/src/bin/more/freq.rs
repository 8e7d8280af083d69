//! freq [-cdorx] [file ...]: how often each byte is there; -r each character; by its number in decimal (-d), octal
//! (-o), and hexadecimal (-x), and as a character (-c), or all of these.

use cmd::copy::{each, status};
use cmd::freq::{Freq, Show};
use lib9::{Args, Result, fd, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut show = Show::default();
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'c' => show.character = true,
            'd' => show.decimal = true,
            'o' => show.octal = true,
            'r' => show.runes = true,
            'x' => show.hex = true,
            _ => usage(args, "[-cdorx] [file ...]"),
        }
    }
    if !(show.character || show.decimal || show.octal || show.hex) {
        show = Show { decimal: true, octal: true, hex: true, character: true, ..show };
    }
    let mut buf = alloc::vec![0; fd::PIECE];
    status(each("freq", flags.rest(), &mut |file, _| {
        let mut freq = Freq::default();
        // What was read before an error is shown all the same.
        let read = loop {
            match file.read(&mut buf) {
                Ok(0) => break Ok(()),
                Ok(n) => freq.take(buf.get(..n).unwrap_or(&[]), show.runes),
                Err(e) => break Err(e),
            }
        };
        freq.finish();
        freq.lines(show).for_each(|line| out::write(line.as_bytes()));
        read
    }))
}
