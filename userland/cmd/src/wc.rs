//! Counting for wc.

use alloc::string::String;
use core::fmt::Write;

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// -l
    pub lines: bool,
    /// -w
    pub words: bool,
    /// -r
    pub runes: bool,
    /// -b
    pub bad: bool,
    /// -c
    pub bytes: bool,
}

/// Running counts of a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    lines: u64,
    words: u64,
    runes: u64,
    bad: u64,
    bytes: u64,
    in_word: bool,
    /// Bytes that the character at hand still needs.
    need: u8,
    /// Smallest and largest value that the next of them may have.
    range: (u8, u8),
}

impl Counts {
    /// Counts a piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        for &b in piece {
            match b {
                b'\n' => {
                    self.lines += 1;
                    self.in_word = false;
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.in_word = false,
                _ if !self.in_word => {
                    self.in_word = true;
                    self.words += 1;
                }
                _ => {}
            }
            self.rune(b);
        }
    }

    /// UTF-8, one byte at a time: a character counts when its first byte comes, and turns bad when the rest does not.
    fn rune(&mut self, b: u8) {
        if self.need > 0 {
            if (self.range.0..=self.range.1).contains(&b) {
                self.need -= 1;
                self.range = (0x80, 0xbf);
                return;
            }
            self.bad += 1;
            self.need = 0;
        }
        self.runes += 1;
        (self.need, self.range) = match b {
            0..0x80 => return,
            0xc2..=0xdf => (1, (0x80, 0xbf)),
            0xe0 => (2, (0xa0, 0xbf)),
            0xed => (2, (0x80, 0x9f)),
            0xe1..=0xef => (2, (0x80, 0xbf)),
            0xf0 => (3, (0x90, 0xbf)),
            0xf1..=0xf3 => (3, (0x80, 0xbf)),
            0xf4 => (3, (0x80, 0x8f)),
            _ => {
                self.bad += 1;
                return;
            }
        };
    }

    /// The text is over: a character that was not finished is bad.
    pub fn finish(&mut self) {
        if self.need > 0 {
            self.bad += 1;
            self.need = 0;
        }
    }

    /// Adds the counts of another text.
    pub fn add(&mut self, other: &Counts) {
        self.lines += other.lines;
        self.words += other.words;
        self.runes += other.runes;
        self.bad += other.bad;
        self.bytes += other.bytes;
    }

    /// The line that is printed for the text `name`.
    pub fn line(&self, which: &Which, name: &str) -> String {
        let mut out = String::new();
        for (shown, n) in [
            (which.lines, self.lines),
            (which.words, self.words),
            (which.runes, self.runes),
            (which.bad, self.bad),
            (which.bytes, self.bytes),
        ] {
            if shown {
                let _ = write!(out, " {n:7}");
            }
        }
        if !name.is_empty() {
            out.push(' ');
            out.push_str(name);
        }
        // No blank before the first.
        out.split_off(out.len().min(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pieces: &[&[u8]]) -> [u64; 5] {
        let mut c = Counts::default();
        for p in pieces {
            c.take(p);
        }
        c.finish();
        [c.lines, c.words, c.runes, c.bad, c.bytes]
    }

    #[test]
    fn counting() {
        assert_eq!(counts(&[b"a bc\n d\n"]), [2, 3, 8, 0, 8]);
        assert_eq!(counts(&[b"a\xcf", b"\x80 b"]), [0, 2, 4, 0, 5]);
        assert_eq!(counts(&[b"\xff\xcfa\xe2\x82"]), [0, 1, 4, 3, 5]);
        assert_eq!(counts(&[]), [0; 5]);
    }

    #[test]
    fn lines() {
        let mut c = Counts::default();
        c.take(b"a b\n");
        let which = Which { lines: true, bytes: true, ..Which::default() };
        assert_eq!(c.line(&which, "f"), "      1       4 f");
    }
}
