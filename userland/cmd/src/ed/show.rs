//! How lines are printed.

use alloc::format;
use alloc::string::String;
use core::ops::Range;

use super::{Editor, Fault, Io, PIECE};
use crate::regexp::decode;

/// A way to print a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// As it is.
    Plain,
    /// Behind its number.
    Numbered,
    /// So that nothing is hidden.
    Listed,
}

impl Show {
    /// What a letter means.
    pub(super) fn of(letter: u8) -> Option<Show> {
        match letter {
            b'p' | b'P' => Some(Show::Plain),
            b'n' => Some(Show::Numbered),
            b'l' => Some(Show::Listed),
            _ => None,
        }
    }
}

/// Columns of a listed line.
const WIDTH: usize = 72;

impl<I: Io> Editor<I> {
    /// Prints lines; the last one is the current one then.
    pub(super) fn show(&mut self, lines: Range<usize>, how: Show) -> Result<(), Fault> {
        for n in lines {
            let Some(text) = self.buffer.text(n) else { break };
            match how {
                Show::Plain => self.io.print(text),
                Show::Numbered => {
                    self.io.print(format!("{n}\t").as_bytes());
                    self.io.print(text);
                }
                Show::Listed => self.io.print(listed(text).as_bytes()),
            }
            self.io.print(b"\n");
            self.dot = n;
            if n % PIECE == 0 {
                self.io.check()?;
            }
        }
        Ok(())
    }
}

/// A line as `l` shows it.
fn listed(text: &[u8]) -> String {
    let mut out = String::new();
    let (mut at, mut column) = (0, 0);
    while let Some((c, len)) = decode(text, at) {
        at += len;
        let shown = match c {
            0x08 => "\\b".into(),
            0x09 => "\\t".into(),
            0x5c => "\\\\".into(),
            0x20 if at >= text.len() => " \\n".into(),
            0x20..=0x7e => String::from(char::from_u32(c).unwrap_or('?')),
            0..=0x10_ffff => format!("\\x{c:04x}"),
            // A byte that is no character has two digits.
            byte => format!("\\x{:02x}", byte & 0xff),
        };
        if column + shown.len() > WIDTH {
            out.push_str("\\\n\t");
            column = 8;
        }
        column += shown.len();
        out.push_str(&shown);
    }
    out
}
