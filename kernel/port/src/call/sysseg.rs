//! The calls that make segments of a program's memory, change them and give them back.

use alloc::sync::Arc;

use abi::error;
use abi::layout::{PAGE, UTZERO};

use crate::error::Result;
use crate::mem::{Kind, Segment};
use crate::proc::process::Proc;

/// `segattach`: memory of a class, at an address of the caller's or, for 0, the kernel's choice. Gives the address.
///
/// # Errors
/// `bad arg in system call` for unknown classes and attributes, no length, an address below the text; no room.
pub(crate) fn segattach(up: &Arc<Proc>, attr: u32, class: &str, va: u64, len: u32) -> Result<u64> {
    let kind = match class {
        "shared" => Kind::Shared,
        "memory" => Kind::Memory,
        _ => return Err(error::EBADARG.into()),
    };
    if attr & !(abi::SG_RONLY | abi::SG_CEXEC) != 0 || len == 0 {
        return Err(error::EBADARG.into());
    }
    let len = u64::from(len).next_multiple_of(PAGE);
    let base = match va & !(PAGE - 1) {
        0 => up.mem.room_below_stack(len).ok_or(error::ENOVMEM)?,
        // Whatever is below the text stays a trap for null pointers.
        va if va < UTZERO => return Err(error::EBADARG.into()),
        va => va,
    };
    let top = base.checked_add(len).ok_or(error::EBADARG)?;
    let write = attr & abi::SG_RONLY == 0;
    let seg = Segment::attached(kind, base, top, write, attr & abi::SG_CEXEC != 0);
    up.mem.add(seg)?;
    Ok(base)
}

/// `segdetach`: the segment around `va` goes, unless it is the stack.
///
/// # Errors
/// `bad arg in system call`.
pub(crate) fn segdetach(up: &Arc<Proc>, va: u64) -> Result<()> {
    let seg = up.mem.find_whole(va)?;
    if seg.kind == Kind::Stack {
        return Err(error::EBADARG.into());
    }
    up.mem.remove(&seg);
    Ok(())
}

/// `segflush`: what has been written between may be executed. As on 9front that goes for the whole of each segment
/// there; the processor itself sees to its caches.
///
/// # Errors
/// `bad arg in system call` when there is no segment at some of it; `interrupted`.
pub(crate) fn segflush(up: &Arc<Proc>, va: u64, len: u32) -> Result<()> {
    let mut at = va & !(PAGE - 1);
    let end = va.checked_add(u64::from(len)).ok_or(error::EBADARG)?;
    while at < end {
        let seg = up.mem.find_whole(at)?;
        seg.make_executable();
        at = seg.top();
        if at < end {
            up.pause()?;
        }
    }
    Ok(())
}

/// `segbrk`: moves the end of the attached segment around `va`.
///
/// # Errors
/// `bad arg in system call`, what [`Memory::resize`](crate::mem::Memory::resize) says.
pub(crate) fn segbrk(up: &Arc<Proc>, va: u64, top: u64) -> Result<()> {
    let seg = up.mem.find_whole(va)?;
    if !matches!(seg.kind, Kind::Shared | Kind::Memory) {
        return Err(error::EBADARG.into());
    }
    up.mem.resize(&seg, top)
}

/// `segfree`: the pages between are given back; they are there again, empty or from the file, when they are touched.
///
/// # Errors
/// `bad arg in system call` when the range is not within one segment.
pub(crate) fn segfree(up: &Arc<Proc>, from: u64, len: u32) -> Result<()> {
    let seg = up.mem.find_whole(from)?;
    let to = from.checked_add(u64::from(len)).filter(|&to| to <= seg.top()).ok_or(error::EBADARG)?;
    seg.free_range(from, to);
    Ok(())
}
