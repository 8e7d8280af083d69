//! How often each byte or character is there, as freq shows it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::regexp::decode;

/// What a character is shown by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// -d
    pub decimal: bool,
    /// -o
    pub octal: bool,
    /// -x
    pub hex: bool,
    /// -c
    pub character: bool,
    /// Characters are counted, not bytes (-r).
    pub runes: bool,
}

/// A count in progress.
#[derive(Clone, Debug, Default)]
pub struct Freq {
    counts: BTreeMap<u32, u64>,
    /// The first bytes of a character whose others have not come yet.
    rest: Vec<u8>,
}

impl Freq {
    /// Counts bytes.
    pub fn take(&mut self, bytes: &[u8], runes: bool) {
        if !runes {
            for &byte in bytes {
                self.count(u32::from(byte));
            }
            return;
        }
        let mut text = core::mem::take(&mut self.rest);
        text.extend_from_slice(bytes);
        let cut = text.len() - crate::tr::cut_character(&text);
        self.rest = text.split_off(cut);
        self.runes(&text);
    }

    /// Counts what is left at the end.
    pub fn finish(&mut self) {
        let rest = core::mem::take(&mut self.rest);
        self.runes(&rest);
    }

    fn runes(&mut self, text: &[u8]) {
        let mut at = 0;
        while let Some((c, len)) = decode(text, at) {
            at += len;
            // A byte that is no character counts as the one that stands for such.
            self.count(if c <= 0x10_ffff { c } else { 0xfffd });
        }
    }

    fn count(&mut self, c: u32) {
        let count = self.counts.entry(c).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// A line for each that was there.
    pub fn lines(&self, show: Show) -> impl Iterator<Item = String> + '_ {
        self.counts.iter().map(move |(&c, count)| {
            let mut line = String::new();
            if show.decimal {
                line.push_str(&format!("{c:3} "));
            }
            if show.octal {
                line.push_str(&format!("{c:03o} "));
            }
            if show.hex {
                line.push_str(&format!("{c:02x} "));
            }
            if show.character {
                let hidden = c <= 0x20 || (0x7f..0xa0).contains(&c);
                line.push(char::from_u32(c).filter(|_| !hidden).unwrap_or('-'));
                line.push(' ');
            }
            line.push_str(&format!("{count:8}\n"));
            line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freq(pieces: &[&[u8]], show: Show) -> String {
        let mut freq = Freq::default();
        for piece in pieces {
            freq.take(piece, show.runes);
        }
        freq.finish();
        freq.lines(show).collect()
    }

    #[test]
    fn histograms() {
        let all = Show { decimal: true, octal: true, hex: true, character: true, runes: false };
        assert_eq!(
            freq(&[b"aa\n\xff"], all),
            " 10 012 0a -        1\n 97 141 61 a        2\n255 377 ff ÿ        1\n"
        );
        let runes = Show { hex: true, character: true, runes: true, ..Show::default() };
        let text = "κκ".as_bytes();
        assert_eq!(
            freq(&[&text[..1], &text[1..], b"\xff\xce"], runes),
            "3ba κ        2\nfffd \u{fffd}        2\n"
        );
        assert_eq!(freq(&[], all), "");
    }
}
