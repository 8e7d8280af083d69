//! wc [-lwrbc] [file ...]: count lines, words, runes, bad runes and bytes; by default lines, words and bytes.

use cmd::wc::{Counts, Which};
use lib9::{Args, File, Reader, Result, eprintln, exits, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut which = Which::default();
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'l' => which.lines = true,
            'w' => which.words = true,
            'r' => which.runes = true,
            'b' => which.bad = true,
            'c' => which.bytes = true,
            _ => usage(args, "[-lwrbc] [file ...]"),
        }
    }
    if which == Which::default() {
        which = Which { lines: true, words: true, bytes: true, ..which };
    }
    let mut failed = false;
    let mut total = Counts::default();
    let mut report = |fd, name: &str| {
        let mut counts = Counts::default();
        match count(fd, &mut counts) {
            Ok(()) => {
                total.add(&counts);
                println!("{}", counts.line(&which, name));
            }
            Err(e) => {
                eprintln!("wc: {name}: {e}");
                failed = true;
            }
        }
    };
    if flags.rest().is_empty() {
        report(0, "");
    }
    let mut missing = false;
    for name in flags.rest() {
        match File::open(name, abi::OREAD) {
            Ok(f) => report(f.fd(), name),
            Err(e) => {
                eprintln!("wc: can't open {name}: {e}");
                missing = true;
            }
        }
    }
    if flags.rest().len() > 1 {
        println!("{}", total.line(&which, "total"));
    }
    if failed || missing { exits("can't open") } else { Ok(()) }
}

fn count(fd: i32, counts: &mut Counts) -> Result<()> {
    let mut reader = Reader::new(fd);
    loop {
        let bytes = reader.fill()?;
        let n = bytes.len();
        if n == 0 {
            counts.finish();
            return Ok(());
        }
        counts.take(bytes);
        reader.consume(n);
    }
}
