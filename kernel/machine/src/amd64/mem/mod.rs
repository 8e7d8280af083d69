//! Memory: frames, page tables, address spaces, the heap, and how much there is of it all.
//!
//! From the bottom: `map`, `modules` and `early` (what the loader says there is), `tables` (page tables as
//! data), `copy`, `frames` on a `bitmap`, `paging` (the kernel's own half) and `flush` (stale translations
//! on all processors), `window` on `slots` and `freed` (blocks of whole pages from single frames), and on these
//! `heap`, `stack`, `page` with `constant`, `space` with `leaves`, and `dma`. `frames`, `paging`, `flush` and
//! `window` know one another: a table is made of frames, what is unmapped is flushed, and what `window`, `spare`
//! (small blocks) and `blank` (empty page tables) keep for later comes back when frames are wanted. The room imports
//! none of those above it.

mod bitmap;
mod blank;
mod constant;
pub(super) mod copy;
pub mod dma;
pub(crate) mod early;
pub(crate) mod flush;
pub(crate) mod frames;
mod freed;
pub mod grant;
mod heap;
pub(crate) mod leaves;
mod map;
mod modules;
pub mod page;
pub(crate) mod paging;
mod slots;
pub mod space;
pub(crate) mod spare;
pub(crate) mod stack;
pub(crate) mod tables;
mod window;

use tables::PAGE;

/// Bytes of memory that the kernel manages: what the loader called RAM, without the kernel image, the
/// modules and the first megabyte.
pub fn total_bytes() -> u64 {
    frames::counts().0 as u64 * PAGE
}

/// Bytes that nobody uses.
pub fn free_bytes() -> u64 {
    frames::counts().1 as u64 * PAGE
}

/// Bytes the kernel uses for itself: heap, tables, stacks, buffers shared with devices.
pub fn kernel_bytes() -> u64 {
    frames::counts().2 as u64 * PAGE
}

/// Bytes that programs have to leave free.
pub fn aside_bytes() -> u64 {
    frames::aside() as u64 * PAGE
}

/// Bytes of blocks from which small ones are made.
pub fn heap_bytes() -> u64 {
    heap::chunks() as u64 * PAGE
}

/// Bytes of the kernel's own page tables, of programs' page tables, and of threads' stacks.
pub fn table_bytes() -> [u64; 3] {
    [frames::maps(), blank::used(), frames::threads() * stack::PAGES].map(|n| n as u64 * PAGE)
}

/// Reads physical memory for the firmware's tables: what the direct map covers, what the memory map calls by another
/// name, and the firmware's own part of the first megabyte. False elsewhere, where devices are, which do something
/// when they are read.
pub(crate) fn read_phys(phys: u64, buf: &mut [u8]) -> bool {
    let Some(end) = phys.checked_add(buf.len() as u64) else { return false };
    if let Some(va) = paging::direct(phys, buf.len() as u64) {
        // SAFETY: the direct map covers all of it; whoever writes there meanwhile gives a mixture.
        unsafe { copy::bytes(va as *const u8, buf.as_mut_ptr(), buf.len()) };
        return true;
    }
    if !paging::is_told(phys, end) {
        return false;
    }
    let Ok(window) = paging::map_device(phys, buf.len()) else { return false };
    for (i, b) in buf.iter_mut().enumerate() {
        // SAFETY: inside of what was just mapped, for good; whatever answers there gives a byte.
        *b = unsafe { core::ptr::read_volatile((window + i) as *const u8) };
    }
    true
}
