//! What a program or the kernel does at an address of a process: a fault is mended, a range is checked, bytes are
//! pinned for who moves them.
//!
//! The segment is looked up here and does the rest ([`demand`](super::demand)). No lock is held but for the looking up.
//! What is mapped is not looked up: it is there, and a page that is mapped to be written is the process's own.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::layout::PAGE;
use machine::heap;
use machine::page::Pinned;

use super::memory::Memory;
use crate::error::{Error, Result};
use crate::proc::process::Proc;

/// What a program did when it faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultAccess {
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// It went on there.
    Exec,
}

/// Why a page fault cannot be mended.
#[derive(Debug)]
pub enum FaultError {
    /// No segment there, or not for this kind of access.
    NoAccess,
    /// Paging in failed: the file, and why.
    Load(String, Error),
    /// No memory.
    NoMemory,
}

impl Memory {
    /// Mends a page fault.
    ///
    /// # Errors
    /// See [`FaultError`]; the process gets a note.
    pub(crate) fn fault(
        &self,
        up: &Arc<Proc>,
        va: u64,
        access: FaultAccess,
    ) -> core::result::Result<(), FaultError> {
        let seg = self.find(va).ok_or(FaultError::NoAccess)?;
        if !seg.allows(access) {
            return Err(FaultError::NoAccess);
        }
        match seg.fault(up, &self.space, va, access == FaultAccess::Write) {
            Ok(true) => Ok(()),
            Ok(false) => Err(FaultError::NoAccess),
            Err(e) if e.is(abi::error::ENOVMEM) || e.is(abi::error::ENOMEM) => Err(FaultError::NoMemory),
            Err(e) => Err(FaultError::Load(seg.path(), e)),
        }
    }

    /// How many bytes from `va` on are zeros that nobody has touched, and may be written: storing zeros there
    /// changes nothing.
    pub(crate) fn untouched(&self, va: u64) -> u64 {
        self.find(va).filter(|s| s.is_writable()).map_or(0, |s| s.untouched(va))
    }

    /// Is there memory, to be written when `write`, at all of `va..va + len`? Nothing is paged in.
    ///
    /// # Errors
    /// A bad address.
    #[inline]
    pub(crate) fn check(&self, va: u64, len: usize, write: bool) -> Result<()> {
        // What is mapped is there.
        if self.space.holds(va, len, write) { Ok(()) } else { self.check_segments(va, len, write) }
    }

    #[inline(never)]
    fn check_segments(&self, va: u64, len: usize, write: bool) -> Result<()> {
        let end = va.checked_add(len as u64).ok_or(Error::bad_address())?;
        let mut at = va;
        while at < end {
            let top = self.end_at(at, write).unwrap_or(0);
            if top <= at {
                return Err(Error::bad_address());
            }
            at = top;
        }
        Ok(())
    }

    /// Pins the bytes `va..va + len`: present, private when they are to be written.
    ///
    /// # Errors
    /// A bad address; no memory.
    pub fn pin(&self, va: u64, len: usize, write: bool) -> Result<Vec<Pinned>> {
        if len != 0
            && let Some(pinned) = self.space.pin(va, len, write)
        {
            let mut out = heap::try_vec(1)?;
            out.push(pinned);
            return Ok(out);
        }
        let up = self.owner()?;
        let mut out = heap::try_vec(len / PAGE as usize + 2)?;
        let mut at = va;
        let mut left = len;
        while left > 0 {
            let seg = self.find(at).ok_or(Error::bad_address())?;
            if write && !seg.is_writable() {
                return Err(Error::bad_address());
            }
            match seg.pin(&up, at, left, write, &mut out)? {
                0 => return Err(Error::bad_address()),
                n => {
                    at += n as u64;
                    left -= n;
                }
            }
        }
        Ok(out)
    }
}
