//! gunzip [-ctTvD] [file ...]: expand files that gzip made; `x.gz` becomes `x`, and stays. Without files, standard
//! input is expanded to standard output, as -c does with files. -t only checks them, -T keeps their times, -v names
//! them.

use cmd::gzip::{Head, Read, expand, expanded_name};
use lib9::{Args, Dir, Error, Result, eprintln, error, exits, fd, println, usage};

use super::gzip::{source, whole};

#[derive(Clone, Copy, Default)]
struct Options {
    to_output: bool,
    check: bool,
    time: bool,
    told: bool,
}

pub fn main(args: &Args) -> Result<()> {
    let mut o = Options::default();
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'c' => o.to_output = true,
            't' => o.check = true,
            'T' => o.time = true,
            'v' => o.told = true,
            'D' => {}
            _ => usage(args, "[-ctTvD] [file ...]"),
        }
    }
    if flags.rest().is_empty() {
        let mut read = |buf: &mut [u8]| fd::read(0, buf);
        if o.check {
            return check("<stdin>", o, &mut read);
        }
        let all = expand(&mut read, &mut |b| fd::write_all(1, b), &mut |_, _| {})?;
        return all.tail.map_or(Ok(()), |e| Err(ignored(&e)));
    }
    let mut failed = false;
    for name in flags.rest() {
        if let Err(e) = one(name, o) {
            eprintln!("gunzip: {name}: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn one(name: &str, o: Options) -> Result<()> {
    let (from, dir) = source(name)?;
    let mut read = |buf: &mut [u8]| from.read(buf);
    if o.check {
        return check(name, o, &mut read);
    }
    let new = match o.to_output {
        true => None,
        false => Some(expanded_name(name).ok_or_else(|| error!("can't overwrite {name}"))?),
    };
    if o.told {
        eprintln!("extracting {name} to {}", new.as_deref().unwrap_or("standard output"));
    }
    let tail = whole(new.as_deref(), &dir, |to| {
        let mut written = 0;
        let mut write = |b: &[u8]| {
            written += b.len() as u64;
            fd::write_all(to, b)
        };
        let all = expand(&mut read, &mut write, &mut |_, _| {})?;
        if new.is_some() {
            if written > all.length {
                fd::fwstat(to, &Dir { length: all.length, ..Dir::untouched() })?;
            }
            if o.time && all.head.mtime != 0 {
                fd::fwstat(to, &Dir { mtime: all.head.mtime, ..Dir::untouched() })?;
            }
        }
        Ok(all.tail)
    })?;
    tail.map_or(Ok(()), |e| Err(ignored(&e)))
}

/// What is told of something wrong behind what is good.
fn ignored(e: &Error) -> Error {
    error!("{e}; what is behind the good data is ignored")
}

/// Checks the files in a file, and names them.
fn check(name: &str, o: Options, read: Read<'_>) -> Result<()> {
    let zone = lib9::date::Timezone::local();
    let mut each = |head: &Head, length: u64| {
        let inner = if head.name.is_empty() { name } else { &head.name };
        if o.told {
            println!("{inner} {length} {}", zone.tm(i64::from(head.mtime)));
        } else {
            println!("{inner}");
        }
    };
    let all = expand(read, &mut |_| Ok(()), &mut each)?;
    lib9::out::flush()?;
    all.tail.map_or(Ok(()), |e| Err(ignored(&e)))
}
