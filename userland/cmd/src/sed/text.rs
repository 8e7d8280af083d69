//! What commands make of a text: substitution, translation, and how `l` shows it.

use alloc::string::String;
use alloc::vec::Vec;

use super::Substitute;
use crate::regexp::{Finder, decode};

/// The text with the matches of `re` replaced; nothing when there are too few of them.
pub fn substitute(s: &Substitute, re: &mut Finder, text: &[u8]) -> Option<Vec<u8>> {
    re.replace(&s.with, s.nth, s.all, text, false)
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

/// The space as `l` shows it: what does not print by its number, long lines folded.
pub fn listing(space: &[u8]) -> String {
    let mut out = String::new();
    let (mut at, mut column) = (0, 0);
    while let Some((c, len)) = decode(space, at) {
        let shown = match c {
            0x5c => "\\\\".into(),
            0x09 => "\\t".into(),
            0x0a => "\\n".into(),
            0x0d => "\\r".into(),
            0x08 => "\\b".into(),
            0x20..=0x7e => String::from(char::from_u32(c).unwrap_or('?')),
            0..=0x10_ffff => alloc::format!("\\x{c:04x}"),
            // A byte that is no character has two digits.
            byte => alloc::format!("\\x{:02x}", byte & 0xff),
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
