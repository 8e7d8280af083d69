//! Where a read puts its bytes and where a write takes them from.
//!
//! User memory is never a slice: it is reached through [`Memory`], page by page, either by copying
//! ([`Dst::put`], [`Src::get`]) or by pinning the pages for a device that reads and writes memory itself
//! ([`Dst::pin`], [`Src::pin`]). No lock is held across a copy, but for a few bytes that of the address space (see
//! [`Memory::copy_in`]).

use alloc::vec::Vec;

use abi::layout::PAGE;
use io::port::Bytes;
use machine::heap;
use machine::page::{Page, Pinned};

use crate::error::{Error, Result};
use crate::mem::Memory;

/// A range of a process's memory. It is checked when it is used, not when it is made.
#[derive(Clone, Copy)]
pub struct UserBuf<'a> {
    /// The memory.
    pub mem: &'a Memory,
    /// First address.
    pub va: u64,
    /// Bytes.
    pub len: usize,
}

impl UserBuf<'_> {
    fn at(&self, at: usize, len: usize) -> Result<u64> {
        match at.checked_add(len) {
            Some(end) if end <= self.len => self.va.checked_add(at as u64).ok_or(Error::bad_address()),
            _ => Err(Error::new(abi::error::EBADARG)),
        }
    }
}

/// Where a read puts its bytes.
pub enum Dst<'a> {
    /// The kernel's own buffer.
    Kernel(&'a mut [u8]),
    /// A process's memory.
    User(UserBuf<'a>),
    /// Pages that are already pinned, one after the other.
    Pages(&'a [Pinned]),
}

/// Where a write takes its bytes from.
pub enum Src<'a> {
    /// The kernel's own buffer.
    Kernel(&'a [u8]),
    /// A process's memory.
    User(UserBuf<'a>),
}

impl Dst<'_> {
    /// Room in bytes.
    pub fn len(&self) -> usize {
        match self {
            Dst::Kernel(b) => b.len(),
            Dst::User(u) => u.len,
            Dst::Pages(p) => p.iter().map(|p| p.len()).sum(),
        }
    }

    /// No room at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies all of `bytes` to offset `at`.
    ///
    /// # Errors
    /// A bad user address, or more than there is room for.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        match self {
            Dst::User(u) => u.mem.copy_out(u.at(at, bytes.len())?, bytes),
            _ => self.put_elsewhere(at, bytes),
        }
    }

    #[inline(never)]
    fn put_elsewhere(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        match self {
            Dst::Kernel(b) => {
                let end = at.checked_add(bytes.len()).ok_or(abi::error::EBADARG)?;
                b.get_mut(at..end).ok_or(abi::error::EBADARG)?.copy_from_slice(bytes);
                Ok(())
            }
            Dst::User(u) => u.mem.copy_out(u.at(at, bytes.len())?, bytes),
            Dst::Pages(pages) => {
                let mut skip = at;
                let mut rest = bytes;
                for p in pages.iter() {
                    if rest.is_empty() {
                        return Ok(());
                    }
                    if skip >= p.len() {
                        skip -= p.len();
                        continue;
                    }
                    let (now, later) = rest.split_at(rest.len().min(p.len() - skip));
                    p.write(skip, now);
                    skip = 0;
                    rest = later;
                }
                if rest.is_empty() { Ok(()) } else { Err(abi::error::EBADARG.into()) }
            }
        }
    }

    /// Copies `len` bytes of a page, from `from` on, to offset `at`.
    ///
    /// # Errors
    /// As [`Dst::put`].
    pub(crate) fn put_page(&mut self, at: usize, page: &Page, from: usize, len: usize) -> Result<()> {
        match self {
            Dst::Kernel(b) => {
                let end = at.checked_add(len).ok_or(abi::error::EBADARG)?;
                page.read(from, b.get_mut(at..end).ok_or(abi::error::EBADARG)?);
                Ok(())
            }
            Dst::User(_) => {
                let mut bytes = [0; PAGE as usize];
                let bytes = bytes.get_mut(..len).ok_or(abi::error::EBADARG)?;
                page.read(from, bytes);
                self.put(at, bytes)
            }
            Dst::Pages(pages) => {
                let (mut skip, mut from, mut left) = (at, from, len);
                for p in pages.iter() {
                    if left == 0 {
                        break;
                    }
                    if skip >= p.len() {
                        skip -= p.len();
                        continue;
                    }
                    let n = left.min(p.len() - skip);
                    p.copy_from(skip, page, from, n);
                    (skip, from, left) = (0, from + n, left - n);
                }
                if left == 0 { Ok(()) } else { Err(abi::error::EBADARG.into()) }
            }
        }
    }

    /// As [`Dst::put`], if that can be done without waiting: what of a process's memory is not there is not brought in.
    /// False when it cannot; some of the bytes may have been copied then. A lock may be held.
    pub(crate) fn put_now(&mut self, at: usize, bytes: &[u8]) -> bool {
        let Dst::User(u) = self else { return self.put(at, bytes).is_ok() };
        let Ok(va) = u.at(at, bytes.len()) else { return false };
        let in_page = bytes.len().min((PAGE - va % PAGE) as usize);
        let (now, later) = bytes.split_at(in_page);
        let Some(mut at) = va.checked_add(now.len() as u64) else { return false };
        let mut rest = later.chunks(PAGE as usize);
        u.mem.space.write(va, now)
            && rest.all(|piece| {
                let done = u.mem.space.write(at, piece);
                at = at.wrapping_add(piece.len() as u64);
                done
            })
    }

    /// Copies as much of `bytes[offset..]` as there is room for to the front: what a read of a file with
    /// this text at this offset returns.
    ///
    /// # Errors
    /// A bad user address.
    pub(crate) fn put_from(&mut self, bytes: &[u8], offset: u64) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = bytes.get(start..).unwrap_or(&[]);
        let n = rest.len().min(self.len());
        self.put(0, rest.get(..n).unwrap_or(&[]))?;
        Ok(n)
    }

    /// The pages behind `at..at + len`, present and writable, for a device to write into.
    /// `None` when the bytes are the kernel's and have to be copied.
    ///
    /// # Errors
    /// A bad user address, or no memory for a page that is touched for the first time.
    pub fn pin(&self, at: usize, len: usize) -> Result<Option<Vec<Pinned>>> {
        match self {
            Dst::Kernel(_) => Ok(None),
            Dst::User(u) => u.mem.pin(u.at(at, len)?, len, true).map(Some),
            Dst::Pages(pages) => cut(pages, at, len).map(Some),
        }
    }
}

