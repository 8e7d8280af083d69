//! The leftmost longest match, fast, without the parts in parentheses: from each place where one can begin, how far it
//! goes. Where much is read in vain from many places the text is searched with all places in step instead, so that no
//! text takes more than its length.

use alloc::boxed::Box;

use super::{Dfa, Regexp, decode};

/// How often what was passed may have been read in vain, and what may be on top of it.
const IN_VAIN: usize = 16;
const IN_VAIN_BYTES: usize = 4096;

/// An expression, and what was learned of it.
#[derive(Debug)]
pub struct Finder {
    re: Regexp,
    /// Made when they are needed.
    anywhere: Option<Box<Dfa>>,
    anchored: Option<Box<Dfa>>,
}

impl Finder {
    /// A finder of `re`.
    pub fn new(re: Regexp) -> Finder {
        Finder { re, anywhere: None, anchored: None }
    }

    /// Is there a match in the text?
    pub fn matches(&mut self, text: &[u8]) -> bool {
        self.anywhere.get_or_insert_with(|| Box::new(Dfa::new(self.re.clone()))).matches(text)
    }

    /// The beginning and the end of the leftmost longest match that begins at byte `from` or later.
    pub fn find(&mut self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let dfa = self.anchored.get_or_insert_with(|| Box::new(Dfa::anchored(self.re.clone())));
        let mut at = from;
        let mut in_vain = 0;
        loop {
            at = self.re.candidate(text, at)?;
            if at > 0 && dfa.begins_with_text() {
                return None;
            }
            let (end, read) = dfa.longest(text, at);
            if let Some(end) = end {
                return Some((at, end));
            }
            in_vain += read - at;
            at += decode(text, at)?.1;
            if in_vain > IN_VAIN_BYTES + IN_VAIN * (at - from) {
                return self.re.find(text, at).map(|m| (m.begin(), m.end()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::extended;
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn agrees_with_the_slow_way() {
        let patterns: [&[u8]; 22] = [
            b"a",
            b"^a",
            b"a$",
            b"^a$",
            b"^$",
            b"",
            b"(ab|ba)+$",
            b"x*y",
            b"[^a]b",
            "π|b".as_bytes(),
            b".b.",
            b"a\nb",
            b"^(a|^b)c",
            b"($)",
            b"a(b$|c)d*",
            b"a|ab|abb",
            b"b*",
            b"x*",
            b"(a|b)*c|a",
            b"a{2,3}",
            b"[[:alpha:]]+",
            b"$",
        ];
        let texts: [&[u8]; 14] = [
            b"",
            b"a",
            b"ab",
            b"ba",
            b"abba",
            b"xxy",
            b"c\nb",
            "aπ".as_bytes(),
            b"\xffb\xff",
            b"ac",
            b"bc\n",
            b"abdaaaa",
            b"a\nb",
            b"aacabababb",
        ];
        for pattern in patterns {
            let re = extended(pattern).unwrap();
            let mut finder = Finder::new(re.clone());
            for text in texts {
                for from in 0..=text.len() {
                    let want = re.find(text, from).map(|m| (m.begin(), m.end()));
                    assert_eq!(finder.find(text, from), want, "{pattern:?} in {text:?} from {from}");
                }
                assert_eq!(finder.matches(text), re.find(text, 0).is_some(), "{pattern:?} in {text:?}");
            }
        }
    }

    #[test]
    fn no_text_takes_more_than_its_length() {
        let text: Vec<u8> = b"a".repeat(200_000);
        let mut finder = Finder::new(extended(b"a*b").unwrap());
        assert_eq!(finder.find(&text, 0), None);
    }
}
