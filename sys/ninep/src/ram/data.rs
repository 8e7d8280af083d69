//! The contents of a plain file: blocks of memory, taken when they are first written. What was never written reads as
//! zeros and costs nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::error;

use crate::server::Result;

/// Bytes in a whole block. A file's blocks are as small as what they hold until they are full.
const BLOCK: usize = 16 << 10;
/// The same as a file offset.
const BLOCK_LEN: u64 = BLOCK as u64;
/// Smallest piece of memory that a block takes.
const LEAST: usize = 64;
/// Longest file: offsets are signed in Plan 9.
const LENGTH_MAX: u64 = i64::MAX as u64;

/// How much memory is in use, and how much may be.
#[derive(Debug)]
pub struct Budget {
    /// Bytes in use.
    pub used: u64,
    /// Most bytes that may be.
    pub limit: u64,
    /// Whether the machine has that many bytes more to give.
    pub room: fn(u64) -> bool,
    /// Makes room for so many more bytes in a block that has so much less; false when the machine cannot.
    pub reserve: fn(&mut Vec<u8>, usize) -> bool,
}

impl Budget {
    /// Takes `bytes`.
    ///
    /// # Errors
    /// `file system full`; nothing is taken then.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        let used = self.used.checked_add(bytes).filter(|used| *used <= self.limit);
        let used = used.filter(|_| bytes == 0 || (self.room)(bytes));
        self.used = used.ok_or(error::EFULL)?;
        Ok(())
    }

    /// Gives `bytes` back.
    pub fn give(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// Blocks by their numbers.
#[derive(Debug, Default)]
pub struct Blocks(BTreeMap<u64, Vec<u8>>);

/// A file's bytes.
#[derive(Debug, Default)]
pub struct Bytes {
    blocks: BTreeMap<u64, Vec<u8>>,
    length: u64,
}

impl Blocks {
    /// So many are let go of without a pause.
    pub const TOGETHER: usize = 16;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets go of them, a piece at a time, with a `pause` behind each.
    pub fn let_go(self, pause: fn()) {
        for (n, (_, block)) in (1..).zip(self.0) {
            drop(block);
            if n % Blocks::TOGETHER == 0 {
                pause();
            }
        }
    }
}

impl Bytes {
    /// How many there are, holes counted.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of memory that they take.
    pub fn cost(&self) -> u64 {
        self.blocks.values().map(|block| block.capacity() as u64).sum()
    }

    /// Reads at `offset`; how many bytes there were.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let mut rest = buf;
        let copied = self.lend(offset, rest.len(), &mut |piece| {
            let (now, later) = core::mem::take(&mut rest).split_at_mut(piece.len());
            now.copy_from_slice(piece);
            rest = later;
            true
        });
        copied.unwrap_or(0)
    }

    /// Hands over `len` bytes from `offset` on, or as many as there are, piece by piece. How many that were, if none
    /// was refused.
    pub fn lend(&self, offset: u64, len: usize, put: &mut dyn FnMut(&[u8]) -> bool) -> Option<usize> {
        const ZEROS: [u8; 256] = [0; 256];
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (count, mut done) = (left.min(len), 0);
        while done < count {
            let (number, from) = place(offset + done as u64);
            let want = (BLOCK - from).min(count - done);
            let held = self.blocks.get(&number).and_then(|block| block.get(from..)).unwrap_or_default();
            // Behind what a block has there are zeros.
            let piece = if held.is_empty() { &ZEROS } else { held };
            let piece = piece.get(..want.min(piece.len())).unwrap_or_default();
            if !put(piece) {
                return None;
            }
            done += piece.len();
        }
        Some(count)
    }

    /// Writes all of `data` at `offset`, or nothing.
    ///
    /// # Errors
    /// `file system full`, or `read or write too large` beyond the longest file.
    pub fn write(&mut self, offset: u64, data: &[u8], budget: &mut Budget) -> Result<()> {
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= LENGTH_MAX);
        let end = end.ok_or(error::ETOOBIG)?;
        let grown = pieces(offset, data).map(|(number, from, piece)| {
            let have = self.blocks.get(&number).map_or(0, Vec::capacity);
            capacity(have, from + piece.len()) - have
        });
        let grown = grown.sum::<usize>() as u64;
        budget.take(grown)?;
        let mut missing = grown;
        for (number, from, piece) in pieces(offset, data) {
            let block = self.blocks.entry(number).or_default();
            let until = from + piece.len();
            let (have, want) = (block.capacity(), capacity(block.capacity(), until));
            // The machine may have less than the limit says.
            if !(budget.reserve)(block, want - block.len()) {
                budget.give(missing);
                return Err(error::EFULL.into());
            }
            missing -= (want - have) as u64;
            if block.len() < from {
                block.resize(from, 0);
            }
            let (over, fresh) = piece.split_at(block.len().min(until) - from);
            if let Some(place) = block.get_mut(from..from + over.len()) {
                place.copy_from_slice(over);
            }
            block.extend_from_slice(fresh);
        }
        self.length = self.length.max(end);
        Ok(())
    }

    /// All its blocks.
    pub fn into_blocks(self) -> Blocks {
        Blocks(self.blocks)
    }

    /// Cuts or lengthens to `length`; what is new reads as zeros. Gives the blocks that were cut off.
    ///
    /// # Errors
    /// `read or write too large` beyond the longest file.
    pub fn set_len(&mut self, length: u64, budget: &mut Budget) -> Result<Blocks> {
        if length > LENGTH_MAX {
            return Err(error::ETOOBIG.into());
        }
        let mut gone = BTreeMap::new();
        if length < self.length {
            let (number, keep) = place(length);
            gone = self.blocks.split_off(&number);
            if keep > 0
                && let Some(mut block) = gone.remove(&number)
            {
                let before = block.capacity();
                block.truncate(keep);
                block.shrink_to(capacity(0, keep));
                budget.give((before - block.capacity()) as u64);
                self.blocks.insert(number, block);
            }
            budget.give(gone.values().map(|block| block.capacity() as u64).sum());
        }
        self.length = length;
        Ok(Blocks(gone))
    }
}

