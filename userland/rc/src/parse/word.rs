//! Words: literals, `$`, carets written and implied, lists, the output of commands.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Parsed, Parser};
use crate::ast::{Direction, Mode, Word};
use crate::lex::Tok;

impl Parser<'_> {
    pub(super) fn starts_word(&mut self) -> Parsed<bool> {
        Ok(matches!(
            self.peek()?,
            Tok::Word(..)
                | Tok::Dollar
                | Tok::Count
                | Tok::Flat
                | Tok::Backquote
                | Tok::Lparen
                | Tok::Redir(..)
        ))
    }

    pub(super) fn words(&mut self) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        while self.starts_word()? {
            words.push(self.word()?);
        }
        Ok(words)
    }

    pub(super) fn word(&mut self) -> Parsed<Word> {
        self.deeper(|p| p.joined(false))
    }

    /// A word where `=` is an ordinary character: behind the name of a command.
    pub(super) fn argument(&mut self) -> Parsed<Word> {
        self.deeper(|p| p.joined(true))
    }

    fn joined(&mut self, equals: bool) -> Parsed<Word> {
        let mut parts = vec![if equals { self.operand()? } else { self.atom()? }];
        loop {
            let next = self.lex.peek()?;
            let implied = match next.tok {
                Tok::Caret => false,
                Tok::Word(..) | Tok::Dollar | Tok::Count | Tok::Flat | Tok::Backquote => next.glued,
                Tok::Lparen if next.glued => return self.unexpected(),
                Tok::Eq if equals => next.glued,
                _ => break,
            };
            if next.tok == Tok::Caret {
                self.lex.bump()?;
            } else if !implied {
                break;
            }
            parts.push(if equals { self.operand()? } else { self.atom()? });
        }
        Ok(match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                Word::Concat(parts)
            }
        })
    }

    fn operand(&mut self) -> Parsed<Word> {
        if self.take(&Tok::Eq)? {
            self.lex.glue();
            return Ok(Word::plain("="));
        }
        self.atom()
    }

    fn atom(&mut self) -> Parsed<Word> {
        self.deeper(Self::atom_inner)
    }

    fn atom_inner(&mut self) -> Parsed<Word> {
        match self.peek()? {
            Tok::Word(text, quoted) => {
                self.lex.bump()?;
                let glob = !quoted && text.contains(['*', '?', '[']);
                Ok(Word::Lit { text, glob })
            }
            Tok::Dollar => {
                self.lex.bump()?;
                let name = Arc::new(self.name()?);
                let next = self.lex.peek()?;
                if next.tok != Tok::Lparen || !next.glued {
                    return Ok(Word::Var(name));
                }
                self.lex.bump()?;
                let list = self.words()?;
                self.expect(&Tok::Rparen)?;
                Ok(Word::Sub(name, list))
            }
            Tok::Count => {
                self.lex.bump()?;
                Ok(Word::Count(Arc::new(self.name()?)))
            }
            Tok::Flat => {
                self.lex.bump()?;
                Ok(Word::Flat(Arc::new(self.name()?)))
            }
            Tok::Lparen => {
                self.lex.bump()?;
                let mut list = Vec::new();
                loop {
                    self.newlines()?;
                    if !self.starts_word()? {
                        break;
                    }
                    list.push(self.word()?);
                }
                self.expect(&Tok::Rparen)?;
                Ok(Word::List(list))
            }
            Tok::Backquote => {
                self.lex.bump()?;
                let split = if self.at(&Tok::Lbrace)? { None } else { Some(Arc::new(self.word()?)) };
                Ok(Word::Backquote(split, self.brace()?))
            }
            Tok::Redir(mode, ..) => {
                self.lex.bump()?;
                let direction = match mode {
                    Mode::Read => Direction::In,
                    Mode::Write => Direction::Out,
                    Mode::ReadWrite => Direction::Both,
                    Mode::Append => return self.unexpected(),
                };
                Ok(Word::Process(direction, self.brace()?))
            }
            _ => self.unexpected(),
        }
    }

    /// What follows a `$`: a name is text, so `*` in it is no pattern.
    fn name(&mut self) -> Parsed<Word> {
        match self.atom()? {
            Word::Lit { text, .. } => Ok(Word::Lit { text, glob: false }),
            word => Ok(word),
        }
    }
}
