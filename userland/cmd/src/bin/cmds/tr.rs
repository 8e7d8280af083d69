//! tr [-cds] [string1 [string2]]: translate characters; -c those that are not in string1, -d deletes them, -s prints
//! one of a row.

use alloc::vec::Vec;

use cmd::tr::Tr;
use lib9::{Args, Error, Reader, Result, error, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-cds] [string1 [string2]]";
    let (mut complement, mut delete, mut squeeze) = (false, false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'c' => complement = true,
            'd' => delete = true,
            's' => squeeze = true,
            _ => usage(args, synopsis),
        }
    }
    let (first, second) = match flags.rest() {
        // What is deleted becomes nothing, and what is translated something.
        [first] if delete != squeeze => (first.as_str(), None),
        [first, second] if squeeze || !delete => (first.as_str(), Some(second.as_str())),
        _ => usage(args, synopsis),
    };
    let mut table = Tr::new(complement, delete, squeeze, first, second).map_err(Error::from)?;
    let mut reader = Reader::new(0);
    let mut text = Vec::new();
    loop {
        text.clear();
        let bytes = reader.fill().map_err(|e| error!("read error: {e}"))?;
        let n = bytes.len();
        if n == 0 {
            table.finish(&mut text);
            out::write(&text);
            return Ok(());
        }
        table.take(bytes, &mut text);
        reader.consume(n);
        out::write(&text);
    }
}
