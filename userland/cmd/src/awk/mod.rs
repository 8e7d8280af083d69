//! The language awk: a program is read and made a tree in which every name is a number ([`Program::parse`]), and then
//! run over records ([`Program::run`]).
//!
//! It does no input or output itself; the program awk gives it files and commands through [`World`], a test gives it
//! texts. Strings are bytes that are meant to be UTF-8, and are counted in characters. A value keeps the form that it
//! came in, and becomes a number or a string where one is wanted; strings are shared and not copied.
//!
//! Nesting of a program is bounded when it is read, and functions that call one another by what there is of the stack,
//! so that no program breaks what runs it.

mod builtin;
mod eval;
mod expression;
mod input;
mod lex;
mod names;
mod output;
mod parse;
mod place;
mod printf;
mod record;
mod run;
mod statement;
mod streams;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use alloc::string::String;
use alloc::vec::Vec;

pub use streams::{Handle, How, World};
pub use tree::Program;

use run::{Machine, Stop};
use tree::{Name, Special};
use value::Value;

/// What a program is started with.
#[derive(Clone, Debug, Default)]
pub struct Start<'a> {
    /// ARGV, the name of the program first.
    pub arguments: &'a [String],
    /// `name=value`, to be done before BEGIN.
    pub assignments: &'a [String],
    /// FS.
    pub separator: Option<&'a str>,
    /// Bytes of the stack that functions may use.
    pub stack: usize,
}

impl Program {
    /// Reads a program.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn parse(text: &[u8]) -> Result<Program, String> {
        parse::program(text)
    }

    /// Runs it, and gives the status that it exits with.
    ///
    /// # Errors
    /// What went wrong.
    pub fn run(&self, start: &Start<'_>, world: &mut dyn World) -> Result<f64, String> {
        let environment = world.environment();
        let mut machine = Machine::new(self, world, start.stack);
        let begun = machine.begin(start, environment);
        begun.map_err(|stop| match stop {
            Stop::Fault(what) => what,
            _ => "cannot begin".into(),
        })?;
        machine.run()
    }
}

impl Machine<'_> {
    /// Sets what is there at the beginning.
    fn begin(&mut self, start: &Start<'_>, environment: Vec<(Vec<u8>, Vec<u8>)>) -> run::Done<()> {
        let argv = self.array(Name::Global(Special::Argv as usize))?;
        for (n, word) in start.arguments.iter().enumerate() {
            let key = alloc::format!("{n}");
            *argv.borrow_mut().entry(key.as_bytes()) = Value::Input(word.as_bytes().into());
        }
        self.set_cell(Special::Argc as usize, Value::Number(start.arguments.len() as f64));
        let environ = self.array(Name::Global(Special::Environ as usize))?;
        for (name, value) in environment {
            *environ.borrow_mut().entry(&name) = Value::Input(value.as_slice().into());
        }
        for word in start.assignments {
            let Some((name, value)) = input::assignment(word.as_bytes()) else {
                return Err(alloc::format!("{word} is no assignment").into());
            };
            self.assign_by_name(name, value)?;
        }
        if let Some(separator) = start.separator {
            self.set_special(
                Special::Fs as usize,
                Value::string(&lex::unescaped(separator.as_bytes(), true)),
            )?;
        }
        Ok(())
    }
}
