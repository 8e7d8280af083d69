//! A program at work: its variables, its rules over the records, its statements.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::input::Input;
use super::place::Cell;
use super::printf::Format;
use super::record::{Record, Separator};
use super::streams::{Ending, Streams, World};
use super::tree::{Block, Kind, Pattern, Program, Special, Statement, When};
use super::value::{Text, Value};

/// Why an expression does not come to its end.
pub(super) enum Stop {
    Fault(String),
    Next,
    NextFile,
    Exit,
}

impl From<String> for Stop {
    fn from(what: String) -> Stop {
        Stop::Fault(what)
    }
}

impl From<&str> for Stop {
    fn from(what: &str) -> Stop {
        Stop::Fault(what.into())
    }
}

pub(super) type Done<T> = Result<T, Stop>;

/// How a statement leaves.
pub(super) enum Flow {
    On,
    Break,
    Continue,
    Return(Value),
}

/// What is set by a variable, ready to be used.
pub(super) struct Settings {
    pub(super) fs: Separator,
    pub(super) rs: Ending,
    pub(super) ofs: Text,
    pub(super) ors: Text,
    pub(super) subsep: Text,
    pub(super) convfmt: Format,
    pub(super) ofmt: Format,
}

pub(super) struct Machine<'a> {
    pub(super) program: &'a Program,
    pub(super) world: &'a mut dyn World,
    pub(super) globals: Vec<Cell>,
    /// Arguments and variables of the functions that run, the innermost's from `base` on.
    pub(super) locals: Vec<Cell>,
    pub(super) base: usize,
    pub(super) record: Record,
    pub(super) settings: Settings,
    pub(super) nr: f64,
    pub(super) fnr: f64,
    pub(super) streams: Streams,
    pub(super) input: Input,
    /// Strings that were used as expressions.
    pub(super) patterns: BTreeMap<Text, Pattern>,
    pub(super) random: u64,
    pub(super) seed: f64,
    /// What `exit` said.
    status: f64,
    /// Which ranges have begun.
    within: Vec<bool>,
    /// Of the statement that runs.
    pub(super) line: u32,
    /// Where the stack was at the beginning, and how far it may go.
    stack: (usize, usize),
    /// Buffers for texts that are put together, to be used again.
    pub(super) spare: Vec<Vec<u8>>,
}

