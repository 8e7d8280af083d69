//! The arguments of tail, and where the end of a text begins.

use alloc::string::String;

use lib9::args::flag_value;

use crate::number;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines.
    Lines,
    /// Bytes.
    Bytes,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// How many.
    pub count: u64,
    /// Of what.
    pub unit: Unit,
    /// Counted from the beginning, 1 being the first line.
    pub from_start: bool,
    /// Go on as the file grows.
    pub follow: bool,
    /// Last line first.
    pub reverse: bool,
}

/// Reads the arguments; also returns the words that are not options.
pub fn parse(words: &[String]) -> Option<(Want, &[String])> {
    let mut want = Want { count: 10, unit: Unit::Lines, from_start: false, follow: false, reverse: false };
    let mut counted = false;
    let mut rest = words;
    while let [word, after @ ..] = rest {
        let Some(option) = word.strip_prefix(['-', '+']).filter(|o| !o.is_empty()) else { break };
        rest = after;
        if option == "-" {
            break;
        }
        let plus = word.starts_with('+');
        if plus || option.starts_with(|c: char| c.is_ascii_digit()) {
            want.from_start = plus;
            counted = true;
            suffixes(option, &mut want)?;
            continue;
        }
        let mut letters = option.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'f' => want.follow = true,
                'r' => want.reverse = true,
                'n' | 'c' => {
                    let value = flag_value(letters.as_str(), &mut rest)?;
                    want.unit = if letter == 'n' { Unit::Lines } else { Unit::Bytes };
                    want.from_start = value.starts_with('+');
                    want.count = number::integer(value)?.unsigned_abs();
                    counted = true;
                    letters = "".chars();
                }
                _ => return None,
            }
        }
    }
    if want.reverse && !counted {
        want.count = u64::MAX;
    }
    (!(want.reverse && want.follow)).then_some((want, rest))
}

/// `12`, `12c`, `5bf`...
fn suffixes(option: &str, want: &mut Want) -> Option<()> {
    let end = option.find(|c: char| !c.is_ascii_digit()).unwrap_or(option.len());
    let (digits, letters) = option.split_at(end);
    want.count = if digits.is_empty() { 10 } else { digits.parse().ok()? };
    for letter in letters.chars() {
        match letter {
            'l' => want.unit = Unit::Lines,
            'c' => want.unit = Unit::Bytes,
            'b' => {
                want.unit = Unit::Bytes;
                want.count = want.count.checked_mul(1024)?;
            }
            'f' => want.follow = true,
            'r' => want.reverse = true,
            _ => return None,
        }
    }
    Some(())
}

impl Want {
    /// Where what is wanted begins in `text`, which is the end of a file; `None` when more of the file must be looked
    /// at, which never happens when the text is `whole`.
    pub fn cut(&self, text: &[u8], whole: bool) -> Option<usize> {
        match self.unit {
            Unit::Bytes => Some(text.len().saturating_sub(usize::try_from(self.count).unwrap_or(usize::MAX))),
            Unit::Lines => {
                let mut left = self.count;
                if left == 0 {
                    return Some(text.len());
                }
                // The newline that ends the last line is not the one before it.
                for at in (0..text.len().saturating_sub(1)).rev() {
                    if text.get(at) == Some(&b'\n') {
                        left -= 1;
                        if left == 0 {
                            return Some(at + 1);
                        }
                    }
                }
                whole.then_some(0)
            }
        }
    }

    /// Gives the wanted text to `write`, reversed if that is wanted.
    pub fn show(&self, text: &[u8], mut write: impl FnMut(&[u8])) {
        if !self.reverse {
            return write(text);
        }
        for line in text.split_inclusive(|&b| b == b'\n').rev() {
            write(line);
            if line.last() != Some(&b'\n') {
                write(b"\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn want(line: &str) -> Option<(Want, Vec<String>)> {
        let words = lib9::tokenize(line);
        parse(&words).map(|(w, rest)| (w, rest.to_vec()))
    }

    #[test]
    fn arguments() {
        let (w, rest) = want("-5 file").unwrap();
        assert_eq!((w.count, w.unit, rest.as_slice()), (5, Unit::Lines, &[String::from("file")][..]));
        let (w, _) = want("+3c").unwrap();
        assert_eq!((w.count, w.unit, w.from_start), (3, Unit::Bytes, true));
        let (w, _) = want("-n 7 -f x").unwrap();
        assert_eq!((w.count, w.follow), (7, true));
        let (w, _) = want("-c+7").unwrap();
        assert_eq!((w.count, w.from_start, w.unit), (7, true, Unit::Bytes));
        assert_eq!(want("-r").unwrap().0.count, u64::MAX);
        assert_eq!(want("-2rx"), None);
        assert_eq!(want("-fr"), None);
        assert_eq!(want("-n"), None);
        assert_eq!(want("-n x"), None);
    }

    #[test]
    fn ends() {
        let w = want("-2").unwrap().0;
        assert_eq!(w.cut(b"a\nb\nc\n", true), Some(2));
        assert_eq!(w.cut(b"a\nb\nc", true), Some(2));
        assert_eq!(w.cut(b"b\nc\n", false), None);
        assert_eq!(w.cut(b"b\nc\n", true), Some(0));
        assert_eq!(w.cut(b"", true), Some(0));
        assert_eq!(want("-0").unwrap().0.cut(b"a\n", true), Some(2));
        assert_eq!(want("-3c").unwrap().0.cut(b"abcde", false), Some(2));
        let mut out = Vec::new();
        want("-r").unwrap().0.show(b"a\nb\nc", |b| out.extend_from_slice(b));
        assert_eq!(out, b"c\nb\na\n");
    }
}
