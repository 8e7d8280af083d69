//! From words to trees.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::lex::{Lexer, Token};
use super::{Expression, Fault, Function, Io, Operator, Printed, Statement};

/// Nesting, and terms of one expression, that are taken: trees are walked by functions that call themselves.
const DEEP: u32 = 100;
const TERMS: u32 = 500;

/// Operators between two values, those that bind least first.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        (">", Operator::Greater),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessEqual),
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

/// The next statement of a program, to the end of its line; nothing at the end of the program.
pub(super) fn statement(lexer: &mut Lexer, io: &mut dyn Io) -> Result<Option<Statement>, Fault> {
    while *lexer.peek(io)? == Token::Newline || *lexer.peek(io)? == Token::Mark(";") {
        lexer.next(io)?;
    }
    if *lexer.peek(io)? == Token::End {
        return Ok(None);
    }
    let mut parser = Parser { lexer, io, depth: 0, terms: 0 };
    let statement = if parser.lexer.take_name("func", parser.io)? {
        parser.definition(true)?
    } else if parser.lexer.take_name("proc", parser.io)? {
        parser.definition(false)?
    } else {
        parser.statement()?
    };
    parser.end()?;
    Ok(Some(statement))
}

struct Parser<'a, 'b> {
    lexer: &'a mut Lexer,
    io: &'a mut (dyn Io + 'b),
    depth: u32,
    terms: u32,
}

impl Parser<'_, '_> {
    fn take(&mut self, mark: &str) -> Result<bool, Fault> {
        self.lexer.take(mark, self.io)
    }

    fn want(&mut self, mark: &str) -> Result<(), Fault> {
        self.lexer.want(mark, self.io)
    }

    fn newlines(&mut self) -> Result<(), Fault> {
        while *self.lexer.peek(self.io)? == Token::Newline {
            self.lexer.next(self.io)?;
        }
        Ok(())
    }

