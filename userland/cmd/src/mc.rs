//! Lines in as many columns as have room, as mc prints them.

use alloc::vec::Vec;

use crate::regexp::decode;

/// Prints lines, without their newlines, in columns of a page that is `width` wide: down, then to the right.
pub fn columns(lines: &[Vec<u8>], width: usize, print: &mut dyn FnMut(&[u8])) {
    let widest = lines.iter().map(|line| length(line)).max().unwrap_or(0);
    let each = widest + 1;
    let count = (width / each).clamp(1, lines.len().max(1));
    let rows = lines.len().div_ceil(count).max(1);
    for row in 0..rows.min(lines.len()) {
        let mut out = Vec::new();
        let mut blanks = 0;
        for line in lines.iter().skip(row).step_by(rows) {
            out.resize(out.len() + blanks, b' ');
            out.extend_from_slice(line);
            blanks = each - length(line);
        }
        out.push(b'\n');
        print(&out);
    }
}

/// Characters of a line.
fn length(line: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some((_, len)) = decode(line, at) {
        at += len;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn mc(width: usize, text: &str) -> String {
        let lines: Vec<Vec<u8>> = text.split_whitespace().map(|w| w.as_bytes().to_vec()).collect();
        let mut out = Vec::new();
        columns(&lines, width, &mut |b| out.extend_from_slice(b));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn down_and_to_the_right() {
        assert_eq!(mc(10, "a bb ccc d e"), "a   d\nbb  e\nccc\n");
        assert_eq!(mc(80, "a b c"), "a b c\n");
        assert_eq!(mc(2, "long longer"), "long\nlonger\n");
        assert_eq!(mc(8, "κόσ b c"), "κόσ c\nb\n");
        assert_eq!(mc(80, ""), "");
    }
}
