//! The words of a program. The parser asks for one after the other, and says where a `/` begins an expression, since
//! only it knows whether a division can stand there.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::value::number;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    End,
    Newline,
    Number(f64),
    String(Rc<[u8]>),
    /// A name that is nothing else.
    Name(Rc<str>),
    /// A name with a parenthesis right behind it.
    Called(Rc<str>),
    /// `if`, `function` and the other words that the language has.
    Word(&'static str),
    /// The name of a function that is built in.
    Builtin(&'static str),
    /// Punctuation.
    Mark(&'static str),
}

const WORDS: [&str; 20] = [
    "BEGIN", "END", "function", "func", "if", "else", "while", "for", "do", "break", "continue", "next",
    "nextfile", "exit", "return", "delete", "in", "getline", "print", "printf",
];

const BUILTINS: [&str; 23] = [
    "length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "sin", "cos", "atan2", "exp",
    "log", "sqrt", "int", "rand", "srand", "tolower", "toupper", "system", "close", "fflush", "utf",
];

/// Longer ones first.
const MARKS: [&str; 43] = [
    "**=", "&&", "||", "**", "+=", "-=", "*=", "/=", "%=", "^=", "==", "<=", ">=", "!=", "++", "--", ">>",
    "!~", "{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":",
    "~", "$", "=", "&", ".",
];

/// A place in a program, from which words are read.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    pub(super) line: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or(&[])
    }

    /// Blanks, remarks, and ends of lines behind a backslash.
    fn skip(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\r', ..] => self.at += 1,
                [b'\\', b'\n', ..] => {
                    self.at += 2;
                    self.line += 1;
                }
                [b'\\', b'\r', b'\n', ..] => {
                    self.at += 3;
                    self.line += 1;
                }
                [b'#', ..] => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Result<Token, String> {
        self.skip();
        let Some(b) = self.peek() else { return Ok(Token::End) };
        match b {
            b'\n' => {
                self.at += 1;
                self.line += 1;
                Ok(Token::Newline)
            }
            b'"' => self.string(),
            b'0'..=b'9' => Ok(self.number()),
            b'.' if self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) => Ok(self.number()),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => self.name(),
            _ => {
                let mark = MARKS.iter().find(|mark| self.rest().starts_with(mark.as_bytes()));
                let mark = mark.ok_or_else(|| format!("illegal character {:?}", char::from(b)))?;
                self.at += mark.len();
                Ok(Token::Mark(match *mark {
                    "**" => "^",
                    "**=" => "^=",
                    mark => mark,
                }))
            }
        }
    }

    fn number(&mut self) -> Token {
        let begin = self.at;
        let digits = |lexer: &mut Self| {
            while lexer.peek().is_some_and(|b| b.is_ascii_digit()) {
                lexer.at += 1;
            }
        };
        digits(self);
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits(self);
        }
        if let Some(b'e' | b'E') = self.peek() {
            let sign = usize::from(matches!(self.text.get(self.at + 1), Some(b'+' | b'-')));
            if self.text.get(self.at + 1 + sign).is_some_and(u8::is_ascii_digit) {
                self.at += 1 + sign;
                digits(self);
            }
        }
        Token::Number(number(self.text.get(begin..self.at).unwrap_or(&[])))
    }

    fn name(&mut self) -> Result<Token, String> {
        let begin = self.at;
        while self.peek().is_some_and(|b| b == b'_' || b >= 0x80 || b.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        let name = self.text.get(begin..self.at).unwrap_or(&[]);
        let name = core::str::from_utf8(name).map_err(|_| String::from("a name that is not UTF-8"))?;
        if let Some(word) = WORDS.iter().find(|word| **word == name) {
            return Ok(Token::Word(if *word == "func" { "function" } else { word }));
        }
        if let Some(name) = BUILTINS.iter().find(|builtin| **builtin == name) {
            return Ok(Token::Builtin(name));
        }
        Ok(if self.peek() == Some(b'(') { Token::Called(name.into()) } else { Token::Name(name.into()) })
    }

    fn string(&mut self) -> Result<Token, String> {
        self.at += 1;
        let begin = self.at;
        loop {
            match self.rest() {
                [] | [b'\n', ..] => return Err("nonterminated string".into()),
                [b'"', ..] => break,
                [b'\\', b'\n', ..] => {
                    self.line += 1;
                    self.at += 2;
                }
                [b'\\', _, ..] => self.at += 2,
                _ => self.at += 1,
            }
        }
        let text = unescaped(self.text.get(begin..self.at).unwrap_or(&[]), false);
        self.at += 1;
        Ok(Token::String(text.into()))
    }

    /// The expression whose first `/`, or `/=`, was the word just read.
    pub(super) fn expression(&mut self, begun: &str) -> Result<Vec<u8>, String> {
        let mut out = begun.as_bytes().get(1..).unwrap_or(&[]).to_vec();
        let mut in_set = false;
        let mut set_began = 0;
        loop {
            match self.rest() {
                [] | [b'\n', ..] => return Err("nonterminated regular expression".into()),
                [b'\\', b'/', ..] => {
                    out.push(b'/');
                    self.at += 2;
                }
                [b'\\', b'\n', ..] => return Err("newline in regular expression".into()),
                [b'\\', b, ..] => {
                    out.extend([b'\\', *b]);
                    self.at += 2;
                }
                [b'/', ..] if !in_set || !self.set_ends() => {
                    self.at += 1;
                    return Ok(out);
                }
                [b, ..] => {
                    match b {
                        b'[' if !in_set => {
                            in_set = true;
                            set_began = out.len() + 1;
                        }
                        // A bracket right behind the first one, or `[^`, stands for itself.
                        b']' if in_set => {
                            let inside = out.get(set_began..).unwrap_or(&[]);
                            in_set = inside.is_empty() || inside == b"^";
                        }
                        _ => {}
                    }
                    out.push(*b);
                    self.at += 1;
                }
            }
        }
    }

    /// Is there a bracket, and another slash behind it, on what is left of the line?
    fn set_ends(&self) -> bool {
        let line = self.rest().split(|&b| b == b'\n').next().unwrap_or(&[]);
        let bracket = line.iter().position(|&b| b == b']');
        bracket.is_some_and(|at| line.get(at..).is_some_and(|rest| rest.contains(&b'/')))
    }
}

