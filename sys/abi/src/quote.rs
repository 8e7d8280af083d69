//! Plan 9's quoting (`%q`, `tokenize`): blanks and quotes are protected by single quotes, inner quotes doubled.
//!
//! Quoting has no way to write a newline but as itself. So what somebody else has named, and what is to stay on its
//! line among others, is [made one line](one_line) first.

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

/// `word` quoted as well when it has one of the `separators` of the fields among which it stands.
pub fn quote_among(word: &str, separators: &[char]) -> String {
    if needs_quotes(word) || !word.contains(separators) {
        return quote(word);
    }
    alloc::format!("'{word}'")
}

/// `text` without what could end its line or change how it looks: for control characters stand their pictures (`␊` for
/// a newline), and where there is none, and for characters that only turn the direction of writing, U+FFFD.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    };
    text.chars().map(shown).collect()
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

    #[test]
    fn separators_are_quoted_where_they_would_separate() {
        assert_eq!(quote_among("a:b", &[':']), "'a:b'");
        assert_eq!(quote_among("it's:a", &[':']), "'it''s:a'");
        assert_eq!([quote_among("a:b", &[',']), quote_among("", &[','])], ["a:b", "''"]);
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(one_line("plain π"), "plain π");
        assert_eq!(one_line("a\nb\t\0\x7f"), "a␊b␉␀␡");
        assert_eq!(one_line("a\u{85}b\u{2028}c\u{202e}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        for c in (0..0x3000).filter_map(char::from_u32) {
            let shown = one_line(c.encode_utf8(&mut [0; 4]));
            assert_eq!((shown.chars().count(), shown.contains(char::is_control)), (1, false), "{c:?}");
        }
    }
}