/// Bytes that are there: copying them waits for nobody.
pub(crate) enum Ready<'a> {
    /// The kernel's own.
    Kernel(&'a [u8]),
    /// Pages that are pinned, one after the other.
    Pages(Vec<Pinned>),
}

impl Ready<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Ready::Kernel(b) => b.len(),
            Ready::Pages(p) => p.iter().map(Pinned::len).sum(),
        }
    }

    /// They, for who copies them.
    pub(crate) fn bytes(&self) -> Bytes<'_> {
        match self {
            Ready::Kernel(b) => Bytes::Kernel(b),
            Ready::Pages(p) => Bytes::Pages(p),
        }
    }
}

impl Src<'_> {
    /// Bytes to write.
    pub(crate) fn len(&self) -> usize {
        match self {
            Src::Kernel(b) => b.len(),
            Src::User(u) => u.len,
        }
    }

    /// Nothing to write?
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `bytes` from offset `at`.
    ///
    /// # Errors
    /// A bad user address, or more than there is.
    pub(crate) fn get(&self, at: usize, bytes: &mut [u8]) -> Result<()> {
        match self {
            Src::Kernel(b) => {
                let end = at.checked_add(bytes.len()).ok_or(abi::error::EBADARG)?;
                bytes.copy_from_slice(b.get(at..end).ok_or(abi::error::EBADARG)?);
                Ok(())
            }
            Src::User(u) => u.mem.copy_in(u.at(at, bytes.len())?, bytes),
        }
    }

    /// As [`Src::get`], if that can be done without waiting, as [`Dst::put_now`]. A lock may be held.
    pub(crate) fn get_now(&self, at: usize, bytes: &mut [u8]) -> bool {
        let Src::User(u) = self else { return self.get(at, bytes).is_ok() };
        let Ok(va) = u.at(at, bytes.len()) else { return false };
        let in_page = bytes.len().min((PAGE - va % PAGE) as usize);
        let (now, later) = bytes.split_at_mut(in_page);
        let Some(mut at) = va.checked_add(now.len() as u64) else { return false };
        let mut rest = later.chunks_mut(PAGE as usize);
        u.mem.space.read(va, now)
            && rest.all(|piece| {
                let done = u.mem.space.read(at, piece);
                at = at.wrapping_add(piece.len() as u64);
                done
            })
    }

    /// All bytes, copied; for short control messages.
    ///
    /// # Errors
    /// `read or write too large` when there are more than `max`, or a bad user address.
    pub(crate) fn to_vec(&self, max: usize) -> Result<Vec<u8>> {
        if self.len() > max {
            return Err(abi::error::ETOOBIG.into());
        }
        let mut out = heap::try_bytes(self.len())?;
        self.get(0, &mut out)?;
        Ok(out)
    }

    /// The bytes `at..at + len`, present, to be copied where one must not wait. They are pinned until that is dropped.
    ///
    /// # Errors
    /// As [`Dst::pin`].
    pub(crate) fn ready(&self, at: usize, len: usize) -> Result<Ready<'_>> {
        match self {
            Src::Kernel(b) => {
                let end = at.checked_add(len).ok_or(abi::error::EBADARG)?;
                Ok(Ready::Kernel(b.get(at..end).ok_or(abi::error::EBADARG)?))
            }
            Src::User(u) => Ok(Ready::Pages(u.mem.pin(u.at(at, len)?, len, false)?)),
        }
    }

    /// The pages behind `at..at + len`, present, for a device to read. `None` when the bytes are the kernel's.
    ///
    /// # Errors
    /// As [`Dst::pin`].
    pub(crate) fn pin(&self, at: usize, len: usize) -> Result<Option<Vec<Pinned>>> {
        match self {
            Src::Kernel(_) => Ok(None),
            Src::User(u) => u.mem.pin(u.at(at, len)?, len, false).map(Some),
        }
    }
}

/// The part `at..at + len` of a list of pinned pages.
///
/// # Errors
/// No memory.
pub(crate) fn cut(pages: &[Pinned], at: usize, len: usize) -> Result<Vec<Pinned>> {
    let (mut skip, mut left) = (at, len);
    let mut out = heap::try_vec(pages.len().min(len / PAGE as usize + 2))?;
    for p in pages {
        if left == 0 {
            break;
        }
        if skip >= p.len() {
            skip -= p.len();
            continue;
        }
        let n = left.min(p.len() - skip);
        heap::try_push(&mut out, p.slice(skip, n))?;
        skip = 0;
        left -= n;
    }
    Ok(out)
}

/// Pages for the kernel's own transfers, which are copied.
pub(crate) fn kernel_pages(len: usize) -> Result<Vec<Pinned>> {
    let mut pages = heap::try_vec(len.div_ceil(PAGE as usize))?;
    let mut left = len;
    while left > 0 {
        let n = left.min(PAGE as usize);
        pages.push(Pinned::new(Page::new_zeroed()?, 0, n));
        left -= n;
    }
    Ok(pages)
}
