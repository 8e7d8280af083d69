//! Running a script over lines.

use alloc::vec::Vec;
use core::cell::RefCell;

use super::{Address, Command, Script, Substitute, Verb, text};
use crate::regexp::Finder;

/// Where lines come from and go to.
pub trait Io {
    /// Why it failed.
    type Error;
    /// The next line without its newline.
    ///
    /// # Errors
    /// Its own.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Self::Error>;
    /// Whether the line that came last is the last one of all: only that looks for another, which may have to be typed.
    ///
    /// # Errors
    /// Its own.
    fn is_last(&mut self) -> Result<bool, Self::Error>;
    /// Standard output.
    fn print(&mut self, bytes: &[u8]);
    /// The file of this number in [`Script::files`].
    fn write(&mut self, file: usize, bytes: &[u8]);
    /// The contents of a file; nothing when it cannot be read.
    fn read(&mut self, name: &str) -> Vec<u8>;
}

/// A script at work.
#[derive(Debug)]
pub struct Editor<'a> {
    commands: &'a [Command],
    quiet: bool,
    /// For each command with two addresses: is it between them, and if the second is a number, up to which line.
    active: Vec<bool>,
    space: Vec<u8>,
    hold: Vec<u8>,
    line: u64,
    replaced: bool,
    /// What `a` and `r` have for the end of the cycle.
    after: Vec<Later<'a>>,
    recent: Option<&'a RefCell<Finder>>,
}

