//! Translating characters, as tr does.

use alloc::string::String;
use alloc::vec::Vec;

use crate::regexp::decode;

/// The last character that there can be.
const LAST: u32 = 0x10_ffff;

/// A table of what becomes of each character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tr {
    /// Ranges of characters, in the order of the first string or, for its complement, of their numbers; and the place
    /// of each one's first character among all of them.
    from: Vec<(Range, u64)>,
    /// What they become, likewise. Nothing when they stay what they are.
    to: Vec<(Range, u64)>,
    /// Characters of which only the first of a row is printed.
    squeezed: Vec<Range>,
    delete: bool,
    /// The character that was printed last, if it is one of these.
    before: Option<u32>,
    /// The first bytes of a character whose others have not come yet.
    rest: Vec<u8>,
}

type Range = (u32, u32);

impl Tr {
    /// A table for the options and strings of the command line.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(
        complement: bool,
        delete: bool,
        squeeze: bool,
        first: &str,
        second: Option<&str>,
    ) -> Result<Tr, &'static str> {
        let mut from = ranges(first)?;
        if complement {
            from = complement_of(from);
        }
        let to = ranges(second.unwrap_or(""))?;
        let squeezed = match (squeeze, delete || !to.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => to.clone(),
            (true, false) => from.clone(),
        };
        let to = if delete { Vec::new() } else { to };
        Ok(Tr { from: placed(from), to: placed(to), squeezed, delete, ..Tr::default() })
    }

    /// Translates more of the text. A character that is cut waits for the next piece, or for [`Tr::finish`].
    pub fn take(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let whole;
        let mut text = text;
        if !self.rest.is_empty() {
            let mut joined = core::mem::take(&mut self.rest);
            joined.extend_from_slice(text);
            whole = joined;
            text = &whole;
        }
        let cut = text.len() - cut_character(text);
        self.translate(text.get(..cut).unwrap_or(&[]), out);
        self.rest = text.get(cut..).unwrap_or(&[]).to_vec();
    }

    /// Translates what is left at the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let rest = core::mem::take(&mut self.rest);
        self.translate(&rest, out);
    }

    fn translate(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut at = 0;
        while let Some((c, len)) = decode(text, at) {
            let bytes = text.get(at..at + len).unwrap_or(&[]);
            at += len;
            let place = place_of(&self.from, c);
            if place.is_some() && self.delete {
                continue;
            }
            let becomes = place.and_then(|place| character_at(&self.to, place)).unwrap_or(c);
            if self.squeezed.iter().any(|&(low, high)| low <= becomes && becomes <= high) {
                if self.before == Some(becomes) {
                    continue;
                }
                self.before = Some(becomes);
            } else {
                self.before = None;
            }
            match char::from_u32(becomes).filter(|_| becomes != c) {
                Some(becomes) => out.extend_from_slice(becomes.encode_utf8(&mut [0; 4]).as_bytes()),
                None => out.extend_from_slice(bytes),
            }
        }
    }
}

/// How many bytes at the end of the text are the beginning of a character.
pub(crate) fn cut_character(text: &[u8]) -> usize {
    for back in 1..=text.len().min(3) {
        let Some(&b) = text.get(text.len() - back) else { break };
        let wanted = match b {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        return if wanted > back { back } else { 0 };
    }
    0
}

/// Each range with the number of characters in those before it.
fn placed(ranges: Vec<Range>) -> Vec<(Range, u64)> {
    let mut before = 0;
    let place = |range: Range| {
        let at = before;
        before += u64::from(range.1 - range.0) + 1;
        (range, at)
    };
    ranges.into_iter().map(place).collect()
}

/// Where a character is in the list; the last of its places counts.
fn place_of(list: &[(Range, u64)], c: u32) -> Option<u64> {
    let inside = list.iter().rev().find(|((low, high), _)| *low <= c && c <= *high);
    inside.map(|((low, _), at)| at + u64::from(c - low))
}

/// The character at a place; behind the end of the list it is the last one.
fn character_at(list: &[(Range, u64)], place: u64) -> Option<u32> {
    let inside = list.iter().rev().find(|(_, at)| *at <= place);
    inside.map(|((low, high), at)| {
        u32::try_from(u64::from(*low) + (place - at)).map_or(*high, |c| c.min(*high))
    })
}

/// All other characters, in the order of their numbers. Bytes that are none count behind the last one.
fn complement_of(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut out = Vec::new();
    let mut next = 0;
    for (low, high) in ranges {
        if low > next {
            out.push((next, low - 1));
        }
        next = next.max(high.saturating_add(1));
    }
    if next <= LAST + 0x100 {
        out.push((next, LAST + 0x100));
    }
    out
}

/// The characters that a string names, in its order.
fn ranges(string: &str) -> Result<Vec<Range>, &'static str> {
    let mut out: Vec<Range> = Vec::new();
    let mut left: Vec<char> = string.chars().rev().collect();
    while let Some(c) = left.pop() {
        if c == '-' && !out.is_empty() && !left.is_empty() {
            let high = one(&mut left)?.ok_or("bad range")?;
            if let Some(last) = out.last_mut() {
                if high < last.1 {
                    return Err("invalid range specification");
                }
                last.1 = high;
            }
            continue;
        }
        left.push(c);
        if let Some(c) = one(&mut left)? {
            out.push((c, c));
        }
    }
    Ok(out)
}

