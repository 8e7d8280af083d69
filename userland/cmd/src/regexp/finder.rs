//! The leftmost longest match, fast, without the parts in parentheses: from each place where one can begin, how far it
//! goes. This does not know of lines inside a text: for those, and an expression that has `^` or `$` of Plan 9's kind,
//! there is the slow way. Where much is read in vain from many places the text is searched with all places in step
//! instead, so that no text takes more than its length.

use alloc::boxed::Box;

use super::{Dfa, Inst, Regexp, decode};

/// How often what was passed may have been read in vain, and what may be on top of it.
const IN_VAIN: usize = 16;
const IN_VAIN_BYTES: usize = 4096;

/// An expression, and what was learned of it.
#[derive(Clone, Debug)]
pub struct Finder {
    re: Regexp,
    /// It asks where lines begin or end.
    lines: bool,
    /// Made when they are needed.
    anywhere: Option<Box<Dfa>>,
    anchored: Option<Box<Dfa>>,
}

impl Finder {
    /// A finder of `re`.
    pub fn new(re: Regexp) -> Finder {
        let lines = re.prog.iter().any(|inst| matches!(inst, Inst::Bol | Inst::Eol));
        Finder { re, lines, anywhere: None, anchored: None }
    }

    /// Is there a match in the text?
    pub fn matches(&mut self, text: &[u8]) -> bool {
        if self.is_slow(text) {
            return self.re.find(text, 0).is_some();
        }
        self.anywhere.get_or_insert_with(|| Box::new(Dfa::new(self.re.clone()))).matches(text)
    }

    /// Its expression.
    pub(super) fn regexp(&self) -> &Regexp {
        &self.re
    }

    /// Is it a text of lines, and are they asked for?
    pub(super) fn is_slow(&self, text: &[u8]) -> bool {
        self.lines && text.contains(&b'\n')
    }

    /// The beginning and the end of the leftmost longest match that begins at byte `from` or later, where nobody
    /// [asks for lines](Finder::is_slow).
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
    fn agrees_with_the_slow_way_about_lines() {
        for pattern in ["^a", "a$", "^", "$", "^(a|b)$", "a|^b"] {
            let re = super::super::parse(pattern, false).unwrap();
            let mut finder = Finder::new(re.clone());
            for text in [&b""[..], b"a", b"ba", b"b", b"c\nb", b"c\nac\n", b"ca\n"] {
                assert_eq!(finder.matches(text), re.find(text, 0).is_some(), "{pattern} in {text:?}");
                let want = re.find(text, 0).map(|m| (m.begin(), m.end()));
                assert!(finder.is_slow(text) || finder.find(text, 0) == want, "{pattern} in {text:?}");
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
