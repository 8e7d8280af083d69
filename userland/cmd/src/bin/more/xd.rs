//! xd [-u] [-r] [-s] [-S] [-a{odx}] [-c] [-R] [-{b1w2l4v8}{odx}] ... [file ...]: dump bytes.
//!
//! -c and -R as characters, -b, -w, -l, -v as numbers of 1, 2, 4 and 8 bytes (or -1 -2 -4 -8), in octal, decimal or
//! hex; -u is unbuffered, -r has a star stand for repeated lines, -s and -S reverse groups of four and eight bytes, -a
//! chooses the base of addresses.

use alloc::vec::Vec;

use cmd::xd::{Dumper, Format};
use lib9::{Args, File, Result, eprintln, error, exits, fd, out, print, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut dumper = Dumper::default();
    let mut formats = Vec::new();
    let mut at_once = false;
    let words = args.words();
    let count = words.iter().take_while(|w| w.len() > 1 && w.starts_with('-')).count();
    let (options, files) = words.split_at(count);
    for option in options {
        match option.get(1..).unwrap_or("") {
            "u" => at_once = true,
            "r" => dumper.repeats = true,
            "s" => dumper.swap = 4,
            "S" => dumper.swap = 8,
            "ao" => dumper.address = 8,
            "ad" => dumper.address = 10,
            "ax" => dumper.address = 16,
            format => formats.push(Format::parse(format).unwrap_or_else(|| synopsis(args))),
        }
    }
    if formats.is_empty() {
        formats.extend(Format::parse("x"));
    }
    dumper.formats = formats;
    let mut failed = false;
    if files.is_empty() {
        dump(0, "stdin", &dumper, at_once)?;
    }
    for name in files {
        match File::open(name, abi::OREAD) {
            Ok(f) => {
                if files.len() > 1 {
                    print!("{name}\n");
                }
                if let Err(e) = dump(f.fd(), name, &dumper, at_once) {
                    let _ = out::flush();
                    eprintln!("xd: {e}");
                    failed = true;
                }
            }
            Err(e) => {
                eprintln!("xd: can't open {name}: {e}");
                failed = true;
            }
        }
    }
    if failed { exits("error") } else { Ok(()) }
}

fn dump(fd: i32, name: &str, dumper: &Dumper, at_once: bool) -> Result<()> {
    let mut run = dumper.start();
    let mut piece = alloc::vec![0; 32 * 1024];
    loop {
        let n = fd::readn(fd, &mut piece).map_err(|e| error!("can't read {name}: {e}"))?;
        for line in piece.get(..n).unwrap_or(&[]).chunks(16) {
            print!("{}", run.line(line));
            if at_once {
                out::flush()?;
            }
        }
        if n < piece.len() {
            print!("{}", run.end());
            return Ok(());
        }
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-u] [-r] [-s] [-S] [-a{odx}] [-c|R|{b1w2l4v8}{odx}] ... [file ...]")
}
