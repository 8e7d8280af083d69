//! sum [-5r] [file ...]: print a checksum of each file, its length and its name; -r and -5 as System V does, with
//! lengths in blocks of 1024 and 512 bytes.

use cmd::checksum::{Kind, Sum};
use lib9::{Args, File, Result, eprintln, error, exits, fd, out, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut kind = Kind::Cyclic;
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'r' => kind = Kind::Rotating,
            '5' => kind = Kind::Added,
            _ => usage(args, "[-5r] [file ...]"),
        }
    }
    if flags.rest().is_empty() {
        println!("{}", of(0, kind).map_err(|e| error!("reading <stdin>: {e}"))?.text());
        return Ok(());
    }
    let mut last = None;
    for name in flags.rest() {
        let opened = File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"));
        match opened.and_then(|f| of(f.fd(), kind).map_err(|e| error!("reading {name}: {e}"))) {
            Ok(sum) => println!("{} {name}", sum.text()),
            Err(e) => {
                let _ = out::flush();
                eprintln!("sum: {e}");
                last = Some(e);
            }
        }
    }
    match last {
        Some(e) => exits(e.text()),
        None => Ok(()),
    }
}

fn of(f: i32, kind: Kind) -> Result<Sum> {
    let mut sum = Sum::new(kind);
    let mut buf = alloc::vec![0; fd::PIECE];
    loop {
        match fd::read(f, &mut buf)? {
            0 => return Ok(sum),
            n => sum.take(buf.get(..n).unwrap_or(&[])),
        }
    }
}
