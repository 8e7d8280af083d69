//! Commands: what binds how, and the forms they have.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{End, Parsed, Parser};
use crate::ast::{Body, Cmd, Redir, Word};
use crate::lex::Tok;

impl Parser<'_> {
    /// Commands joined by `&&` and `||`.
    pub(super) fn cmd(&mut self) -> Parsed<Cmd> {
        let first = self.prefixed()?;
        let mut rest = Vec::new();
        loop {
            let and = match self.peek()? {
                Tok::And => true,
                Tok::Or => false,
                _ => break,
            };
            self.lex.bump()?;
            self.newlines()?;
            rest.push((and, never_nothing(self.prefixed()?)));
        }
        Ok(if rest.is_empty() { first } else { Cmd::AndOr(never_nothing(first), rest) })
    }

    /// A pipeline, or a prefix and what it applies to.
    fn prefixed(&mut self) -> Parsed<Cmd> {
        self.deeper(|p| match p.prefix()? {
            Some(cmd) => Ok(cmd),
            None => p.pipeline(),
        })
    }

    fn prefix(&mut self) -> Parsed<Option<Cmd>> {
        if self.keyword("!")? {
            return Ok(Some(Cmd::Not(never_nothing(self.prefixed()?))));
        }
        if self.keyword("@")? {
            return Ok(Some(Cmd::Subshell(never_nothing(self.prefixed()?))));
        }
        let Some(redir) = self.redir()? else { return Ok(None) };
        Ok(Some(match self.prefixed()? {
            Cmd::Redir(mut list, cmd) => {
                list.insert(0, redir);
                Cmd::Redir(list, cmd)
            }
            cmd => Cmd::Redir(vec![redir], Arc::new(cmd)),
        }))
    }

    fn pipeline(&mut self) -> Parsed<Cmd> {
        let first = self.primary()?;
        // An assignment holds for the whole pipeline, which its own parse has taken.
        let mut rest = Vec::new();
        while let Tok::Pipe(conn) = self.peek()? {
            self.lex.bump()?;
            self.newlines()?;
            let right = match self.deeper(Self::prefix)? {
                Some(cmd) => cmd,
                None => self.primary()?,
            };
            rest.push((conn, never_nothing(right)));
        }
        Ok(if rest.is_empty() { first } else { Cmd::Pipe(never_nothing(first), rest) })
    }

    fn primary(&mut self) -> Parsed<Cmd> {
        let word = match self.peek()? {
            Tok::Lbrace => {
                let cmd = Cmd::Brace(self.brace()?);
                return self.epilog(cmd);
            }
            Tok::Word(text, false) => text,
            Tok::Word(_, true) | Tok::Dollar | Tok::Count | Tok::Flat | Tok::Backquote | Tok::Lparen => {
                return self.simple();
            }
            Tok::Redir(..) => return self.simple(),
            _ => return Ok(Cmd::Empty),
        };
        match word.as_str() {
            "if" => {
                self.lex.bump()?;
                self.if_cmd()
            }
            "for" => {
                self.lex.bump()?;
                self.for_cmd()
            }
            "while" => {
                self.lex.bump()?;
                let cond = self.paren()?;
                self.newlines()?;
                Ok(Cmd::While(cond, never_nothing(self.cmd()?)))
            }
            "switch" => {
                self.lex.bump()?;
                self.switch()
            }
            "fn" => {
                self.lex.bump()?;
                self.function()
            }
            "~" => {
                self.lex.bump()?;
                let subject = self.word()?;
                Ok(Cmd::Match(subject, self.words()?))
            }
            "in" | "not" => self.unexpected(),
            _ => self.simple(),
        }
    }

    fn if_cmd(&mut self) -> Parsed<Cmd> {
        if self.is_keyword("not")? {
            if !self.after_if {
                return self.lex.error("", "`if not' does not follow `if(...)'");
            }
            self.lex.bump()?;
            self.newlines()?;
            return Ok(Cmd::IfNot(never_nothing(self.cmd()?)));
        }
        let cond = self.paren()?;
        self.newlines()?;
        Ok(Cmd::If(cond, never_nothing(self.cmd()?)))
    }

    fn for_cmd(&mut self) -> Parsed<Cmd> {
        self.expect(&Tok::Lparen)?;
        let var = self.word()?;
        let list = if self.keyword("in")? { Some(self.words()?) } else { None };
        self.expect(&Tok::Rparen)?;
        self.newlines()?;
        Ok(Cmd::For(var, list, never_nothing(self.cmd()?)))
    }

    fn switch(&mut self) -> Parsed<Cmd> {
        let subject = self.word()?;
        self.newlines()?;
        self.expect(&Tok::Lbrace)?;
        let mut cases = Vec::new();
        loop {
            while self.take(&Tok::Semi)? || self.take(&Tok::Newline)? {}
            if self.take(&Tok::Rbrace)? {
                break;
            }
            if !self.keyword("case")? {
                return self.lex.error("", "case missing in switch");
            }
            let patterns = self.words()?;
            let body = match self.peek()? {
                Tok::Rbrace => Arc::new(Cmd::Empty),
                Tok::Semi | Tok::Newline => {
                    self.lex.bump()?;
                    if self.is_keyword("case")? { Arc::new(Cmd::Empty) } else { self.body(End::Case)? }
                }
                _ => return self.unexpected(),
            };
            cases.push((patterns, body));
        }
        self.epilog(Cmd::Switch(subject, cases))
    }

    fn function(&mut self) -> Parsed<Cmd> {
        let names = self.words()?;
        if names.is_empty() {
            return self.unexpected();
        }
        let body = if self.at(&Tok::Lbrace)? { Some(self.brace()?) } else { None };
        Ok(Cmd::Fn(names, body))
    }

    /// A simple command, or assignments when a `=` follows the first word.
    fn simple(&mut self) -> Parsed<Cmd> {
        let first = self.word()?;
        if self.take(&Tok::Eq)? {
            return self.assignment(first);
        }
        let mut words = vec![first];
        let mut redirs = Vec::new();
        loop {
            if let Some(redir) = self.redir()? {
                redirs.push(redir);
            } else if self.starts_word()? || self.at(&Tok::Eq)? {
                words.push(self.argument()?);
            } else {
                break;
            }
        }
        let cmd = Cmd::Simple(words);
        Ok(if redirs.is_empty() { cmd } else { Cmd::Redir(redirs, Arc::new(cmd)) })
    }

    fn assignment(&mut self, name: Word) -> Parsed<Cmd> {
        if !self.starts_word()? {
            return self.unexpected();
        }
        let value = self.word()?;
        // `{...}` after a value is its command; so is a pipeline, whole.
        Ok(match self.prefixed()? {
            Cmd::Empty => Cmd::Assign(vec![(name, value)], None),
            Cmd::Assign(mut list, cmd) => {
                list.insert(0, (name, value));
                Cmd::Assign(list, cmd)
            }
            cmd => Cmd::Assign(vec![(name, value)], Some(Arc::new(cmd))),
        })
    }

    /// Redirections behind a closing brace.
    fn epilog(&mut self, cmd: Cmd) -> Parsed<Cmd> {
        let mut redirs = Vec::new();
        while let Some(redir) = self.redir()? {
            redirs.push(redir);
        }
        Ok(if redirs.is_empty() { cmd } else { Cmd::Redir(redirs, Arc::new(cmd)) })
    }

    /// A redirection, if one is next. `<{` begins a word, not a redirection.
    fn redir(&mut self) -> Parsed<Option<Redir>> {
        match self.peek()? {
            Tok::Redir(mode, fd, written) => {
                let token = self.lex.bump()?;
                if self.at(&Tok::Lbrace)? {
                    if written {
                        return self.unexpected();
                    }
                    self.lex.unread(token);
                    return Ok(None);
                }
                Ok(Some(Redir::Open(mode, fd, self.word()?)))
            }
            Tok::Here(fd) => {
                self.lex.bump()?;
                let Tok::Word(tag, quoted) = self.peek()? else { return self.unexpected() };
                self.lex.bump()?;
                let text = self.lex.here(&tag)?;
                Ok(Some(Redir::Here { fd, tag, quoted, text }))
            }
            Tok::Dup(to, from) => {
                self.lex.bump()?;
                Ok(Some(Redir::Dup { to, from }))
            }
            Tok::Close(fd) => {
                self.lex.bump()?;
                Ok(Some(Redir::Close(fd)))
            }
            _ => Ok(None),
        }
    }
}

/// A command that a newline may not be skipped to: nothing becomes `{}`.
fn never_nothing(cmd: Cmd) -> Body {
    Arc::new(if cmd == Cmd::Empty { Cmd::Brace(Arc::new(Cmd::Empty)) } else { cmd })
}
