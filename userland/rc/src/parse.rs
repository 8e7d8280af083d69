//! The grammar: from tokens to a tree, one command line at a time.
//!
//! What binds tightest comes last: `&&` and `||`; then the prefixes `!`, `@`, assignments and redirections; then `|`.
//! The command of `if`, `for` and `while` reaches as far as it can, over `&&` and `||` too.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::ast::{Body, Cmd, Direction, Mode, Redir, Word};
use crate::lex::{Failure, Lexer, Source, Tok};

/// Commands, lists and the like may stand in each other this deep. It bounds the stack.
const DEEPEST: u32 = 100;

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

    fn cmd(&mut self) -> Parsed<Cmd> {
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
            rest.push((and, solid(self.prefixed()?)));
        }
        Ok(if rest.is_empty() { first } else { Cmd::AndOr(solid(first), rest) })
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
            return Ok(Some(Cmd::Not(solid(self.prefixed()?))));
        }
        if self.keyword("@")? {
            return Ok(Some(Cmd::Subshell(solid(self.prefixed()?))));
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
            rest.push((conn, solid(right)));
        }
        Ok(if rest.is_empty() { first } else { Cmd::Pipe(solid(first), rest) })
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
                Ok(Cmd::While(cond, solid(self.cmd()?)))
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
            return Ok(Cmd::IfNot(solid(self.cmd()?)));
        }
        let cond = self.paren()?;
        self.newlines()?;
        Ok(Cmd::If(cond, solid(self.cmd()?)))
    }

    fn for_cmd(&mut self) -> Parsed<Cmd> {
        self.expect(&Tok::Lparen)?;
        let var = self.word()?;
        let list = if self.keyword("in")? { Some(self.words()?) } else { None };
        self.expect(&Tok::Rparen)?;
        self.newlines()?;
        Ok(Cmd::For(var, list, solid(self.cmd()?)))
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

    fn starts_word(&mut self) -> Parsed<bool> {
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

    fn words(&mut self) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        while self.starts_word()? {
            words.push(self.word()?);
        }
        Ok(words)
    }

    fn word(&mut self) -> Parsed<Word> {
        self.deeper(|p| p.joined(false))
    }

    /// A word where `=` is an ordinary character: behind the name of a command.
    fn argument(&mut self) -> Parsed<Word> {
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

/// A command that a newline may not be skipped to: nothing becomes `{}`.
fn solid(cmd: Cmd) -> Body {
    Arc::new(if cmd == Cmd::Empty { Cmd::Brace(Arc::new(Cmd::Empty)) } else { cmd })
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
