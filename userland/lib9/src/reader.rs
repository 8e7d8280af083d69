//! Buffered input, a line or a byte at a time.

use alloc::vec::Vec;

use crate::{Result, fd};

/// Bytes of the first read; a file that fills it is read in larger pieces from then on.
const SIZE: usize = 16 * 1024;

/// Reads a descriptor through a buffer. The descriptor stays the caller's to close.
#[derive(Debug)]
pub struct Reader {
    fd: i32,
    buf: Vec<u8>,
    at: usize,
    have: usize,
    /// The end was met behind a line without a newline: the next line is none, and nothing is read for that, since the
    /// end that is typed at a console is there once.
    ended: bool,
}

impl Reader {
    /// A reader of `fd`.
    pub fn new(fd: i32) -> Self {
        Reader { fd, buf: Vec::new(), at: 0, have: 0, ended: false }
    }

    /// What is buffered; reads more when nothing is. Empty at the end of the file.
    ///
    /// # Errors
    /// The kernel's, as for every call here.
    pub fn fill(&mut self) -> Result<&[u8]> {
        if self.at >= self.have {
            let full = self.have > 0 && self.have == self.buf.len();
            self.buf.resize(if full { fd::PIECE } else { self.buf.len().max(SIZE) }, 0);
            self.at = 0;
            self.have = 0;
            self.have = fd::read(self.fd, &mut self.buf)?.min(self.buf.len());
        }
        Ok(self.buf.get(self.at..self.have).unwrap_or(&[]))
    }

    /// Marks `n` bytes of what [`Reader::fill`] gave as used.
    pub fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.have);
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<Option<u8>> {
        let b = self.fill()?.first().copied();
        self.consume(1);
        Ok(b)
    }

    /// Puts the next line, with its newline if it has one, into `line`; false at the end of the file.
    pub fn line_into(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        if core::mem::take(&mut self.ended) {
            return Ok(false);
        }
        loop {
            let bytes = self.fill()?;
            let at_end = bytes.is_empty();
            let (n, done) = match bytes.iter().position(|&b| b == b'\n') {
                Some(i) => (i + 1, true),
                None => (bytes.len(), at_end),
            };
            line.extend_from_slice(&bytes[..n]);
            self.consume(n);
            if done {
                self.ended = at_end && !line.is_empty();
                return Ok(!line.is_empty());
            }
        }
    }

    /// The next line with its newline.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        Ok(self.line_into(&mut line)?.then_some(line))
    }
}
