//! Words while they are evaluated: text in which some characters are patterns.

use alloc::string::String;
use alloc::vec::Vec;

/// A string, and where in it `*`, `?` and `[` mean more than themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The characters.
    pub text: String,
    /// Byte offsets of the pattern characters, ascending.
    pub metas: Vec<usize>,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text { text, metas: Vec::new() }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::from(String::from(text))
    }
}

impl Text {
    /// Text in which every `*`, `?` and `[` is a pattern.
    pub fn pattern(text: &str) -> Self {
        let metas = text.char_indices().filter(|(_, c)| matches!(c, '*' | '?' | '[')).map(|(at, _)| at);
        Text { metas: metas.collect(), text: text.into() }
    }

    /// `self` followed by `other`.
    pub fn join(&self, other: &Text) -> Text {
        let mut text = String::with_capacity(self.text.len() + other.text.len());
        text.push_str(&self.text);
        text.push_str(&other.text);
        let moved = other.metas.iter().map(|at| at + self.text.len());
        Text { text, metas: self.metas.iter().copied().chain(moved).collect() }
    }

    /// Does it match `subject` as a whole?
    pub fn matches(&self, subject: &str) -> bool {
        let pattern: Vec<(char, bool)> =
            self.text.char_indices().map(|(at, c)| (c, self.metas.binary_search(&at).is_ok())).collect();
        let subject: Vec<char> = subject.chars().collect();
        matches(&pattern, &subject)
    }

    /// The elements of a path, between slashes.
    pub fn elements(&self) -> Vec<Text> {
        let mut out = Vec::new();
        let mut start = 0;
        for piece in self.text.split('/') {
            let end = start + piece.len();
            let metas = self.metas.iter().filter(|at| (start..end).contains(*at)).map(|at| at - start);
            out.push(Text { metas: metas.collect(), text: piece.into() });
            start = end + 1;
        }
        out
    }
}

/// `a^b`: pairs of lists of one length, or one word with each of many.
///
/// # Errors
/// Rc's message when the lengths do not fit.
pub fn concatenate(left: Vec<Text>, right: Vec<Text>) -> Result<Vec<Text>, &'static str> {
    match (left.as_slice(), right.as_slice()) {
        ([], []) => Ok(left),
        ([], _) | (_, []) => Err("null list in concatenation"),
        ([one], many) => Ok(many.iter().map(|r| one.join(r)).collect()),
        (many, [one]) => Ok(many.iter().map(|l| l.join(one)).collect()),
        (l, r) if l.len() == r.len() => Ok(l.iter().zip(r).map(|(l, r)| l.join(r)).collect()),
        _ => Err("mismatched list lengths in concatenation"),
    }
}

/// Matches without recursion: on a mismatch the last `*` takes one character more.
fn matches(pattern: &[(char, bool)], subject: &[char]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), subject.get(s)) {
            (None, None) => return true,
            (Some(('*', true)), _) => {
                p += 1;
                star = Some((p, s));
                continue;
            }
            (Some(('?', true)), Some(_)) => Some(p + 1),
            (Some(('[', true)), Some(&c)) => class(pattern, p + 1, c),
            (Some((want, _)), Some(c)) if want == c => Some(p + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => {
                p = next;
                s += 1;
            }
            (None, Some((after, from))) if from < subject.len() => {
                star = Some((after, from + 1));
                p = after;
                s = from + 1;
            }
            _ => return false,
        }
    }
}

/// `[a-z]` or `[~a-z]` from behind the bracket: where the pattern goes on if `c` is in it. One that is not closed
/// matches nothing.
fn class(pattern: &[(char, bool)], mut at: usize, c: char) -> Option<usize> {
    let get = |at: usize| pattern.get(at).map(|p| p.0);
    let other = get(at) == Some('~');
    at += usize::from(other);
    let mut hit = false;
    loop {
        let mut low = get(at)?;
        if low == ']' {
            return (hit != other).then_some(at + 1);
        }
        at += 1;
        let mut high = low;
        if get(at) == Some('-') && get(at + 1).is_some_and(|c| c != ']') {
            high = get(at + 1)?;
            at += 2;
        }
        if high < low {
            core::mem::swap(&mut low, &mut high);
        }
        hit |= (low..=high).contains(&c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn hit(pattern: &str, subject: &str) -> bool {
        Text::pattern(pattern).matches(subject)
    }

    #[test]
    fn patterns() {
        for (pattern, subject) in [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a*b*c", "a1b2b3c"),
            ("?", "π"),
            ("[a-c]x", "bx"),
            ("[c-a]x", "bx"),
            ("[~a-c]x", "dx"),
            ("[a-]", "-"),
            ("*.[ch]", "x.y.c"),
            ("[*]", "*"),
        ] {
            assert!(hit(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in [
            ("", "a"),
            ("?", ""),
            ("a*c", "ab"),
            ("[a-c]", "d"),
            ("[~a-c]", "b"),
            ("[a", "a"),
            ("[]", "]"),
            ("[", "["),
            ("*a", "ab"),
        ] {
            assert!(!hit(pattern, subject), "{pattern} {subject}");
        }
        assert!(!Text::from("a*").matches("ab"), "a quoted star is a star");
        assert!(Text::from("a*").matches("a*"));
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = "*a".repeat(60);
        assert!(!hit(&pattern, &("a".repeat(4000) + "b")));
    }

    #[test]
    fn joining_moves_patterns() {
        let t = Text::from("a*").join(&Text::pattern("b*"));
        assert_eq!((t.text.as_str(), t.metas.as_slice()), ("a*b*", &[3][..]));
        assert!(t.matches("a*bc") && !t.matches("axbc"));
        let parts = Text::pattern("/u*/b?n").elements();
        assert_eq!(parts.iter().map(|p| p.text.as_str()).collect::<Vec<_>>(), ["", "u*", "b?n"]);
        assert_eq!((&parts[1].metas, &parts[2].metas), (&vec![1], &vec![1]));
    }

    #[test]
    fn lists_concatenate() {
        let list = |words: &[&str]| words.iter().map(|w| Text::from(*w)).collect::<Vec<_>>();
        let cat = |a: &[&str], b: &[&str]| {
            concatenate(list(a), list(b)).map(|l| l.into_iter().map(|t| t.text).collect::<Vec<_>>())
        };
        assert_eq!(cat(&["a", "b"], &["1", "2"]).unwrap(), ["a1", "b2"]);
        assert_eq!(cat(&["a"], &["1", "2"]).unwrap(), ["a1", "a2"]);
        assert_eq!(cat(&["a", "b"], &["1"]).unwrap(), ["a1", "b1"]);
        assert!(cat(&[], &[]).unwrap().is_empty());
        assert_eq!(cat(&[], &["x"]).unwrap_err(), "null list in concatenation");
        assert_eq!(
            cat(&["a", "b"], &["1", "2", "3"]).unwrap_err(),
            "mismatched list lengths in concatenation"
        );
    }
}
