//! A request to a disk, and how a transfer is cut into requests that the device takes.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use io::DiskError;
use machine::page::Pinned;
use machine::sync::Completion;
use machine::{OutOfMemory, heap};

/// What is asked of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Sectors to memory.
    Read,
    /// Memory to sectors.
    Write,
    /// All that was written, to the medium.
    Flush,
    /// The disk's serial, 20 bytes.
    Id,
}

impl Op {
    /// The number the device knows it by (section 5.2.6).
    pub fn number(self) -> u32 {
        match self {
            Op::Read => 0,
            Op::Write => 1,
            Op::Flush => 4,
            Op::Id => 8,
        }
    }

    /// Whether the data are the device's to write.
    pub fn device_writes(self) -> bool {
        matches!(self, Op::Read | Op::Id)
    }
}

/// Where a request comes back.
pub(super) type Done = Arc<Completion<Box<Piece>>>;

/// One request, with the memory it reads or device_writes. It belongs to the driver until it comes back.
pub(super) struct Piece {
    pub op: Op,
    /// Place on the disk, in units of 512 bytes; 0 where there is none.
    pub sector: u64,
    pub data: Vec<Pinned>,
    /// How it ended.
    pub result: Result<(), DiskError>,
    pub done: Done,
}

impl Piece {
    pub fn new(op: Op, sector: u64, data: Vec<Pinned>) -> Box<Piece> {
        Box::new(Piece { op, sector, data, result: Ok(()), done: Arc::default() })
    }

    /// Bytes of data.
    pub fn len(&self) -> u32 {
        // Pieces are cut to some hundred pages.
        total(&self.data) as u32
    }

    /// Gives the request back to who sent it. May be called from an interrupt handler.
    pub fn complete(mut self: Box<Self>, result: Result<(), DiskError>) {
        self.result = result;
        let done = self.done.clone();
        done.put(self);
    }
}

/// Bytes in all.
pub(super) fn total(data: &[Pinned]) -> usize {
    data.iter().map(Pinned::len).sum()
}

/// Cuts memory into lists of at most `most` stretches, each a whole number of sectors of `sector` bytes. `None` when
/// that cannot be: a sector is scattered too widely, or the whole is no number of sectors.
///
/// # Errors
/// When there is no memory for the lists.
pub(super) fn cut(
    data: Vec<Pinned>,
    sector: usize,
    most: usize,
) -> Result<Option<Vec<Vec<Pinned>>>, OutOfMemory> {
    let mut rest = VecDeque::from(data);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let mut piece = heap::try_collect(rest.drain(..rest.len().min(most)))?;
        let Some(mut excess) = total(&piece).checked_rem(sector) else { return Ok(None) };
        while excess != 0 {
            let Some(last) = piece.pop() else { return Ok(None) };
            let keep = last.len().saturating_sub(excess);
            let back = last.len() - keep;
            // What was taken from there has left room.
            rest.push_front(last.slice(keep, back));
            if keep != 0 {
                piece.push(last.slice(0, keep));
            }
            excess -= back;
        }
        if piece.is_empty() {
            return Ok(None);
        }
        heap::try_push(&mut pieces, piece)?;
    }
    Ok(Some(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use machine::page::Page;

    fn pins(lens: &[usize]) -> Vec<Pinned> {
        // From the end of the page on, as the first page of a buffer has it.
        lens.iter().map(|&len| Pinned::new(Page::new_zeroed().unwrap(), 4096 - len, len)).collect()
    }

    fn lens(lists: &[usize], sector: usize, most: usize) -> Option<Vec<Vec<usize>>> {
        let pieces = cut(pins(lists), sector, most).unwrap()?;
        Some(pieces.iter().map(|p| p.iter().map(Pinned::len).collect()).collect())
    }

    #[test]
    fn pieces_are_whole_sectors() {
        assert_eq!(lens(&[4096, 4096, 4096], 512, 2), Some(vec![vec![4096, 4096], vec![4096]]));
        assert_eq!(
            lens(&[100, 4096, 4096, 3996], 512, 2),
            Some(vec![vec![100, 3996], vec![100, 3996], vec![100, 3996]])
        );
        assert_eq!(lens(&[1, 4095], 4096, 2), Some(vec![vec![1, 4095]]));
        assert_eq!(lens(&[], 512, 2), Some(vec![]));
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        assert_eq!(lens(&[100, 100], 512, 2), None, "no number of sectors");
        assert_eq!(lens(&[200, 200, 112], 512, 2), None, "three stretches for one sector");
        assert_eq!(lens(&[200, 200, 112], 512, 3), Some(vec![vec![200, 200, 112]]));
        assert_eq!(lens(&[512, 100], 512, 2), None);
    }

    #[test]
    fn the_bytes_keep_their_order() {
        let data = pins(&[300, 4096, 4096, 724]);
        let mut n = 0u32;
        for pin in &data {
            for at in 0..pin.len() {
                pin.write(at, &[(n % 251) as u8]);
                n += 1;
            }
        }
        let pieces = cut(data, 1024, 2).unwrap().unwrap();
        let mut seen = 0u32;
        for pin in pieces.iter().flatten() {
            for at in 0..pin.len() {
                let mut byte = [0];
                pin.read(at, &mut byte);
                assert_eq!(u32::from(byte[0]), seen % 251, "byte {seen}");
                seen += 1;
            }
        }
        assert_eq!(seen, 300 + 4096 + 4096 + 724);
        assert!(pieces.iter().all(|p| total(p).is_multiple_of(1024) && p.len() <= 2));
    }
}