/// The block that an offset is in, and where in it.
fn place(offset: u64) -> (u64, usize) {
    (offset / BLOCK_LEN, (offset % BLOCK_LEN) as usize)
}

/// The memory a block has after something was written up to `until`, when it had `have`.
fn capacity(have: usize, until: usize) -> usize {
    if until <= have { have } else { until.next_power_of_two().clamp(LEAST, BLOCK) }
}

/// Data as pieces: the block, the offset in it, the bytes.
fn pieces(offset: u64, data: &[u8]) -> impl Iterator<Item = (u64, usize, &[u8])> {
    let (mut at, mut rest) = (offset, data);
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (number, from) = place(at);
        let (piece, later) = rest.split_at((BLOCK - from).min(rest.len()));
        at = at.saturating_add(piece.len() as u64);
        rest = later;
        Some((number, from, piece))
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests of the host")]
mod tests {
    use super::*;
    use crate::rng;
    use std::vec;

    #[test]
    fn any_writes_and_cuts_are_those_of_a_vector() {
        let mut seed = 7;
        let mut budget = Budget {
            used: 0,
            limit: u64::MAX,
            room: |_| true,
            reserve: |v, n| v.try_reserve_exact(n).is_ok(),
        };
        let mut file = Bytes::default();
        let mut model: Vec<u8> = Vec::new();
        for round in 0..3000u32 {
            let offset = (rng::next(&mut seed) % 70_000) as usize;
            if rng::next(&mut seed).is_multiple_of(5) {
                file.set_len(offset as u64, &mut budget).unwrap();
                model.resize(offset, 0);
            } else {
                let data = vec![round as u8 | 1; (rng::next(&mut seed) % 40_000) as usize];
                file.write(offset as u64, &data, &mut budget).unwrap();
                if !data.is_empty() {
                    model.resize(model.len().max(offset + data.len()), 0);
                    model[offset..offset + data.len()].copy_from_slice(&data);
                } else {
                    model.resize(model.len().max(offset), 0);
                }
            }
            assert_eq!(file.length(), model.len() as u64);
            assert_eq!(budget.used, file.cost());
            let from = (rng::next(&mut seed) % 80_000) as usize;
            let mut buf = vec![9; 30_000];
            let n = file.read(from as u64, &mut buf);
            let want = model.get(from..).unwrap_or_default();
            assert_eq!(buf[..n], want[..want.len().min(30_000)], "{round}");
        }
        file.set_len(0, &mut budget).unwrap();
        assert_eq!(budget.used, 0);
    }

    #[test]
    fn full_is_full_and_nothing_is_half_written() {
        let mut budget =
            Budget { used: 0, limit: 40_000, room: |_| true, reserve: |v, n| v.try_reserve_exact(n).is_ok() };
        let mut file = Bytes::default();
        file.write(0, &[1; 30_000], &mut budget).unwrap();
        let used = budget.used;
        assert_eq!(file.write(20_000, &[2; 30_000], &mut budget), Err(error::EFULL.into()));
        assert_eq!((file.length(), budget.used), (30_000, used));
        let mut buf = [0; 1];
        file.read(29_999, &mut buf);
        assert_eq!(buf, [1]);
        // A hole is free.
        file.write(1 << 40, b"x", &mut budget).unwrap();
        file.set_len(i64::MAX as u64, &mut budget).unwrap();
        assert!(file.write(i64::MAX as u64, b"x", &mut budget).is_err());
        assert!(file.write(u64::MAX, b"x", &mut budget).is_err());
        assert!(file.set_len(u64::MAX - 1, &mut budget).is_err());
    }
}
