//! A stat record on its way to a program: encoded once, and on the stack if its names are as short as most are.

use alloc::vec::Vec;

use abi::Dir;
use machine::heap;

use crate::error::Result;

/// Bytes of most records, at most.
const FEW: usize = 128;

/// The record.
pub(super) struct Record {
    few: [u8; FEW],
    len: usize,
    /// One that is longer.
    many: Vec<u8>,
}

impl Record {
    /// None yet.
    pub(super) fn new() -> Record {
        Record { few: [0; FEW], len: 0, many: Vec::new() }
    }

    /// Makes it this file's.
    ///
    /// # Errors
    /// No memory for a long one.
    pub(super) fn write(&mut self, dir: &Dir<&[u8]>) -> Result<()> {
        match dir.write_record(&mut self.few) {
            Some(len) => self.len = len,
            None => {
                self.many.clear();
                heap::try_reserve_exact(&mut self.many, dir.record_size())?;
                dir.append_record(&mut self.many);
            }
        }
        Ok(())
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.many.is_empty() { self.few.get(..self.len).unwrap_or_default() } else { &self.many }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_ones_are_the_same_record() {
        for len in [0, 1, 70, 80, 300] {
            let name = alloc::vec![b'n'; len];
            let dir: Dir<&str> = Dir { mode: 0o644, length: 7, ..Default::default() };
            let dir = dir.with_strings([&name[..], b"glenda", b"sys", b""]);
            let mut record = Record::new();
            record.write(&dir).unwrap();
            let mut wanted = Vec::new();
            dir.append_record(&mut wanted);
            assert_eq!(record.bytes(), wanted);
        }
    }
}
