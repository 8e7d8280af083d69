//! du [-afhnqstu] [-b size] [file ...]: how many kilobytes files and the directories above them take.
//!
//! -a shows files, too, -s only what was named, -b counts in units of `size`, -h scales, -n prints the bytes of files,
//! -t their times of modification, -tu of last reading, -q their qid, -f keeps quiet about what cannot be read.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use cmd::copy::join;
use lib9::{Args, Dir, Result, eprintln, exits, fd, println, quote, usage};

lib9::program!(main);

struct Options {
    all: bool,
    unit: u64,
    forgive: bool,
    scaled: bool,
    bytes: bool,
    qid: bool,
    summary: bool,
    time: bool,
    accessed: bool,
    failed: bool,
}

fn main(args: &Args) -> Result<()> {
    let mut o = Options {
        all: false,
        unit: 1024,
        forgive: false,
        scaled: false,
        bytes: false,
        qid: false,
        summary: false,
        time: false,
        accessed: false,
        failed: false,
    };
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'a' => o.all = true,
            'b' => {
                let size = flags.value().ok().and_then(cmd::number::size).filter(|n| *n > 0);
                o.unit = size.unwrap_or_else(|| synopsis(args));
            }
            'f' => o.forgive = true,
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
    match fd::readdir(name) {
        Ok(contents) => {
            for inside in contents {
                total = total.saturating_add(walk(&join(name, &inside.name), &inside, false, o));
            }
        }
        Err(e) => complain(name, &e, o),
    }
    if !o.summary && !one_by_one {
        show(total, name, dir, o);
    }
    total
}

fn show(size: u64, name: &str, dir: &Dir, o: &Options) {
    let first = if o.qid {
        format!("{:x}.{}", dir.qid.path, dir.qid.vers)
    } else if o.time {
        format!("{}", if o.accessed { dir.atime } else { dir.mtime })
    } else if o.bytes {
        format!("{}", dir.length)
    } else if o.scaled {
        cmd::number::scaled(size)
    } else {
        format!("{}", size / o.unit)
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
    usage(args, "[-afhnqstu] [-b size] [file ...]")
}
