//! seq [-w] [-f format] [first [incr]] last: print a sequence of numbers; -w all as wide as the widest, -f as print(2)
//! formats them.

use cmd::seq::Seq;
use lib9::{Args, Error, Result, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-w] [-f format] [first [incr]] last";
    let (mut equal, mut format) = (false, None);
    let mut words = args.words();
    // A negative number is no flag.
    let is_flag = |w: &&alloc::string::String| {
        w.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-'))
    };
    while let Some(word) = words.first().filter(is_flag) {
        words = words.get(1..).unwrap_or(&[]);
        match word.as_str() {
            "--" => break,
            "-w" => equal = true,
            _ => {
                let value = word.strip_prefix("-f").and_then(|rest| lib9::args::flag_value(rest, &mut words));
                format = Some(value.unwrap_or_else(|| usage(args, synopsis)));
            }
        }
    }
    if !(1..=3).contains(&words.len()) {
        usage(args, synopsis);
    }
    for text in Seq::new(words, format, equal).map_err(Error::from)?.texts() {
        println!("{text}");
    }
    Ok(())
}
