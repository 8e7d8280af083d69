//! strings [-m min] [file ...]: print the runs of at least `min` (6) printable characters, and where they are.

use cmd::copy::{each, status};
use cmd::strings::Strings;
use lib9::{Args, Reader, Result, out, println, usage};

/// Most characters that a run may be asked to have: it is kept in memory until it has them.
const MOST: usize = 1 << 20;

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-m min] [file ...]";
    let mut least = 6;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let value = if letter == 'm' { flags.value().ok() } else { None };
        let value = value.and_then(|v| v.parse().ok()).filter(|n| (1..=MOST).contains(n));
        least = value.unwrap_or_else(|| usage(args, synopsis));
    }
    let names = flags.rest();
    status(each("strings", names, &mut |file, name| {
        if names.len() > 1 {
            println!("{name}:");
        }
        search(file.fd(), least)
    }))
}

fn search(fd: i32, least: usize) -> Result<()> {
    let mut reader = Reader::new(fd);
    let mut strings = Strings::new(least);
    loop {
        let bytes = reader.fill()?;
        let n = bytes.len();
        if n == 0 {
            strings.finish(&mut out::write);
            return Ok(());
        }
        strings.take(bytes, &mut out::write);
        reader.consume(n);
    }
}
