//! The lexer. It works on one line at a time and asks its [`Source`] for the next when a command goes on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ast::{Conn, Mode};
pub use crate::token::{Quoted, Tok, Token};

/// Where lines come from: a file, a terminal, a string.
pub trait Source {
    /// The next line with its newline (the last one may lack it), or nothing at the end. `more` says that it
    /// continues a command, for the prompt.
    ///
    /// # Errors
    /// [`Stop`] when reading was given up; the unfinished command is forgotten.
    fn line(&mut self, more: bool) -> Result<Option<String>, Stop>;
}

/// A note interrupted the reading of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop;

/// Why a command could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is malformed.
    Syntax(Syntax),
    /// Its source stopped.
    Stopped,
}

impl From<Stop> for Failure {
    fn from(_: Stop) -> Self {
        Failure::Stopped
    }
}

/// Where and why a command is malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Line, from 1.
    pub line: u32,
    /// The token at fault, as written; empty for none.
    pub token: String,
    /// `syntax error` or something more telling.
    pub message: String,
}

/// Cuts lines into tokens.
pub struct Lexer<'a> {
    source: &'a mut dyn Source,
    line: Vec<char>,
    at: usize,
    number: u32,
    peeked: Option<Token>,
    after_dollar: bool,
    after_word: bool,
    ended: bool,
    begun: bool,
}

/// Characters that end a bare word.
const SPECIAL: &str = "\n \t#;&|^$=`'{}()<>";

/// Can a bare word hold it?
pub fn word_char(c: char) -> bool {
    c != '\0' && !SPECIAL.contains(c)
}

/// Can a variable's name after `$` hold it without quotes?
pub fn name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '*' || c > '\u{7f}'
}

impl<'a> Lexer<'a> {
    /// A lexer for one command; `number` is how many lines were read before.
    pub fn new(source: &'a mut dyn Source, number: u32) -> Self {
        Lexer {
            source,
            line: Vec::new(),
            at: 0,
            number,
            peeked: None,
            after_dollar: false,
            after_word: false,
            ended: false,
            begun: false,
        }
    }

    /// How many lines have been read.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// An error at the current line.
    pub fn error<T>(&self, token: &str, message: &str) -> Result<T, Failure> {
        Err(Failure::Syntax(Syntax {
            line: self.number.max(1),
            token: token.into(),
            message: message.into(),
        }))
    }