/// An address on the stack.
fn here() -> usize {
    let mark = 0u8;
    core::ptr::from_ref(&mark).addr()
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a Program, world: &'a mut dyn World, stack: usize) -> Machine<'a> {
        let globals = program.globals.iter().map(|_| Cell::Untyped(None)).collect();
        let text = |text: &[u8]| Text::from(text);
        let settings = Settings {
            fs: Separator::Blanks,
            rs: Ending::Byte(b'\n'),
            ofs: text(b" "),
            ors: text(b"\n"),
            subsep: text(b"\x1c"),
            convfmt: Format::usual(),
            ofmt: Format::usual(),
        };
        let ranges = program.rules.iter().filter(|rule| matches!(rule.when, When::Range(..))).count();
        let mut machine = Machine {
            program,
            streams: Streams::new(world),
            world,
            globals,
            locals: Vec::new(),
            base: 0,
            record: Record::default(),
            settings,
            nr: 0.0,
            fnr: 0.0,
            input: Input::default(),
            patterns: BTreeMap::new(),
            random: 1,
            seed: 1.0,
            status: 0.0,
            within: vec![false; ranges],
            line: 0,
            stack: (here(), stack),
            spare: Vec::new(),
        };
        for (special, value) in [
            (Special::Fs, " "),
            (Special::Ofs, " "),
            (Special::Rs, "\n"),
            (Special::Ors, "\n"),
            (Special::Subsep, "\x1c"),
            (Special::Convfmt, "%.6g"),
            (Special::Ofmt, "%.6g"),
        ] {
            machine.set_cell(special as usize, Value::string(value.as_bytes()));
        }
        machine
    }

    pub(super) fn set_cell(&mut self, number: usize, value: Value) {
        if let Some(cell) = self.globals.get_mut(number) {
            *cell = Cell::Scalar(value);
        }
    }

    /// Is there room on the stack for another function?
    pub(super) fn has_stack(&self) -> bool {
        let (base, most) = self.stack;
        base.abs_diff(here()) < most
    }

    /// Runs all of it. The status that it exits with.
    ///
    /// # Errors
    /// What went wrong, and where.
    pub(super) fn run(&mut self) -> Result<f64, String> {
        let ran = self.run_inside();
        let finished = self.streams.finish(self.world);
        match ran {
            Err(Stop::Fault(what)) => Err(self.placed(&what)),
            Ok(()) | Err(_) => finished.map(|()| self.status),
        }
    }

    fn placed(&self, what: &str) -> String {
        let record = if self.nr > 0.0 { format!(", record {}", self.nr) } else { String::new() };
        let file = self.input.file_name();
        let file =
            if file.is_empty() { String::new() } else { format!(" of {}", String::from_utf8_lossy(file)) };
        format!("{what} at source line {}{record}{}", self.line, if self.nr > 0.0 { &*file } else { "" })
    }

    fn run_inside(&mut self) -> Done<()> {
        let program = self.program;
        let mut ran = Ok(());
        for block in &program.begin {
            ran = ran.and_then(|()| self.top(block));
        }
        if ran.is_ok() && !(program.rules.is_empty() && program.end.is_empty()) {
            ran = self.records();
        }
        match ran {
            Ok(()) | Err(Stop::Exit) => {}
            fault => return fault,
        }
        for block in &program.end {
            self.top(block)?;
        }
        Ok(())
    }

    fn records(&mut self) -> Done<()> {
        let program = self.program;
        while self.next_record()? {
            for rule in &program.rules {
                match self.rule(&rule.when, rule.action.as_ref()) {
                    Ok(()) => {}
                    Err(Stop::Next) => break,
                    Err(Stop::NextFile) => {
                        self.skip_file();
                        break;
                    }
                    other => return other,
                }
            }
        }
        Ok(())
    }

    fn rule(&mut self, when: &'a When, action: Option<&'a Block>) -> Done<()> {
        let done = match when {
            When::Always => true,
            When::True(expr) => self.truth(expr)?,
            When::Range(from, to, number) => {
                let begun = self.within.get(*number).copied().unwrap_or(false) || self.truth(from)?;
                let goes_on = begun && !self.truth(to)?;
                if let Some(within) = self.within.get_mut(*number) {
                    *within = goes_on;
                }
                begun
            }
        };
        match action {
            _ if !done => Ok(()),
            Some(block) => self.top(block),
            None => {
                let mut out = self.buffer();
                self.append_field(0, &mut out)?;
                out.extend_from_slice(&self.settings.ors);
                let printed = self.streams.print(&out, self.world);
                self.spare.push(out);
                Ok(printed?)
            }
        }
    }

    /// A block that is in no function.
    fn top(&mut self, block: &'a Block) -> Done<()> {
        self.block(block).map(|_| ())
    }

    pub(super) fn block(&mut self, block: &'a Block) -> Done<Flow> {
        for statement in block {
            match self.execute(statement)? {
                Flow::On => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::On)
    }

    fn execute(&mut self, statement: &'a Statement) -> Done<Flow> {
        self.line = statement.line;
        match &statement.kind {
            Kind::Nothing => {}
            Kind::Do(expr) => self.effect(expr)?,
            Kind::Print(list, to) => self.print(list, to.as_ref())?,
            Kind::Printf(list, to) => self.printf(list, to.as_ref())?,
            Kind::Block(block) => return self.block(block),
            Kind::If(condition, body, other) => {
                if self.truth(condition)? {
                    return self.execute(body);
                }
                if let Some(other) = other {
                    return self.execute(other);
                }
            }
            Kind::While(condition, body) => {
                while self.truth(condition)? {
                    match self.execute(body)? {
                        Flow::Break => break,
                        flow @ Flow::Return(_) => return Ok(flow),
                        _ => {}
                    }
                }
            }
            Kind::DoWhile(body, condition) => loop {
                match self.execute(body)? {
                    Flow::Break => break,
                    flow @ Flow::Return(_) => return Ok(flow),
                    _ => {}
                }
                if !self.truth(condition)? {
                    break;
                }
            },
            Kind::For(begin, condition, step, body) => {
                if let Some(begin) = begin {
                    self.execute(begin)?;
                }
                while match condition {
                    Some(condition) => self.truth(condition)?,
                    None => true,
                } {
                    match self.execute(body)? {
                        Flow::Break => break,
                        flow @ Flow::Return(_) => return Ok(flow),
                        _ => {}
                    }
                    if let Some(step) = step {
                        self.execute(step)?;
                    }
                }
            }
            Kind::ForIn(variable, array, body) => {
                let array = self.array(*array)?;
                let keys = array.borrow().keys();
                for key in keys {
                    // Who deletes elements meanwhile does not want to hear of them.
                    if !array.borrow().contains(&key) {
                        continue;
                    }
                    self.assign(variable, Value::Input(key))?;
                    match self.execute(body)? {
                        Flow::Break => break,
                        flow @ Flow::Return(_) => return Ok(flow),
                        _ => {}
                    }
                }
            }
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
            Kind::Next => return Err(Stop::Next),
            Kind::NextFile => return Err(Stop::NextFile),
            Kind::Exit(status) => {
                if let Some(status) = status {
                    self.status = self.number(status)?;
                }
                return Err(Stop::Exit);
            }
            Kind::Return(value) => {
                return Ok(Flow::Return(match value {
                    Some(value) => self.value(value)?,
                    None => Value::Nothing,
                }));
            }
            Kind::Delete(array, list) => {
                let array = self.array(*array)?;
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                array.borrow_mut().remove(&key);
                self.spare.push(key);
            }
            Kind::DeleteAll(array) => self.array(*array)?.borrow_mut().clear(),
        }
        Ok(Flow::On)
    }

    /// An empty buffer.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// The expression that a string is.
    pub(super) fn compiled(&mut self, text: &[u8]) -> Done<Pattern> {
        /// Strings that are remembered.
        const MOST: usize = 200;
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(pattern.clone());
        }
        let re = crate::regexp::extended(text);
        let re = re.map_err(|e| format!("{e} in /{}/", String::from_utf8_lossy(text)))?;
        let pattern: Pattern = Rc::new(RefCell::new(crate::regexp::Finder::new(re)));
        if self.patterns.len() >= MOST {
            self.patterns.clear();
        }
        self.patterns.insert(text.into(), pattern.clone());
        Ok(pattern)
    }
}
