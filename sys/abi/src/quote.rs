//! Plan 9's quoting (`%q`, `tokenize`): blanks and quotes are protected by single quotes, inner quotes doubled.

use alloc::string::String;
use alloc::vec::Vec;

/// True when `word` must be quoted to be read back as one word.
pub fn needs_quotes(word: &str) -> bool {
    word.is_empty() || word.bytes().any(|b| b <= b' ' || b == b'\'' || b == 0x7f)
}

/// `word` as `%q` prints it.
pub fn quote(word: &str) -> String {
    if !needs_quotes(word) {
        return String::from(word);
    }
    let mut out = String::with_capacity(word.len() + 2);
    out.push('\'');
    for c in word.chars() {
        if c == '\'' {
            out.push('\'');
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// Cuts a line into words at blanks, tabs and newlines; quoted parts stay whole and lose their quotes.
/// An unfinished quote runs to the end of the line.
pub fn tokenize(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if quoted {
            let w = word.get_or_insert_with(String::new);
            if c != '\'' {
                w.push(c);
            } else if chars.peek() == Some(&'\'') {
                chars.next();
                w.push('\'');
            } else {
                quoted = false;
            }
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            words.extend(word.take());
        } else if c == '\'' {
            word.get_or_insert_with(String::new);
            quoted = true;
        } else {
            word.get_or_insert_with(String::new).push(c);
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_round_trip() {
        for word in ["a", "", "a b", "it's", "'", "x\ty", "π'"] {
            assert_eq!(tokenize(&quote(word)), [word]);
        }
        assert_eq!(tokenize("  a 'b c'd  '' "), ["a", "b cd", ""]);
        assert_eq!(tokenize("'open end"), ["open end"]);
        assert_eq!(quote("plain"), "plain");
        assert_eq!(quote("it's"), "'it''s'");
    }
}
