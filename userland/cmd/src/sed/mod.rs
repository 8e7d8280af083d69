//! The stream editor: a script is parsed once ([`parse`]) and then run over the lines of the input ([`Editor`]).
//!
//! The editor does no input or output itself; the program sed gives it lines and files through [`Io`], a test gives
//! it vectors.

mod edit;
mod parse;
#[cfg(test)]
mod tests;
mod text;

pub use edit::{Editor, Io};
pub use parse::parse;

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::regexp::{Finder, Piece};

/// Which lines a command is for.
#[derive(Clone, Debug)]
enum Address {
    /// The line of this number, counted over all files.
    Line(u64),
    /// The last line.
    Last,
    /// Lines that match; `None` is the expression used last.
    Match(Option<RefCell<Finder>>),
}

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    commands: Vec<Command>,
    /// Files of `w`, in the order of their first mention.
    files: Vec<String>,
}

impl Script {
    /// The files that `w` writes to; [`Io::write`] names them by their place here.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Makes every `s` replace all matches (-g).
    pub fn replace_all(&mut self) {
        for command in &mut self.commands {
            if let Verb::Substitute(s) = &mut command.verb {
                s.all = true;
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    verb: Verb,
}

#[derive(Clone, Debug)]
enum Verb {
    /// `{`: when the addresses do not select the line, go on at this command.
    Block(usize),
    /// `}` and `:label`.
    Nothing,
    /// `=`
    Number,
    /// `a`
    Append(Vec<u8>),
    /// `b`
    Branch(usize),
    /// `c`
    Change(Vec<u8>),
    /// `d`
    Delete,
    /// `D`
    DeleteFirst,
    /// `g`
    Get,
    /// `G`
    GetAppend,
    /// `h`
    Hold,
    /// `H`
    HoldAppend,
    /// `i`
    Insert(Vec<u8>),
    /// `l`
    List,
    /// `n`
    Next,
    /// `N`
    NextAppend,
    /// `p`
    Print,
    /// `P`
    PrintFirst,
    /// `q`
    Quit,
    /// `r`
    Read(String),
    /// `s`
    Substitute(Substitute),
    /// `t`
    Test(usize),
    /// `w`
    Write(usize),
    /// `x`
    Exchange,
    /// `y`
    Translate(Vec<(char, char)>),
}

#[derive(Clone, Debug)]
struct Substitute {
    re: Option<RefCell<Finder>>,
    with: Vec<Piece>,
    /// Replace this one and, if `all`, those after it.
    nth: u64,
    all: bool,
    print: bool,
    write: Option<usize>,
}
