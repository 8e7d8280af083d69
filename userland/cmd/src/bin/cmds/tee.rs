//! tee [-ai] file ...: copy standard input to standard output and to the files. -a appends, -i ignores interrupts.

use alloc::vec;
use alloc::vec::Vec;

use lib9::proc::{self, Noted};
use lib9::{Args, File, Result, eprintln, exits, fd, usage};

fn going_on(note: &str) -> Noted {
    if note.starts_with("sys: write on closed pipe") { Noted::Continue } else { Noted::Default }
}

fn ignoring(note: &str) -> Noted {
    if note == "interrupt" { Noted::Continue } else { going_on(note) }
}

pub fn main(args: &Args) -> Result<()> {
    let (mut append, mut ignore) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'a' => append = true,
            'i' | 'u' => ignore |= letter == 'i',
            _ => usage(args, "[-ai] [file ...]"),
        }
    }
    // A pipe that nobody reads any more does not end the copies in the files.
    proc::notify(Some(if ignore { ignoring } else { going_on }))?;
    let mut failed = false;
    let mut outputs: Vec<i32> = Vec::new();
    for name in flags.rest() {
        let opened = match append.then(|| File::open(name, abi::OWRITE)) {
            // Only what is not there is made: no file is cut because it cannot be opened.
            Some(Err(e)) if !e.is(abi::error::ENONEXIST) => Err(e),
            Some(Ok(f)) => f.seek(0, 2).map(|_| f),
            _ => File::create(name, abi::OWRITE, 0o666),
        };
        match opened {
            Ok(f) => outputs.push(f.into_fd()),
            Err(e) => {
                eprintln!("tee: cannot open {name}: {e}");
                failed = true;
            }
        }
    }
    outputs.push(1);
    let all = outputs.len();
    let mut buf = vec![0; fd::PIECE];
    loop {
        let n = match fd::read(0, &mut buf) {
            Err(e) if ignore && e.is(abi::error::EINTR) => continue,
            n => n?,
        };
        if n == 0 {
            break;
        }
        // Somebody who stops reading does not keep the others from their copy, as long as there are any.
        outputs.retain(|&f| fd::write_all(f, buf.get(..n).unwrap_or(&[])).is_ok());
        failed |= outputs.len() < all;
        if outputs.is_empty() {
            break;
        }
    }
    if failed { exits("error") } else { Ok(()) }
}
