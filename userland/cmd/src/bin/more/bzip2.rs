//! bzip2 [-cvnD1-9] [file ...]: compress files; `x` becomes `x.bz2`, and stays. See gzip(1).

use cmd::bzip2::{compress, compressed_name};
use lib9::{Args, Result, eprintln, exits, fd, usage};

use super::gzip::{source, whole};

pub fn main(args: &Args) -> Result<()> {
    let (mut level, mut to_output, mut told) = (None, false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'c' => to_output = true,
            'v' => told = true,
            // There is no time in it to be left out.
            'n' | 'D' => {}
            '1'..='9' if level.is_none() => level = Some(letter as u8 - b'0'),
            _ => usage(args, "[-cvnD1-9] [file ...]"),
        }
    }
    let level = level.unwrap_or(6);
    if flags.rest().is_empty() {
        return compress(level, &mut |buf| fd::read(0, buf), &mut |b| fd::write_all(1, b));
    }
    let mut failed = false;
    for name in flags.rest() {
        let new = (!to_output).then(|| compressed_name(name));
        if told {
            eprintln!("compressing {name} to {}", new.as_deref().unwrap_or("standard output"));
        }
        let done = source(name).and_then(|(from, dir)| {
            whole(new.as_deref(), &dir, |to| {
                compress(level, &mut |buf| from.read(buf), &mut |b| fd::write_all(to, b))
            })
        });
        if let Err(e) = done {
            eprintln!("bzip2: {name}: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}
