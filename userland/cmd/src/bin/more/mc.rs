//! mc [-] [-N] [file ...]: print lines in as many columns as N characters have room for, or the window, or 80; with -
//! those that end in a colon stand alone.

use alloc::vec::Vec;

use cmd::copy::{each, status};
use cmd::lines::Lines;
use cmd::mc::columns;
use lib9::{Args, Reader, Result, fd, out, usage};

/// Characters of the widest page.
const MOST: usize = 100_000;

pub fn main(args: &Args) -> Result<()> {
    let (mut alone, mut width) = (false, None);
    let mut words = args.words();
    while let Some((word, rest)) = words.split_first()
        && let Some(option) = word.strip_prefix('-')
    {
        words = rest;
        if option.is_empty() {
            alone = true;
        } else {
            let told = option.parse().ok().filter(|n| *n <= MOST);
            width = Some(told.unwrap_or_else(|| usage(args, "[-] [-N] [file ...]")));
        }
    }
    let width = width.or_else(|| Some(fd::window()?.1.min(MOST))).unwrap_or(80);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let good = each("mc", words, &mut |file, _| {
        let mut reader = Reader::new(file.fd());
        let mut line = Vec::new();
        while Lines::next(&mut reader, &mut line)? {
            if alone && line.ends_with(b":") {
                columns(&lines, width, &mut out::write);
                lines.clear();
                out::write(&line);
                out::write(b"\n");
            } else {
                lines.push(core::mem::take(&mut line));
            }
        }
        Ok(())
    });
    columns(&lines, width, &mut out::write);
    status(good)
}
