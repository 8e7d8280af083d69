//! Running commands.
//!
//! `tail` says that the process ends after the command, whatever it does: then a program needs no process of its own.
//! It is true only in children.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ast::{Body, Cmd, Word};
use crate::os::Os;
use crate::print;
use crate::shell::{Flow, Run, Shell};

/// Commands may run in each other this deep; functions that call themselves for ever end here.
const DEEPEST: u32 = 3000;

impl<O: Os> Shell<O> {
    /// Runs a command.
    ///
    /// # Errors
    /// Why nothing more is to be run.
    pub fn eval(&mut self, cmd: &Body, tail: bool) -> Run {
        self.traps()?;
        if self.depth >= DEEPEST {
            return self.fail("commands nested too deeply");
        }
        self.depth += 1;
        let result = self.eval_inner(cmd, tail);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    fn eval_inner(&mut self, cmd: &Body, tail: bool) -> Run {
        match &**cmd {
            Cmd::Empty => Ok(()),
            Cmd::Simple(words) => self.simple(words, tail),
            Cmd::Redir(list, inner) => self.redirected(list, inner, tail),
            Cmd::Assign(list, inner) => self.assign(list, inner.as_ref(), tail),
            Cmd::Pipe(first, rest) => {
                self.pipeline(first, rest)?;
                self.check_e()
            }
            Cmd::AndOr(first, rest) => self.and_or(first, rest, tail),
            Cmd::Not(inner) => {
                self.condition(inner)?;
                let status = if self.succeeded() { "false" } else { "" };
                self.set_status(status);
                Ok(())
            }
            Cmd::Seq(list) => {
                for (i, cmd) in list.iter().enumerate() {
                    self.eval(cmd, tail && i + 1 == list.len())?;
                }
                Ok(())
            }
            Cmd::Async(inner) => self.background(inner),
            Cmd::Brace(inner) => self.eval(inner, tail),
            Cmd::Subshell(inner) => {
                if tail {
                    return self.eval(inner, true);
                }
                self.subshell(inner)?;
                self.check_e()
            }
            Cmd::If(cond, inner) => {
                self.condition(cond)?;
                let yes = self.succeeded();
                if yes {
                    self.eval(inner, tail)?;
                }
                self.if_failed = !yes;
                Ok(())
            }
            Cmd::IfNot(inner) => {
                if core::mem::take(&mut self.if_failed) {
                    self.eval(inner, tail)?;
                }
                Ok(())
            }
            Cmd::For(var, list, inner) => self.for_each(var, list.as_deref(), inner),
            Cmd::While(cond, inner) => self.repeat(cond, inner),
            Cmd::Switch(subject, cases) => self.switch(subject, cases, tail),
            Cmd::Fn(names, body) => {
                for name in self.expand(names)? {
                    self.vars.set_function(&name.text, body.clone());
                }
                Ok(())
            }
            Cmd::Match(subject, patterns) => {
                let subject = self.flat(subject)?;
                let hit = self.expand(patterns)?.iter().any(|p| p.matches(&subject));
                self.set_status(if hit { "" } else { "no match" });
                self.check_e()
            }
        }
    }

    /// Runs a command whose failure is an answer.
    fn condition(&mut self, cmd: &Body) -> Run {
        self.conditions += 1;
        let result = self.eval(cmd, false);
        self.conditions = self.conditions.saturating_sub(1);
        result
    }

    /// With `-e` a command that failed is the last.
    fn check_e(&mut self) -> Run {
        if self.flag('e') && self.conditions == 0 && !self.succeeded() {
            return Err(Flow::Exit(self.status()));
        }
        Ok(())
    }

    fn simple(&mut self, words: &[Word], tail: bool) -> Run {
        let pipes = self.fds.pipe_arguments();
        let result = self.simple_words(words, tail);
        self.fds.close_pipe_arguments(&mut self.os, pipes);
        result?;
        self.check_e()
    }

    fn simple_words(&mut self, words: &[Word], tail: bool) -> Run {
        let argv = self.list(words)?;
        let Some(name) = argv.first() else {
            return self.fail("empty argument list");
        };
        if self.flag('x') {
            let mut text = String::new();
            for (i, word) in argv.iter().enumerate() {
                if i > 0 {
                    text.push(' ');
                }
                text.push_str(&print::quote(word));
            }
            text.push('\n');
            self.put(2, &text);
        }
        if let Some(body) = self.vars.function(name) {
            let body = body.clone();
            return self.call(&body, argv.get(1..).unwrap_or(&[]).to_vec(), tail);
        }
        self.builtin_or_program(argv, tail)
    }

    pub(crate) fn builtin_or_program(&mut self, argv: Vec<String>, tail: bool) -> Run {
        match self.builtin(&argv, tail) {
            Some(result) => result,
            None => self.program(argv, tail),
        }
    }

    /// Runs a function with these arguments.
    pub(crate) fn call(&mut self, body: &Body, args: Vec<String>, tail: bool) -> Run {
        let depth = self.vars.depth();
        self.vars.enter("*", args);
        let result = self.eval(body, tail);
        self.vars.leave(depth);
        result
    }

    fn assign(&mut self, list: &[(Word, Word)], cmd: Option<&Body>, tail: bool) -> Run {
        let depth = self.vars.depth();
        let mut result = Ok(());
        for (name, value) in list {
            result = self.assign_one(name, value, cmd.is_some());
            if result.is_err() {
                break;
            }
        }
        if let Some(cmd) = cmd {
            if result.is_ok() {
                result = self.eval(cmd, tail);
            }
            self.vars.leave(depth);
        }
        result
    }

    fn assign_one(&mut self, name: &Word, value: &Word, local: bool) -> Run {
        let name = self.variable(name)?;
        let value = self.list(core::slice::from_ref(value))?;
        if local {
            self.vars.enter(&name, value);
        } else {
            self.vars.set(&name, value);
        }
        Ok(())
    }

    fn and_or(&mut self, first: &Body, rest: &[(bool, Body)], tail: bool) -> Run {
        self.condition(first)?;
        for (i, (and, cmd)) in rest.iter().enumerate() {
            if self.succeeded() != *and {
                continue;
            }
            if i + 1 == rest.len() {
                self.eval(cmd, tail)?;
            } else {
                self.condition(cmd)?;
            }
        }
        Ok(())
    }

    fn for_each(&mut self, var: &Word, list: Option<&[Word]>, inner: &Body) -> Run {
        let name = self.variable(var)?;
        let list = match list {
            Some(list) => self.list(list)?,
            None => self.vars.get("*").to_vec(),
        };
        let depth = self.vars.depth();
        self.vars.enter(&name, Vec::new());
        let mut result = Ok(());
        for word in list {
            self.vars.set_one(&name, word);
            result = self.eval(inner, false);
            if result.is_err() {
                break;
            }
        }
        self.vars.leave(depth);
        result
    }

    fn repeat(&mut self, cond: &Body, inner: &Body) -> Run {
        loop {
            if **cond == Cmd::Empty {
                self.set_status("");
            }
            self.condition(cond)?;
            if !self.succeeded() {
                return Ok(());
            }
            self.eval(inner, false)?;
        }
    }

    fn switch(&mut self, subject: &Word, cases: &[(Vec<Word>, Arc<Cmd>)], tail: bool) -> Run {
        let subject = self.flat(subject)?;
        for (patterns, body) in cases {
            if self.expand(patterns)?.iter().any(|p| p.matches(&subject)) {
                return self.eval(body, tail);
            }
        }
        Ok(())
    }
}