#[derive(Debug)]
enum Later<'a> {
    Text(&'a [u8]),
    File(&'a str),
}

/// How a command leaves the cycle.
enum Flow {
    Next,
    Goto(usize),
    /// End of the cycle, with the pattern space printed or not.
    End {
        print: bool,
    },
    /// The next cycle keeps the pattern space.
    Again,
    Quit {
        print: bool,
    },
}

impl<'a> Editor<'a> {
    /// An editor that prints the pattern space at the end of each cycle, unless `quiet` (-n).
    pub fn new(script: &'a Script, quiet: bool) -> Self {
        Editor {
            commands: &script.commands,
            quiet,
            active: alloc::vec![false; script.commands.len()],
            space: Vec::new(),
            hold: Vec::new(),
            line: 0,
            replaced: false,
            after: Vec::new(),
            recent: None,
        }
    }

    /// Edits everything.
    ///
    /// # Errors
    /// A failure to read, and an empty expression before any other was used.
    pub fn run<I: Io>(&mut self, io: &mut I) -> Result<(), I::Error>
    where
        I::Error: From<&'static str>,
    {
        let mut keep = false;
        while keep || self.fetch(io)? {
            keep = false;
            self.replaced = false;
            let mut pc = 0;
            let end = loop {
                let Some(command) = self.commands.get(pc) else { break Flow::End { print: true } };
                let flow = if self.selected(pc, command, io)? {
                    self.execute(pc, command, io)?
                } else if let Verb::Block(end) = command.verb {
                    Flow::Goto(end)
                } else {
                    Flow::Next
                };
                match flow {
                    Flow::Next => pc += 1,
                    Flow::Goto(to) => pc = to,
                    end => break end,
                }
            };
            if let Flow::End { print: true } | Flow::Quit { print: true } = end
                && !self.quiet
            {
                self.show(io);
            }
            self.finish(io);
            match end {
                Flow::Quit { .. } => return Ok(()),
                Flow::Again => keep = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn fetch<I: Io>(&mut self, io: &mut I) -> Result<bool, I::Error> {
        let Some(line) = io.next()? else { return Ok(false) };
        self.space = line;
        self.line += 1;
        Ok(true)
    }

    fn show<I: Io>(&mut self, io: &mut I) {
        self.space.push(b'\n');
        io.print(&self.space);
        self.space.pop();
    }

    fn finish<I: Io>(&mut self, io: &mut I) {
        for later in core::mem::take(&mut self.after) {
            match later {
                Later::Text(text) => io.print(text),
                Later::File(name) => {
                    let contents = io.read(name);
                    io.print(&contents);
                }
            }
        }
    }

    fn selected<I: Io>(&mut self, pc: usize, command: &'a Command, io: &mut I) -> Result<bool, I::Error>
    where
        I::Error: From<&'static str>,
    {
        let inside = match (&command.from, &command.to) {
            (None, _) => true,
            (Some(from), None) => self.at(from, io)?,
            (Some(from), Some(to)) => self.between(pc, from, to, io)?,
        };
        Ok(inside != command.negated)
    }

    fn between<I: Io>(
        &mut self,
        pc: usize,
        from: &'a Address,
        to: &'a Address,
        io: &mut I,
    ) -> Result<bool, I::Error>
    where
        I::Error: From<&'static str>,
    {
        if !self.active.get(pc).is_some_and(|a| *a) {
            if !self.at(from, io)? {
                return Ok(false);
            }
            // A second address that is already past selects this line alone.
            let more = match to {
                Address::Line(n) => *n > self.line,
                _ => true,
            };
            self.set_active(pc, more);
            return Ok(true);
        }
        match to {
            Address::Line(n) if self.line > *n => {
                self.set_active(pc, false);
                self.at(from, io)
            }
            to => {
                let ends = self.at(to, io)?;
                self.set_active(pc, !ends);
                Ok(true)
            }
        }
    }

    fn set_active(&mut self, pc: usize, on: bool) {
        if let Some(a) = self.active.get_mut(pc) {
            *a = on;
        }
    }

    fn at<I: Io>(&mut self, address: &'a Address, io: &mut I) -> Result<bool, I::Error>
    where
        I::Error: From<&'static str>,
    {
        Ok(match address {
            Address::Line(n) => self.line == *n,
            Address::Last => io.is_last()?,
            Address::Match(re) => self.regexp(re)?.borrow_mut().matches(&self.space),
        })
    }

    /// The expression, or the one used last.
    fn regexp(&mut self, re: &'a Option<RefCell<Finder>>) -> Result<&'a RefCell<Finder>, &'static str> {
        self.recent = re.as_ref().or(self.recent);
        self.recent.ok_or("no previous regular expression")
    }

    fn execute<I: Io>(&mut self, pc: usize, command: &'a Command, io: &mut I) -> Result<Flow, I::Error>
    where
        I::Error: From<&'static str>,
    {
        match &command.verb {
            Verb::Block(_) | Verb::Nothing => {}
            Verb::Number => io.print(alloc::format!("{}\n", self.line).as_bytes()),
            Verb::Append(text) => self.after.push(Later::Text(text)),
            Verb::Branch(to) => return Ok(Flow::Goto(*to)),
            Verb::Change(text) => {
                // Of a range, the text replaces the whole: it comes with the last line.
                let in_range = command.to.is_some() && !command.negated && self.active.get(pc) == Some(&true);
                if !in_range || io.is_last()? {
                    io.print(text);
                }
                return Ok(Flow::End { print: false });
            }
            Verb::Delete => return Ok(Flow::End { print: false }),
            Verb::DeleteFirst => {
                let Some(at) = self.first_line() else { return Ok(Flow::End { print: false }) };
                self.space.drain(..=at);
                return Ok(Flow::Again);
            }
            Verb::Get => self.space.clone_from(&self.hold),
            Verb::GetAppend => {
                self.space.push(b'\n');
                self.space.extend_from_slice(&self.hold);
            }
            Verb::Hold => self.hold.clone_from(&self.space),
            Verb::HoldAppend => {
                self.hold.push(b'\n');
                self.hold.extend_from_slice(&self.space);
            }
            Verb::Insert(text) => io.print(text),
            Verb::List => io.print(text::listing(&self.space).as_bytes()),
            Verb::Next => {
                if io.is_last()? {
                    return Ok(Flow::Quit { print: true });
                }
                if !self.quiet {
                    self.show(io);
                }
                self.finish(io);
                if !self.fetch(io)? {
                    return Ok(Flow::Quit { print: false });
                }
            }
            Verb::NextAppend => {
                if io.is_last()? {
                    return Ok(Flow::Quit { print: true });
                }
                self.finish(io);
                let mut before = core::mem::take(&mut self.space);
                if !self.fetch(io)? {
                    self.space = before;
                    return Ok(Flow::Quit { print: true });
                }
                before.push(b'\n');
                before.append(&mut self.space);
                self.space = before;
            }
            Verb::Print => self.show(io),
            Verb::PrintFirst => {
                let end = self.first_line().unwrap_or(self.space.len());
                io.print(self.space.get(..end).unwrap_or(&[]));
                io.print(b"\n");
            }
            Verb::Quit => return Ok(Flow::Quit { print: true }),
            Verb::Read(name) => self.after.push(Later::File(name)),
            Verb::Substitute(s) => {
                if self.substitute(s)? {
                    self.replaced = true;
                    if s.print {
                        self.show(io);
                    }
                    if let Some(file) = s.write {
                        self.write(file, io);
                    }
                }
            }
            Verb::Test(to) => {
                if core::mem::take(&mut self.replaced) {
                    return Ok(Flow::Goto(*to));
                }
            }
            Verb::Write(file) => self.write(*file, io),
            Verb::Exchange => core::mem::swap(&mut self.space, &mut self.hold),
            Verb::Translate(table) => self.space = text::translate(&self.space, table),
        }
        Ok(Flow::Next)
    }

    fn write<I: Io>(&mut self, file: usize, io: &mut I) {
        self.space.push(b'\n');
        io.write(file, &self.space);
        self.space.pop();
    }

    fn first_line(&self) -> Option<usize> {
        self.space.iter().position(|&b| b == b'\n')
    }

    fn substitute(&mut self, s: &'a Substitute) -> Result<bool, &'static str> {
        let re = self.regexp(&s.re)?;
        let Some(text) = text::substitute(s, &mut re.borrow_mut(), &self.space) else { return Ok(false) };
        self.space = text;
        Ok(true)
    }
}
