//! What the shell asks of the system, so that everything above it runs under `cargo test` on a system in memory.
//!
//! The names are those of the system calls. Errors are Plan 9's texts.

use alloc::string::String;
use alloc::vec::Vec;

use abi::Rfork;

use crate::shell::Shell;

/// What went wrong, in the kernel's words.
pub type Error = String;

/// A file in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Is it a directory?
    pub dir: bool,
}

/// A note that was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// `hangup`
    Hangup,
    /// `interrupt`: DEL was typed.
    Interrupt,
    /// `alarm`
    Alarm,
    /// `term`
    Term,
}

impl Note {
    /// The function that handles it, if there is one.
    pub fn function(self) -> &'static str {
        match self {
            Note::Hangup => "sighup",
            Note::Interrupt => "sigint",
            Note::Alarm => "sigalrm",
            Note::Term => "sigterm",
        }
    }

    /// The note's text.
    pub fn text(self) -> &'static str {
        match self {
            Note::Hangup => "hangup",
            Note::Interrupt => "interrupt",
            Note::Alarm => "alarm",
            Note::Term => "term",
        }
    }
}

/// The system under the shell. The test double makes processes of threads, hence the bounds.
pub trait Os: Sized + Send + 'static {
    /// The directory that holds the environment.
    const ENV: &'static str;

    /// Makes a child process, with copies of everything but name space and environment (and note group, unless
    /// `group`). In the child `f` runs and its result is the exit status. Returns the child's process id to the
    /// parent.
    ///
    /// # Errors
    /// The kernel's, as for all calls here.
    fn fork<F>(shell: &mut Shell<Self>, group: bool, f: F) -> Result<i32, Error>
    where
        F: FnOnce(&mut Shell<Self>) -> String + Send + 'static;

    /// Changes the groups of this process.
    fn rfork(&mut self, flags: Rfork) -> Result<(), Error>;

    /// Becomes the program `path`. A real system returns only errors; a simulated one returns the status that the
    /// program ended with, and the shell does nothing more then.
    fn exec(&mut self, path: &str, argv: &[String]) -> Result<String, Error>;

    /// Waits for a child to end: its process id and its status, empty for success.
    fn wait(&mut self) -> Result<(i32, String), Error>;

    /// Bytes of memory that this process may still use, about.
    fn room(&mut self) -> u64;

    /// Process id of this process.
    fn pid(&self) -> i32;

    /// The next note that was caught, oldest first.
    fn note(&mut self) -> Option<Note>;

    /// Whether there is one, which stays.
    fn is_noted(&self) -> bool;

    /// Opens a file; `mode` as `OREAD` and so on.
    fn open(&mut self, name: &str, mode: u32) -> Result<i32, Error>;

    /// Creates or truncates a file and opens it.
    fn create(&mut self, name: &str, mode: u32, perm: u32) -> Result<i32, Error>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> Result<(), Error>;

    /// Closes a descriptor.
    fn close(&mut self, fd: i32);

    /// Makes `new` a copy of `old`, or the lowest free descriptor if `new` is -1.
    fn dup(&mut self, old: i32, new: i32) -> Result<i32, Error>;

    /// A pipe: its two ends.
    fn pipe(&mut self) -> Result<[i32; 2], Error>;

    /// Reads; 0 is the end.
    fn read(&mut self, fd: i32, buf: &mut [u8]) -> Result<usize, Error>;

    /// Writes everything.
    fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<(), Error>;

    /// Moves to the end of a file.
    fn seek_end(&mut self, fd: i32) -> Result<(), Error>;

    /// Changes the current directory.
    fn chdir(&mut self, name: &str) -> Result<(), Error>;

    /// The files of a directory.
    fn list(&mut self, dir: &str) -> Result<Vec<Entry>, Error>;

    /// Is there such a file?
    fn exists(&mut self, name: &str) -> bool;

    /// Is it a plain file that somebody may execute?
    fn executable(&mut self, name: &str) -> bool;

    /// Is the descriptor a console, so that a person sits behind it?
    fn is_console(&mut self, fd: i32) -> bool;
}
