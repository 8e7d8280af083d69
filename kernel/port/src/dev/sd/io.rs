//! Reading and writing at any place: whole sectors go straight between the disk and the pages of whoever reads or
//! writes, what is less than a sector goes through a page in between.
//!
//! To write part of a sector is to read it and write it back, and nobody may write it meanwhile: that is done with the
//! disk's `writing` taken alone, which those who write whole sectors share.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use abi::error;
use abi::layout::PAGE;
use machine::page::{Page, Pinned};
use machine::thread;

use super::unit::{Part, Unit};
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src, kernel_pages};
use crate::proc::notes;
use crate::proc::process::Proc;

/// Most bytes that are pinned and moved together.
const CHUNK: u64 = 1 << 20;

/// A step of a transfer: bytes from one place of the disk, inside of a sector or whole sectors.
struct Step {
    sector: u64,
    /// Bytes of the sector before it; 0 for whole sectors.
    skip: usize,
    len: usize,
    whole: bool,
}

/// Moves up to `want` bytes between the partition and somebody, step by step. What was moved before a failure, or
/// before a note came, counts.
fn steps(
    unit: &Unit,
    part: &Part,
    want: usize,
    offset: u64,
    mut step: impl FnMut(usize, &Step) -> Result<()>,
) -> Result<usize> {
    let (start, room) = unit.extent(part);
    let size = u64::from(unit.disk.sector_size());
    let want = (want as u64).min(room.saturating_sub(offset));
    let mut done = 0;
    while done < want {
        let at = start.saturating_add(offset).saturating_add(done);
        let (sector, skip, left) = (at / size, at % size, want - done);
        let whole = skip == 0 && left >= size;
        let len = if whole { left.min(CHUNK) / size * size } else { left.min(size - skip) };
        let next = Step { sector, skip: skip as usize, len: len as usize, whole };
        match step(done as usize, &next) {
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
            Ok(()) => done += len,
        }
        if done < want && thread::current().interrupted() {
            break;
        }
    }
    Ok(done as usize)
}

/// A page for one sector.
fn sector_page(unit: &Unit) -> Result<(Page, Vec<Pinned>)> {
    let page = Page::new_zeroed()?;
    let pin = Pinned::new(page.clone(), 0, unit.disk.sector_size() as usize);
    Ok((page, vec![pin]))
}

/// Reads what is in the partition at `offset`; nothing at its end.
///
/// # Errors
/// `i/o error` when the disk fails; a bad address.
pub(crate) fn read(
    up: &Arc<Proc>,
    unit: &Unit,
    part: &Part,
    dst: &mut Dst<'_>,
    offset: u64,
) -> Result<usize> {
    let leave = || notes::must_die(up);
    steps(unit, part, dst.len(), offset, |done, step| {
        let mut bytes = [0; PAGE as usize];
        if !step.whole {
            let (page, pins) = sector_page(unit)?;
            unit.disk.read(step.sector, pins, &leave)?;
            let bytes = bytes.get_mut(..step.len).unwrap_or(&mut []);
            page.read(step.skip, bytes);
            return dst.put(done, bytes);
        }
        if let Some(pins) = dst.pin(done, step.len)? {
            return Ok(unit.disk.read(step.sector, pins, &leave)?);
        }
        let pages = kernel_pages(step.len)?;
        unit.disk.read(step.sector, pages.clone(), &leave)?;
        let mut at = done;
        for page in &pages {
            let bytes = bytes.get_mut(..page.len()).unwrap_or(&mut []);
            page.read(0, bytes);
            dst.put(at, bytes)?;
            at += bytes.len();
        }
        Ok(())
    })
}

/// Writes to the partition at `offset`, as much as there is room for.
///
/// # Errors
/// `i/o error` at the end of the partition, and when the disk fails; a bad address.
pub(crate) fn write(up: &Arc<Proc>, unit: &Unit, part: &Part, src: &Src<'_>, offset: u64) -> Result<usize> {
    if !src.is_empty() && offset >= unit.extent(part).1 {
        return Err(error::EIO.into());
    }
    let leave = || notes::must_die(up);
    steps(unit, part, src.len(), offset, |done, step| {
        let mut bytes = [0; PAGE as usize];
        if !step.whole {
            // The caller's memory may be paged in from this very disk: before the lock.
            let bytes = bytes.get_mut(..step.len).unwrap_or(&mut []);
            src.get(done, bytes)?;
            let (page, pins) = sector_page(unit)?;
            let _alone = unit.writing.write();
            unit.disk.read(step.sector, pins.clone(), &leave)?;
            page.write(step.skip, bytes);
            return Ok(unit.disk.write(step.sector, pins, &leave)?);
        }
        let pins = match src.pin(done, step.len)? {
            Some(pins) => pins,
            None => {
                let pages = kernel_pages(step.len)?;
                let mut at = done;
                for page in &pages {
                    let bytes = bytes.get_mut(..page.len()).ok_or(Error::new(error::EBADARG))?;
                    src.get(at, bytes)?;
                    page.write(0, bytes);
                    at += bytes.len();
                }
                pages
            }
        };
        let _shared = unit.writing.read();
        Ok(unit.disk.write(step.sector, pins, &leave)?)
    })
}
