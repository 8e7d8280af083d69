//! tail [+-number[lbc][rf]] [file], tail [-fr] [-n lines] [-c bytes] [file]: print the end of a file.
//!
//! A number with + counts from the beginning; -f goes on as the file grows, -r prints lines in reverse.

use alloc::vec::Vec;

use cmd::tail::{Unit, Want, parse};
use lib9::{Args, File, Result, error, fd, out, proc, usage};

/// Bytes that are collected before what is not wanted is dropped.
const FULL: usize = 1 << 20;

pub fn main(args: &Args) -> Result<()> {
    let Some((want, names)) = parse(args.words()) else { synopsis(args) };
    let (file, name) = match names {
        [] => (File::from_fd(0), "stdin"),
        [name] => {
            (File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?, name.as_str())
        }
        _ => synopsis(args),
    };
    end(&file, &want).map_err(|e| error!("{name}: {e}"))?;
    if want.follow {
        out::flush()?;
        follow(&file)?;
    }
    Ok(())
}

fn end(file: &File, want: &Want) -> Result<()> {
    if want.from_start {
        return from_start(file, want);
    }
    // A plain file is read from its end backwards, in steps that double, until enough of it is here.
    let dir = file.stat()?;
    let whole = dir.length == 0 || file.seek(0, 2).is_err();
    let mut back: u64 = match want.unit {
        Unit::Bytes => want.count,
        Unit::Lines => 32 * 1024,
    };
    if !whole {
        while back < dir.length {
            file.seek((dir.length - back) as i64, 0)?;
            let text = file.read_all()?;
            if let Some(at) = want.cut(&text, false) {
                want.show(text.get(at..).unwrap_or(&[]), out::write);
                return Ok(());
            }
            back = back.saturating_mul(2);
        }
        file.seek(0, 0)?;
    }
    // Of what comes through a pipe no more is kept than may be wanted.
    let mut text = Vec::new();
    let mut buf = alloc::vec![0; fd::PIECE];
    let mut full = FULL;
    loop {
        let n = file.read(&mut buf)?;
        if n == 0 {
            break;
        }
        text.extend_from_slice(buf.get(..n).unwrap_or(&[]));
        if text.len() >= full {
            let at = want.cut(&text, false).unwrap_or(0);
            text.drain(..at);
            full = FULL.max(2 * text.len());
        }
    }
    let at = want.cut(&text, true).unwrap_or(0);
    want.show(text.get(at..).unwrap_or(&[]), out::write);
    Ok(())
}

fn from_start(file: &File, want: &Want) -> Result<()> {
    let mut skip = want.count.saturating_sub(u64::from(want.unit == Unit::Lines));
    let mut reader = lib9::Reader::new(file.fd());
    while skip > 0 {
        let bytes = reader.fill()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let n = match want.unit {
            Unit::Bytes => bytes.len().min(usize::try_from(skip).unwrap_or(usize::MAX)),
            Unit::Lines => bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| at + 1),
        };
        skip -= match want.unit {
            Unit::Bytes => n as u64,
            Unit::Lines => u64::from(bytes.get(n.wrapping_sub(1)) == Some(&b'\n')),
        };
        reader.consume(n);
    }
    let mut rest = Vec::new();
    loop {
        let bytes = reader.fill()?;
        let n = bytes.len();
        if n == 0 {
            break;
        }
        if want.reverse {
            rest.extend_from_slice(bytes);
        } else {
            out::write(bytes);
        }
        reader.consume(n);
    }
    want.show(&rest, out::write);
    Ok(())
}

fn follow(file: &File) -> Result<()> {
    let mut buf = alloc::vec![0; 8192];
    loop {
        match file.read(&mut buf)? {
            0 => {
                // A file that became shorter was begun anew.
                if let (Ok(dir), Ok(at)) = (file.stat(), file.seek(0, 1))
                    && dir.length > 0
                    && dir.length < at
                {
                    file.seek(0, 0)?;
                }
                proc::sleep(1000)?;
            }
            n => fd::write_all(1, buf.get(..n).unwrap_or(&[]))?,
        }
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-fr] [-n lines] [-c bytes] [file]\n\ttail [+-number[lbc][fr]] [file]")
}
