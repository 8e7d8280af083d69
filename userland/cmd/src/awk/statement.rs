//! Reading statements.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::lex::Token;
use super::parse::{Parsed, Parser};
use super::tree::{Block, Expr, Kind, Name, Redirection, Statement, Way};

impl Parser<'_> {
    /// `{ ... }`
    pub(super) fn block(&mut self) -> Parsed<Block> {
        self.expect("{")?;
        let mut list = Vec::new();
        loop {
            while self.token == Token::Newline || self.at(";") {
                self.advance()?;
            }
            if self.take("}")? {
                return Ok(list);
            }
            list.push(self.statement()?);
        }
    }

    /// A statement with what ends it.
    fn statement(&mut self) -> Parsed<Statement> {
        self.deeper(Self::statement_inside)
    }

    fn statement_inside(&mut self) -> Parsed<Statement> {
        let line = self.line;
        let statement = |kind| Ok(Statement { line, kind });
        if self.at("{") {
            return statement(Kind::Block(self.block()?));
        }
        if self.at(";") {
            self.advance()?;
            return statement(Kind::Nothing);
        }
        let Token::Word(word) = self.token else { return self.simple_with_end() };
        match word {
            "if" => {
                self.advance()?;
                let condition = self.condition()?;
                let body = self.body()?;
                // An else may come behind ends of lines, and a semicolon.
                let before = (self.lexer.clone(), self.token.clone(), self.line);
                while self.token == Token::Newline || self.at(";") {
                    self.advance()?;
                }
                if !self.at_word("else") {
                    (self.lexer, self.token, self.line) = before;
                    return statement(Kind::If(condition, body, None));
                }
                self.advance()?;
                let other = self.body()?;
                statement(Kind::If(condition, body, Some(other)))
            }
            "while" => {
                self.advance()?;
                let condition = self.condition()?;
                if self.take(";")? {
                    return statement(Kind::While(
                        condition,
                        Box::new(Statement { line, kind: Kind::Nothing }),
                    ));
                }
                let body = self.looped()?;
                statement(Kind::While(condition, body))
            }
            "do" => {
                self.advance()?;
                let body = self.looped()?;
                while self.token == Token::Newline || self.at(";") {
                    self.advance()?;
                }
                if !self.at_word("while") {
                    return Err(self.unexpected("while"));
                }
                self.advance()?;
                self.expect("(")?;
                let condition = self.expression()?;
                self.expect(")")?;
                self.end_of_statement()?;
                statement(Kind::DoWhile(body, condition))
            }
            "for" => self.for_loop(),
            _ => self.simple_with_end(),
        }
    }

    fn simple_with_end(&mut self) -> Parsed<Statement> {
        let statement = self.simple()?;
        self.end_of_statement()?;
        Ok(statement)
    }

    fn end_of_statement(&mut self) -> Parsed<()> {
        if self.token == Token::Newline || self.at(";") {
            self.advance()?;
        } else if !self.at("}") && self.token != Token::End {
            return Err(self.unexpected(""));
        }
        Ok(())
    }

    /// `(condition)`, and ends of lines.
    fn condition(&mut self) -> Parsed<Expr> {
        self.expect("(")?;
        let condition = self.expression()?;
        self.expect(")")?;
        Ok(condition)
    }

    fn body(&mut self) -> Parsed<Box<Statement>> {
        self.newlines()?;
        Ok(Box::new(self.statement()?))
    }

    fn looped(&mut self) -> Parsed<Box<Statement>> {
        self.loops += 1;
        let body = self.body()?;
        self.loops -= 1;
        Ok(body)
    }

    fn for_loop(&mut self) -> Parsed<Statement> {
        let line = self.line;
        self.advance()?;
        self.expect("(")?;
        if let Some((variable, array)) = self.for_in()? {
            let body = self.looped()?;
            return Ok(Statement { line, kind: Kind::ForIn(variable, array, body) });
        }
        let begin = if self.at(";") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(";")?;
        self.newlines()?;
        let condition = if self.at(";") { None } else { Some(self.expression()?) };
        self.expect(";")?;
        self.newlines()?;
        let step = if self.at(")") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(")")?;
        let body =
            if self.take(";")? { Box::new(Statement { line, kind: Kind::Nothing }) } else { self.looped()? };
        Ok(Statement { line, kind: Kind::For(begin, condition, step, body) })
    }

    /// `name in array)`, if that is what comes.
    fn for_in(&mut self) -> Parsed<Option<(Expr, Name)>> {
        let Token::Name(variable) = self.token.clone() else { return Ok(None) };
        let before = (self.lexer.clone(), self.token.clone(), self.line);
        self.advance()?;
        if self.at_word("in") {
            self.advance()?;
            if let Token::Name(array) = self.token.clone() {
                self.advance()?;
                if self.take(")")? {
                    return Ok(Some((self.names.variable(&variable)?, self.names.array(&array)?)));
                }
            }
        }
        (self.lexer, self.token, self.line) = before;
        Ok(None)
    }

    /// A statement without others in it.
    fn simple(&mut self) -> Parsed<Statement> {
        let line = self.line;
        let kind = match self.token {
            Token::Word("print") => {
                self.advance()?;
                let (list, to) = self.printed()?;
                Kind::Print(list, to)
            }
            Token::Word("printf") => {
                self.advance()?;
                let (list, to) = self.printed()?;
                if list.is_empty() {
                    return Err("printf without a format".into());
                }
                Kind::Printf(list, to)
            }
            Token::Word(word @ ("break" | "continue")) => {
                if self.loops == 0 {
                    return Err(format!("{word} outside of a loop"));
                }
                self.advance()?;
                if word == "break" { Kind::Break } else { Kind::Continue }
            }
            Token::Word(word @ ("next" | "nextfile")) => {
                if self.outside {
                    return Err(format!("{word} in BEGIN or END"));
                }
                self.advance()?;
                if word == "next" { Kind::Next } else { Kind::NextFile }
            }
            Token::Word(word @ ("exit" | "return")) => {
                if word == "return" && !self.in_function {
                    return Err("return outside of a function".into());
                }
                self.advance()?;
                let ends = self.at(";") || self.at("}") || matches!(self.token, Token::Newline | Token::End);
                let value = if ends { None } else { Some(self.expression()?) };
                if word == "exit" { Kind::Exit(value) } else { Kind::Return(value) }
            }
            Token::Word("delete") => {
                self.advance()?;
                let Token::Name(name) = self.token.clone() else { return Err(self.unexpected("an array")) };
                self.advance()?;
                let array = self.names.array(&name)?;
                if self.take("[")? { Kind::Delete(array, self.subscript()?) } else { Kind::DeleteAll(array) }
            }
            _ => Kind::Do(self.expression()?),
        };
        Ok(Statement { line, kind })
    }

    /// What print and printf have behind them.
    fn printed(&mut self) -> Parsed<(Vec<Expr>, Option<Redirection>)> {
        let before = core::mem::replace(&mut self.printing, true);
        let mut list = Vec::new();
        let ends = |p: &Self| {
            matches!(p.token, Token::Newline | Token::End)
                || [";", "}", ">", ">>", "|"].iter().any(|mark| p.at(mark))
        };
        if !ends(self) {
            list.push(self.expression()?);
            while self.take(",")? {
                self.newlines()?;
                list.push(self.expression()?);
            }
        }
        if let [Expr::Group(_)] = list.as_slice()
            && let Some(Expr::Group(inside)) = list.pop()
        {
            list = inside;
        }
        if list.iter().any(|e| matches!(e, Expr::Group(_))) {
            return Err("syntax error: illegal list".into());
        }
        let way = match self.token {
            Token::Mark(">") => Some(Way::File),
            Token::Mark(">>") => Some(Way::Append),
            Token::Mark("|") => Some(Way::Pipe),
            _ => None,
        };
        let to = match way {
            None => None,
            Some(way) => {
                self.advance()?;
                Some(Redirection { way, to: self.concatenation()? })
            }
        };
        self.printing = before;
        Ok((list, to))
    }
}
