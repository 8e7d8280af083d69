//! From a program's text to its tree: rules and functions. Statements are in [`super::statement`], expressions in
//! [`super::expression`].

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::lex::{Lexer, Token};
use super::names::Names;
use super::tree::{Function, Program, Rule, When};

/// Nesting that is taken; it bounds the stack that parsing and running need.
const DEEP: u32 = 600;

/// Reads a program.
pub(super) struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) token: Token,
    /// The line of the word.
    pub(super) line: u32,
    pub(super) names: Names,
    depth: u32,
    /// How high the tree of the expression is that was read last.
    pub(super) height: u32,
    /// A `>` is where a print goes.
    pub(super) printing: bool,
    pub(super) loops: u32,
    pub(super) in_function: bool,
    /// In BEGIN or END, where there is no next record.
    pub(super) outside: bool,
    ranges: usize,
}

pub(super) type Parsed<T> = Result<T, String>;

/// The program of this text.
pub(super) fn program(text: &[u8]) -> Parsed<Program> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        token: Token::Newline,
        line: 1,
        names: Names::new(),
        depth: 0,
        height: 0,
        printing: false,
        loops: 0,
        in_function: false,
        outside: false,
        ranges: 0,
    };
    match parser.program() {
        Ok(program) => Ok(program),
        Err(what) => Err(format!("{what} at source line {}", parser.line)),
    }
}

impl Parser<'_> {
    /// Reads the next word, and gives the last.
    pub(super) fn advance(&mut self) -> Parsed<Token> {
        self.line = self.lexer.line;
        let next = self.lexer.next()?;
        Ok(core::mem::replace(&mut self.token, next))
    }

    pub(super) fn at(&self, mark: &str) -> bool {
        matches!(&self.token, Token::Mark(m) if *m == mark)
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(w) if *w == word)
    }

    pub(super) fn take(&mut self, mark: &str) -> Parsed<bool> {
        let there = self.at(mark);
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    pub(super) fn expect(&mut self, mark: &str) -> Parsed<()> {
        if self.take(mark)? { Ok(()) } else { Err(self.unexpected(mark)) }
    }

    /// What to say when something else was to come.
    pub(super) fn unexpected(&self, wanted: &str) -> String {
        let got = match &self.token {
            Token::End => "end of program".into(),
            Token::Newline => "end of line".into(),
            Token::Number(n) => format!("{n}"),
            Token::String(text) => format!("\"{}\"", String::from_utf8_lossy(text)),
            Token::Name(name) | Token::Called(name) => String::from(&**name),
            Token::Word(word) | Token::Builtin(word) | Token::Mark(word) => String::from(*word),
        };
        if wanted.is_empty() {
            format!("syntax error: unexpected {got}")
        } else {
            format!("syntax error: {wanted} expected, not {got}")
        }
    }

    pub(super) fn newlines(&mut self) -> Parsed<()> {
        while self.token == Token::Newline {
            self.advance()?;
        }
        Ok(())
    }

    /// One level deeper, for as long as `f` reads.
    pub(super) fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEEP {
            return Err("program nested too deeply".into());
        }
        let read = f(self);
        self.depth -= 1;
        read
    }

    fn program(&mut self) -> Parsed<Program> {
        self.advance()?;
        let (mut begin, mut rules, mut end) = (Vec::new(), Vec::new(), Vec::new());
        let mut functions: Vec<Option<Function>> = Vec::new();
        loop {
            while self.token == Token::Newline || self.at(";") {
                self.advance()?;
            }
            if self.token == Token::End {
                break;
            }
            if self.at_word("BEGIN") || self.at_word("END") {
                let list = if self.at_word("BEGIN") { &mut begin } else { &mut end };
                self.advance()?;
                if !self.at("{") {
                    return Err(self.unexpected("{"));
                }
                self.outside = true;
                list.push(self.block()?);
                self.outside = false;
            } else if self.at_word("function") {
                let (number, function) = self.function()?;
                if functions.len() <= number {
                    functions.resize_with(number + 1, || None);
                }
                if let Some(place) = functions.get_mut(number) {
                    *place = Some(function);
                }
            } else {
                rules.push(self.rule()?);
            }
        }
        self.names.check()?;
        let functions = functions.into_iter().collect::<Option<Vec<_>>>();
        let functions = functions.ok_or("calling a function that is not defined")?;
        Ok(Program { begin, rules, end, functions, globals: core::mem::take(&mut self.names.globals) })
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let when = if self.at("{") {
            When::Always
        } else {
            let first = self.expression()?;
            if self.take(",")? {
                self.newlines()?;
                let second = self.expression()?;
                self.ranges += 1;
                When::Range(first, second, self.ranges - 1)
            } else {
                When::True(first)
            }
        };
        let action = if self.at("{") {
            Some(self.block()?)
        } else {
            if !matches!(self.token, Token::Newline | Token::End) && !self.at(";") {
                return Err(self.unexpected(""));
            }
            None
        };
        Ok(Rule { when, action })
    }

    fn function(&mut self) -> Parsed<(usize, Function)> {
        self.advance()?;
        let (Token::Name(name) | Token::Called(name)) = self.token.clone() else {
            return Err(self.unexpected("a name"));
        };
        self.advance()?;
        self.expect("(")?;
        let mut parameters: Vec<Rc<str>> = Vec::new();
        self.newlines()?;
        while !self.at(")") {
            let Token::Name(parameter) = self.token.clone() else {
                return Err(self.unexpected("a parameter"));
            };
            if parameters.contains(&parameter) || parameter == name {
                return Err(format!("{parameter} is a parameter already"));
            }
            parameters.push(parameter);
            self.advance()?;
            self.newlines()?;
            if !self.at(")") {
                self.expect(",")?;
                self.newlines()?;
            }
        }
        self.advance()?;
        self.newlines()?;
        let count = parameters.len();
        let number = self.names.define(&name, parameters)?;
        self.in_function = true;
        let body = if self.at("{") { self.block() } else { Err(self.unexpected("{")) }?;
        self.in_function = false;
        self.names.leave();
        Ok((number, Function { name, parameters: count, body }))
    }
}
