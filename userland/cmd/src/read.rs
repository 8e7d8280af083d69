//! What read reads.

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines.
    Lines,
    /// Bytes.
    Bytes,
    /// Characters of UTF-8.
    Runes,
}

/// How many more bytes a character wants that begins so. A byte that cannot belong to it ends it.
pub fn left_of_rune(begin: &[u8]) -> usize {
    let whole = match begin.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let goes_on = begin.iter().skip(1).all(|b| b & 0xc0 == 0x80);
    if goes_on { whole - begin.len().clamp(1, whole) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runes() {
        let left = |bytes: &[u8]| left_of_rune(bytes);
        assert_eq!([left(b"a"), left(b"\xff"), left(b"\x80"), left(b"\n")], [0; 4]);
        assert_eq!([left(b"\xe2"), left(b"\xe2\x82"), left("€".as_bytes()), left(b"\xe2a")], [2, 1, 0, 0]);
        assert_eq!([left(b"\xcf"), left(b"\xf0\x9f")], [1, 2]);
    }
}
