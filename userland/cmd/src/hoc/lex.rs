//! Words of the language.

use alloc::format;
use alloc::string::String;

use super::{Fault, Io};

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Name(String),
    Text(String),
    /// An operator or a bracket.
    Mark(&'static str),
    Newline,
    End,
}

/// Operators and brackets, the longer before those that they begin with.
const MARKS: [&str; 31] = [
    "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", ">=", "<=", "==", "!=", "&&", "||", "+", "-", "*", "/",
    "%", "^", ">", "<", "=", "!", "(", ")", "{", "}", ",", ";", "&",
];

/// Takes lines apart.
#[derive(Default)]
pub(super) struct Lexer {
    text: String,
    at: usize,
    number: u32,
    ahead: Option<Token>,
    ended: bool,
}

impl Lexer {
    /// The number of the line that was read last.
    pub(super) fn line(&self) -> u32 {
        self.number
    }

    /// What is left of the line is not looked at.
    pub(super) fn skip_line(&mut self) {
        if self.ahead.take() != Some(Token::End) {
            self.at = self.text.len();
        }
    }

    /// The next word, which stays the next.
    pub(super) fn peek(&mut self, io: &mut dyn Io) -> Result<&Token, Fault> {
        if self.ahead.is_none() {
            self.ahead = Some(self.read(io)?);
        }
        Ok(self.ahead.as_ref().unwrap_or(&Token::End))
    }

    /// The next word.
    pub(super) fn next(&mut self, io: &mut dyn Io) -> Result<Token, Fault> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.read(io),
        }
    }

    /// Takes the next word if it is this mark.
    pub(super) fn take(&mut self, mark: &str, io: &mut dyn Io) -> Result<bool, Fault> {
        let is = matches!(self.peek(io)?, Token::Mark(m) if *m == mark);
        if is {
            self.ahead = None;
        }
        Ok(is)
    }

    /// The same for a word of letters.
    pub(super) fn take_name(&mut self, name: &str, io: &mut dyn Io) -> Result<bool, Fault> {
        let is = matches!(self.peek(io)?, Token::Name(n) if n == name);
        if is {
            self.ahead = None;
        }
        Ok(is)
    }

    /// The next word has to be this mark.
    pub(super) fn want(&mut self, mark: &str, io: &mut dyn Io) -> Result<(), Fault> {
        if self.take(mark, io)? { Ok(()) } else { Err(format!("syntax error: {mark} is missing")) }
    }

    /// The next word has to be a name.
    pub(super) fn want_name(&mut self, io: &mut dyn Io) -> Result<String, Fault> {
        match self.next(io)? {
            Token::Name(name) => Ok(name),
            other => {
                self.ahead = Some(other);
                Err("syntax error: a name is missing".into())
            }
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn read(&mut self, io: &mut dyn Io) -> Result<Token, Fault> {
        loop {
            if self.ended {
                return Ok(Token::End);
            }
            if self.rest().is_empty() && !self.refill(io) {
                return Ok(Token::End);
            }
            let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r']).len();
            self.at += blanks;
            if self.rest().starts_with("\\\n") {
                self.at += 2;
                continue;
            }
            if self.rest().starts_with('#') {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            }
            let Some(first) = self.rest().chars().next() else { continue };
            return match first {
                '\n' => {
                    self.at += 1;
                    Ok(Token::Newline)
                }
                '"' => self.text(),
                c if c.is_ascii_digit() || c == '.' => self.number(),
                c if c.is_alphabetic() || c == '_' => {
                    let rest = self.rest();
                    let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    let name = String::from(rest.get(..len).unwrap_or(""));
                    self.at += len;
                    Ok(Token::Name(name))
                }
                c => match MARKS.iter().find(|mark| self.rest().starts_with(**mark)) {
                    Some(mark) => {
                        self.at += mark.len();
                        Ok(Token::Mark(mark))
                    }
                    None => {
                        self.at += c.len_utf8();
                        Err(format!("syntax error at {c:?}"))
                    }
                },
            };
        }
    }

    fn refill(&mut self, io: &mut dyn Io) -> bool {
        match io.line() {
            Some(line) => {
                self.text = line;
                self.at = 0;
                self.number = self.number.saturating_add(1);
                true
            }
            None => {
                self.ended = true;
                false
            }
        }
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        let mut len = digits(0);
        if bytes.get(len) == Some(&b'.') {
            len += 1 + digits(len + 1);
        }
        if let Some(b'e' | b'E') = bytes.get(len) {
            let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            let exponent = digits(len + 1 + sign);
            if exponent > 0 {
                len += 1 + sign + exponent;
            }
        }
        let number = self.rest().get(..len).and_then(|text| text.parse().ok());
        self.at += len.max(1);
        number.map(Token::Number).ok_or_else(|| "syntax error: bad number".into())
    }

    fn text(&mut self) -> Result<Token, Fault> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(Token::Text(text));
                }
                '\n' => break,
                '\\' => text.push(match chars.next().map(|(_, c)| c) {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('b') => '\x08',
                    Some('r') => '\r',
                    Some('f') => '\x0c',
                    Some(c) if c != '\n' => c,
                    _ => break,
                }),
                c => text.push(c),
            }
        }
        Err("syntax error: missing quote".into())
    }
}
