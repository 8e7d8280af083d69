//! How much memory there is, and a reader for physical memory that nobody maps (firmware tables).

use super::frames;
use super::io::Mmio;
use super::paging;
use super::tables::PAGE;

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

/// Whether programs may have that many bytes more, with the kernel's reserve left.
pub fn programs_may_have(bytes: u64) -> bool {
    usize::try_from(bytes.div_ceil(PAGE)).is_ok_and(frames::user_may_have)
}

/// Reads physical memory wherever it is, for firmware tables. False when it cannot be mapped.
pub fn read_phys(phys: u64, buf: &mut [u8]) -> bool {
    if let Some(va) = paging::direct(phys, buf.len() as u64) {
        // SAFETY: the direct map covers all of it, and firmware tables are not written any more.
        unsafe { core::ptr::copy_nonoverlapping(va as *const u8, buf.as_mut_ptr(), buf.len()) };
        return true;
    }
    let Ok(window) = Mmio::map(phys, buf.len()) else { return false };
    for (i, b) in buf.iter_mut().enumerate() {
        *b = window.read8(i);
    }
    true
}
