//! cmp [-lsL] file1 file2 [offset1 [offset2]]: compare two files.
//!
//! Says where the first difference is, with -L in which line; -l lists all differing bytes, -s is silent.
//! Status: empty when they are equal.

use alloc::string::String;

use lib9::{Args, File, Result, error, exits, fd, print, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut list, mut silent, mut lines) = (false, false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'l' => list = true,
            's' => silent = true,
            'L' => lines = true,
            _ => synopsis(args),
        }
    }
    let (a, b, offsets) = match flags.rest() {
        [a, b, offsets @ ..] if offsets.len() <= 2 => (a, b, offsets),
        _ => synopsis(args),
    };
    let open = |name: &String, offset: Option<&String>| -> Result<File> {
        let f = File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?;
        if let Some(offset) = offset {
            let n = cmd::number::integer(offset).filter(|n| *n >= 0).unwrap_or_else(|| synopsis(args));
            f.seek(n, 0).map_err(|e| error!("can't seek {name}: {e}"))?;
        }
        Ok(f)
    };
    let files = open(a, offsets.first()).and_then(|f| Ok((f, open(b, offsets.get(1))?)));
    let (left, right) = match files {
        Err(_) if silent => exits("open"),
        files => files?,
    };
    let mut bufs = [alloc::vec![0; fd::PIECE], alloc::vec![0; fd::PIECE]];
    let (mut at, mut line, mut differ) = (0u64, 1u64, false);
    loop {
        let [x, y] = &mut bufs;
        let n = fd::readn(left.fd(), x).map_err(|e| error!("error reading {a}: {e}"))?;
        let m = fd::readn(right.fd(), y).map_err(|e| error!("error reading {b}: {e}"))?;
        let (x, y) = (x.get(..n).unwrap_or(&[]), y.get(..m).unwrap_or(&[]));
        let both = n.min(m);
        if x.get(..both) != y.get(..both) {
            for (i, (p, q)) in x.iter().zip(y).enumerate() {
                if p != q {
                    differ = true;
                    if silent {
                        exits("differ");
                    }
                    let place = at + i as u64 + 1;
                    if !list {
                        print!("{a} {b} differ: char {place}");
                        if lines {
                            print!(" line {line}");
                        }
                        println!();
                        exits("differ");
                    }
                    println!("{place:6} 0x{p:02x} 0x{q:02x}");
                }
                line += u64::from(*p == b'\n');
            }
        } else if lines {
            line += x.iter().filter(|&&c| c == b'\n').count() as u64;
        }
        at += both as u64;
        if n != m {
            if !silent {
                println!("EOF on {} after {at} bytes", if n < m { a } else { b });
            }
            exits("EOF");
        }
        if n < fd::PIECE {
            exits(if differ { "differ" } else { "" });
        }
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-lsL] file1 file2 [offset1 [offset2]]")
}
