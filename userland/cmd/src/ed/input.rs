//! Where commands are read from, byte by byte: the list of a `g` that is running, else the line that came last.

use alloc::vec::Vec;

use super::{Editor, Fault, Io, wrong};

#[derive(Default)]
pub(super) struct Input {
    line: Vec<u8>,
    at: usize,
    /// The list of `g`, and how far it is read.
    list: Option<(Vec<u8>, usize)>,
    /// The end has come, of a text and of the commands, until something else is said about it.
    ended: bool,
}

impl Input {
    /// Nothing is left of the line and the list.
    pub(super) fn forget(&mut self) {
        self.line.clear();
        self.at = 0;
        self.list = None;
        self.ended = false;
    }

    /// Reads from a list, or from lines again.
    pub(super) fn set_list(&mut self, list: Option<Vec<u8>>) {
        self.list = list.map(|list| (list, 0));
    }

    /// Is a list read?
    pub(super) fn in_list(&self) -> bool {
        self.list.is_some()
    }

    /// Is there nothing left of the list?
    pub(super) fn list_ends(&self) -> bool {
        self.list.as_ref().is_none_or(|(list, at)| *at >= list.len())
    }
}

impl<I: Io> Editor<I> {
    /// The next byte; nothing at the end.
    pub(super) fn get(&mut self) -> Result<Option<u8>, Fault> {
        if let Some((list, at)) = &mut self.input.list {
            let byte = list.get(*at).copied();
            *at += usize::from(byte.is_some());
            return Ok(byte);
        }
        if self.input.at >= self.input.line.len() {
            if self.input.ended {
                return Ok(None);
            }
            let Some(line) = self.io.line()? else {
                self.input.ended = true;
                return Ok(None);
            };
            self.input.line = line;
            self.input.at = 0;
        }
        let byte = self.input.line.get(self.input.at).copied();
        self.input.at += 1;
        Ok(byte)
    }

    /// Gives the byte back that was read last.
    pub(super) fn unget(&mut self, byte: Option<u8>) {
        if byte.is_some() {
            match &mut self.input.list {
                Some((_, at)) => *at = at.saturating_sub(1),
                None => self.input.at = self.input.at.saturating_sub(1),
            }
        }
    }

    /// The next byte behind blanks.
    pub(super) fn get_behind_blanks(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            match self.get()? {
                Some(b' ' | b'\t') => {}
                byte => return Ok(byte),
            }
        }
    }

    /// What is left of the line, without its newline.
    pub(super) fn rest_of_line(&mut self) -> Result<Vec<u8>, Fault> {
        let mut rest = Vec::new();
        while let Some(byte) = self.get()?.filter(|b| *b != b'\n') {
            rest.push(byte);
        }
        Ok(rest)
    }

    /// A number, if one is next.
    pub(super) fn get_number(&mut self) -> Result<Option<usize>, Fault> {
        let mut number: Option<usize> = None;
        loop {
            match self.get()? {
                Some(digit @ b'0'..=b'9') => {
                    let value = usize::from(digit - b'0');
                    number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(value));
                }
                other => {
                    self.unget(other);
                    return Ok(number);
                }
            }
        }
    }

    /// An expression up to its delimiter, which may be left away at the end of the line.
    pub(super) fn get_expression(&mut self, delimiter: u8) -> Result<(), Fault> {
        let mut text = Vec::new();
        loop {
            match self.get()? {
                end @ (None | Some(b'\n')) => {
                    self.unget(end);
                    break;
                }
                Some(byte) if byte == delimiter => break,
                Some(b'\\') => {
                    match self.get()? {
                        end @ (None | Some(b'\n')) => {
                            self.unget(end);
                            return wrong();
                        }
                        // What ends the expression may be one of the characters that mean something in it.
                        Some(byte) => text.extend_from_slice(&[b'\\', byte]),
                    }
                }
                Some(byte) => text.push(byte),
            }
        }
        self.set_pattern(&text)
    }
}
