//! Cutting a byte stream into whole messages.
//!
//! A [`Framer`] belongs to one direction of one stream. Bytes go in as they come, in pieces of any length;
//! messages come out whole. It holds at most what was pushed, so a reader that pushes only after it has taken
//! every message holds at most one message and one read.

use alloc::vec::Vec;

use crate::head::HEADSZ;
use crate::wire::WireError;

/// Cuts a byte stream into 9P messages by their size fields.
#[derive(Debug)]
pub struct Framer {
    msize: u32,
    buf: Vec<u8>,
    /// Where the next message begins in `buf`.
    start: usize,
    broken: Option<WireError>,
}

impl Framer {
    /// For a stream whose messages are at most `msize` bytes long.
    pub const fn new(msize: u32) -> Self {
        Framer { msize, buf: Vec::new(), start: 0, broken: None }
    }

    /// Sets the limit anew, after a `Tversion` has agreed on another one.
    pub fn set_msize(&mut self, msize: u32) {
        self.msize = msize;
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room();
        self.buf.extend_from_slice(bytes);
    }

    /// Takes the next bytes of the stream, if `reserve` can make room for so many more in what is kept. False when it
    /// cannot: then nothing has changed.
    pub fn try_push(&mut self, bytes: &[u8], reserve: impl FnOnce(&mut Vec<u8>, usize) -> bool) -> bool {
        self.make_room();
        let has_room = reserve(&mut self.buf, bytes.len());
        if has_room {
            self.buf.extend_from_slice(bytes);
        }
        has_room
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buf.drain(..self.start);
            self.start = 0;
        }
    }

    /// The next whole message, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// [`WireError::Size`] when a message says that it is longer than the limit or shorter than the least
    /// there is. The stream has lost its beat then: the error stays, and the connection is of no more use.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, WireError> {
        let Some(size) = self.size()? else { return Ok(None) };
        let message = self.buf.get(self.start..self.start.saturating_add(size));
        if message.is_some() {
            self.start += size;
        }
        Ok(message)
    }

    /// How many bytes the message under way still lacks, as far as is known: a reader that asks the stream
    /// for exactly so many never takes bytes of the message after it.
    ///
    /// # Errors
    /// As [`next_message`](Self::next_message).
    pub fn wanted(&mut self) -> Result<usize, WireError> {
        let have = self.held();
        let need = self.size()?.unwrap_or(HEADSZ);
        Ok(need.saturating_sub(have))
    }

    /// Bytes that were pushed and not yet given out. At the end of the stream anything but 0 is a message cut short.
    pub fn held(&self) -> usize {
        self.buf.len().saturating_sub(self.start)
    }

    /// Size of the message under way, once its first four bytes are there. It is judged then: a peer that sends a
    /// bad one may well send nothing else.
    fn size(&mut self) -> Result<Option<usize>, WireError> {
        if let Some(e) = self.broken {
            return Err(e);
        }
        let Some(&field) = self.buf.get(self.start..).and_then(|held| held.first_chunk()) else {
            return Ok(None);
        };
        let size = u32::from_le_bytes(field);
        if (size as usize) < HEADSZ || size > self.msize {
            return Err(*self.broken.insert(WireError::Size(size)));
        }
        Ok(Some(size as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Tmsg};

    fn stream() -> (Vec<Vec<u8>>, Vec<u8>) {
        let messages: Vec<Vec<u8>> = (0..40u32)
            .map(|i| match i % 3 {
                0 => Tmsg::Clunk { fid: i },
                1 => Tmsg::Read { fid: i, offset: 1, count: 2 },
                _ => Tmsg::Version { msize: i, version: "9P2000".into() },
            })
            .map(|t| t.to_vec(Dialect::P9, 1).unwrap())
            .collect();
        let bytes = messages.concat();
        (messages, bytes)
    }

    #[test]
    fn any_cutting_gives_the_same_messages() {
        let (messages, bytes) = stream();
        for step in [1, 2, 3, 5, 7, 11, 64, bytes.len()] {
            let mut f = Framer::new(64);
            let mut got = Vec::new();
            for piece in bytes.chunks(step) {
                f.push(piece);
                while let Some(m) = f.next_message().unwrap() {
                    got.push(m.to_vec());
                }
            }
            assert_eq!(got, messages, "{step}");
            assert_eq!(f.held(), 0);
        }
    }

    #[test]
    fn wanted_never_reads_into_the_next_message() {
        let (messages, bytes) = stream();
        let mut f = Framer::new(64);
        let (mut at, mut got) = (0, 0);
        while at < bytes.len() {
            let n = f.wanted().unwrap();
            f.push(&bytes[at..at + n]);
            at += n;
            if f.next_message().unwrap().is_some() {
                got += 1;
                assert_eq!(f.held(), 0);
            }
        }
        assert_eq!(got, messages.len());
    }

    #[test]
    fn impossible_sizes_break_the_stream_for_good() {
        for size in [0u32, 6, 65, u32::MAX] {
            let mut f = Framer::new(64);
            f.push(&size.to_le_bytes()[..3]);
            assert_eq!(f.next_message(), Ok(None));
            f.push(&size.to_le_bytes()[3..]);
            assert_eq!(f.next_message(), Err(WireError::Size(size)));
            f.push(&Tmsg::Clunk { fid: 1 }.to_vec(Dialect::P9, 1).unwrap());
            assert_eq!(f.next_message(), Err(WireError::Size(size)));
            assert_eq!(f.wanted(), Err(WireError::Size(size)));
        }
    }

    #[test]
    fn the_limit_can_change_between_messages() {
        let big = Tmsg::Write { fid: 0, offset: 0, data: crate::wire::Data(&[7; 100]) };
        let big = big.to_vec(Dialect::P9, 1).unwrap();
        let mut f = Framer::new(64);
        f.set_msize(200);
        f.push(&big);
        assert_eq!(f.next_message(), Ok(Some(&big[..])));
    }
}
