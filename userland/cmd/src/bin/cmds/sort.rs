//! sort [-cmuMbdfginrw] [-t x] [+pos1 [-pos2]] [-k pos1[,pos2]] [-o output] [file ...]: sort the lines of the files.
//!
//! -c only checks, -u keeps one of equal lines, -r reverses, -n and -g compare numbers, -M months, -f ignores case, -d
//! and -i look at some characters only, -b ignores leading blanks, -w is -bdf, -t says what separates fields.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::sort::{Line, parse};
use lib9::{Args, File, Out, Result, eprintln, error, exits, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let Some((sorter, files)) = parse(args.words()) else {
        usage(args, "[-cmuMbdfginrw] [-t x] [+pos1 [-pos2]] [-k pos1[,pos2]] [-o output] [file ...]")
    };
    let mut text = Vec::new();
    let stdin = [String::from("-")];
    for name in if files.is_empty() { &stdin[..] } else { files } {
        let file = if name == "-" {
            File::from_fd(0)
        } else {
            File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?
        };
        make_room(&mut text, &file).ok_or_else(|| error!("no memory for {name}"))?;
        fd::read_into(file.fd(), &mut text).map_err(|e| error!("can't read {name}: {e}"))?;
        if text.last().is_some_and(|&b| b != b'\n') {
            text.push(b'\n');
        }
    }
    let mut lines = Line::all(&text).ok_or("more than 4 gigabytes")?;
    if sorter.check {
        if sorter.disorder(&text, &lines).is_none() {
            exits("");
        }
        eprintln!("sort: -c file not in sort");
        exits("order");
    }
    sorter.sort(&text, &mut lines);
    let mut out = match &sorter.output {
        None => Out::new(1),
        Some(name) => {
            Out::new(File::create(name, abi::OWRITE, 0o666).map_err(|e| error!("create {name}: {e}"))?.into_fd())
        }
    };
    for line in lines {
        out.write(line.of(&text));
        out.write(b"\n");
    }
    out.flush().map_err(|e| error!("write error: {e}"))
}

/// Makes a place for a file's text, and the rest of its last piece, that need not be moved while it is read.
#[allow(clippy::disallowed_methods)] // The rule is the kernel's: a program has nothing set aside.
fn make_room(text: &mut Vec<u8>, file: &File) -> Option<()> {
    let length = file.stat().ok().and_then(|dir| usize::try_from(dir.length).ok()).unwrap_or(0);
    text.try_reserve_exact(length.saturating_add(fd::PIECE)).ok()
}
