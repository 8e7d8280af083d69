//! The lines of xd.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// How the bytes of a line are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As characters of one byte.
    Chars,
    /// As characters of UTF-8; what is behind the first byte of one is shown as dots.
    Runes,
    /// As numbers of so many bytes in this base.
    Numbers(usize, u32),
}

impl Format {
    /// Reads an option without its minus sign: `c`, `b`, `1x`, `wd`, `o`...
    pub fn parse(option: &str) -> Option<Format> {
        if option == "c" {
            return Some(Format::Chars);
        }
        if option == "R" {
            return Some(Format::Runes);
        }
        let mut letters = option.chars().peekable();
        let size = match letters.peek()? {
            'b' | '1' => 1,
            'w' | '2' => 2,
            'l' | '4' => 4,
            'v' | '8' => 8,
            _ => 0,
        };
        if size > 0 {
            letters.next();
        }
        let base = match letters.next() {
            None | Some('x') => 16,
            Some('d') => 10,
            Some('o') => 8,
            Some(_) => return None,
        };
        letters.next().is_none().then_some(Format::Numbers(if size == 0 { 4 } else { size }, base))
    }
}

/// What xd was asked for.
#[derive(Clone, Debug)]
pub struct Dumper {
    /// One line each.
    pub formats: Vec<Format>,
    /// Base of addresses.
    pub address: u32,
    /// A `*` stands for all lines like the one before.
    pub repeats: bool,
    /// Bytes whose order is reversed, group by group, before they are shown; 0 is none.
    pub swap: usize,
}

impl Default for Dumper {
    fn default() -> Self {
        Dumper { formats: Vec::new(), address: 16, repeats: false, swap: 0 }
    }
}

/// A dump in progress.
#[derive(Debug)]
pub struct Run<'a> {
    dumper: &'a Dumper,
    at: u64,
    previous: Vec<u8>,
    starred: bool,
}

impl Dumper {
    /// Begins at address 0.
    pub fn start(&self) -> Run<'_> {
        Run { dumper: self, at: 0, previous: Vec::new(), starred: false }
    }
}

impl Run<'_> {
    /// What to print for the next 16 bytes (fewer only at the end).
    pub fn line(&mut self, bytes: &[u8]) -> String {
        let at = self.at;
        self.at += bytes.len() as u64;
        if self.dumper.repeats && bytes == self.previous && bytes.len() == 16 {
            let first = !core::mem::replace(&mut self.starred, true);
            return if first { "*\n".into() } else { String::new() };
        }
        self.starred = false;
        self.previous = bytes.into();
        let mut swapped = bytes.to_vec();
        if self.dumper.swap > 0 {
            swapped.chunks_exact_mut(self.dumper.swap).for_each(<[u8]>::reverse);
        }
        let bytes = swapped.as_slice();
        let mut out = String::new();
        for (i, format) in self.dumper.formats.iter().enumerate() {
            if i == 0 {
                out.push_str(&self.address(at));
            } else {
                out.push_str("        ");
            }
            match *format {
                Format::Chars => bytes.iter().for_each(|&b| character(b, &mut out)),
                Format::Runes => runes(bytes, &mut out),
                Format::Numbers(size, base) => {
                    bytes.chunks(size).for_each(|n| number(n, size, base, &mut out));
                }
            }
            out.push('\n');
        }
        out
    }

    /// The address after the last byte.
    pub fn end(&self) -> String {
        let mut out = self.address(self.at);
        out.push('\n');
        out
    }

    fn address(&self, at: u64) -> String {
        match self.dumper.address {
            8 => alloc::format!("{at:07o} "),
            10 => alloc::format!("{at:07} "),
            _ => alloc::format!("{at:07x} "),
        }
    }
}

fn character(b: u8, out: &mut String) {
    let escape = match b {
        0 => "\\0",
        7 => "\\a",
        8 => "\\b",
        9 => "\\t",
        10 => "\\n",
        11 => "\\v",
        12 => "\\f",
        13 => "\\r",
        _ => "",
    };
    let _ = match b {
        b' '..=b'~' => write!(out, "  {}", b as char),
        _ if !escape.is_empty() => write!(out, " {escape}"),
        _ => write!(out, " {b:02x}"),
    };
}

