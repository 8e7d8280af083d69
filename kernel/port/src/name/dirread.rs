//! Reading directories: whole records, unions, mount points among the entries.
//!
//! A device gives whole stat records at offsets of its own; a program sees one stream of bytes. Between the two
//! stands the channel's [`DirPos`]: which element of a union is being read, where in it, and records that did
//! not fit into the last buffer. The bytes returned so far are the channel's offset, the only position
//! besides 0 at which a program may go on.
//!
//! Elements of a union come one after the other, duplicates and all. An entry that is itself mounted upon is
//! shown as what is mounted there, under the entry's name.
//!
//! Locks: `Chan::dir` (sleeping) for the whole read; it is released before bytes go to user memory.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, error};
use machine::heap;

use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::name::chan::{Chan, DirPos};
use crate::name::namec::clone_chan;
use crate::name::namespace::Pgrp;
use crate::proc::process::Proc;

/// Least and most bytes that a device is asked for at once.
const ASK: (usize, usize) = (8192, 65536);

/// Reads the directory `c`, which is open, at `offset`.
///
/// # Errors
/// `seek in directory`; `i/o count too small` when not even one record fits; what the device says.
pub(crate) fn read(up: &Arc<Proc>, c: &Arc<Chan>, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
    let room = dst.len();
    let bytes = {
        let mut pos = c.dir().lock_intr()?;
        if offset == 0 {
            *pos = DirPos::default();
            c.offset.set(0);
        } else if offset != c.offset.get() {
            return Err(error::EDIRSEEK.into());
        }
        if pos.unread.is_empty() {
            fill(up, c, &mut pos, room.clamp(ASK.0, ASK.1))?;
        }
        let n = whole_records(&pos.unread, room);
        if n == 0 && !pos.unread.is_empty() {
            return Err(error::ESHORT.into());
        }
        let rest = heap::try_copy(pos.unread.get(n..).unwrap_or(&[]))?;
        let mut bytes = core::mem::replace(&mut pos.unread, rest);
        bytes.truncate(n);
        c.offset.advance(bytes.len() as u64);
        bytes
    };
    dst.put(0, &bytes)?;
    Ok(bytes.len())
}

/// Length of the record at the front, 0 when there is none.
fn record(bytes: &[u8]) -> usize {
    match bytes {
        [a, b, ..] => usize::from(u16::from_le_bytes([*a, *b])) + 2,
        _ => 0,
    }
}

/// How many bytes of `records` are whole records and fit into `room`.
fn whole_records(records: &[u8], room: usize) -> usize {
    let mut end = 0;
    loop {
        let n = record(records.get(end..).unwrap_or(&[]));
        if n == 0 || end + n > room.min(records.len()) {
            return end;
        }
        end += n;
    }
}

/// Gets the next records into `pos.unread`; leaves it empty at the end of the directory.
fn fill(up: &Arc<Proc>, c: &Arc<Chan>, pos: &mut DirPos, ask: usize) -> Result<()> {
    let mut buf = heap::try_bytes(ask)?;
    let Some(union) = &c.umh else {
        let n = c.dev.read(up, c, &mut Dst::Kernel(&mut buf), pos.offset)?;
        return take(up, c, pos, buf, n);
    };
    let list = union.list();
    while let Some(m) = list.get(pos.element) {
        let element = match &pos.open {
            Some(open) => Ok(open.clone()),
            // The channel itself is open on what was first in the union.
            None if m.to.same_file(c) && !c.dev.is_union(c) => Ok(c.clone()),
            None => clone_chan(up, &m.to).and_then(|e| e.dev.clone().open(up, e, abi::OREAD)),
        };
        if let Err(e) = &element
            && e.is_note()
        {
            return Err(e.clone());
        }
        if let Ok(element) = element {
            // A channel that held itself would never be closed.
            if !Arc::ptr_eq(&element, c) {
                pos.open = Some(element.clone());
            }
            // A union by itself is read as one, and shows what is mounted on its entries; there is none in it.
            let is_union = element.dev.is_union(&element);
            let mut dst = Dst::Kernel(&mut buf);
            let got = match is_union {
                true => read(up, &element, &mut dst, pos.offset),
                false => element.dev.read(up, &element, &mut dst, pos.offset),
            };
            match got {
                Ok(0) => {}
                Ok(n) if is_union => {
                    buf.truncate(n);
                    pos.unread = buf;
                    pos.offset += n as u64;
                    return Ok(());
                }
                Ok(n) => return take(up, &element, pos, buf, n),
                Err(e) if e.is_note() => return Err(e),
                // What cannot be read is left out, as an element that cannot be opened.
                Err(_) => {}
            }
        }
        pos.element += 1;
        pos.open = None;
        pos.offset = 0;
    }
    Ok(())
}

/// `buf[..n]` came from the directory `c`: checks it and shows what is mounted on its entries.
fn take(up: &Arc<Proc>, c: &Chan, pos: &mut DirPos, mut buf: Vec<u8>, n: usize) -> Result<()> {
    buf.truncate(n);
    if whole_records(&buf, n) != n {
        return Err(error::EBADSTAT.into());
    }
    let pgrp = up.pgrp();
    pos.unread = if pgrp.any_on(c.dev.letter(), c.devno) { show_mounted(up, &pgrp, c, &buf)? } else { buf };
    // Not before: what could not be shown is read again.
    pos.offset += n as u64;
    Ok(())
}

fn show_mounted(up: &Arc<Proc>, pgrp: &Pgrp, c: &Chan, records: &[u8]) -> Result<Vec<u8>> {
    let mut out = heap::try_vec(records.len())?;
    let mut rest = records;
    while !rest.is_empty() {
        let (this, after) = rest.split_at(record(rest).min(rest.len()));
        let (head, strings) = this.split_first_chunk().ok_or(error::EBADSTAT)?;
        let qid = Dir::from_head(head, [(); 4]).qid;
        match mounted(up, pgrp, (c.dev.letter(), c.devno, qid.path))? {
            Some(shown) => {
                let (len, behind) = strings.split_first_chunk().ok_or(error::EBADSTAT)?;
                let name = behind.get(..u16::from_le_bytes(*len).into()).ok_or(error::EBADSTAT)?;
                let shown = Dir { name: heap::try_lossy(name)?, ..shown };
                heap::try_reserve(&mut out, shown.size())?;
                shown.append_to(&mut out);
            }
            None => heap::try_extend(&mut out, this)?,
        }
        rest = after;
    }
    Ok(out)
}

/// What is mounted there, if it can be asked. A note ends it here: there may be thousands of mounts, and nobody is to
/// wait for the servers of all of them.
fn mounted(up: &Arc<Proc>, pgrp: &Pgrp, key: (char, u32, u64)) -> Result<Option<Dir>> {
    let Some(to) = pgrp.find(key).and_then(|head| Some(head.list().first()?.to.clone())) else {
        return Ok(None);
    };
    match to.dev.stat(up, &to) {
        Err(e) if e.is_note() => Err(e),
        shown => Ok(shown.ok()),
    }
}
