//! `ndb`: what programs that configure the network tell one another. The stack only keeps it.
//!
//! A program that changes a part of it reads it, and writes all. Two that do so at a time would lose what one of them
//! has written; so who has it open for reading and writing at once can write it from the beginning only while nobody
//! else has changed it since. Others write as they like.
//!
//! Locks: the one that there is is a leaf.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;

use crate::error::Result;

/// Bytes of the longest text.
pub(super) const MOST: usize = 1024;

struct Kept {
    text: Arc<str>,
    /// One more after each change.
    version: u32,
}

/// See the module comment.
pub(super) struct Ndb(Lock<Kept>);

impl Ndb {
    /// One that says nothing.
    pub(super) fn new() -> Ndb {
        Ndb(Lock::new(Kept { text: "".into(), version: 0 }))
    }

    pub(super) fn text(&self) -> Arc<str> {
        self.0.lock().text.clone()
    }

    /// How often it has been changed.
    pub(super) fn version(&self) -> u32 {
        self.0.lock().version
    }

    /// It says nothing any more.
    pub(super) fn clear(&self) {
        let new = as_kernel(|| Arc::<str>::from(""));
        let mut kept = self.0.lock();
        let old = core::mem::replace(&mut kept.text, new);
        kept.version = kept.version.wrapping_add(1);
        drop(kept);
        drop(old);
    }

    /// What stood before `offset` stays, `bytes` are behind it, and nothing else. `seen` is the number of
    /// changes that the writer knows of, if that matters to him. Says how many there have been now.
    ///
    /// # Errors
    /// `device or object already in use`: it has been changed since. It is no text, or too long; there is
    /// nothing before `offset`; no memory.
    pub(super) fn write(&self, bytes: &[u8], offset: u64, seen: Option<u32>) -> Result<u32> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        loop {
            let before = self.text();
            let new = as_kernel(|| joined(before.as_bytes().get(..at).ok_or(error::EBADARG)?, bytes))?;
            let mut kept = self.0.lock();
            if at == 0 && seen.is_some_and(|seen| seen != kept.version) {
                return Err(error::EINUSE.into());
            }
            // What is added is added to what is there.
            if at != 0 && !Arc::ptr_eq(&kept.text, &before) {
                continue;
            }
            let old = core::mem::replace(&mut kept.text, new);
            kept.version = kept.version.wrapping_add(1);
            let version = kept.version;
            drop(kept);
            drop(old);
            return Ok(version);
        }
    }
}

/// Two pieces of a text.
fn joined(stays: &[u8], bytes: &[u8]) -> Result<Arc<str>> {
    if stays.len() + bytes.len() > MOST {
        return Err(error::ETOOBIG.into());
    }
    let mut all = Vec::new();
    heap::try_reserve(&mut all, stays.len() + bytes.len())?;
    all.extend_from_slice(stays);
    all.extend_from_slice(bytes);
    Ok(core::str::from_utf8(&all).map_err(|_| error::EBADARG)?.into())
}