/// Characters above the place of their first byte.
fn runes(bytes: &[u8], out: &mut String) {
    let mut at = 0;
    while let Some((c, len)) = crate::regexp::decode(bytes, at) {
        match char::from_u32(c).filter(|c| *c >= '\u{a0}' && !c.is_control()) {
            Some(c) => {
                let _ = write!(out, "  {c}");
                (1..len).for_each(|_| out.push_str("  ."));
            }
            None => bytes.get(at..at + len).unwrap_or(&[]).iter().for_each(|&b| character(b, out)),
        }
        at += len;
    }
}

/// The bytes of a number: the file's order is the order of the digits. Missing ones at the end of the file are zero.
fn number(bytes: &[u8], size: usize, base: u32, out: &mut String) {
    let byte = |i: usize| u64::from(bytes.get(i).copied().unwrap_or(0));
    let n = (0..size).fold(0u64, |n, i| n << 8 | byte(i));
    let columns = match base {
        8 => [3, 6, 11, 22],
        10 => [3, 5, 10, 20],
        _ => [2, 4, 8, 16],
    };
    let width = columns.get(size.ilog2() as usize).copied().unwrap_or(0);
    let _ = match base {
        8 => write!(out, " {n:0width$o}"),
        10 => write!(out, " {n:width$}"),
        _ => write!(out, " {n:0width$x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(options: &[&str], bytes: &[u8]) -> String {
        let d = Dumper {
            formats: options.iter().map(|o| Format::parse(o).unwrap()).collect(),
            ..Dumper::default()
        };
        let mut run = d.start();
        let mut out: String = bytes.chunks(16).map(|l| run.line(l)).collect();
        out.push_str(&run.end());
        out
    }

    #[test]
    fn formats() {
        assert_eq!(dump(&["x"], b"hello world\n"), "0000000  68656c6c 6f20776f 726c640a\n000000c \n");
        assert_eq!(dump(&["b"], b"hi\n"), "0000000  68 69 0a\n0000003 \n");
        assert_eq!(dump(&["c"], b"h \n\xff"), "0000000   h    \\n ff\n0000004 \n");
        assert_eq!(dump(&["1d", "wo"], b"AB"), "0000000   65  66\n         040502\n0000002 \n");
        assert_eq!(dump(&["R"], "aκ\n\u{ff}".as_bytes()), "0000000   a  κ  . \\n  ÿ  .\n0000006 \n");
        assert_eq!(Format::parse("q"), None);
        assert_eq!(Format::parse("bxx"), None);
    }

    #[test]
    fn repeated_lines() {
        let starred = Dumper { formats: [Format::Numbers(4, 16)].into(), repeats: true, ..Dumper::default() };
        let show = |dumper: &Dumper, bytes: &[u8]| -> String {
            let mut run = dumper.start();
            bytes.chunks(16).map(|l| run.line(l)).collect()
        };
        let zeros = " 00000000 00000000 00000000 00000000\n";
        assert_eq!(show(&starred, &[0; 50]), alloc::format!("0000000 {zeros}*\n0000030  00000000\n"));
        let all = Dumper { repeats: false, ..starred };
        assert_eq!(show(&all, &[0; 32]), alloc::format!("0000000 {zeros}0000010 {zeros}"));
    }

    #[test]
    fn swapped_bytes() {
        let four = Dumper { formats: [Format::Numbers(1, 16)].into(), swap: 4, ..Dumper::default() };
        assert_eq!(four.start().line(b"\x01\x02\x03\x04\x05\x06"), "0000000  04 03 02 01 05 06\n");
        let eight = Dumper { formats: [Format::Numbers(8, 16)].into(), swap: 8, ..four };
        assert_eq!(eight.start().line(b"\x01\x02\x03\x04\x05\x06\x07\x08"), "0000000  0807060504030201\n");
    }
}
