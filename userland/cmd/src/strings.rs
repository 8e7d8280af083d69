//! Runs of printable characters among other bytes, as strings finds them.

use alloc::format;
use alloc::vec::Vec;

use crate::regexp::decode;

/// A search through a file that comes in pieces.
#[derive(Clone, Debug)]
pub struct Strings {
    /// Characters that a run has at least.
    least: usize,
    /// The beginning of the run, as long as it is too short to be printed, its characters, and where in the file it
    /// began.
    run: Vec<u8>,
    count: usize,
    begin: u64,
    /// Where in the file the next byte is.
    at: u64,
    /// The first bytes of a character whose others have not come yet.
    rest: Vec<u8>,
}

impl Strings {
    /// A search for runs of `least` characters and more.
    pub fn new(least: usize) -> Self {
        let least = least.max(1);
        Strings { least, run: Vec::new(), count: 0, begin: 0, at: 0, rest: Vec::new() }
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
        if matches!(c, 0x20..=0x7e | 0xa0..=0x10_ffff) {
            if self.count == 0 {
                self.begin = self.at;
            }
            self.count += 1;
            if self.count > self.least {
                print(bytes);
            } else {
                self.run.extend_from_slice(bytes);
            }
            if self.count == self.least {
                print(format!("{:8}: ", self.begin).as_bytes());
                print(&self.run);
            }
        } else {
            self.end(print);
        }
        self.at += bytes.len() as u64;
    }

    fn end(&mut self, print: &mut dyn FnMut(&[u8])) {
        if self.count >= self.least {
            print(b"\n");
        }
        self.run.clear();
        self.count = 0;
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
    fn long_ones_are_whole() {
        let text = "x".repeat(100_000);
        assert_eq!(strings(6, text.as_bytes()), format!("       0: {text}\n"));
        assert_eq!(strings(6, b"sixsix"), "       0: sixsix\n");
        assert_eq!(strings(6, "𝄞 is above\u{10000}".as_bytes()), "       0: 𝄞 is above𐀀\n");
    }
}
