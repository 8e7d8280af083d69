//! The editor of lines. [`Editor`] runs commands over a `Buffer`; where they come from and what they print, files
//! and the shell are its [`Io`]: those of the machine in the program ed, made up ones in tests.
//!
//! Nothing is lost by an error: a command that fails leaves the buffer as it is, or as far as it came; an interrupt
//! ends the command, not the editor; when the terminal hangs up the buffer is written to a file.

mod address;
mod buffer;
mod command;
mod global;
mod input;
mod show;
mod substitute;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use buffer::Buffer;
use input::Input;
use show::Show;

use crate::regexp::{self, Finder};

/// Why a command does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `?`, with this behind it.
    Wrong(String),
    /// The terminal has hung up.
    Hangup,
}

/// An error of no further words.
fn wrong<T>() -> Result<T, Fault> {
    Err(Fault::Wrong(String::new()))
}

/// Lines between two looks for an interrupt.
const PIECE: usize = 4096;

/// What the editor needs of the world.
pub trait Io {
    /// The next line of commands, with its newline; nothing at the end.
    ///
    /// # Errors
    /// An interrupt, a hangup.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Fault>;
    /// Something was wrong: what is left of a script that is a file is not run any more, since it was written for what
    /// did not come about.
    fn forget(&mut self) {}
    /// Prints.
    fn print(&mut self, text: &[u8]);
    /// An error if there was an interrupt or a hangup since the last time.
    ///
    /// # Errors
    /// That.
    fn check(&mut self) -> Result<(), Fault>;
    /// Reads a file, which is given to `take` in pieces.
    ///
    /// # Errors
    /// [`Fault::Wrong`] with the file's name, and what `take` says.
    fn read(&mut self, name: &str, take: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault>;
    /// Writes lines, each with a newline, to a file: behind what is there if `append`.
    ///
    /// # Errors
    /// [`Fault::Wrong`] with the file's name.
    fn write(
        &mut self,
        name: &str,
        append: bool,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Result<(), Fault>;
    /// Has the shell run a command.
    ///
    /// # Errors
    /// When that cannot be.
    fn shell(&mut self, command: &[u8]) -> Result<(), Fault>;
}

/// What a command leaves behind.
enum Flow {
    Next,
    Quit,
}

/// An editor at work.
pub struct Editor<I> {
    io: I,
    buffer: Buffer,
    /// The current line: 0 is before the first.
    dot: usize,
    /// The remembered name.
    file: Option<String>,
    /// Changed since it was written.
    changed: bool,
    /// Since the last change there was a warning that it would be lost.
    warned: bool,
    /// No counts, no warnings.
    quiet: bool,
    input: Input,
    pattern: Option<Finder>,
    /// The number of the line that was substituted last, and what it was before.
    undo: Option<(u64, Vec<u8>)>,
    /// How the current line is shown before the next command.
    then: Option<Show>,
    page: usize,
    page_show: Show,
}

impl<I: Io> Editor<I> {
    /// An editor with an empty buffer. If it is `quiet` no counts are printed, and it does not warn of lost changes.
    pub fn new(io: I, quiet: bool, file: Option<String>) -> Self {
        Editor {
            io,
            buffer: Buffer::default(),
            dot: 0,
            file,
            changed: false,
            warned: false,
            quiet,
            input: Input::default(),
            pattern: None,
            undo: None,
            then: None,
            page: 20,
            page_show: Show::Plain,
        }
    }

    /// Edits the file `name`, as `e` does.
    ///
    /// # Errors
    /// A hangup.
    pub fn open(&mut self, name: &str) -> Result<(), Fault> {
        let opened = self.replace_all(name.into());
        self.tell(opened.map(|()| Flow::Next)).map(drop)
    }

    /// Runs commands until one ends the editor, or there are no more.
    ///
    /// # Errors
    /// A hangup, after which [`Editor::rescue`] is called.
    pub fn run(&mut self) -> Result<(), Fault> {
        loop {
            let done = self.command();
            if let Flow::Quit = self.tell(done)? {
                return Ok(());
            }
        }
    }

    /// Is there something that would be lost?
    pub fn is_changed(&self) -> bool {
        self.changed && !self.buffer.is_empty()
    }

    /// Notes a change.
    fn touch(&mut self) {
        self.changed = true;
        self.warned = false;
    }

    /// Writes the buffer to a file.
    ///
    /// # Errors
    /// What the file says.
    pub fn rescue(&mut self, name: &str) -> Result<(), Fault> {
        let all = 1..self.buffer.len() + 1;
        self.io.write(name, false, &mut self.buffer.texts(all))
    }

    /// The world.
    pub fn io(&mut self) -> &mut I {
        &mut self.io
    }

    /// Says that something was wrong. What is left of the line, and of a list of `g`, is not looked at.
    fn tell(&mut self, done: Result<Flow, Fault>) -> Result<Flow, Fault> {
        match done {
            Ok(flow) => Ok(flow),
            Err(Fault::Hangup) => Err(Fault::Hangup),
            Err(Fault::Wrong(words)) => {
                self.then = None;
                self.input.forget();
                self.io.forget();
                self.buffer.unmark();
                self.io.print(alloc::format!("?{words}\n").as_bytes());
                Ok(Flow::Next)
            }
        }
    }

    /// Remembers an expression. An empty one is the last one.
    fn set_pattern(&mut self, text: &[u8]) -> Result<(), Fault> {
        if text.is_empty() {
            return if self.pattern.is_some() { Ok(()) } else { wrong() };
        }
        let Ok(text) = core::str::from_utf8(text) else { return wrong() };
        let Ok(re) = regexp::parse(text, false) else { return wrong() };
        self.pattern = Some(Finder::new(re));
        Ok(())
    }

    /// Does line `n` match the expression?
    fn matches(&mut self, n: usize) -> bool {
        match (&mut self.pattern, self.buffer.text(n)) {
            (Some(pattern), Some(text)) => pattern.matches(text),
            _ => false,
        }
    }
}
