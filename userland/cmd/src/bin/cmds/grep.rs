//! grep [-bchiLlnsv] [-e pattern] [-f patternfile] [pattern] [file ...]: print the lines that match.
//!
//! -c counts, -l and -L name the files with and without a match, -s only sets the status, -v turns the sense around,
//! -i ignores case, -n numbers lines, -h leaves file names away, -b writes each line at once.
//! Status: empty when there was a match, else `no matches`.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::regexp::{Dfa, parse};
use lib9::{Args, File, Reader, Result, eprintln, error, exits, file, out, println, usage};

#[derive(Default)]
struct Options {
    at_once: bool,
    count: bool,
    fold: bool,
    hide_name: bool,
    name_without: bool,
    name_with: bool,
    number: bool,
    silent: bool,
    invert: bool,
}

pub fn main(args: &Args) -> Result<()> {
    let mut o = Options::default();
    let mut patterns: Vec<String> = Vec::new();
    let mut from_file = false;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'b' => o.at_once = true,
            'c' => o.count = true,
            'i' => o.fold = true,
            'h' => o.hide_name = true,
            'L' => o.name_without = true,
            'l' => o.name_with = true,
            'n' => o.number = true,
            's' => o.silent = true,
            'v' => o.invert = true,
            'e' => patterns.push(flags.value().unwrap_or_else(|_| synopsis(args)).into()),
            'f' => {
                let name = flags.value().unwrap_or_else(|_| synopsis(args));
                let text = file::read_string(name).map_err(|e| error!("can't open {name}: {e}"))?;
                patterns.extend(text.lines().map(String::from));
                from_file = true;
            }
            _ => synopsis(args),
        }
    }
    let mut files = flags.rest();
    if patterns.is_empty() && from_file {
        return Err(error!("there is no pattern in the file"));
    }
    if patterns.is_empty() {
        let [pattern, rest @ ..] = files else { synopsis(args) };
        patterns.push(pattern.clone());
        files = rest;
    }
    let patterns: Vec<String> = patterns.iter().map(|pattern| cmd::regexp::unstarred(pattern)).collect();
    let re = parse(&patterns.join("\n"), o.fold).map_err(|e| error!("bad pattern: {e}"))?;
    let mut dfa = Dfa::new(re);
    let mut matched = false;
    if files.is_empty() {
        matched = search(0, "stdin", false, &mut dfa, &o)?;
    }
    for name in files {
        let found = File::open(name, abi::OREAD)
            .map_err(|e| error!("can't open {name}: {e}"))
            .and_then(|f| search(f.fd(), name, files.len() > 1 && !o.hide_name, &mut dfa, &o));
        match found {
            Ok(found) => matched |= found,
            Err(e) => {
                let _ = out::flush();
                eprintln!("grep: {e}");
            }
        }
        if matched && o.silent {
            break;
        }
    }
    exits(if matched { "" } else { "no matches" })
}

/// Prints what is asked for of one file; says whether a line was selected.
fn search(fd: i32, name: &str, show_name: bool, dfa: &mut Dfa, o: &Options) -> Result<bool> {
    let mut reader = Reader::new(fd);
    let mut line = Vec::new();
    let (mut count, mut number) = (0u64, 0u64);
    while reader.line_into(&mut line).map_err(|e| error!("read error on {name}: {e}"))? {
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if dfa.matches(text) == o.invert {
            continue;
        }
        count += 1;
        if o.silent || o.name_with || o.name_without {
            break;
        }
        if o.count {
            continue;
        }
        if show_name {
            lib9::print!("{name}:");
        }
        if o.number {
            lib9::print!("{number}: ");
        }
        out::write(text);
        out::write(b"\n");
        if o.at_once {
            out::flush()?;
        }
    }
    if o.silent {
    } else if o.name_with || o.name_without {
        if (count > 0) == o.name_with {
            println!("{name}");
        }
    } else if o.count {
        if show_name {
            lib9::print!("{name}:");
        }
        println!("{count}");
    }
    Ok(count > 0)
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-bchiLlnsv] [-e pattern] [-f patternfile] [pattern] [file ...]")
}
