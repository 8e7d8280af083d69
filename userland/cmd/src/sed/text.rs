//! What commands make of a text: substitution, translation, and how `l` shows it.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Piece, Substitute};
use crate::regexp::{Match, Regexp, decode};

/// The text with the matches of `re` replaced; nothing when there are too few of them.
pub fn substitute(s: &Substitute, re: &Regexp, text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut at, mut copied, mut count) = (0, 0, 0);
    let mut previous_end = None;
    while let Some(m) = re.find(text, at) {
        let empty = m.begin() == m.end();
        // Right behind a match an empty one does not count.
        if !(empty && previous_end == Some(m.begin())) {
            count += 1;
            if count >= s.nth && (s.all || count == s.nth) {
                out.extend_from_slice(text.get(copied..m.begin()).unwrap_or(&[]));
                expand(&s.with, text, &m, &mut out);
                copied = m.end();
            }
            if !s.all && count >= s.nth {
                break;
            }
        }
        previous_end = Some(m.end());
        at = m.end();
        if empty {
            match decode(text, at) {
                Some((_, len)) => at += len,
                None => break,
            }
        }
    }
    if count < s.nth {
        return None;
    }
    out.extend_from_slice(text.get(copied..).unwrap_or(&[]));
    Some(out)
}

/// The text with characters changed into others.
pub fn translate(text: &[u8], table: &[(char, char)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some((c, len)) = decode(text, at) {
        match table.iter().find(|(from, _)| u32::from(*from) == c) {
            Some((_, to)) => out.extend_from_slice(to.encode_utf8(&mut [0; 4]).as_bytes()),
            None => out.extend_from_slice(text.get(at..at + len).unwrap_or(&[])),
        }
        at += len;
    }
    out
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

/// The space as `l` shows it: what does not print by its number, long lines folded.
pub fn listing(space: &[u8]) -> String {
    let mut out = String::new();
    let (mut at, mut column) = (0, 0);
    while let Some((c, len)) = decode(space, at) {
        let shown = match (c, char::from_u32(c)) {
            (0x5c, _) => "\\\\".into(),
            (0x09, _) => "\\t".into(),
            (0x0a, _) => "\\n".into(),
            (0x08, _) => "\\b".into(),
            (_, Some(c)) if !c.is_control() => String::from(c),
            (_, Some(c)) => alloc::format!("\\x{:02x}", u32::from(c)),
            (c, None) => alloc::format!("\\x{:02x}", c & 0xff),
        };
        if column + shown.len() > 71 {
            out.push_str("\\\n");
            column = 0;
        }
        column += shown.len();
        out.push_str(&shown);
        at += len;
    }
    out.push('\n');
    out
}
