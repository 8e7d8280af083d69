//! `g` and `v`: commands for every line that matches, or does not.

use alloc::vec::Vec;

use super::address::Addresses;
use super::{Editor, Fault, Flow, Io, PIECE, wrong};

impl<I: Io> Editor<I> {
    /// Marks lines, then runs the list of commands with each of them as the current one.
    pub(super) fn global(&mut self, lines: Addresses, wanted: bool) -> Result<Flow, Fault> {
        if self.input.in_list() {
            return wrong();
        }
        let (first, last) = self.all_unless(lines)?;
        let delimiter = match self.get()? {
            None | Some(b'\n' | b' ') => return wrong(),
            Some(delimiter) => delimiter,
        };
        self.get_expression(delimiter)?;
        let list = self.command_list()?;
        for n in first.max(1)..=last {
            if self.matches(n) == wanted {
                self.buffer.mark(n);
            }
            if n % PIECE == 0 {
                self.io.check()?;
            }
        }
        if list == b"d\n" {
            // By itself each would move all that is behind it.
            if let Some(place) = self.buffer.delete_marked() {
                self.dot = place.min(self.buffer.len());
                self.touch();
            }
            return Ok(Flow::Next);
        }
        let mut done = 0;
        while let Some(n) = self.buffer.next_marked() {
            self.dot = n;
            self.input.set_list(Some(list.clone()));
            while !self.input.list_ends() {
                if let Flow::Quit = self.command()? {
                    return Ok(Flow::Quit);
                }
            }
            // What the last command has to show.
            self.show_then()?;
            self.input.set_list(None);
            done += 1;
            if done % 64 == 0 {
                self.io.check()?;
            }
        }
        Ok(Flow::Next)
    }

    /// The commands behind the expression. All lines but the last end with a backslash, which is not kept.
    fn command_list(&mut self) -> Result<Vec<u8>, Fault> {
        let mut list = Vec::new();
        loop {
            match self.get()? {
                None | Some(b'\n') => break,
                Some(b'\\') => match self.get()? {
                    None => break,
                    Some(b'\n') => list.push(b'\n'),
                    Some(byte) => list.extend_from_slice(&[b'\\', byte]),
                },
                Some(byte) => list.push(byte),
            }
        }
        if list.is_empty() {
            list.push(b'p');
        }
        list.push(b'\n');
        Ok(list)
    }
}