    /// Is the next word one that ends a statement?
    fn at_end(&mut self) -> Result<bool, Fault> {
        Ok(matches!(self.lexer.peek(self.io)?, Token::Newline | Token::End | Token::Mark(";" | "}")))
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.lexer.peek(self.io)? {
            Token::Newline | Token::Mark(";") => self.lexer.next(self.io).map(drop),
            Token::End => Ok(()),
            _ => Err("syntax error".into()),
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= DEEP {
            return Err("nested too deeply".into());
        }
        self.depth += 1;
        let done = inner(self);
        self.depth -= 1;
        done
    }

    fn definition(&mut self, gives: bool) -> Result<Statement, Fault> {
        let name = self.lexer.want_name(self.io)?;
        self.want("(")?;
        let mut parameters = Vec::new();
        while !self.take(")")? {
            if !parameters.is_empty() {
                self.want(",")?;
            }
            parameters.push(self.lexer.want_name(self.io)?);
        }
        self.newlines()?;
        let body = self.statement()?;
        Ok(Statement::Define(name, Rc::new(Function { gives, parameters, body })))
    }

    fn statement(&mut self) -> Result<Statement, Fault> {
        self.deeper(Self::statement_inside)
    }

    fn statement_inside(&mut self) -> Result<Statement, Fault> {
        self.terms = 0;
        if self.take("{")? {
            let mut list = Vec::new();
            loop {
                while matches!(self.lexer.peek(self.io)?, Token::Newline | Token::Mark(";")) {
                    self.lexer.next(self.io)?;
                }
                if self.take("}")? {
                    return Ok(Statement::Block(list));
                }
                if *self.lexer.peek(self.io)? == Token::End {
                    return Err("syntax error: } is missing".into());
                }
                list.push(self.statement()?);
                if !self.at_end()? {
                    return Err("syntax error".into());
                }
            }
        }
        let Token::Name(word) = self.lexer.peek(self.io)? else {
            return Ok(Statement::Expression(self.expression()?));
        };
        let word = match word.as_str() {
            "if" | "while" | "for" | "return" | "print" => word.clone(),
            _ => return Ok(Statement::Expression(self.expression()?)),
        };
        self.lexer.next(self.io)?;
        match word.as_str() {
            "return" => {
                let value = if self.at_end()? { None } else { Some(self.expression()?) };
                Ok(Statement::Return(value))
            }
            "print" => self.print(),
            "for" => {
                self.want("(")?;
                let mut parts = [None, None, None];
                for (part, end) in parts.iter_mut().zip([";", ";", ")"]) {
                    if !self.take(end)? {
                        *part = Some(self.expression()?);
                        self.want(end)?;
                    }
                }
                self.newlines()?;
                Ok(Statement::For(parts, Box::new(self.statement()?)))
            }
            _ => {
                self.want("(")?;
                let condition = self.expression()?;
                self.want(")")?;
                self.newlines()?;
                let body = Box::new(self.statement()?);
                if word == "while" {
                    return Ok(Statement::While(condition, body));
                }
                let other = if self.lexer.take_name("else", self.io)? {
                    self.newlines()?;
                    Some(Box::new(self.statement()?))
                } else {
                    None
                };
                Ok(Statement::If(condition, body, other))
            }
        }
    }

    fn print(&mut self) -> Result<Statement, Fault> {
        let mut list = Vec::new();
        loop {
            match self.lexer.peek(self.io)? {
                Token::Text(text) => {
                    list.push(Printed::Text(text.clone()));
                    self.lexer.next(self.io)?;
                }
                _ => list.push(Printed::Value(self.expression()?)),
            }
            if !self.take(",")? {
                return Ok(Statement::Print(list));
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, Fault> {
        self.deeper(|parser| {
            let left = parser.binary(0)?;
            let Expression::Variable(name) = left else { return Ok(left) };
            for (mark, operator) in
                [("=", None), ("+=", Some('+')), ("-=", Some('-')), ("*=", Some('*')), ("/=", Some('/'))]
                    .into_iter()
                    .chain([("%=", Some('%')), ("^=", Some('^'))])
            {
                if parser.take(mark)? {
                    return Ok(Expression::Assign(operator, name, Box::new(parser.expression()?)));
                }
            }
            Ok(Expression::Variable(name))
        })
    }

    fn binary(&mut self, level: usize) -> Result<Expression, Fault> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        'next: loop {
            for (mark, operator) in *operators {
                if self.take(mark)? {
                    self.terms += 1;
                    if self.terms > TERMS {
                        return Err("expression too long".into());
                    }
                    let right = self.binary(level + 1)?;
                    left = Expression::Binary(*operator, Box::new(left), Box::new(right));
                    continue 'next;
                }
            }
            return Ok(left);
        }
    }

    fn unary(&mut self) -> Result<Expression, Fault> {
        self.deeper(|parser| {
            if parser.take("-")? {
                return Ok(Expression::Negate(Box::new(parser.unary()?)));
            }
            if parser.take("+")? {
                return parser.unary();
            }
            if parser.take("!")? {
                return Ok(Expression::Not(Box::new(parser.unary()?)));
            }
            for (mark, step) in [("++", 1.0), ("--", -1.0)] {
                if parser.take(mark)? {
                    return Ok(Expression::Step(parser.lexer.want_name(parser.io)?, step, false));
                }
            }
            let base = parser.primary()?;
            if parser.take("^")? {
                // To the right: 2^3^2 is 2^9, and 2^-1 a half.
                let power = parser.unary()?;
                return Ok(Expression::Binary(Operator::Power, Box::new(base), Box::new(power)));
            }
            Ok(base)
        })
    }

    fn primary(&mut self) -> Result<Expression, Fault> {
        if self.take("(")? {
            let inner = self.expression()?;
            self.want(")")?;
            return Ok(inner);
        }
        let name = match self.lexer.peek(self.io)? {
            Token::Number(number) => {
                let number = *number;
                self.lexer.next(self.io)?;
                return Ok(Expression::Number(number));
            }
            Token::Name(name) => {
                if ["if", "else", "while", "for", "return", "print", "func", "proc"].contains(&name.as_str())
                {
                    return Err("syntax error".into());
                }
                name.clone()
            }
            _ => return Err("syntax error".into()),
        };
        self.lexer.next(self.io)?;
        if self.take("(")? {
            return self.call(name);
        }
        for (mark, step) in [("++", 1.0), ("--", -1.0)] {
            if self.take(mark)? {
                return Ok(Expression::Step(name, step, true));
            }
        }
        Ok(Expression::Variable(name))
    }

    fn call(&mut self, name: String) -> Result<Expression, Fault> {
        if name == "read" {
            let variable = self.lexer.want_name(self.io)?;
            self.want(")")?;
            return Ok(Expression::Read(variable));
        }
        let mut arguments = Vec::new();
        while !self.take(")")? {
            if !arguments.is_empty() {
                self.want(",")?;
            }
            arguments.push(self.expression()?);
        }
        Ok(Expression::Call(name, arguments))
    }
}
