//! Characters that no key has: Alt, then two keys; or Alt, `X` and four hexadecimal digits.
//!
//! The pairs are those that Plan 9's keyboard(6) has for Latin-1, and a few more. What is no pair types both
//! characters.

/// A character and the two that compose it.
const PAIRS: &str = "\
    ¡!! ¢c$ £l$ ¥y$ ¦|| §SS ¨\"\" ©co ªsa «<< ¬no ®rO ¯__ °de ±+- ²s2 ³s3 ´'' µmi ¶pg ·.. ¸,, ¹s1 ºso »>> \
    ¼14 ½12 ¾34 ¿?? À`A Á'A Â^A Ã~A Ä\"A ÅoA ÆAE Ç,C È`E É'E Ê^E Ë\"E Ì`I Í'I Î^I Ï\"I ÐD- Ñ~N Ò`O Ó'O Ô^O \
    Õ~O Ö\"O ×mu Ø/O Ù`U Ú'U Û^U Ü\"U Ý'Y Þ|P ßss à`a á'a â^a ã~a ä\"a åoa æae ç,c è`e é'e ê^e ë\"e ì`i í'i \
    î^i ï\"i ðd- ñ~n ò`o ó'o ô^o õ~o ö\"o ÷-: ø/o ù`u ú'u û^u ü\"u ý'y þ|p ÿ\"y €e$ ☺:) ←<- →-> ↑ua ↓da •bu \
    –en —em";

/// How far a composition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compose {
    /// Nothing has begun.
    #[default]
    Off,
    /// Alt was pressed.
    First,
    /// And this.
    Second(char),
    /// `X`, and so many digits with this value.
    Hex(u32, u32),
}

/// Digits of a character's number.
const DIGITS: u32 = 4;

impl Compose {
    /// Nothing has begun.
    pub const fn new() -> Compose {
        Compose::Off
    }

    /// Alt is pressed; what had begun is forgotten.
    pub fn begin(&mut self) {
        *self = Compose::First;
    }

    /// The next character; what comes of it is given to `typed`.
    pub fn key(&mut self, c: char, typed: &mut dyn FnMut(char)) {
        *self = match *self {
            Compose::Off => {
                typed(c);
                Compose::Off
            }
            Compose::First if c == 'X' => Compose::Hex(0, 0),
            // Whoever interrupts means it.
            Compose::First if c.is_control() => {
                typed(c);
                Compose::Off
            }
            Compose::First => Compose::Second(c),
            Compose::Second(first) => {
                match pair(first, c) {
                    Some(composed) => typed(composed),
                    None => {
                        typed(first);
                        typed(c);
                    }
                }
                Compose::Off
            }
            Compose::Hex(digits, value) => match c.to_digit(16) {
                Some(digit) if digits + 1 < DIGITS => Compose::Hex(digits + 1, value << 4 | digit),
                Some(digit) => {
                    typed(char::from_u32(value << 4 | digit).unwrap_or(char::REPLACEMENT_CHARACTER));
                    Compose::Off
                }
                None => {
                    typed(c);
                    Compose::Off
                }
            },
        };
    }
}

/// The character that the two compose.
fn pair(first: char, second: char) -> Option<char> {
    PAIRS.split_whitespace().find_map(|entry| {
        let mut chars = entry.chars();
        let composed = chars.next()?;
        (chars.next() == Some(first) && chars.next() == Some(second)).then_some(composed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use std::collections::BTreeSet;

    fn typed(keys: &str) -> String {
        let mut compose = Compose::new();
        let mut out = String::new();
        for c in keys.chars() {
            match c {
                '\0' => compose.begin(),
                c => compose.key(c, &mut |t| out.push(t)),
            }
        }
        out
    }

    #[test]
    fn pairs_numbers_and_what_is_neither() {
        assert_eq!(typed("\0'ex\0\"o\0ss\0e$"), "éxöß€");
        assert_eq!(typed("\0qz\0'\0'a"), "qzá", "a second alt begins again");
        assert_eq!(typed("\0X263aX\0Xd800\0X26zq"), "☺X\u{fffd}zq");
        assert_eq!(typed("\0\x03a\0'\x03"), "\x03a'\x03");
    }

    #[test]
    fn all_of_latin_1_can_be_composed_and_each_pair_is_one_character() {
        let entries: BTreeSet<&str> =
            PAIRS.split_whitespace().map(|e| &e[e.chars().next().unwrap().len_utf8()..]).collect();
        assert_eq!(entries.len(), PAIRS.split_whitespace().count());
        assert!(PAIRS.split_whitespace().all(|e| e.chars().count() == 3));
        for c in ('¡'..='ÿ').filter(|c| !matches!(c, '¤' | '\u{ad}')) {
            assert!(PAIRS.split_whitespace().any(|e| e.starts_with(c)), "{c}");
        }
    }
}