    /// The next token, left in place.
    pub fn peek(&mut self) -> Result<&Token, Failure> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.read()?,
        };
        Ok(self.peeked.insert(token))
    }

    /// The next token.
    pub fn bump(&mut self) -> Result<Token, Failure> {
        match self.peeked.take() {
            Some(token) => Ok(token),
            None => self.read(),
        }
    }

    /// Puts a token back in front of the one peeked, which must be an opening brace without blanks of its own.
    ///
    /// Only `<{` needs two tokens of lookahead, and the brace is cut from the line again.
    pub fn unread(&mut self, token: Token) {
        if self.peeked.take().is_some() {
            self.at = self.at.saturating_sub(1);
        }
        self.peeked = Some(token);
    }

    /// Has the next token, if it follows at once, count as glued: `=` was a part of a word.
    pub fn glue(&mut self) {
        match &mut self.peeked {
            Some(_) => {}
            None => self.after_word = true,
        }
    }

    /// The lines of a here document up to the line `tag`. The rest of the current line is read later.
    pub fn here(&mut self, tag: &str) -> Result<String, Failure> {
        let mut text = String::new();
        loop {
            let Some(line) = self.source.line(true)? else {
                return self.error(tag, "end of here document missing");
            };
            self.number += 1;
            if line.strip_suffix('\n').unwrap_or(&line) == tag {
                return Ok(text);
            }
            text.push_str(&line);
        }
    }

    fn fill(&mut self) -> Result<bool, Failure> {
        if self.ended {
            return Ok(false);
        }
        let more = self.begun;
        self.begun = true;
        match self.source.line(more)? {
            Some(line) => {
                self.number += 1;
                self.line = line.chars().collect();
                self.at = 0;
                Ok(true)
            }
            None => {
                self.ended = true;
                self.line.clear();
                self.at = 0;
                Ok(false)
            }
        }
    }

    fn char(&self) -> Option<char> {
        self.line.get(self.at).copied()
    }

    fn after(&self) -> Option<char> {
        self.line.get(self.at + 1).copied()
    }

    fn take(&mut self, c: char) -> bool {
        let hit = self.char() == Some(c);
        self.at += usize::from(hit);
        hit
    }

    /// Skips blanks, comments and joined lines; false at the end of the source.
    fn skip(&mut self) -> Result<bool, Failure> {
        loop {
            match self.char() {
                None if !self.fill()? => return Ok(false),
                None => {}
                Some(' ' | '\t' | '\0') => {
                    self.at += 1;
                    self.after_word = false;
                }
                Some('\\') if self.after() == Some('\n') => {
                    self.after_word = false;
                    self.at += 2;
                    if !self.fill()? {
                        return Ok(false);
                    }
                }
                Some('#') => {
                    while self.char().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                Some(_) => return Ok(true),
            }
        }
    }

    fn read(&mut self) -> Result<Token, Failure> {
        let name = core::mem::take(&mut self.after_dollar);
        // The end of a last line without a newline ends a command like one.
        if self.begun && !self.ended && self.char().is_none() && self.line.last().is_some_and(|&c| c != '\n')
        {
            self.line.clear();
            self.after_word = false;
            return Ok(Token { tok: Tok::Newline, glued: false });
        }
        if !self.skip()? {
            return Ok(Token { tok: Tok::Eof, glued: false });
        }
        let glued = core::mem::take(&mut self.after_word);
        let tok = self.token(name)?;
        self.after_word = matches!(tok, Tok::Word(..));
        self.after_dollar = matches!(tok, Tok::Dollar | Tok::Count | Tok::Flat);
        Ok(Token { tok, glued })
    }

    fn token(&mut self, name: bool) -> Result<Tok, Failure> {
        let Some(c) = self.char() else { return Ok(Tok::Newline) };
        self.at += 1;
        Ok(match c {
            '\n' => Tok::Newline,
            ';' => Tok::Semi,
            '^' => Tok::Caret,
            '=' => Tok::Eq,
            '`' => Tok::Backquote,
            '(' => Tok::Lparen,
            ')' => Tok::Rparen,
            '{' => Tok::Lbrace,
            '}' => Tok::Rbrace,
            '$' if self.take('#') => Tok::Count,
            '$' if self.take('"') => Tok::Flat,
            '$' => Tok::Dollar,
            '&' if self.take('&') => Tok::And,
            '&' => Tok::Amp,
            '|' if self.take('|') => Tok::Or,
            '|' => match self.bracket()? {
                None => Tok::Pipe(Conn { left: 1, right: 0 }),
                Some((left, None)) => Tok::Pipe(Conn { left, right: 0 }),
                Some((left, Some(Some(right)))) => Tok::Pipe(Conn { left, right }),
                Some((_, Some(None))) => return self.error("|", "redirection syntax"),
            },
            '<' if self.take('<') => match self.bracket()? {
                None => Tok::Here(0),
                Some((fd, None)) => Tok::Here(fd),
                Some(_) => return self.error("<<", "redirection syntax"),
            },
            '<' if self.take('>') => self.redir(Mode::ReadWrite, 0)?,
            '<' => self.redir(Mode::Read, 0)?,
            '>' if self.take('>') => self.redir(Mode::Append, 1)?,
            '>' => self.redir(Mode::Write, 1)?,
            '\'' => Tok::Word(self.quoted()?, true),
            _ => {
                self.at -= 1;
                let start = self.at;
                let good = if name { name_char } else { word_char };
                while self.char().is_some_and(good)
                    && !(self.char() == Some('\\') && self.after() == Some('\n'))
                {
                    self.at += 1;
                }
                if self.at == start {
                    // A character that no name can hold, like the dot of `$.`: it stands alone.
                    self.at += 1;
                    return self.error(&format!("{c}"), "syntax error");
                }
                Tok::Word(self.line[start..self.at].iter().collect(), false)
            }
        })
    }

    fn redir(&mut self, mode: Mode, default: i32) -> Result<Tok, Failure> {
        Ok(match self.bracket()? {
            None => Tok::Redir(mode, default, false),
            Some((fd, None)) => Tok::Redir(mode, fd, true),
            Some((to, Some(Some(from)))) => Tok::Dup(to, from),
            Some((fd, Some(None))) => Tok::Close(fd),
        })
    }

    /// Reads `[n]`, `[n=]` or `[n=m]` if it is there.
    #[allow(clippy::type_complexity)]
    fn bracket(&mut self) -> Result<Option<(i32, Option<Option<i32>>)>, Failure> {
        if !self.take('[') {
            return Ok(None);
        }
        let Some(first) = self.digits() else { return self.error("[", "redirection syntax") };
        let mut second = None;
        if self.take('=') {
            second = Some(self.digits());
        }
        if !self.take(']') {
            return self.error("[", "redirection syntax");
        }
        Ok(Some((first, second)))
    }

    fn digits(&mut self) -> Option<i32> {
        let mut n = None;
        while let Some(d) = self.char().and_then(|c| c.to_digit(10)) {
            self.at += 1;
            // No kernel has so many descriptors; a larger number fails when it is used.
            n = Some((n.unwrap_or(0) * 10 + d as i32).min(99_999));
        }
        n
    }

    fn quoted(&mut self) -> Result<String, Failure> {
        let mut text = String::new();
        loop {
            match self.char() {
                None if !self.fill()? => return self.error("EOF", "quote not closed"),
                None => {}
                Some('\'') => {
                    self.at += 1;
                    if !self.take('\'') {
                        return Ok(text);
                    }
                    text.push('\'');
                }
                Some(c) => {
                    self.at += 1;
                    if c != '\0' {
                        text.push(c);
                    }
                }
            }
        }
    }
}
