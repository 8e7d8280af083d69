//! Matches replaced by something made of them, as the editors do it.

use alloc::vec::Vec;

use super::find::Machine;
use super::{Finder, decode};

/// A part of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(Vec<u8>),
    /// `&` is part 0, the whole match; `\\1` to `\\9` are the others.
    Part(usize),
}

impl Finder {
    /// The text with match `nth` (from 1) replaced and, if `all`, those after it; nothing when there are too few. With
    /// `end` an empty match is looked for at the end of the text, too, as ed does it and sed does not.
    pub fn replace(
        &mut self,
        with: &[Piece],
        nth: u64,
        all: bool,
        text: &[u8],
        end: bool,
    ) -> Option<Vec<u8>> {
        let slow = self.is_slow(text);
        let has_parts = with.iter().any(|piece| matches!(piece, Piece::Part(1..)));
        // Only where it has to be known what the parentheses are.
        let mut machine = None;
        let mut out = Vec::new();
        let (mut at, mut copied, mut count) = (0, 0, 0);
        loop {
            let found = if slow {
                let machine = machine.get_or_insert_with(|| Machine::new(self.regexp()));
                self.regexp().find_with(machine, text, at).map(|m| (m.begin(), m.end()))
            } else {
                self.find(text, at)
            };
            let Some((begin, stop)) = found else { break };
            // An empty one right behind another one counts, too: `s/b*/-/g` makes `-a--c` of `abc`.
            count += 1;
            if count >= nth && (all || count == nth) {
                out.extend_from_slice(text.get(copied..begin).unwrap_or(&[]));
                let parts = if has_parts {
                    let machine = machine.get_or_insert_with(|| Machine::new(self.regexp()));
                    self.regexp().find_with(machine, text, begin)
                } else {
                    None
                };
                for piece in with {
                    let part = match piece {
                        Piece::Text(text) => text.as_slice(),
                        Piece::Part(0) => text.get(begin..stop).unwrap_or(&[]),
                        Piece::Part(n) => {
                            let part = parts.as_ref().and_then(|m| m.part(*n));
                            part.and_then(|(begin, end)| text.get(begin..end)).unwrap_or(&[])
                        }
                    };
                    out.extend_from_slice(part);
                }
                copied = stop;
            }
            if !all && count >= nth {
                break;
            }
            at = stop;
            if begin == stop {
                match decode(text, at) {
                    Some((_, len)) => at += len,
                    None => break,
                }
            }
            if !end && at >= text.len() {
                break;
            }
        }
        if count < nth {
            return None;
        }
        out.extend_from_slice(text.get(copied..).unwrap_or(&[]));
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn replaced(pattern: &str, with: &[Piece], text: &str) -> Option<Vec<u8>> {
        Finder::new(parse(pattern, false).unwrap()).replace(with, 1, true, text.as_bytes(), false)
    }

    #[test]
    fn parts_and_lines() {
        let with = [Piece::Part(2), Piece::Text(b"-".to_vec()), Piece::Part(1), Piece::Part(0)];
        assert_eq!(replaced("(a+)(b*)", &with, "xaabya").unwrap(), b"xb-aaaaby-aa");
        let with = [Piece::Text(b">".to_vec())];
        assert_eq!(replaced("^", &with, "a\nb").unwrap(), b">a\n>b");
        assert_eq!(replaced("$", &with, "a\nb").unwrap(), b"a>\nb>");
        assert_eq!(replaced("^a", &with, "aa\naa").unwrap(), b">a\n>a");
        assert_eq!(replaced("^a", &with, "aaaa").unwrap(), b">aaa");
        assert_eq!(replaced("b", &with, "aa"), None);
    }

    #[test]
    fn no_text_takes_more_than_its_length() {
        const LINES: usize = 50_000;
        let text = "xx\n".repeat(LINES);
        for (pattern, left) in [("x", 1), ("^x", 2), ("x$", 2), ("(x)", 3)] {
            let made = replaced(pattern, &[Piece::Part(1)], &text).unwrap();
            assert_eq!(made.len(), left * LINES, "{pattern}");
        }
    }
}
