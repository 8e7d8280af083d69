//! Runs of printable characters among other bytes, as strings finds them.

use alloc::format;
use alloc::vec::Vec;

use crate::regexp::decode;

/// Characters in a line of output.
const LINE: usize = 70;

/// A search through a file that comes in pieces.
#[derive(Clone, Debug)]
pub struct Strings {
    /// Characters that a run has at least.
    least: usize,
    /// The run so far, as long as it is not printed, its characters, and where in the file it began.
    run: Vec<u8>,
    count: usize,
    begin: u64,
    /// Has the beginning of this run been printed?
    continued: bool,
    /// Where in the file the next byte is.
    at: u64,
    /// The first bytes of a character whose others have not come yet.
    rest: Vec<u8>,
}

impl Strings {
    /// A search for runs of `least` characters and more.
    pub fn new(least: usize) -> Self {
        let least = least.max(1);
        Strings { least, run: Vec::new(), count: 0, begin: 0, continued: false, at: 0, rest: Vec::new() }
    }

    /// Looks at the next bytes.
    pub fn take(&mut self, bytes: &[u8], print: &mut dyn FnMut(&[u8])) {
        let mut text = core::mem::take(&mut self.rest);
        text.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((c, len)) = decode(&text, at) {
            let whole = c <= 0x10_ffff;
            if !whole && text.len() - at < 4 && c - 0x11_0000 >= 0xc2 {
                // It may become a character yet.
                break;
            }
            let bytes = text.get(at..at + len).unwrap_or(&[]);
            self.character(c, bytes, print);
            at += len;
        }
        self.rest = text.get(at..).unwrap_or(&[]).to_vec();
    }

    /// Looks at what is left at the end.
    pub fn finish(&mut self, print: &mut dyn FnMut(&[u8])) {
        let rest = core::mem::take(&mut self.rest);
        let mut at = 0;
        while let Some((c, len)) = decode(&rest, at) {
            self.character(c, rest.get(at..at + len).unwrap_or(&[]), print);
            at += len;
        }
        self.end(print);
    }

    fn character(&mut self, c: u32, bytes: &[u8], print: &mut dyn FnMut(&[u8])) {
        if matches!(c, 0x20..=0x7e | 0xa0..=0xffff) {
            if self.count == LINE {
                self.show(true, print);
            }
            if self.count == 0 {
                self.begin = self.at;
            }
            self.run.extend_from_slice(bytes);
            self.count += 1;
        } else {
            self.end(print);
        }
        self.at += bytes.len() as u64;
    }

    fn end(&mut self, print: &mut dyn FnMut(&[u8])) {
        if self.count > 0 && (self.continued || self.count >= self.least) {
            self.show(false, print);
        }
        self.run.clear();
        self.count = 0;
        self.continued = false;
    }

    fn show(&mut self, more: bool, print: &mut dyn FnMut(&[u8])) {
        print(format!("{:8}: ", self.begin).as_bytes());
        print(&self.run);
        print(if more { b" ...\n" } else { b"\n" });
        self.run.clear();
        self.count = 0;
        self.continued = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn strings(least: usize, text: &[u8]) -> String {
        let mut all = Vec::new();
        for size in [1, 2, 3, 1000] {
            let mut out = Vec::new();
            let mut s = Strings::new(least);
            let mut print = |b: &[u8]| out.extend_from_slice(b);
            text.chunks(size).for_each(|piece| s.take(piece, &mut print));
            s.finish(&mut print);
            all.push(String::from_utf8(out).unwrap());
        }
        all.dedup();
        assert_eq!(all.len(), 1, "pieces make a difference: {all:?}");
        all.remove(0)
    }

    #[test]
    fn runs() {
        assert_eq!(strings(6, b"\0short\0longer\x01"), "       7: longer\n");
        assert_eq!(strings(6, "\u{1}κόσμος\0".as_bytes()), "       1: κόσμος\n");
        assert_eq!(strings(3, b"ab\xffabc\xe2\x82"), "       3: abc\n");
        assert_eq!(strings(3, b"\xe2\x82abc"), "       2: abc\n");
        assert_eq!(strings(6, b""), "");
    }

    #[test]
    fn long_ones() {
        let text = "x".repeat(141);
        let want =
            format!("       0: {} ...\n      70: {} ...\n     140: x\n", "x".repeat(70), "x".repeat(70));
        assert_eq!(strings(6, text.as_bytes()), want);
        assert_eq!(strings(6, "x".repeat(70).as_bytes()), format!("       0: {}\n", "x".repeat(70)));
    }
}
