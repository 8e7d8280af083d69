//! A reply's body.

use alloc::vec::Vec;

use super::Result;

/// Bytes of the longest line that begins a chunk.
const LINE: usize = 1024;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Behind so many bytes.
    Length(u64),
    /// Behind the last chunk.
    Chunks,
    /// With the connection.
    Open,
}

/// A body that comes in pieces.
pub struct Reader {
    left: Body,
    /// Of chunks: bytes of the one that is coming, and the line that begins the next.
    chunk: u64,
    line: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Line,
    Data,
    Behind,
    Trailer,
    End,
}

impl Reader {
    /// One for a body that ends so.
    pub fn new(body: Body) -> Reader {
        let state = if body == Body::Length(0) { State::End } else { State::Line };
        Reader { left: body, chunk: 0, line: Vec::new(), state }
    }

    /// Whether all has come.
    pub fn is_whole(&self) -> bool {
        self.state == State::End
    }

    /// Takes what has come, and hands on what of it is the body's own: never nothing, which in a pipe would be the end.
    ///
    /// # Errors
    /// It is not formed as it should be; what `put` says.
    pub fn take(&mut self, mut bytes: &[u8], put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match &mut self.left {
            _ if bytes.is_empty() => return Ok(()),
            Body::Open => return put(bytes),
            Body::Length(left) => {
                let n = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::End;
                }
                return if n == 0 { Ok(()) } else { put(bytes.get(..n).unwrap_or(bytes)) };
            }
            Body::Chunks => {}
        }
        while !bytes.is_empty() && self.state != State::End {
            if self.state == State::Data {
                let n = bytes.len().min(usize::try_from(self.chunk).unwrap_or(usize::MAX));
                let (data, rest) = bytes.split_at(n);
                put(data)?;
                bytes = rest;
                self.chunk -= n as u64;
                if self.chunk == 0 {
                    self.state = State::Behind;
                }
                continue;
            }
            let end = bytes.iter().position(|b| *b == b'\n');
            let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            if self.line.len() + part.len() > LINE {
                return Err("a chunk's line is too long".into());
            }
            self.line.extend_from_slice(part);
            bytes = rest;
            if end.is_none() {
                return Ok(());
            }
            self.next_line()?;
        }
        Ok(())
    }

    /// What a line between chunks means.
    fn next_line(&mut self) -> Result<()> {
        let line = core::mem::take(&mut self.line);
        let text = core::str::from_utf8(&line).unwrap_or("?").trim();
        self.state = match self.state {
            State::Line => {
                let digits = text.split(';').next().unwrap_or_default().trim();
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let number = u64::from_str_radix(digits, 16).ok().filter(|_| is_number);
                self.chunk = number.ok_or("a chunk has no length")?;
                if self.chunk == 0 { State::Trailer } else { State::Data }
            }
            State::Behind if text.is_empty() => State::Line,
            State::Behind => return Err("a chunk is longer than it says".into()),
            State::Trailer if text.is_empty() => State::End,
            other => other,
        };
        Ok(())
    }
}
