//! tee [-ai] file ...: copy standard input to standard output and to the files. -a appends, -i ignores interrupts.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use lib9::proc::{self, Noted};
use lib9::{Args, Result, eprintln, exits, fd, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let (mut append, mut ignore) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'a' => append = true,
            'i' | 'u' => ignore |= letter == 'i',
            _ => usage(args, "[-ai] [file ...]"),
        }
    }
    if ignore {
        proc::notify(Some(|note| if note == "interrupt" { Noted::Continue } else { Noted::Default }))?;
    }
    let mut failed = false;
    let mut outputs: Vec<i32> = Vec::new();
    for name in flags.rest() {
        let opened = match append.then(|| fd::open(name, abi::OWRITE)) {
            Some(Ok(f)) => fd::seek(f, 0, 2).map(|_| f),
            _ => fd::create(name, abi::OWRITE, 0o666),
        };
        match opened {
            Ok(f) => outputs.push(f),
            Err(e) => {
                eprintln!("tee: cannot open {name}: {e}");
                failed = true;
            }
        }
    }
    outputs.push(1);
    let mut buf = vec![0; fd::PIECE];
    loop {
        let n = match fd::read(0, &mut buf) {
            Err(e) if ignore && e.is(abi::error::EINTR) => continue,
            n => n?,
        };
        if n == 0 {
            break;
        }
        // Somebody who stops reading does not keep the others from their copy.
        for &f in &outputs {
            failed |= fd::write_all(f, buf.get(..n).unwrap_or(&[])).is_err();
        }
    }
    if failed { exits("error") } else { Ok(()) }
}
