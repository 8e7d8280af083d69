//! uniq [-udcs [+-num]] [file]: of adjacent equal lines print one; -u those that are not repeated, -d those that are,
//! -c all with their numbers. With -s a line that begins with the one before is as good as equal. -num fields and then
//! +num characters are not compared.

use alloc::string::String;

use cmd::uniq::Uniq;
use lib9::{Args, Reader, Result, error, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let Some((uniq, names)) = parse(args.words()) else { usage(args, "[-udcs [+-num]] [file]") };
    let file = cmd::lines::open(names.first().map_or("-", |n| n))?;
    uniq.run(&mut Reader::new(file.fd()), &mut out::write).map_err(|e| error!("read error: {e}"))
}

fn parse(words: &[String]) -> Option<(Uniq, &[String])> {
    let mut uniq = Uniq::default();
    let mut words = words;
    while let Some((word, rest)) = words.split_first() {
        let (sign, text) = match word.chars().next() {
            Some(sign @ ('-' | '+')) if word.len() > 1 => (sign, word.get(1..)?),
            _ => break,
        };
        words = rest;
        match (sign, text.parse()) {
            ('-', Ok(n)) => uniq.fields = n,
            ('+', n) => uniq.characters = n.ok()?,
            _ if text == "-" => break,
            _ => {
                for letter in text.chars() {
                    match letter {
                        'u' => uniq.single = true,
                        'd' => uniq.repeated = true,
                        'c' => uniq.count = true,
                        's' => uniq.prefix = true,
                        _ => return None,
                    }
                }
            }
        }
    }
    (words.len() <= 1).then_some((uniq, words))
}