/// The next character, which may be given by its number.
fn one(left: &mut Vec<char>) -> Result<Option<u32>, &'static str> {
    let Some(c) = left.pop() else { return Ok(None) };
    if c != '\\' {
        return Ok(Some(u32::from(c)));
    }
    let Some(c) = left.pop() else { return Ok(Some(u32::from('\\'))) };
    let (radix, most) = match c {
        'x' if left.last().is_some_and(char::is_ascii_hexdigit) => (16, 6),
        '0'..='7' => {
            left.push(c);
            (8, 3)
        }
        c => return Ok(Some(u32::from(c))),
    };
    let mut digits = String::new();
    while digits.len() < most
        && let Some(d) = left.last().copied().filter(|d| d.is_digit(radix))
    {
        digits.push(d);
        left.pop();
    }
    let number = u32::from_str_radix(&digits, radix).ok().filter(|n| char::from_u32(*n).is_some());
    number.map(Some).ok_or("no such character")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tr(options: &str, first: &str, second: Option<&str>, text: &str) -> String {
        let has = |c| options.contains(c);
        let mut whole = Vec::new();
        let table = Tr::new(has('c'), has('d'), has('s'), first, second).unwrap();
        let mut once = table.clone();
        once.take(text.as_bytes(), &mut whole);
        once.finish(&mut whole);
        // In pieces of a byte it is the same.
        let (mut pieces, mut out) = (table, Vec::new());
        for b in text.bytes() {
            pieces.take(&[b], &mut out);
        }
        pieces.finish(&mut out);
        assert_eq!(out, whole);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn translates() {
        assert_eq!(tr("", "A-Z", Some("a-z"), "Hello, WORLD"), "hello, world");
        assert_eq!(tr("", "abc", Some("x"), "aabbccdd"), "xxxxxxdd");
        assert_eq!(tr("", "a-c", Some("α-γ"), "abcd"), "αβγd");
        assert_eq!(tr("", "a-\\x63", Some("1-9"), "abcd"), "123d");
        assert_eq!(tr("", "\\141", Some("\\n"), "ab"), "nb");
        assert_eq!(tr("", "-a", Some("+b"), "-a"), "+b");
        assert_eq!(tr("", "a-", Some("b+"), "-a"), "+b");
        assert_eq!(tr("", "", None, "as it is"), "as it is");
    }

    #[test]
    fn deletes_and_squeezes() {
        assert_eq!(tr("d", "a-c", None, "xaybzc"), "xyz");
        assert_eq!(tr("s", " ", None, "a  b   c"), "a b c");
        assert_eq!(tr("s", "a-z", Some("x"), "abc dd  e"), "x x  x");
        assert_eq!(tr("ds", "a", Some("b"), "babab bb"), "b b");
    }

    #[test]
    fn complements() {
        assert_eq!(tr("cs", "A-Za-z", Some("\n"), "Some words, πand -more."), "Some\nwords\nand\nmore\n");
        assert_eq!(tr("cd", "0-9\n", None, "a1b2\nπ3"), "12\n3");
        assert_eq!(tr("c", "b-z", Some("\\001-\\004x"), "\0\x01ab"), "\x01\x02xb");
    }

    #[test]
    fn bytes_that_are_no_characters() {
        let mut out = Vec::new();
        let mut table = Tr::new(false, false, false, "a", Some("b")).unwrap();
        table.take(b"a\xff\xe2\x82", &mut out);
        table.take(b"a\xf0\x9f", &mut out);
        table.finish(&mut out);
        assert_eq!(out, b"b\xff\xe2\x82b\xf0\x9f");
        out.clear();
        let mut table = Tr::new(true, false, false, "a-z\n", Some("?")).unwrap();
        table.take(b"a\xff\xe2\n", &mut out);
        assert_eq!(out, b"a??\n");
    }

    #[test]
    fn bad_strings() {
        for bad in ["\\xd800", "z-a"] {
            assert!(Tr::new(false, false, false, bad, Some("x")).is_err(), "{bad}");
        }
        assert!(Tr::new(false, false, false, "\\x", Some("\\")).is_ok());
    }
}
