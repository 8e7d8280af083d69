//! From the text of a script to commands.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::{Address, Command, Script, Substitute, Verb};
use crate::regexp::{self, Finder, Piece};

type Parsed<T> = Result<T, String>;

/// Reads a script. Its lines are separated by newlines; commands on one line by semicolons.
///
/// # Errors
/// What is wrong, with the command it is wrong in.
pub fn parse(text: &str) -> Parsed<Script> {
    let mut p = Parser {
        left: text,
        command: "",
        script: Script { commands: Vec::new(), files: Vec::new() },
        labels: Vec::new(),
        jumps: Vec::new(),
        open: Vec::new(),
    };
    p.all().map_err(|e| match p.command.lines().next() {
        Some(command) => alloc::format!("{e}: {command}"),
        None => e,
    })?;
    Ok(p.script)
}

struct Parser<'a> {
    left: &'a str,
    /// What was left when the present command began, for messages.
    command: &'a str,
    script: Script,
    labels: Vec<(String, usize)>,
    /// Branches and the labels they want.
    jumps: Vec<(usize, String)>,
    /// Commands `{` without their `}` yet.
    open: Vec<usize>,
}

impl Parser<'_> {
    fn all(&mut self) -> Parsed<()> {
        loop {
            self.left = self.left.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
            if let Some(comment) = self.left.strip_prefix('#') {
                self.left = comment.find('\n').and_then(|at| comment.get(at..)).unwrap_or("");
                continue;
            }
            if self.left.is_empty() {
                break;
            }
            self.command = self.left;
            self.command()?;
        }
        self.command = "";
        if !self.open.is_empty() {
            return Err("unclosed {".into());
        }
        let end = self.script.commands.len();
        for (at, label) in core::mem::take(&mut self.jumps) {
            let found = self.labels.iter().find(|(name, _)| *name == label).map(|l| l.1);
            let to = if label.is_empty() {
                end
            } else {
                found.ok_or_else(|| alloc::format!("undefined label {label}"))?
            };
            if let Some(Verb::Branch(place) | Verb::Test(place)) =
                self.script.commands.get_mut(at).map(|c| &mut c.verb)
            {
                *place = to;
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<char> {
        self.left.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.left = self.left.get(c.len_utf8()..).unwrap_or("");
        Some(c)
    }

    fn blanks(&mut self) {
        self.left = self.left.trim_start_matches([' ', '\t']);
    }

    fn number(&mut self) -> Parsed<Option<u64>> {
        let end = self.left.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.left.len());
        let (digits, rest) = self.left.split_at(end);
        self.left = rest;
        if digits.is_empty() {
            return Ok(None);
        }
        digits.parse().map(Some).map_err(|_| "number too large".into())
    }

    fn address(&mut self) -> Parsed<Option<Address>> {
        if let Some(n) = self.number()? {
            return Ok(Some(Address::Line(n)));
        }
        match self.peek() {
            Some('$') => {
                self.take();
                Ok(Some(Address::Last))
            }
            Some('/') => {
                self.take();
                self.regexp('/').map(|re| Some(Address::Match(re)))
            }
            Some('\\') => {
                self.take();
                let end = self.take().ok_or("missing expression")?;
                self.regexp(end).map(|re| Some(Address::Match(re)))
            }
            _ => Ok(None),
        }
    }

    /// The expression up to `end`; an empty one means the last one used.
    fn regexp(&mut self, end: char) -> Parsed<Option<RefCell<Finder>>> {
        let mut pattern = String::new();
        let mut in_set = false;
        loop {
            match self.take().ok_or("unterminated expression")? {
                c if c == end && !in_set => break,
                '\n' => return Err("unterminated expression".into()),
                '\\' => match self.take().ok_or("unterminated expression")? {
                    c if c == end => {
                        // The delimiter stands for itself, and must not become an operator by that.
                        if !c.is_alphanumeric() {
                            pattern.push('\\');
                        }
                        pattern.push(c);
                    }
                    c => pattern.extend(['\\', c]),
                },
                c => {
                    in_set = if in_set { c != ']' } else { c == '[' };
                    pattern.push(c);
                }
            }
        }
        if pattern.is_empty() {
            return Ok(None);
        }
        let re = regexp::parse(&pattern, false)?;
        Ok(Some(RefCell::new(Finder::new(re))))
    }

    fn command(&mut self) -> Parsed<()> {
        let from = self.address()?;
        self.blanks();
        let mut to = None;
        if from.is_some() && self.peek() == Some(',') {
            self.take();
            self.blanks();
            to = Some(self.address()?.ok_or("bad address after ,")?);
            self.blanks();
        }
        let mut negated = false;
        while self.peek() == Some('!') {
            self.take();
            self.blanks();
            negated = true;
        }
        let here = self.script.commands.len();
        let letter = self.take().ok_or("missing command")?;
        let most = match letter {
            ':' | '}' => 0,
            '=' | 'a' | 'i' | 'q' | 'r' => 1,
            _ => 2,
        };
        if usize::from(from.is_some()) + usize::from(to.is_some()) > most {
            return Err(alloc::format!("too many addresses for {letter}"));
        }
        let verb = self.verb(letter, here)?;
        self.script.commands.push(Command { from, to, negated, verb });
        Ok(())
    }

    fn verb(&mut self, letter: char, here: usize) -> Parsed<Verb> {
        Ok(match letter {
            '{' => {
                self.open.push(here);
                return Ok(Verb::Block(0));
            }
            '}' => {
                let open = self.open.pop().ok_or("unopened }")?;
                if let Some(c) = self.script.commands.get_mut(open) {
                    c.verb = Verb::Block(here);
                }
                return self.end(Verb::Nothing);
            }
            ':' => {
                let label = self.label();
                if label.is_empty() || self.labels.iter().any(|(l, _)| *l == label) {
                    return Err("bad or duplicate label".into());
                }
                self.labels.push((label, here));
                Verb::Nothing
            }
            'b' | 't' => {
                let label = self.label();
                self.jumps.push((here, label));
                if letter == 'b' { Verb::Branch(0) } else { Verb::Test(0) }
            }
            'a' => Verb::Append(self.text()?),
            'c' => Verb::Change(self.text()?),
            'i' => Verb::Insert(self.text()?),
            'r' => Verb::Read(self.file_name()?),
            'w' => Verb::Write(self.write_file()?),
            's' => Verb::Substitute(self.substitute()?),
            'y' => {
                let y = self.translate()?;
                return self.end(y);
            }
            '=' => return self.end(Verb::Number),
            'd' => return self.end(Verb::Delete),
            'D' => return self.end(Verb::DeleteFirst),
            'g' => return self.end(Verb::Get),
            'G' => return self.end(Verb::GetAppend),
            'h' => return self.end(Verb::Hold),
            'H' => return self.end(Verb::HoldAppend),
            'l' => return self.end(Verb::List),
            'n' => return self.end(Verb::Next),
            'N' => return self.end(Verb::NextAppend),
            'p' => return self.end(Verb::Print),
            'P' => return self.end(Verb::PrintFirst),
            'q' => return self.end(Verb::Quit),
            'x' => return self.end(Verb::Exchange),
            c => return Err(alloc::format!("unrecognized command {c}")),
        })
    }

    /// Nothing but blanks may follow a command, up to the end of its line or a semicolon or brace.
    fn end(&mut self, verb: Verb) -> Parsed<Verb> {
        self.blanks();
        match self.peek() {
            None | Some('\n' | ';' | '}' | '#') => Ok(verb),
            Some(_) => Err("garbage after command".into()),
        }
    }

    fn label(&mut self) -> String {
        self.blanks();
        let end = self.left.find(['\n', ';', '}']).unwrap_or(self.left.len());
        let (label, rest) = self.left.split_at(end);
        self.left = rest;
        label.trim_end().into()
    }

    fn file_name(&mut self) -> Parsed<String> {
        self.blanks();
        let end = self.left.find('\n').unwrap_or(self.left.len());
        let (name, rest) = self.left.split_at(end);
        self.left = rest;
        if name.is_empty() { Err("missing file name".into()) } else { Ok(name.into()) }
    }

    fn write_file(&mut self) -> Parsed<usize> {
        let name = self.file_name()?;
        Ok(self.script.files.iter().position(|f| *f == name).unwrap_or_else(|| {
            self.script.files.push(name);
            self.script.files.len() - 1
        }))
    }

    /// The text of a, c and i: begins on the next line, and goes on as long as lines end with a backslash.
    fn text(&mut self) -> Parsed<Vec<u8>> {
        self.blanks();
        if self.peek() == Some('\\') {
            self.take();
            self.blanks();
            if self.peek() == Some('\n') {
                self.take();
            }
        }
        self.left = self.left.trim_start_matches([' ', '\t']);
        let mut text = String::new();
        loop {
            match self.take() {
                None | Some('\n') => break,
                Some('\\') => text.extend(self.take()),
                Some(c) => text.push(c),
            }
        }
        text.push('\n');
        Ok(text.into_bytes())
    }

    fn substitute(&mut self) -> Parsed<Substitute> {
        let end = self.take().filter(|&c| c != '\n' && c != '\\').ok_or("bad delimiter")?;
        let re = self.regexp(end)?;
        let mut with = Vec::new();
        let mut text = String::new();
        loop {
            let part = match self.take().ok_or("unterminated substitution")? {
                c if c == end => break,
                '\n' => return Err("unterminated substitution".into()),
                '&' => 0,
                '\\' => match self.take().ok_or("unterminated substitution")? {
                    'n' => {
                        text.push('\n');
                        continue;
                    }
                    c => match c.to_digit(10) {
                        Some(n) if c != end => n as usize,
                        _ => {
                            text.push(c);
                            continue;
                        }
                    },
                },
                c => {
                    text.push(c);
                    continue;
                }
            };
            if !text.is_empty() {
                with.push(Piece::Text(core::mem::take(&mut text).into_bytes()));
            }
            with.push(Piece::Part(part));
        }
        if !text.is_empty() {
            with.push(Piece::Text(text.into_bytes()));
        }
        let mut s = Substitute { re, with, nth: 1, all: false, print: false, write: None };
        loop {
            if let Some(n) = self.number()? {
                s.nth = n.max(1);
            }
            match self.peek() {
                Some('g') => s.all = true,
                Some('p') => s.print = true,
                Some('w') => {
                    self.take();
                    s.write = Some(self.write_file()?);
                    return Ok(s);
                }
                None | Some('\n' | ';' | '}' | '#' | ' ' | '\t') => break,
                Some(_) => return Err("garbage after command".into()),
            }
            self.take();
        }
        self.end(Verb::Nothing).map(|_| s)
    }

    fn translate(&mut self) -> Parsed<Verb> {
        let end = self.take().filter(|&c| c != '\n' && c != '\\').ok_or("bad delimiter")?;
        let mut sides = [Vec::new(), Vec::new()];
        for side in &mut sides {
            loop {
                side.push(match self.take().ok_or("unterminated y")? {
                    c if c == end => break,
                    '\\' => match self.take().ok_or("unterminated y")? {
                        'n' => '\n',
                        c => c,
                    },
                    c => c,
                });
            }
        }
        let [from, to] = sides;
        if from.len() != to.len() {
            return Err("y does not have as many characters on both sides".into());
        }
        Ok(Verb::Translate(from.into_iter().zip(to).collect()))
    }
}
