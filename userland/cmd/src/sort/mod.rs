//! The order of lines that sort makes: keys are fields of a line, each compared in its own way.

mod key;
mod parse;

pub use parse::parse;

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use key::{How, Key};

/// What sort was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // They are the flags of the command.
pub struct Sorter {
    /// -c
    pub check: bool,
    /// -u
    pub unique: bool,
    /// -o
    pub output: Option<String>,
    separator: Option<u8>,
    whole: How,
    keys: Vec<Key>,
}

/// A line of a text: where it begins, and its length without the newline. So many of them take little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    at: u32,
    len: u32,
}

impl Line {
    /// The lines of a text, each of which ends with a newline; what is behind the last one is none. Nothing when the
    /// text is too long.
    pub fn all(text: &[u8]) -> Option<Vec<Line>> {
        u32::try_from(text.len()).ok()?;
        let mut lines = Vec::with_capacity(text.iter().filter(|b| **b == b'\n').count());
        let mut at = 0;
        for (end, _) in text.iter().enumerate().filter(|(_, b)| **b == b'\n') {
            lines.push(Line { at: at as u32, len: (end - at) as u32 });
            at = end + 1;
        }
        Some(lines)
    }

    /// Its bytes in the text.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.at as usize..).and_then(|text| text.get(..self.len as usize)).unwrap_or(&[])
    }
}

impl Sorter {
    /// Sorts lines of a text; of equal ones, -u keeps the first.
    pub fn sort(&self, text: &[u8], lines: &mut Vec<Line>) {
        // Those that are equal stay in their order.
        lines.sort_unstable_by(|a, b| self.compare(a.of(text), b.of(text)).then(a.at.cmp(&b.at)));
        if self.unique {
            lines.dedup_by(|b, a| self.by_keys(a.of(text), b.of(text)).is_eq());
        }
    }

    /// The first line that is out of order (or, with -u, equal to the one before it).
    pub fn disorder<'a>(&self, text: &'a [u8], lines: &[Line]) -> Option<&'a [u8]> {
        lines.windows(2).find_map(|pair| {
            let [a, b] = pair else { return None };
            let (a, b) = (a.of(text), b.of(text));
            let order = if self.unique { self.by_keys(a, b) } else { self.compare(a, b) };
            (order.is_gt() || self.unique && order.is_eq()).then_some(b)
        })
    }

    /// Lines equal by their keys are in the order of all their bytes.
    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let order = self.by_keys(a, b);
        if order.is_ne() || self.unique {
            return order;
        }
        let bytes = a.cmp(b);
        if self.whole.reverse { bytes.reverse() } else { bytes }
    }

    fn by_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.keys.is_empty() {
            return self.whole.compare(a, b);
        }
        for key in &self.keys {
            let order = key.how.compare(key.of(a, self.separator), key.of(b, self.separator));
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(options: &str, text: &str) -> String {
        let words = lib9::tokenize(options);
        let (sorter, files) = parse(&words).unwrap();
        assert!(files.is_empty(), "{options}");
        let text = text.replace(' ', "\n") + "\n";
        let mut lines = Line::all(text.as_bytes()).unwrap();
        sorter.sort(text.as_bytes(), &mut lines);
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.of(text.as_bytes())).collect();
        String::from_utf8(lines.join(&b' ')).unwrap()
    }

    #[test]
    fn whole_lines() {
        assert_eq!(sorted("", "b a C"), "C a b");
        assert_eq!(sorted("-f", "b a C"), "a b C");
        assert_eq!(sorted("-r", "b a C"), "b a C");
        assert_eq!(sorted("-u", "b a b"), "a b");
        assert_eq!(sorted("-n", "10 9 -1 1.5 1.25 x"), "-1 x 1.25 1.5 9 10");
        assert_eq!(sorted("-nr", "10 9 2"), "10 9 2");
        assert_eq!(sorted("-g", "1e3 20 3e-1"), "3e-1 20 1e3");
        assert_eq!(sorted("-M", "mar Jan feb x"), "x Jan feb mar");
        assert_eq!(sorted("-d", "a-c ab"), "ab a-c");
    }

    #[test]
    fn keys() {
        assert_eq!(sorted("-t: -k 2n", "a:10 b:9 c:1"), "c:1 b:9 a:10");
        assert_eq!(sorted("-t: +1n", "a:10 b:9"), "b:9 a:10");
        assert_eq!(sorted("-t: +1 -2 -r", "a:1:z b:1:a"), "b:1:a a:1:z");
        assert_eq!(sorted("-t : -k 2,2 -k 1r", "a:1 b:1 c:0"), "c:0 b:1 a:1");
        assert_eq!(sorted("-k1.2", "ab ba aa"), "aa ba ab");
        // As quick as if there were as many fields.
        assert_eq!(sorted("-k 99999999999999", "b a"), sorted("-k 5", "b a"));
        assert_eq!(sorted("-u -t: -k1,1", "a:2 b:1 a:1"), "a:2 b:1");
    }

    #[test]
    fn checking() {
        let words = lib9::tokenize("-c");
        let (sorter, _) = parse(&words).unwrap();
        let disorder = |text: &'static [u8]| sorter.disorder(text, &Line::all(text).unwrap());
        assert_eq!(disorder(b"a\nb\naa\n"), Some(&b"aa"[..]));
        assert_eq!(disorder(b"a\na\n"), None);
        assert_eq!(disorder(b"b\na"), None);
    }
}
