//! `s` and `u`.

use alloc::vec::Vec;

use super::address::Addresses;
use super::buffer::Lines;
use super::{Editor, Fault, Io, wrong};
use crate::regexp::Piece;

impl<I: Io> Editor<I> {
    /// Substitutes in every addressed line.
    pub(super) fn substitute(&mut self, lines: Addresses) -> Result<(), Fault> {
        self.some(lines)?;
        let nth = self.get_number()?.unwrap_or(1).max(1) as u64;
        let delimiter = match self.get()? {
            None | Some(b'\n' | b' ' | b'\t' | b'\\') => return wrong(),
            Some(delimiter) => delimiter,
        };
        self.get_expression(delimiter)?;
        let (with, closed) = self.replacement(delimiter)?;
        let mut all = false;
        if closed {
            let byte = self.get()?;
            if byte == Some(b'g') {
                all = true;
            } else {
                self.unget(byte);
            }
            self.end_of_command()?;
        } else {
            self.then = Some(super::Show::Plain);
        }
        let mut found = false;
        let mut n = lines.first;
        let mut last = lines.last;
        while n <= last {
            let made = match (&mut self.pattern, self.buffer.text(n)) {
                (Some(pattern), Some(text)) => pattern.replace(&with, nth, all, text, true),
                _ => None,
            };
            if let Some(made) = made {
                found = true;
                let more = self.put(n, &made)?;
                n += more;
                last += more;
                self.dot = n;
                self.touch();
            }
            n += 1;
            if n.is_multiple_of(64) {
                self.io.check()?;
            }
        }
        // For one of many lines of a g it is no fault.
        if found || self.input.in_list() { Ok(()) } else { wrong() }
    }

    /// Puts the lines of a text in place of a line. Says how many more there are.
    fn put(&mut self, n: usize, text: &[u8]) -> Result<usize, Fault> {
        let mut parts = text.split(|&b| b == b'\n');
        let first = parts.next().unwrap_or(&[]);
        let mut others = Lines::default();
        for part in parts {
            others.push(part)?;
        }
        self.buffer.make_room(&others)?;
        // Behind this nothing fails: the line is whole, old or new.
        let before = self.buffer.replace(n, first)?;
        let more = self.buffer.insert_all(n, others)?;
        self.undo = self.buffer.number(n + more).map(|number| (number, before));
        Ok(more)
    }

    /// The replacement up to its delimiter. False when the line ended before.
    fn replacement(&mut self, delimiter: u8) -> Result<(Vec<Piece>, bool), Fault> {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        let closed = loop {
            let piece = match self.get()? {
                Some(byte) if byte == delimiter => break true,
                Some(b'&') => 0,
                Some(b'\\') => match self.get()? {
                    None => return wrong(),
                    Some(digit @ b'1'..=b'9') => usize::from(digit - b'0'),
                    Some(byte) => {
                        text.push(byte);
                        continue;
                    }
                },
                // In the list of a g a newline has lost its backslash; the last one is the end of the list.
                Some(b'\n') if self.input.in_list() && !self.input.list_ends() => {
                    text.push(b'\n');
                    continue;
                }
                None | Some(b'\n') => break false,
                Some(byte) => {
                    text.push(byte);
                    continue;
                }
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(core::mem::take(&mut text)));
            }
            pieces.push(Piece::Part(piece));
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok((pieces, closed))
    }

    /// Restores the line that was substituted last, which has to be the one addressed.
    pub(super) fn undo(&mut self, lines: Addresses) -> Result<(), Fault> {
        self.some(lines)?;
        match self.undo.take() {
            Some((number, before)) if self.buffer.number(lines.first) == Some(number) => {
                self.buffer.replace(lines.first, &before)?;
                self.dot = lines.first;
                self.touch();
                Ok(())
            }
            undo => {
                self.undo = undo;
                wrong()
            }
        }
    }
}
