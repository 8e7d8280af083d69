//! fmt [-j] [-l n] [-w n] [-i n] [file ...]: fill lines up to n (70) columns; -i moves them in, -j only breaks long
//! ones.

use alloc::vec::Vec;

use cmd::copy::{each, status};
use cmd::fmt::Fill;
use cmd::lines::Lines;
use lib9::{Args, Reader, Result, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut length, mut indent, mut join) = (70, 0, true);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut number = || {
            let value = flags.value().ok().and_then(|v| v.parse().ok()).filter(|n| *n <= 100_000);
            value.unwrap_or_else(|| synopsis(args))
        };
        match letter {
            'l' | 'w' => length = number(),
            'i' => indent = number(),
            'j' => join = false,
            _ => synopsis(args),
        }
    }
    if length <= indent {
        return Err("lines are no longer than they are moved in".into());
    }
    let mut fill = Fill::new(length, indent, join);
    let mut first = true;
    status(each("fmt", flags.rest(), &mut |f, _| {
        if !core::mem::take(&mut first) {
            out::write(b"\n");
        }
        file(&mut fill, f.fd())
    }))
}

fn file(fill: &mut Fill, fd: i32) -> Result<()> {
    let mut reader = Reader::new(fd);
    let mut line = Vec::new();
    while Lines::next(&mut reader, &mut line)? {
        fill.take(&line, &mut out::write);
    }
    fill.finish(&mut out::write);
    Ok(())
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-j] [-l n] [-w n] [-i n] [file ...]")
}
