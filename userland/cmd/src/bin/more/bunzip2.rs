//! bunzip2 [-cvD] [file ...]: expand files that bzip2 made; `x.bz2` becomes `x`, and stays. See gzip(1).

use cmd::bzip2::{expand, expanded_name};
use lib9::{Args, Result, eprintln, error, exits, fd, usage};

use super::gzip::{source, whole};

pub fn main(args: &Args) -> Result<()> {
    let (mut to_output, mut told) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'c' => to_output = true,
            'v' => told = true,
            'D' => {}
            _ => usage(args, "[-cvD] [file ...]"),
        }
    }
    if flags.rest().is_empty() {
        return expand(&mut |buf| fd::read(0, buf), &mut |b| fd::write_all(1, b));
    }
    let mut failed = false;
    for name in flags.rest() {
        if let Err(e) = one(name, to_output, told) {
            eprintln!("bunzip2: {name}: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn one(name: &str, to_output: bool, told: bool) -> Result<()> {
    let (from, dir) = source(name)?;
    let new = match to_output {
        true => None,
        false => Some(expanded_name(name).ok_or_else(|| error!("can't overwrite {name}"))?),
    };
    if told {
        eprintln!("extracting {name} to {}", new.as_deref().unwrap_or("standard output"));
    }
    whole(new.as_deref(), &dir, |to| expand(&mut |buf| from.read(buf), &mut |b| fd::write_all(to, b)))
}
