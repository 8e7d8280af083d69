//! How much memory the machine has, and reading the firmware's tables.

use super::machine::machine;
use super::{dma, machine::Machine};

const PAGE: u64 = abi::layout::PAGE;

/// Bytes of memory there are.
pub fn total_bytes() -> u64 {
    machine().total_pages() as u64 * PAGE
}

/// Bytes that nobody uses.
pub fn free_bytes() -> u64 {
    let m = machine();
    m.total_pages().saturating_sub(m.used_pages()) as u64 * PAGE
}

/// Bytes the kernel uses for itself: tables, stacks, DMA memory. The host does not count its heap.
pub fn kernel_bytes() -> u64 {
    machine().kernel_pages() as u64 * PAGE
}

/// Bytes that programs have to leave free.
pub fn aside_bytes() -> u64 {
    super::KERNEL_RESERVE as u64 * PAGE
}

/// Bytes of blocks from which small ones are made: the host's heap is not counted.
pub fn heap_bytes() -> u64 {
    0
}

/// Bytes of the kernel's own page tables, of programs' page tables, and of threads' stacks: the host has none of them.
pub fn table_bytes() -> [u64; 3] {
    [0; 3]
}

/// Copies physical memory out: what a test put there as firmware, or any Page or Dma. False when not all of it exists.
pub(crate) fn read_phys(phys: u64, buf: &mut [u8]) -> bool {
    read_firmware(&machine(), phys, buf) || dma::peek(phys, buf)
}

fn read_firmware(m: &Machine, phys: u64, buf: &mut [u8]) -> bool {
    let firmware = m.firmware.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    firmware.iter().any(|f| {
        let Some(off) = phys.checked_sub(f.phys).and_then(|o| usize::try_from(o).ok()) else { return false };
        let Some(end) = off.checked_add(buf.len()) else { return false };
        f.bytes.get(off..end).map(|b| buf.copy_from_slice(b)).is_some()
    })
}