/// A string's escapes done. Of one that is not known the backslash goes, unless it is to `keep`.
pub(super) fn unescaped(text: &[u8], keep: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => return out,
            [b'\\', b'\n', tail @ ..] => rest = tail,
            [b'\\', digit @ b'0'..=b'7', tail @ ..] => {
                let mut n = u32::from(digit - b'0');
                rest = tail;
                for _ in 0..2 {
                    let [digit @ b'0'..=b'7', tail @ ..] = rest else { break };
                    n = n * 8 + u32::from(digit - b'0');
                    rest = tail;
                }
                out.push(n as u8);
            }
            [b'\\', b'x', digits @ ..] if digits.first().is_some_and(u8::is_ascii_hexdigit) => {
                let end = digits.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(digits.len()).min(2);
                let (digits, tail) = digits.split_at(end);
                out.push(
                    digits.iter().fold(0, |n, b| n << 4 | char::from(*b).to_digit(16).unwrap_or(0) as u8),
                );
                rest = tail;
            }
            [b'\\', letter, tail @ ..] => {
                match letter {
                    b'n' => out.push(b'\n'),
                    b't' => out.push(b'\t'),
                    b'r' => out.push(b'\r'),
                    b'f' => out.push(0x0c),
                    b'v' => out.push(0x0b),
                    b'a' => out.push(0x07),
                    b'b' => out.push(0x08),
                    b'"' | b'\\' | b'/' => out.push(*letter),
                    other if keep => out.extend([b'\\', *other]),
                    other => out.push(*other),
                }
                rest = tail;
            }
            [b, tail @ ..] => {
                out.push(*b);
                rest = tail;
            }
        }
    }
}
