//! pr [option ...] [file ...]: print files in pages, each with a date, a name and a number; -N in N columns, -m files
//! side by side. Options hold for the files behind them.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::pr::Pr;
use lib9::date::Timezone;
use lib9::{Args, Result, error, eprintln, exits, fd, file, out, proc, usage};

/// Largest number of an option: pages and lines that wide are no use, and memory for anybody else.
const MOST: usize = 10_000;

pub fn main(args: &Args) -> Result<()> {
    let mut pr = Pr::default();
    let mut words = args.words();
    let (mut done, mut failed) = (false, false);
    let mut merged: Vec<String> = Vec::new();
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        let is_option = word.len() > 1 && word.starts_with(['-', '+']);
        if is_option {
            if option(&mut pr, word, &mut words).is_none() {
                usage(args, "[-N] [+N] [-bdfmpt] [-eN] [-h header] [-iN] [-lN] [-n[c]N] [-oN] [-sc] [-wN] [file ...]");
            }
        } else if pr.merge {
            merged.push(word.clone());
        } else {
            done = true;
            failed |= !print(&pr, core::slice::from_ref(word));
        }
    }
    if pr.merge {
        failed |= !print(&pr, &merged);
    } else if !done {
        failed |= !print(&pr, &["-".into()]);
    }
    if failed { exits("errors") } else { Ok(()) }
}

/// Sets the options of a word; nothing when there is none such. A number behind a letter is its own, and letters go on
/// behind it.
fn option(pr: &mut Pr, word: &str, rest: &mut &[String]) -> Option<()> {
    if let Some(page) = word.strip_prefix('+') {
        pr.first = page.parse().ok().filter(|n| *n > 0)?;
        return Some(());
    }
    let mut letters = word.strip_prefix('-')?;
    while let Some(letter) = letters.chars().next() {
        if letter.is_ascii_digit() {
            pr.columns = number(&mut letters, 0).filter(|n| *n > 0)?;
            continue;
        }
        letters = letters.get(letter.len_utf8()..)?;
        let mut some = |usual| number(&mut letters, usual).filter(|n| *n > 0);
        match letter {
            'b' => pr.balance = true,
            'd' => pr.double = true,
            'f' => pr.feeds = true,
            'm' => pr.merge = true,
            'p' => pr.pad = true,
            't' => pr.bare = true,
            'e' => pr.tabs = some(8)?,
            'i' => pr.blanks = Some(some(8)?),
            'l' => pr.length = some(66)?,
            'o' => pr.offset = number(&mut letters, 0)?,
            'w' => pr.width = some(72)?,
            'n' => {
                // What stands behind the numbers, unless it is a digit or another option.
                if let Some(mark) = letters.chars().next().filter(|c| !c.is_ascii_alphanumeric()) {
                    pr.behind = mark;
                    letters = letters.get(mark.len_utf8()..)?;
                }
                pr.numbers = Some(number(&mut letters, 5).filter(|n| *n > 0)?);
            }
            's' => {
                let mark = letters.chars().next();
                letters = letters.get(mark.map_or(0, char::len_utf8)..)?;
                pr.separator = Some(mark.unwrap_or('\t'));
            }
            'h' => {
                let (header, more) = rest.split_first()?;
                *rest = more;
                pr.header = Some(header.clone());
            }
            _ => return None,
        }
    }
    Some(())
}

/// The number that letters begin with, which is taken from them; without one the usual.
fn number(letters: &mut &str, usual: usize) -> Option<usize> {
    let end = letters.find(|c: char| !c.is_ascii_digit()).unwrap_or(letters.len());
    let (digits, rest) = letters.split_at(end);
    *letters = rest;
    if digits.is_empty() { Some(usual) } else { digits.parse().ok().filter(|n| *n <= MOST) }
}

/// Prints a file, or some side by side. False when one could not be read.
fn print(pr: &Pr, names: &[String]) -> bool {
    let mut texts = Vec::new();
    let mut good = true;
    let mut time = proc::seconds();
    for name in names {
        let text = if name == "-" { fd::read_all(0) } else { file::read(name) };
        match text {
            Ok(text) => texts.push(text),
            Err(e) => {
                let _ = out::flush();
                eprintln!("pr: {}", error!("can't read {name}: {e}"));
                good = false;
            }
        }
        if let [name] = names
            && let Ok(dir) = fd::stat(name)
        {
            time = i64::from(dir.mtime);
        }
    }
    let name = match names {
        [name] if name != "-" => name.as_str(),
        _ => "",
    };
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let tm = Timezone::local().tm(time);
    let date =
        alloc::format!("{} {:2} {:02}:{:02} {}", tm.month(), tm.mday, tm.hour, tm.min, tm.year);
    pr.run(&texts, &date, name, &mut out::write);
    good
}
