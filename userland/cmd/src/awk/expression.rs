//! Reading expressions. Binary operators are read by how strongly they bind; an assignment begins wherever something
//! that can be assigned to stands before a `=`, as awk's grammar has it: `a && b = 1` sets b.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::lex::Token;
use super::parse::{Parsed, Parser};
use super::tree::{Arithmetic, Builtin, Comparison, Expr, Source};
use crate::regexp::{Finder, extended};

/// How high a tree may be; it bounds the stack that running it needs.
const HIGH: u32 = 1000;

const OR: u8 = 1;
const AND: u8 = 2;
const IN: u8 = 3;
const MATCH: u8 = 4;
const COMPARE: u8 = 5;
const CONCAT: u8 = 6;
const ADD: u8 = 7;
const MULTIPLY: u8 = 8;

impl Parser<'_> {
    /// The tree has grown by one over the one read last and one of height `other`.
    fn grow(&mut self, other: u32) -> Parsed<()> {
        self.height = self.height.max(other) + 1;
        if self.height > HIGH { Err("expression too long".into()) } else { Ok(()) }
    }

    /// A whole expression.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|p| {
            let condition = p.binary(OR)?;
            if !p.take("?")? {
                return Ok(condition);
            }
            let mut height = p.height;
            p.newlines()?;
            let yes = p.expression()?;
            height = height.max(p.height);
            p.newlines()?;
            p.expect(":")?;
            p.newlines()?;
            let no = p.expression()?;
            p.grow(height)?;
            Ok(Expr::Either(Box::new([condition, yes, no])))
        })
    }

    /// An expression that is inside of something, where a `>` compares.
    fn inside(&mut self) -> Parsed<Expr> {
        let before = core::mem::replace(&mut self.printing, false);
        let expr = self.expression();
        self.printing = before;
        expr
    }

    /// Where a print goes: a comparison would be another redirection.
    pub(super) fn concatenation(&mut self) -> Parsed<Expr> {
        self.binary(CONCAT)
    }

    /// How strongly what comes next binds, if it continues an expression.
    fn strength(&self) -> Option<u8> {
        Some(match &self.token {
            Token::Mark(mark) => match *mark {
                "||" => OR,
                "&&" => AND,
                "~" | "!~" => MATCH,
                ">" if self.printing => return None,
                "<" | "<=" | "==" | "!=" | ">" | ">=" => COMPARE,
                "|" if self.lexer.clone().next().is_ok_and(|t| t == Token::Word("getline")) => COMPARE,
                "+" | "-" => ADD,
                "*" | "/" | "%" => MULTIPLY,
                "$" | "!" | "(" | "++" | "--" => CONCAT,
                _ => return None,
            },
            Token::Word("in") => IN,
            Token::Number(_) | Token::String(_) | Token::Name(_) | Token::Called(_) | Token::Builtin(_) => {
                CONCAT
            }
            _ => return None,
        })
    }

    fn binary(&mut self, least: u8) -> Parsed<Expr> {
        let mut left = self.unary()?;
        while let Some(strength) = self.strength().filter(|s| *s >= least) {
            let height = self.height;
            if strength == CONCAT {
                let right = self.binary(ADD)?;
                self.grow(0)?;
                left = match left {
                    Expr::Concat(mut list) => {
                        list.push(right);
                        Expr::Concat(list)
                    }
                    left => Expr::Concat(vec![left, right]),
                };
                // A longer list is not a higher tree.
                self.height = self.height.max(height);
                continue;
            }
            left = self.operator(left, strength)?;
            self.grow(height)?;
        }
        Ok(left)
    }

    /// An operator, which is not concatenation, and what is to its right.
    fn operator(&mut self, left: Expr, strength: u8) -> Parsed<Expr> {
        let token = self.advance()?;
        if token == Token::Word("in") {
            let Token::Name(name) = self.token.clone() else { return Err(self.unexpected("an array")) };
            self.advance()?;
            let list = match left {
                Expr::Group(list) => list,
                other => vec![other],
            };
            return Ok(Expr::In(list, self.names.array(&name)?));
        }
        let Token::Mark(mark) = token else { return Err(self.unexpected("")) };
        if mark == "|" {
            self.advance()?;
            let variable = self.getline_variable()?;
            return Ok(Expr::Getline(Source::Pipe(Box::new(left)), variable));
        }
        if strength <= AND {
            self.newlines()?;
        }
        let right = self.binary(strength + 1)?;
        let both = Box::new([left, right]);
        let arithmetic = |operator, both| Ok(Expr::Arithmetic(operator, both));
        let compare = |comparison, both| Ok(Expr::Compare(comparison, both));
        match mark {
            "||" => Ok(Expr::Or(both)),
            "&&" => Ok(Expr::And(both)),
            "~" => Ok(Expr::Match(true, both)),
            "!~" => Ok(Expr::Match(false, both)),
            "<" => compare(Comparison::Less, both),
            "<=" => compare(Comparison::LessEqual, both),
            "==" => compare(Comparison::Equal, both),
            "!=" => compare(Comparison::Unequal, both),
            ">" => compare(Comparison::Greater, both),
            ">=" => compare(Comparison::GreaterEqual, both),
            "+" => arithmetic(Arithmetic::Add, both),
            "-" => arithmetic(Arithmetic::Subtract, both),
            "*" => arithmetic(Arithmetic::Multiply, both),
            "/" => arithmetic(Arithmetic::Divide, both),
            _ => arithmetic(Arithmetic::Remainder, both),
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        for (mark, make) in [
            ("!", Expr::Not as fn(Box<Expr>) -> Expr),
            ("-", Expr::Negate as fn(Box<Expr>) -> Expr),
            ("+", Expr::Plus as fn(Box<Expr>) -> Expr),
        ] {
            if self.take(mark)? {
                let operand = self.deeper(Self::unary)?;
                self.grow(0)?;
                return Ok(make(Box::new(operand)));
            }
        }
        let base = self.operand(true)?;
        if !self.take("^")? {
            return Ok(base);
        }
        let height = self.height;
        let exponent = self.deeper(Self::unary)?;
        self.grow(height)?;
        Ok(Expr::Arithmetic(Arithmetic::Power, Box::new([base, exponent])))
    }

    /// What operators stand between; with `assigns` it may be an assignment.
    fn operand(&mut self, assigns: bool) -> Parsed<Expr> {
        for (mark, step) in [("++", 1.0), ("--", -1.0)] {
            if self.take(mark)? {
                let place = self.deeper(|p| p.primary())?;
                if !is_place(&place) {
                    return Err(format!("syntax error: {mark} of what is no variable"));
                }
                self.grow(0)?;
                return Ok(Expr::Step(Box::new(place), step, false));
            }
        }
        let primary = self.primary()?;
        if !is_place(&primary) {
            return Ok(primary);
        }
        for (mark, step) in [("++", 1.0), ("--", -1.0)] {
            if self.take(mark)? {
                self.grow(0)?;
                return Ok(Expr::Step(Box::new(primary), step, true));
            }
        }
        if !assigns {
            return Ok(primary);
        }
        let operator = match self.token {
            Token::Mark("=") => None,
            Token::Mark("+=") => Some(Arithmetic::Add),
            Token::Mark("-=") => Some(Arithmetic::Subtract),
            Token::Mark("*=") => Some(Arithmetic::Multiply),
            Token::Mark("/=") => Some(Arithmetic::Divide),
            Token::Mark("%=") => Some(Arithmetic::Remainder),
            Token::Mark("^=") => Some(Arithmetic::Power),
            _ => return Ok(primary),
        };
        let height = self.height;
        self.advance()?;
        self.newlines()?;
        let value = self.expression()?;
        self.grow(height)?;
        let (place, value) = (Box::new(primary), Box::new(value));
        Ok(match operator {
            None => Expr::Assign(place, value),
            Some(operator) => Expr::Update(operator, place, value),
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
        match self.token.clone() {
            Token::Number(n) => {
                self.advance()?;
                Ok(Expr::Number(n))
            }
            Token::String(text) => {
                self.advance()?;
                Ok(Expr::String(text))
            }
            Token::Mark(begun @ ("/" | "/=")) => {
                let text = self.lexer.expression(begun)?;
                self.advance()?;
                let re = extended(&text)
                    .map_err(|e| format!("{e} in /{}/", alloc::string::String::from_utf8_lossy(&text)))?;
                Ok(Expr::Regexp(Rc::new(RefCell::new(Finder::new(re)))))
            }
            Token::Mark("$") => {
                self.advance()?;
                let number = self.deeper(|p| {
                    if p.at("-") || p.at("+") || p.at("!") { p.unary() } else { p.field_number() }
                })?;
                self.grow(0)?;
                Ok(Expr::Field(Box::new(number)))
            }
            Token::Mark("(") => self.parenthesis(),
            Token::Mark("-" | "+" | "!") => self.deeper(Self::unary),
            Token::Name(name) => {
                self.advance()?;
                if self.take("[")? {
                    let array = self.names.array(&name)?;
                    let list = self.subscript()?;
                    self.grow(0)?;
                    return Ok(Expr::Element(array, list));
                }
                if self.at("(") && self.names.is_function(&name) {
                    return self.call(&name);
                }
                self.names.variable(&name)
            }
            Token::Called(name) => {
                self.advance()?;
                self.call(&name)
            }
            Token::Builtin(name) => self.builtin(name),
            Token::Word("getline") => {
                self.advance()?;
                let variable = self.getline_variable()?;
                if !self.take("<")? {
                    return Ok(Expr::Getline(Source::Main, variable));
                }
                let file = self.deeper(|p| p.operand(false))?;
                self.grow(0)?;
                Ok(Expr::Getline(Source::File(Box::new(file)), variable))
            }
            _ => Err(self.unexpected("")),
        }
    }

    /// What stands behind a `$`: it binds more strongly than anything but `++` in front.
    fn field_number(&mut self) -> Parsed<Expr> {
        if self.at("++") || self.at("--") { self.operand(false) } else { self.primary() }
    }

    /// The variable of a getline, if there is one.
    fn getline_variable(&mut self) -> Parsed<Option<Box<Expr>>> {
        if !matches!(self.token, Token::Name(_) | Token::Mark("$")) {
            return Ok(None);
        }
        let place = self.deeper(Self::primary)?;
        if is_place(&place) { Ok(Some(Box::new(place))) } else { Err(self.unexpected("a variable")) }
    }

    fn parenthesis(&mut self) -> Parsed<Expr> {
        self.advance()?;
        self.newlines()?;
        let first = self.inside()?;
        if !self.at(",") {
            self.newlines()?;
            self.expect(")")?;
            return Ok(first);
        }
        let list = self.list(vec![first], ")")?;
        self.grow(0)?;
        let printed = self.printing
            && (matches!(self.token, Token::Newline | Token::End)
                || [";", "}", ">", ">>", "|"].iter().any(|mark| self.at(mark)));
        if printed || self.at_word("in") { Ok(Expr::Group(list)) } else { Err(self.unexpected("in")) }
    }

    /// The rest of a list whose first expressions are read, with what closes it.
    fn list(&mut self, mut list: Vec<Expr>, close: &str) -> Parsed<Vec<Expr>> {
        let mut height = if list.is_empty() { 0 } else { self.height };
        loop {
            self.newlines()?;
            if self.take(close)? {
                self.height = height;
                return Ok(list);
            }
            if !list.is_empty() {
                self.expect(",")?;
                self.newlines()?;
            }
            list.push(self.inside()?);
            height = height.max(self.height);
        }
    }

    /// A subscript behind its bracket.
    pub(super) fn subscript(&mut self) -> Parsed<Vec<Expr>> {
        let list = self.list(Vec::new(), "]")?;
        if list.is_empty() { Err("syntax error: no subscript".into()) } else { Ok(list) }
    }

    fn call(&mut self, name: &Rc<str>) -> Parsed<Expr> {
        self.expect("(")?;
        let arguments = self.list(Vec::new(), ")")?;
        self.grow(0)?;
        Ok(Expr::Call(self.names.call(name, arguments.len()), arguments))
    }

    fn builtin(&mut self, name: &'static str) -> Parsed<Expr> {
        self.advance()?;
        let Some((builtin, least, most)) = Builtin::find(name) else { return Err(self.unexpected("")) };
        if builtin == Builtin::Length && !self.at("(") {
            return Ok(Expr::Builtin(builtin, Vec::new()));
        }
        self.expect("(")?;
        let arguments = self.list(Vec::new(), ")")?;
        self.grow(0)?;
        if arguments.len() < least || arguments.len() > most {
            return Err(format!("{name} with {} arguments", arguments.len()));
        }
        let good = match (builtin, arguments.as_slice()) {
            (Builtin::Split, [_, array, ..]) => matches!(array, Expr::Variable(_)),
            (Builtin::Sub | Builtin::Gsub, [_, _, place]) => is_place(place),
            _ => true,
        };
        if good {
            Ok(Expr::Builtin(builtin, arguments))
        } else {
            Err(format!("{name} of what is no variable"))
        }
    }
}

/// Can it be assigned to?
fn is_place(expr: &Expr) -> bool {
    matches!(expr, Expr::Variable(_) | Expr::Special(_) | Expr::Element(..) | Expr::Field(_))
}
