//! du [-aefhnqstu] [-b size] [-p unit] [file ...]: how many kilobytes files and the directories above them take.
//!
//! -a shows files, too, -s only what was named, -b counts in units of `size`, -h scales, -n prints the bytes of files,
//! -t their times of modification, -tu of last reading, -q their qid, -f keeps quiet about what cannot be read. -e
//! prints with a point and an exponent, -p in units of a letter.

use alloc::format;
use alloc::string::String;

use cmd::copy::{Above, join};
use lib9::{Args, Dir, File, Result, eprintln, exits, fd, println, quote, usage};

struct Options {
    all: bool,
    unit: u64,
    forgive: bool,
    scaled: bool,
    /// -e
    exponent: bool,
    /// -p: what is printed is divided by this.
    divisor: Option<u64>,
    bytes: bool,
    qid: bool,
    summary: bool,
    time: bool,
    accessed: bool,
    failed: bool,
    above: Above,
}

pub fn main(args: &Args) -> Result<()> {
    let mut o = Options {
        all: false,
        unit: 1024,
        forgive: false,
        scaled: false,
        exponent: false,
        divisor: None,
        bytes: false,
        qid: false,
        summary: false,
        time: false,
        accessed: false,
        failed: false,
        above: Above::default(),
    };
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'a' => o.all = true,
            'b' => {
                let size = flags.value().ok().and_then(cmd::number::size).filter(|n| *n > 0);
                o.unit = size.unwrap_or_else(|| synopsis(args));
            }
            'e' => o.exponent = true,
            'f' => o.forgive = true,
            'p' => {
                let unit = flags.value().ok().and_then(cmd::number::prefix);
                o.divisor = Some(unit.unwrap_or_else(|| synopsis(args)));
            }
            'h' => o.scaled = true,
            'n' => o.bytes = true,
            'q' => o.qid = true,
            's' => o.summary = true,
            't' => o.time = true,
            'u' => o.accessed = true,
            _ => synopsis(args),
        }
    }
    let here = [String::from(".")];
    for name in if flags.rest().is_empty() { &here[..] } else { flags.rest() } {
        match fd::stat(name) {
            Ok(dir) => {
                let size = walk(name, &dir, true, &mut o);
                if o.summary {
                    show(size, name, &dir, &o);
                }
            }
            Err(e) => complain(name, &e, &mut o),
        }
    }
    if o.failed { exits("errors") } else { Ok(()) }
}

/// Bytes of a tree, in whole units; prints what is to be printed on the way.
fn walk(name: &str, dir: &Dir, named: bool, o: &mut Options) -> u64 {
    let one_by_one = o.bytes || o.time || o.qid;
    if !dir.is_dir() {
        let size = dir.length.div_ceil(o.unit).saturating_mul(o.unit);
        if !o.summary && (o.all || named || one_by_one) {
            show(size, name, dir, o);
        }
        return size;
    }
    let mut total = 0u64;
    // What is bound there is what is read.
    let opened = File::open(name, abi::OREAD).and_then(|file| Ok((file.stat()?, file)));
    match opened {
        // It is counted where it is above.
        Ok((itself, _)) if !o.above.enter(&itself) => return 0,
        Ok((_, file)) => {
            match file.dirread() {
                Ok(contents) => {
                    drop(file);
                    for inside in contents {
                        total = total.saturating_add(walk(&join(name, &inside.name), &inside, false, o));
                    }
                }
                Err(e) => complain(name, &e, o),
            }
            o.above.leave();
        }
        Err(e) => complain(name, &e, o),
    }
    if !o.summary && !one_by_one {
        show(total, name, dir, o);
    }
    total
}

fn show(size: u64, name: &str, dir: &Dir, o: &Options) {
    // A size that is a tree's is in the units of the tree, unless another unit is asked for.
    let value = if o.time {
        u64::from(if o.accessed { dir.atime } else { dir.mtime })
    } else if o.bytes {
        dir.length
    } else if o.scaled || o.divisor.is_some() {
        size
    } else {
        size / o.unit
    };
    let divisor = o.divisor.unwrap_or(1);
    let first = if o.qid {
        format!("{:x}.{}", dir.qid.path, dir.qid.vers)
    } else if o.exponent {
        cmd::floats::Format::general(Some(7)).apply(value as f64 / divisor as f64)
    } else if o.scaled {
        cmd::number::scaled(value)
    } else {
        format!("{}", value.div_ceil(divisor))
    };
    println!("{first}\t{}", quote(name));
}

fn complain(name: &str, error: &lib9::Error, o: &mut Options) {
    if !o.forgive {
        eprintln!("du: can't read {name}: {error}");
        o.failed = true;
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-aefhnqstu] [-b size] [-p unit] [file ...]")
}
