//! Lines of a sorted file that begin with a string, found by halving, as look does it.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use lib9::Result;

use crate::regexp::decode;

/// Bytes in which lines are looked for one after the other.
const NEAR: u64 = 4096;

/// How lines are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Only letters, digits and blanks count (-d).
    pub dictionary: bool,
    /// Upper case is lower case (-f).
    pub fold: bool,
    /// By the number at the beginning (-n), to this base (-b).
    pub numeric: Option<u32>,
    /// The whole key has to be the string (-x).
    pub exact: bool,
    /// What ends the key of a line (-t).
    pub end: Option<char>,
}

/// Reads at an offset; 0 is the end.
pub type ReadAt<'a> = &'a mut dyn FnMut(&mut [u8], u64) -> Result<usize>;

impl Look {
    /// Gives `print` each line, with its newline, of the file of this length. True when there was one.
    ///
    /// # Errors
    /// A failure to read.
    pub fn run(
        &self,
        wanted: &str,
        length: u64,
        read: ReadAt<'_>,
        print: &mut dyn FnMut(&[u8]),
    ) -> Result<bool> {
        let wanted = self.reduced(wanted.as_bytes());
        // All lines that begin before `low` are smaller.
        let (mut low, mut high) = (0, length);
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            let mut lines = Lines { read, at: middle, buf: Vec::new(), used: 0 };
            // What is left of the line in the middle.
            let skipped = lines.next()?.map_or(0, |line| line.len() as u64);
            let begin = middle + skipped;
            match lines.next()? {
                Some(line) if begin < high && self.compare(&line, &wanted).is_lt() => low = begin,
                _ => high = middle,
            }
        }
        let mut found = false;
        let mut lines = Lines { read, at: low, buf: Vec::new(), used: 0 };
        while let Some(line) = lines.next()? {
            match self.compare(&line, &wanted) {
                Ordering::Less => {}
                Ordering::Equal => {
                    found = true;
                    print(&line);
                    if line.last() != Some(&b'\n') {
                        print(b"\n");
                    }
                }
                Ordering::Greater => break,
            }
        }
        Ok(found)
    }

    /// A line against the string: equal when it begins with it, or with -x is it.
    fn compare(&self, line: &[u8], wanted: &[u32]) -> Ordering {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut key = line;
        if let Some(end) = self.end {
            let mut buf = [0; 4];
            let end = end.encode_utf8(&mut buf).as_bytes();
            if let Some(at) = line.windows(end.len()).position(|w| w == end) {
                key = line.get(..at).unwrap_or(line);
            }
        }
        if let Some(base) = self.numeric {
            let wanted: Vec<u8> = wanted.iter().map(|c| u8::try_from(*c).unwrap_or(b'?')).collect();
            return number(key, base).total_cmp(&number(&wanted, base));
        }
        let key = self.reduced(key);
        match key.get(..wanted.len()) {
            Some(begin) if !self.exact => begin.cmp(wanted),
            _ => key.as_slice().cmp(wanted),
        }
    }

    /// The characters that are compared.
    fn reduced(&self, text: &[u8]) -> Vec<u32> {
        let mut out = Vec::new();
        let mut at = 0;
        while let Some((c, len)) = decode(text, at) {
            at += len;
            let letter = char::from_u32(c);
            if self.dictionary && !letter.is_some_and(|c| c.is_alphanumeric() || c == ' ' || c == '\t') {
                continue;
            }
            match letter {
                Some(c) if self.fold => out.extend(c.to_lowercase().map(u32::from)),
                _ => out.push(c),
            }
        }
        out
    }
}

/// The number to this base at the beginning of a text; none is 0.
fn number(text: &[u8], base: u32) -> f64 {
    let text = text.trim_ascii_start();
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (mut value, mut place) = (0.0, None);
    for byte in text {
        match (char::from(*byte).to_digit(base), &mut place) {
            (Some(digit), None) => value = value * f64::from(base) + f64::from(digit),
            (Some(digit), Some(place)) => {
                value += f64::from(digit) * *place;
                *place /= f64::from(base);
            }
            (None, None) if *byte == b'.' => place = Some(1.0 / f64::from(base)),
            (None, _) => break,
        }
    }
    if negative { -value } else { value }
}

/// Lines from an offset on.
struct Lines<'a> {
    read: ReadAt<'a>,
    at: u64,
    buf: Vec<u8>,
    used: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let rest = self.buf.get(self.used..).unwrap_or(&[]);
            if let Some(end) = rest.iter().position(|&b| b == b'\n') {
                line.extend_from_slice(rest.get(..=end).unwrap_or(&[]));
                self.used += end + 1;
                return Ok(Some(line));
            }
            line.extend_from_slice(rest);
            self.buf = vec![0; 8192];
            let n = (self.read)(&mut self.buf, self.at)?;
            self.buf.truncate(n);
            self.used = 0;
            self.at += n as u64;
            if n == 0 {
                return Ok((!line.is_empty()).then_some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn look(look: &Look, wanted: &str, text: &str) -> String {
        let mut out = Vec::new();
        let mut read = |buf: &mut [u8], at: u64| {
            let rest = text.as_bytes().get(at as usize..).unwrap_or(&[]);
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        };
        let found =
            look.run(wanted, text.len() as u64, &mut read, &mut |b| out.extend_from_slice(b)).unwrap();
        assert_eq!(found, !out.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_is_found() {
        let text: String = (0..3000).map(|n| format!("{n:05} some words behind it\n")).collect();
        let plain = Look::default();
        for n in 0..3000 {
            assert_eq!(look(&plain, &format!("{n:05}"), &text), format!("{n:05} some words behind it\n"));
        }
        assert_eq!(look(&plain, "0001", &text).lines().count(), 10);
        for absent in ["03000", "/", "zzz", "00001x"] {
            assert_eq!(look(&plain, absent, &text), "", "{absent}");
        }
        assert_eq!(look(&plain, "x", ""), "");
        assert_eq!(look(&plain, "b", "a\nb"), "b\n");
    }

    #[test]
    fn ways_to_compare() {
        let words = "A\nb'ad\nBadger\nbag\nzoo\n";
        let dictionary = Look { dictionary: true, fold: true, ..Look::default() };
        assert_eq!(look(&dictionary, "bad", words), "b'ad\nBadger\n");
        assert_eq!(look(&Look { exact: true, ..dictionary }, "BAD", words), "b'ad\n");
        let keyed = Look { exact: true, end: Some('\t'), ..Look::default() };
        assert_eq!(look(&keyed, "b", "a\t1\nb\t2\nbb\t3\n"), "b\t2\n");
        assert_eq!(
            look(&Look { numeric: Some(10), ..Look::default() }, "10", "-1\n2\n9.5\n10 x\n11\n"),
            "10 x\n"
        );
        let hex = Look { numeric: Some(16), ..Look::default() };
        assert_eq!(look(&hex, "1F", "9 a\na b\n1e\n1f.0 c\n20\n"), "1f.0 c\n");
        let plain = Look { numeric: Some(10), ..Look::default() };
        for (text, is) in
            [("-2.5x", -2.5), ("007", 7.0), ("x", 0.0), (".25", 0.25), ("0.1", 0.1), ("12.", 12.0)]
        {
            assert_eq!(number(text.as_bytes(), 10), is, "{text}");
        }
        assert_eq!(look(&plain, "2", "1.5\n2.0\n2.5\n"), "2.0\n");
    }
}
