//! Reading and writing an open channel: directories and streams, and the offset that a descriptor has.
//!
//! No lock is held while the device works.

use alloc::sync::Arc;

use abi::error;

use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::name::dirread;
use crate::proc::process::Proc;

/// Reads from an open channel. An `offset` of -1 uses and advances the channel's own.
///
/// # Errors
/// `negative i/o offset`; for directories as [`dirread::read`]; what the device says.
#[inline(always)]
pub(crate) fn read(up: &Arc<Proc>, c: &Arc<Chan>, dst: &mut Dst<'_>, offset: i64) -> Result<usize> {
    let own = offset == -1;
    let at = if own { c.offset.get() } else { u64::try_from(offset).map_err(|_| error::ENEGOFF)? };
    if c.qid.is_dir() {
        return dirread::read(up, c, dst, at);
    }
    if c.is_stream() {
        return c.dev.read(up, c, dst, 0);
    }
    let n = c.dev.read(up, c, dst, at)?;
    if own {
        c.offset.advance(n as u64);
    }
    Ok(n)
}

/// Writes to an open channel. An `offset` of -1 uses and advances the channel's own.
///
/// # Errors
/// `file is a directory`; `negative i/o offset`; what the device says.
#[inline(always)]
pub(crate) fn write(up: &Arc<Proc>, c: &Arc<Chan>, src: &Src<'_>, offset: i64) -> Result<usize> {
    if c.qid.is_dir() {
        return Err(error::EISDIR.into());
    }
    if c.is_stream() {
        if offset < -1 {
            return Err(error::ENEGOFF.into());
        }
        return c.dev.write(up, c, src, 0);
    }
    if offset != -1 {
        let at = u64::try_from(offset).map_err(|_| error::ENEGOFF)?;
        return c.dev.write(up, c, src, at);
    }
    // The offset moves first, so that two who write through one descriptor do not overwrite each other.
    let want = src.len() as u64;
    let at = c.offset.advance(want);
    let result = c.dev.write(up, c, src, at);
    let missing = want.saturating_sub(*result.as_ref().unwrap_or(&0) as u64);
    if missing != 0 {
        c.offset.retreat(missing);
    }
    result
}
