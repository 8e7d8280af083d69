//! join [-a n] [-v n] [-e s] [-1 m] [-2 m] [-o list] [-t c] file1 file2: join the lines of two sorted files that have
//! a field in common.

use cmd::join::{Join, columns};
use lib9::args::flag_value;
use lib9::{Args, Reader, Result, error, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let Some((join, files)) = parse(args.words()) else {
        usage(args, "[-a n] [-v n] [-e s] [-1 m] [-2 m] [-o list] [-t c] file1 file2")
    };
    let [a, b] = files else { return Err(error!("two files are wanted")) };
    let (a, b) = (cmd::lines::open(a)?, cmd::lines::open(b)?);
    let (mut a, mut b) = (Reader::new(a.fd()), Reader::new(b.fd()));
    join.run(&mut a, &mut b, &mut out::write).map_err(|e| error!("read error: {e}"))
}

/// The options, which are older than the rules for flags, and the files.
fn parse(words: &[alloc::string::String]) -> Option<(Join, &[alloc::string::String])> {
    let mut join = Join::default();
    let mut words = words;
    while let Some(word) = words.first()
        && let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty())
    {
        words = words.get(1..)?;
        if flag == "-" {
            break;
        }
        let (letter, attached) = flag.split_at(flag.chars().next()?.len_utf8());
        let file = |text: &str| text.parse::<usize>().ok()?.checked_sub(1).filter(|n| *n < 2);
        let field = |text: &str| text.parse::<usize>().ok()?.checked_sub(1);
        match letter {
            "a" | "v" => {
                *join.alone.get_mut(file(flag_value(attached, &mut words)?)?)? = true;
                join.no_pairs |= letter == "v";
            }
            "e" => join.empty = flag_value(attached, &mut words)?.into(),
            "1" => join.field[0] = field(flag_value(attached, &mut words)?)?,
            "2" => join.field[1] = field(flag_value(attached, &mut words)?)?,
            "j" if attached.is_empty() => join.field = [field(flag_value("", &mut words)?)?; 2],
            "j" => *join.field.get_mut(file(attached)?)? = field(flag_value("", &mut words)?)?,
            "t" => {
                let mut chars = flag_value(attached, &mut words)?.chars();
                join.separator = chars.next();
                if chars.next().is_some() || join.separator.is_none() {
                    return None;
                }
            }
            "o" => {
                join.output.append(&mut columns(flag_value(attached, &mut words)?)?);
                // Once each column was a word of its own. The files are the last two.
                while words.len() > 2
                    && let Some(mut more) = words.first().filter(|w| !w.starts_with('-')).and_then(|w| columns(w))
                {
                    join.output.append(&mut more);
                    words = words.get(1..)?;
                }
            }
            _ => return None,
        }
    }
    (words.len() == 2).then_some((join, words))
}
