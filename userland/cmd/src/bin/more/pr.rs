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
                usage(args, "[-N] [+N] [-bdfmpt] [-eN] [-h header] [-iN] [-lN] [-nN] [-oN] [-sc] [-wN] [file ...]");
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

/// Sets an option; nothing when there is none such.
fn option(pr: &mut Pr, word: &str, rest: &mut &[String]) -> Option<()> {
    let number = |text: &str| text.parse().ok().filter(|n| *n <= MOST);
    let or = |text: &str, usual| if text.is_empty() { Some(usual) } else { number(text) };
    let some = |text: &str, usual| or(text, usual).filter(|n| *n > 0);
    if let Some(page) = word.strip_prefix('+') {
        pr.first = page.parse().ok().filter(|n| *n > 0)?;
        return Some(());
    }
    let mut letters = word.strip_prefix('-')?;
    if letters.starts_with(|c: char| c.is_ascii_digit()) {
        pr.columns = number(letters).filter(|n| *n > 0)?;
        return Some(());
    }
    while let Some(letter) = letters.chars().next() {
        letters = letters.get(letter.len_utf8()..)?;
        match letter {
            'b' => pr.balance = true,
            'd' => pr.double = true,
            'f' => pr.feeds = true,
            'm' => pr.merge = true,
            'p' => pr.pad = true,
            't' => pr.bare = true,
            _ => {
                match letter {
                    'e' => pr.tabs = some(letters, 8)?,
                    'i' => pr.blanks = Some(some(letters, 8)?),
                    'l' => pr.length = some(letters, 66)?,
                    'n' => pr.numbers = Some(some(letters, 5)?),
                    'o' => pr.offset = or(letters, 0)?,
                    's' => {
                        let mut chars = letters.chars();
                        pr.separator = Some(chars.next().unwrap_or('\t'));
                        if chars.next().is_some() {
                            return None;
                        }
                    }
                    'w' => pr.width = some(letters, 72)?,
                    'h' => {
                        let (header, more) = rest.split_first()?;
                        *rest = more;
                        pr.header = Some(header.clone());
                    }
                    _ => return None,
                }
                return Some(());
            }
        }
    }
    Some(())
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
