//! Bytes as characters.

/// The character at `at` and how many bytes it takes. A byte that is not part of UTF-8 counts as the character
/// `0x110000` plus its value, which no pattern names but `.` and negated sets match.
pub fn decode(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let rest = text.get(at..)?;
    let first = *rest.first()?;
    if first < 0x80 {
        return Some((u32::from(first), 1));
    }
    let len = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let c = rest.get(..len).and_then(|b| core::str::from_utf8(b).ok()).and_then(|s| s.chars().next());
    Some(c.map_or((0x11_0000 + u32::from(first), 1), |c| (u32::from(c), len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bytes_are_one_character_each() {
        let text = b"a\xcf\x80\xff\xe2\x82";
        assert_eq!(decode(text, 0), Some((0x61, 1)));
        assert_eq!(decode(text, 1), Some((0x3c0, 2)));
        assert_eq!(decode(text, 3), Some((0x11_00ff, 1)));
        assert_eq!(decode(text, 4), Some((0x11_00e2, 1)));
        assert_eq!(decode(text, 6), None);
    }
}
