//! Strings: bytes on the wire, UTF-8 in the system, and nothing lost between them.
//!
//! A server may name a file with bytes that are not UTF-8, and a program that read the name in a directory
//! must be able to open it. So each byte `b` (0x80 to 0xFF) that is part of no valid UTF-8 sequence becomes
//! the private-use character U+EF00 + `b` (U+EF80 to U+EFFF), and back on the way out. A character of
//! exactly that range that really stands in a name would come back as a byte; therefore its own three bytes
//! are escaped as well. Hence for all bytes `x`, `unescape(escape(x)) == x`.
//!
//! A program that makes up such characters itself names the file with the bytes they stand for. Only bytes from
//! 0x80 up can come of it, so no `/`, `.` or NUL can be smuggled into a name this way.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What a byte is added to, to make its escape.
const BASE: u32 = 0xef00;

/// A string of a message: bytes that are UTF-8 most of the time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Str<'a>(pub &'a [u8]);

impl<'a> Str<'a> {
    /// The bytes as they travel.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text for the system, [escaped](escape) where needed.
    pub fn text(self) -> Cow<'a, str> {
        escape(self.0)
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for Str<'a> {
    fn from(s: &'a str) -> Self {
        Str(s.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Str<'a> {
    fn from(s: &'a [u8]) -> Self {
        Str(s)
    }
}

impl<'a> From<&'a Cow<'_, [u8]>> for Str<'a> {
    fn from(s: &'a Cow<'_, [u8]>) -> Self {
        Str(s)
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

/// The byte that a character escapes.
fn escaped(c: char) -> Option<u8> {
    let low = u32::from(c).checked_sub(BASE)?;
    u8::try_from(low).ok().filter(|b| *b >= 0x80)
}

/// Bytes of the wire as text. Valid UTF-8 without escape characters is borrowed as it is.
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    match core::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| escaped(c).is_some()) => Cow::Borrowed(text),
        _ => Cow::Owned(escape_slowly(bytes)),
    }
}

fn escape_slowly(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if escaped(c).is_some() {
                let mut four = [0; 4];
                c.encode_utf8(&mut four).bytes().for_each(|b| push_escaped(&mut out, b));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| push_escaped(&mut out, *b));
    }
    out
}

fn push_escaped(out: &mut String, byte: u8) {
    out.extend(char::from_u32(BASE + u32::from(byte)));
}

/// Text of the system as bytes for the wire: the inverse of [`escape`].
pub fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(|c| escaped(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match escaped(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed_both_ways() {
        for text in ["", "lib9.a", "père", "日本", "\u{ee80}", "\u{ef7f}", "\u{f000}"] {
            assert!(matches!(escape(text.as_bytes()), Cow::Borrowed(t) if t == text), "{text:?}");
            assert!(matches!(unescape(text), Cow::Borrowed(b) if b == text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn invalid_bytes_become_private_characters() {
        assert_eq!(escape(b"p\xe8re"), "p\u{efe8}re");
        assert_eq!(escape(b"\xff\x80"), "\u{efff}\u{ef80}");
        assert_eq!(unescape("p\u{efe8}re").as_ref(), b"p\xe8re");
        // A sequence cut short, an overlong one, a surrogate: every byte of them is kept.
        for bad in [&b"\xe6\x97"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"a\xf0\x9f\x98/"] {
            assert_eq!(unescape(&escape(bad)).as_ref(), bad);
        }
    }

    #[test]
    fn a_real_character_of_the_range_survives() {
        let name = "\u{efe8}".as_bytes();
        assert_eq!(escape(name), "\u{efee}\u{efbf}\u{efa8}");
        assert_eq!(unescape(&escape(name)).as_ref(), name);
    }

    #[test]
    fn every_pair_and_many_random_strings_survive() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                assert_eq!(unescape(&escape(&[a, b])).as_ref(), [a, b]);
            }
        }
        let mut seed = 9u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..crate::rng::next(&mut seed) % 12)
                .map(|_| {
                    [0x41, 0x80, 0xbe, 0xbf, 0xc3, 0xee, 0xef, 0xf0, 0x9f, 0xff]
                        [crate::rng::next(&mut seed) as usize % 10]
                })
                .collect();
            assert_eq!(unescape(&escape(&bytes)).as_ref(), bytes);
        }
    }

    #[test]
    fn no_escape_can_smuggle_ascii() {
        for c in (0xef00..0xef80).filter_map(char::from_u32) {
            assert_eq!(escaped(c), None);
        }
    }
}
