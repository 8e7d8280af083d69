//! What is written to a conversation's `ctl`.

use abi::error;
use io::ether::Mac;

use super::card::{Kind, Wants};
use super::conversation::Conversation;
use crate::error::Result;

/// A command, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Connect(Kind),
    Promiscuous,
    Bridge,
    Heads,
    Group(Mac, bool),
}

impl Conversation {
    /// Carries out a command.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub(super) fn command(&self, text: &str) -> Result<()> {
        let wants = self.wants();
        match parse(text)? {
            Command::Connect(kind) => self.set_wants(Wants { kind, ..wants }),
            Command::Promiscuous => self.set_wants(Wants { promiscuous: true, ..wants }),
            Command::Bridge => self.set_wants(Wants { bridge: true, ..wants }),
            Command::Heads => {
                self.want_heads();
                Ok(())
            }
            Command::Group(group, hears) => self.set_group(group, hears),
        }
    }
}

fn parse(text: &str) -> Result<Command> {
    let mut words = text.split_ascii_whitespace();
    let (name, argument) = (words.next().unwrap_or(""), words.next());
    if words.next().is_some() {
        return Err(error::ECMDARGS.into());
    }
    Ok(match (name, argument) {
        ("connect", Some(kind)) => Command::Connect(parse_kind(kind)?),
        ("promiscuous", None) => Command::Promiscuous,
        ("bridge", None) => Command::Bridge,
        ("headersonly", None) => Command::Heads,
        ("addmulti", Some(group)) => Command::Group(parse_mac(group)?, true),
        ("remmulti", Some(group)) => Command::Group(parse_mac(group)?, false),
        ("connect" | "promiscuous" | "bridge" | "headersonly" | "addmulti" | "remmulti", _) => {
            return Err(error::ECMDARGS.into());
        }
        _ => return Err(error::EBADCTL.into()),
    })
}

/// A number as C has it, up to 65535; -1 is all kinds, 0 none.
fn parse_kind(word: &str) -> Result<Kind> {
    if word == "-1" {
        return Ok(Kind::All);
    }
    let hex = word.strip_prefix("0x").or(word.strip_prefix("0X"));
    let (digits, radix) = match (hex, word.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        (None, _) => (word, 10),
    };
    // A number's own reading would take a sign.
    let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
    match u16::from_str_radix(digits, radix) {
        Ok(0) if plain => Ok(Kind::Nothing),
        Ok(kind) if plain => Ok(Kind::Only(kind)),
        _ => Err(error::EBADARG.into()),
    }
}

/// Twelve digits, with or without colons between the bytes.
fn parse_mac(word: &str) -> Result<Mac> {
    let mut mac = [0; 6];
    let bytes = word.as_bytes();
    let step = if bytes.contains(&b':') { 3 } else { 2 };
    if bytes.len() != 5 * step + 2 {
        return Err(error::EBADARG.into());
    }
    for (byte, digits) in mac.iter_mut().zip(bytes.chunks(step)) {
        let (digits, rest) = digits.split_at(2);
        let digit = |d: &u8| char::from(*d).to_digit(16);
        match (digits, rest) {
            ([high, low], [] | [b':']) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => *byte = (high << 4 | low) as u8,
                _ => return Err(error::EBADARG.into()),
            },
            _ => return Err(error::EBADARG.into()),
        }
    }
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbers_of_c() {
        let kinds =
            [("0x800", 0x800), ("2054", 0x806), ("0X86dd", 0x86dd), ("0177", 0o177), ("65535", 0xffff)];
        for (word, kind) in kinds {
            assert_eq!(parse(&alloc::format!("connect {word}\n")), Ok(Command::Connect(Kind::Only(kind))));
        }
        assert_eq!(parse("connect -1"), Ok(Command::Connect(Kind::All)));
        assert_eq!(parse("connect 0"), Ok(Command::Connect(Kind::Nothing)));
        for word in ["-2", "65536", "0x", "x", "+1", "0x+1", "08", "1 2", ""] {
            assert!(parse(&alloc::format!("connect {word}")).is_err(), "{word}");
        }
    }

    #[test]
    fn groups_are_digits_with_or_without_colons() {
        let mac = [0x33, 0x33, 0, 0, 0xab, 0xcd];
        assert_eq!(parse("addmulti 33330000abcd"), Ok(Command::Group(mac, true)));
        assert_eq!(parse("remmulti 33:33:00:00:AB:cd"), Ok(Command::Group(mac, false)));
        for word in
            ["3333", "33330000abcg", "33:33:00:00:ab:cd:", "33333:0000ab:cd", "3333:00:00:ab:cd0", "€€€€"]
        {
            assert!(parse(&alloc::format!("addmulti {word}")).is_err(), "{word}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_apart() {
        assert!(parse("promiscuous on").unwrap_err().is(error::ECMDARGS));
        assert!(parse("bridge\n").is_ok() && parse("headersonly").is_ok());
        assert!(parse("scan").unwrap_err().is(error::EBADCTL));
        assert!(parse("").unwrap_err().is(error::EBADCTL));
    }
}
