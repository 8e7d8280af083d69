//! read [-m | -n lines | -c bytes | -r runes] [file ...]: copy a line of each file, or of standard input, and read no
//! more than that: of what many commands read, one after the other, each gets its part.

use alloc::vec;
use alloc::vec::Vec;

use cmd::read::{Unit, left_of_rune};
use lib9::{Args, File, Result, error, exits, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-m | -n lines | -c bytes | -r runes] [file ...]") };
    let (mut unit, mut count) = (Unit::Lines, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        // One says how much.
        if count.is_some() {
            synopsis();
        }
        unit = match letter {
            'c' => Unit::Bytes,
            'r' => Unit::Runes,
            'm' | 'n' => Unit::Lines,
            _ => synopsis(),
        };
        count = Some(match letter {
            'm' => u64::MAX,
            _ => flags.value().ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or_else(|| synopsis()),
        });
    }
    let count = count.unwrap_or(1);
    let mut whole = true;
    if flags.rest().is_empty() {
        whole = copy(0, "stdin", unit, count)?;
    }
    for name in flags.rest() {
        let file = File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?;
        whole &= copy(file.fd(), name, unit, count)?;
    }
    if whole { Ok(()) } else { exits("eof") }
}

/// Copies so much. False when there are not so many lines.
fn copy(from: i32, name: &str, unit: Unit, count: u64) -> Result<bool> {
    let mut left = count;
    while left > 0 {
        let piece = match unit {
            Unit::Bytes => {
                let want = usize::try_from(left).unwrap_or(usize::MAX).min(fd::PIECE);
                let mut piece = vec![0; want];
                let n = fd::read(from, &mut piece).map_err(|e| error!("error reading {name}: {e}"))?;
                piece.truncate(n);
                left -= n as u64;
                piece
            }
            Unit::Lines | Unit::Runes => {
                left -= 1;
                one(from, unit).map_err(|e| error!("error reading {name}: {e}"))?
            }
        };
        if piece.is_empty() {
            return Ok(unit != Unit::Lines);
        }
        // Each line is one write, for who wants it so.
        fd::write_all(1, &piece).map_err(|e| error!("write error: {e}"))?;
    }
    Ok(true)
}

/// A line or a character, byte by byte, since what is behind it is for others.
fn one(from: i32, unit: Unit) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while fd::read(from, &mut byte)? > 0 {
        bytes.push(byte[0]);
        let whole = if unit == Unit::Lines { byte[0] == b'\n' } else { left_of_rune(&bytes) == 0 };
        if whole {
            break;
        }
    }
    Ok(bytes)
}
