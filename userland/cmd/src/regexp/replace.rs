//! Matches replaced by something made of them, as the editors do it.

use alloc::vec::Vec;

use super::find::Machine;
use super::{Match, Regexp, decode};

/// A part of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(Vec<u8>),
    /// `&` is part 0, the whole match; `\\1` to `\\9` are the others.
    Part(usize),
}

impl Regexp {
    /// The text with match `nth` (from 1) replaced and, if `all`, those after it; nothing when there are too few. With
    /// `end` an empty match is looked for at the end of the text, too, as ed does it and sed does not.
    pub fn replace(&self, with: &[Piece], nth: u64, all: bool, text: &[u8], end: bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let (mut at, mut copied, mut count) = (0, 0, 0);
        let mut machine = Machine::new(self);
        while let Some(m) = self.find_with(&mut machine, text, at) {
            let empty = m.begin() == m.end();
            // An empty one right behind another one counts, too: `s/b*/-/g` makes `-a--c` of `abc`.
            count += 1;
            if count >= nth && (all || count == nth) {
                out.extend_from_slice(text.get(copied..m.begin()).unwrap_or(&[]));
                expand(with, text, &m, &mut out);
                copied = m.end();
            }
            if !all && count >= nth {
                break;
            }
            at = m.end();
            if empty {
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

fn expand(with: &[Piece], text: &[u8], m: &Match, out: &mut Vec<u8>) {
    for piece in with {
        match piece {
            Piece::Text(t) => out.extend_from_slice(t),
            Piece::Part(n) => {
                if let Some((begin, end)) = m.part(*n) {
                    out.extend_from_slice(text.get(begin..end).unwrap_or(&[]));
                }
            }
        }
    }
}
