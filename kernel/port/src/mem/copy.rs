//! Copying between the kernel and a program's memory: what system calls are given, and what they give.
//!
//! Small pieces are copied where the page is mapped; a page that is not is brought in first, as the program's own
//! access would. More goes through pins. A copy may wait for the server behind a page, so nobody makes one with a lock
//! in hand that others need.

use alloc::vec::Vec;

use abi::layout::PAGE;
use machine::heap;

use super::access::FaultAccess;
use super::memory::Memory;
use crate::error::{Error, Result};

/// Up to so many bytes are copied page by page where the pages are mapped. More, and what has to be brought in first,
/// goes through pins.
const SMALL: usize = 2 * PAGE as usize;
/// Bytes of a string that are looked through at a time.
const STRING: usize = 64;
/// Bytes that are pinned at a time to be copied.
const PIECE: usize = 16 * PAGE as usize;

impl Memory {
    /// Maps the page at `va` as the program's own access would, so that it is found the next time. Whether that was
    /// done; why it was not is found out by who pins.
    #[cold]
    pub(super) fn touch(&self, va: u64, access: FaultAccess) -> bool {
        self.owner().is_ok_and(|up| self.fault(&up, va, access).is_ok())
    }

    /// Copies from the process.
    ///
    /// # Errors
    /// A bad address; no memory.
    #[inline]
    pub(crate) fn copy_in(&self, va: u64, bytes: &mut [u8]) -> Result<()> {
        if self.space.read(va, bytes) { Ok(()) } else { self.copy_in_slowly(va, bytes) }
    }

    /// The same when not all of it is in one page that is there.
    #[inline(never)]
    fn copy_in_slowly(&self, va: u64, bytes: &mut [u8]) -> Result<()> {
        let in_page = (PAGE - va % PAGE) as usize;
        if bytes.len() <= in_page {
            if self.touch(va, FaultAccess::Read) && self.space.read(va, bytes) {
                return Ok(());
            }
        } else if bytes.len() <= SMALL {
            let (now, later) = bytes.split_at_mut(in_page);
            self.copy_in(va, now)?;
            return self.copy_in(va.checked_add(in_page as u64).ok_or(Error::bad_address())?, later);
        }
        let mut at = va;
        for piece in bytes.chunks_mut(PIECE) {
            let len = piece.len();
            let mut rest = piece;
            for pin in self.pin(at, len, false)? {
                let (now, later) = core::mem::take(&mut rest).split_at_mut(pin.len());
                pin.read(0, now);
                rest = later;
            }
            at = at.wrapping_add(len as u64);
        }
        Ok(())
    }

    /// Copies to the process.
    ///
    /// # Errors
    /// A bad address; no memory.
    #[inline]
    pub fn copy_out(&self, va: u64, bytes: &[u8]) -> Result<()> {
        if self.space.write(va, bytes) { Ok(()) } else { self.copy_out_slowly(va, bytes) }
    }

    /// The same when not all of it is in one page that is there to be written.
    #[inline(never)]
    fn copy_out_slowly(&self, va: u64, bytes: &[u8]) -> Result<()> {
        let in_page = (PAGE - va % PAGE) as usize;
        if bytes.len() <= in_page {
            if self.touch(va, FaultAccess::Write) && self.space.write(va, bytes) {
                return Ok(());
            }
        } else if bytes.len() <= SMALL {
            let (now, later) = bytes.split_at(in_page);
            self.copy_out(va, now)?;
            return self.copy_out(va.checked_add(in_page as u64).ok_or(Error::bad_address())?, later);
        }
        let mut at = va;
        for piece in bytes.chunks(PIECE) {
            let mut rest = piece;
            for pin in self.pin(at, piece.len(), true)? {
                let (now, later) = rest.split_at(pin.len());
                pin.write(0, now);
                rest = later;
            }
            at = at.wrapping_add(piece.len() as u64);
        }
        Ok(())
    }

    /// Copies a string that ends in a zero byte, without it.
    ///
    /// # Errors
    /// A bad address, no memory, or `name too long` when there is no zero within `max` bytes.
    pub(crate) fn copy_in_string(&self, va: u64, max: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.append_string(va, max, &mut out)?;
        Ok(out)
    }

    /// Appends a string that ends in a zero byte, without it.
    ///
    /// # Errors
    /// As [`Memory::copy_in_string`].
    pub(crate) fn append_string(&self, va: u64, max: usize, out: &mut Vec<u8>) -> Result<()> {
        let limit = out.len() + max;
        let mut at = va;
        while out.len() < limit {
            let n = (PAGE - at % PAGE).min((limit - out.len()) as u64).min(STRING as u64) as usize;
            let mut piece = [0u8; STRING];
            let piece = piece.get_mut(..n).unwrap_or(&mut []);
            self.copy_in(at, piece)?;
            if let Some(end) = zero_in(piece) {
                heap::try_extend(out, piece.get(..end).unwrap_or(&[]))?;
                return Ok(());
            }
            heap::try_extend(out, piece)?;
            at = at.checked_add(n as u64).ok_or(Error::bad_address())?;
        }
        Err(abi::error::ETOOLONG.into())
    }
}

/// Where the first zero byte is.
fn zero_in(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The lowest of the bits that are left belongs to the first zero.
        let zeros = word.wrapping_sub(ONES) & !word & ONES << 7;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    rest.iter().position(|&b| b == 0).map(|place| at + place)
}
