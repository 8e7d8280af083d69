//! look [-dfnix] [-t [c]] [-b base] [string] [file]: print the lines of a sorted file
//! (/lib/words) that begin with a string.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::lines::Lines;
use cmd::look::Look;
use lib9::{Args, File, Reader, Result, eprintln, error, exits, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut look = Look { end: Some('\t'), ..Look::default() };
    let mut interactive = false;
    let mut words = args.words();
    while let Some((word, rest)) = words.split_first() {
        let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else { break };
        words = rest;
        if letters == "-" {
            break;
        }
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'd' => look.dictionary = true,
                'f' => look.fold = true,
                'n' => look.numeric = look.numeric.or(Some(10)),
                'b' => {
                    let base = lib9::args::flag_value(letters.as_str(), &mut words);
                    let base = base.and_then(|b| b.parse().ok()).filter(|base| (2..=36).contains(base));
                    look.numeric = Some(base.unwrap_or_else(|| synopsis(args)));
                    break;
                }
                'i' => interactive = true,
                'x' => look.exact = true,
                // Nothing behind it: the whole line is the key.
                't' => look.end = letters.next(),
                _ => synopsis(args),
            }
        }
    }
    let (string, name) = match (interactive, words) {
        (true, []) => (None, None),
        (true, [name]) => (None, Some(name)),
        (false, [string]) => (Some(string), None),
        (false, [string, name]) => (Some(string), Some(name)),
        _ => synopsis(args),
    };
    if name.is_none() {
        (look.dictionary, look.fold) = (true, true);
    }
    let name = name.map_or("/lib/words", |n| n);
    let file = File::open(name, abi::OREAD).unwrap_or_else(|e| {
        eprintln!("look: can't open {name}: {e}");
        exits("no dictionary")
    });
    let length = file.stat().map_err(|e| error!("{name}: {e}"))?.length;
    let find = |string: &str| {
        let mut read = |buf: &mut [u8], at: u64| file.pread(buf, at);
        look.run(string, length, &mut read, &mut out::write).map_err(|e| error!("can't read {name}: {e}"))
    };
    if let Some(string) = string {
        if !find(string)? {
            exits("not found");
        }
        return Ok(());
    }
    let mut reader = Reader::new(0);
    let mut line = Vec::new();
    let mut found = true;
    while Lines::next(&mut reader, &mut line)? {
        found = find(&String::from_utf8_lossy(&line))?;
        out::flush()?;
    }
    if found { Ok(()) } else { exits("not found") }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-dfnix] [-t[c]] [-b base] [string] [file]")
}
