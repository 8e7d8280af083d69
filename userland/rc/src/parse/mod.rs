//! The grammar: from tokens to a tree, one command line at a time.
//!
//! What binds tightest comes last: `&&` and `||`; then the prefixes `!`, `@`, assignments and redirections; then `|`.
//! The command of `if`, `for` and `while` reaches as far as it can, over `&&` and `||` too.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::{Body, Cmd};
use crate::lex::{Failure, Lexer, Source, Tok};

/// Commands, lists and the like may stand in each other this deep. It bounds the stack.
const DEEPEST: u32 = 100;

mod command;
mod word;

type Parsed<T> = Result<T, Failure>;

/// What a reader of commands remembers from one to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Lines read so far.
    pub line: u32,
    /// The last command was an `if`, so `if not` may follow.
    pub after_if: bool,
}

/// Reads the next command line; nothing at the end of the source.
///
/// # Errors
/// [`Failure::Syntax`], after which the rest of the line is gone, or [`Failure::Stopped`].
pub fn line(source: &mut dyn Source, place: &mut Place) -> Parsed<Option<Body>> {
    let mut parser = Parser { lex: Lexer::new(source, place.line), after_if: place.after_if, depth: 0 };
    let parsed = parser.line();
    place.line = parser.lex.number();
    place.after_if = parsed.is_ok() && parser.after_if;
    parsed
}

/// Lines of a string.
#[derive(Debug)]
pub struct Lines<'a>(pub &'a str);

impl Source for Lines<'_> {
    fn line(&mut self, _more: bool) -> Result<Option<String>, crate::lex::Stop> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let end = self.0.find('\n').map_or(self.0.len(), |at| at + 1);
        let (line, rest) = self.0.split_at(end);
        self.0 = rest;
        Ok(Some(line.into()))
    }
}

struct Parser<'a> {
    lex: Lexer<'a>,
    after_if: bool,
    depth: u32,
}

/// What ends a sequence of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Brace,
    Paren,
    Case,
}

impl Parser<'_> {
    fn peek(&mut self) -> Parsed<Tok> {
        Ok(self.lex.peek()?.tok.clone())
    }

    fn at(&mut self, tok: &Tok) -> Parsed<bool> {
        Ok(self.lex.peek()?.tok == *tok)
    }

    fn take(&mut self, tok: &Tok) -> Parsed<bool> {
        let hit = self.at(tok)?;
        if hit {
            self.lex.bump()?;
        }
        Ok(hit)
    }

    fn expect(&mut self, tok: &Tok) -> Parsed<()> {
        if self.take(tok)? { Ok(()) } else { self.unexpected() }
    }

    fn unexpected<T>(&mut self) -> Parsed<T> {
        let name = self.peek()?.name();
        self.lex.error(&name, "syntax error")
    }

    fn newlines(&mut self) -> Parsed<()> {
        while self.take(&Tok::Newline)? {}
        Ok(())
    }

    /// Takes a bare word that is this keyword.
    fn keyword(&mut self, word: &str) -> Parsed<bool> {
        let hit = self.is_keyword(word)?;
        if hit {
            self.lex.bump()?;
        }
        Ok(hit)
    }

    fn is_keyword(&mut self, word: &str) -> Parsed<bool> {
        Ok(matches!(&self.lex.peek()?.tok, Tok::Word(text, false) if text == word))
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return self.lex.error("", "nested too deeply");
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn line(&mut self) -> Parsed<Option<Body>> {
        if self.take(&Tok::Eof)? {
            return Ok(None);
        }
        let mut list = Vec::new();
        loop {
            let cmd = self.cmd()?;
            self.note_if(&cmd);
            match self.peek()? {
                Tok::Newline | Tok::Eof => {
                    self.take(&Tok::Newline)?;
                    list.push(cmd);
                    break;
                }
                Tok::Semi => list.push(cmd),
                Tok::Amp => list.push(Cmd::Async(Arc::new(cmd))),
                _ => return self.unexpected(),
            }
            self.lex.bump()?;
            if self.take(&Tok::Newline)? || self.at(&Tok::Eof)? {
                break;
            }
        }
        Ok(Some(Arc::new(sequence(list))))
    }

    fn note_if(&mut self, cmd: &Cmd) {
        match cmd {
            Cmd::Empty => {}
            // `if not if(...)` may be followed by another `if not`.
            Cmd::IfNot(inner) => self.after_if = matches!(**inner, Cmd::If(..)),
            _ => self.after_if = matches!(cmd, Cmd::If(..)),
        }
    }

    /// Commands up to the closing brace or parenthesis, which is taken, or up to the next `case`, which is not.
    fn body(&mut self, end: End) -> Parsed<Body> {
        let before = core::mem::take(&mut self.after_if);
        let mut list = Vec::new();
        loop {
            let cmd = self.deeper(Self::cmd)?;
            self.note_if(&cmd);
            match self.peek()? {
                Tok::Semi | Tok::Newline => {
                    self.lex.bump()?;
                    list.push(cmd);
                }
                Tok::Amp => {
                    self.lex.bump()?;
                    list.push(Cmd::Async(Arc::new(cmd)));
                }
                Tok::Rbrace if end != End::Paren => {
                    list.push(cmd);
                    break;
                }
                Tok::Rparen if end == End::Paren => {
                    list.push(cmd);
                    break;
                }
                _ => return self.unexpected(),
            }
            if end == End::Case && self.is_keyword("case")? {
                break;
            }
        }
        if end != End::Case {
            self.lex.bump()?;
        }
        self.after_if = before;
        Ok(Arc::new(sequence(list)))
    }

    fn brace(&mut self) -> Parsed<Body> {
        self.expect(&Tok::Lbrace)?;
        self.body(End::Brace)
    }

    fn paren(&mut self) -> Parsed<Body> {
        self.expect(&Tok::Lparen)?;
        self.body(End::Paren)
    }
}

fn sequence(mut list: Vec<Cmd>) -> Cmd {
    list.retain(|cmd| *cmd != Cmd::Empty);
    match list.pop() {
        None => Cmd::Empty,
        Some(only) if list.is_empty() => only,
        Some(last) => {
            list.push(last);
            Cmd::Seq(list.into_iter().map(Arc::new).collect())
        }
    }
}
