//! Who called whom, for a panic: return addresses along the frame pointers, with names.
//!
//! Nothing here takes a lock, allocates, or trusts a stack.

use super::symbols;
use crate::amd64::dev::console::Console;
use crate::amd64::mem::paging;
use core::fmt::{self, Write};
use core::ptr;

/// Of a long list so many callers are shown at each end.
const SHOWN: usize = 16;
/// More than a stack has room for.
const DEPTH: usize = 4096;

unsafe extern "C" {
    static __symbols_start: u8;
    static __symbols_end: u8;
}

/// An address in the kernel's text, with the name of its function where that is known.
pub struct At(pub u64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell_one(f, self.0, self.0)
    }
}

/// Where a call returns to. That is behind the call, and may be behind the function if it never returns.
struct Return(u64);

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell_one(f, self.0, self.0.wrapping_sub(1))
    }
}

/// An address, and what it is counted from the start of the function that `inside` is in.
fn tell_one(f: &mut fmt::Formatter<'_>, address: u64, inside: u64) -> fmt::Result {
    write!(f, "{address:#x}")?;
    let (start, end) = (&raw const __symbols_start, &raw const __symbols_end);
    // SAFETY: the linker script makes room for the table between the two, among the constants.
    let table = unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) };
    match symbols::find(table, paging::text_start(), inside) {
        Some(name) if paging::is_text(inside) => {
            write!(f, " {}+{:#x}", name.text(), name.offset + (address - inside))
        }
        _ => Ok(()),
    }
}

/// Tells who called the function whose frame that is, the innermost first; of many the first and the last.
pub fn tell(frame: u64) {
    let all = callers(frame).count();
    let left_out = SHOWN..all.saturating_sub(SHOWN).max(SHOWN);
    for (i, from) in callers(frame).enumerate() {
        if !left_out.contains(&i) {
            let _ = writeln!(Console, "  {}", Return(from));
        } else if i == left_out.start {
            let _ = writeln!(Console, "  ... and {} more ...", left_out.len());
        }
    }
}

/// Return addresses. The end is where a frame does not lie above the one before, or leads out of the text.
fn callers(mut frame: u64) -> impl Iterator<Item = u64> {
    let step = move || {
        if frame == 0 || !paging::is_readable(frame) || !paging::is_readable(frame + 8) {
            return None;
        }
        // SAFETY: mapped kernel memory and no device, aligned; another processor may be writing there, hence volatile.
        let (next, from) = unsafe {
            (ptr::read_volatile(frame as *const u64), ptr::read_volatile((frame + 8) as *const u64))
        };
        if !paging::is_text(from) {
            return None;
        }
        frame = if next > frame { next } else { 0 };
        Some(from)
    };
    core::iter::from_fn(step).take(DEPTH)
}
