//! Where commands that work line by line get their lines: a file in a program, a text in a test.

use alloc::vec::Vec;

use lib9::{File, Reader, Result, error};

/// A source of lines.
pub trait Lines {
    /// Puts the next line, without its newline, into `line`; false at the end.
    ///
    /// # Errors
    /// What kept it from being read.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool>;
}

impl Lines for Reader {
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let there = self.line_into(line)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(there)
    }
}

impl Lines for &[u8] {
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        if self.is_empty() {
            return Ok(false);
        }
        let end = self.iter().position(|&b| b == b'\n').unwrap_or(self.len());
        line.extend_from_slice(self.get(..end).unwrap_or(&[]));
        *self = self.get(end + 1..).unwrap_or(&[]);
        Ok(true)
    }
}

/// Opens a file of the command line, where `-` is standard input.
///
/// # Errors
/// Why it cannot be opened, with its name.
pub fn open(name: &str) -> Result<File> {
    if name == "-" {
        return Ok(File::from_fd(0));
    }
    File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))
}
