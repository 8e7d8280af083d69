//! Page tables as data structure: walking four levels, entries as plain words.
//!
//! Nothing here knows what is mapped where (`paging` for the kernel, `space` for programs) or locks anything: the
//! caller owns the tree it walks. Tables are reached through the direct map.

use super::paging::DIRECT;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

pub const PRESENT: u64 = 1;
pub const WRITE: u64 = 1 << 1;
pub const USER: u64 = 1 << 2;
/// Write-through and cache-disable: with the reset value of the PAT, uncached.
pub const UNCACHED: u64 = 1 << 3 | 1 << 4;
/// The processor has used the entry, and has written there.
pub const ACCESSED: u64 = 1 << 5;
pub const DIRTY: u64 = 1 << 6;
pub const LARGE: u64 = 1 << 7;
pub const NO_EXECUTE: u64 = 1 << 63;
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

pub const PAGE: u64 = 4096;
pub const ENTRIES: u64 = 512;
/// Levels above the pages: 1 is a page table, 4 the root.
const ROOT: u32 = 4;

/// Bytes that one entry of a table at `level` covers.
pub const fn span(level: u32) -> u64 {
    PAGE << (9 * (level - 1))
}

/// One table: 512 entries in a page frame.
#[derive(Clone, Copy)]
pub struct Table(u64);

impl Table {
    /// The table in the frame at `phys`.
    ///
    /// # Safety
    /// The frame holds a page table, is covered by the direct map, and stays a table while this value is used.
    pub unsafe fn at(phys: u64) -> Table {
        Table(phys)
    }

    /// Its frame's physical address.
    pub fn phys(self) -> u64 {
        self.0
    }

    /// Entry number `index` (modulo 512). Atomic because the processor reads and marks entries on its own.
    #[inline]
    pub fn slot(self, index: u64) -> &'static AtomicU64 {
        let address = DIRECT + self.0 + (index % ENTRIES) * 8;
        // SAFETY: by `at`'s contract the frame is a table in the direct map; atomics may be shared.
        unsafe { &*(address as *const AtomicU64) }
    }

    /// The entries of these numbers, as far as there are such.
    #[inline]
    pub fn slots(self, numbers: Range<u64>) -> &'static [AtomicU64] {
        let table = (DIRECT + self.0) as *const [AtomicU64; ENTRIES as usize];
        // SAFETY: as in `slot`.
        let table = unsafe { &*table };
        table.get(numbers.start as usize..numbers.end as usize).unwrap_or_default()
    }

    /// The table below an entry, if it leads to one.
    #[inline]
    pub fn below(self, index: u64) -> Option<Table> {
        let e = self.slot(index).load(Ordering::Relaxed);
        (e & PRESENT != 0 && e & LARGE == 0).then_some(Table(e & ADDRESS))
    }

    /// The index of `va` in a table at `level`.
    #[inline]
    pub fn index(va: u64, level: u32) -> u64 {
        va / span(level) % ENTRIES
    }

    /// The entry for `va` at `level` under the root `self`, if the tables above it exist.
    pub fn find(self, va: u64, level: u32) -> Option<&'static AtomicU64> {
        let mut table = self;
        for l in (level + 1..=ROOT).rev() {
            table = table.below(Table::index(va, l))?;
        }
        Some(table.slot(Table::index(va, level)))
    }

    /// The page table (level 1) for `va` under the root `self`.
    ///
    /// # Errors
    /// The level of the entry that leads nowhere.
    pub fn leaf(self, va: u64) -> Result<Table, u32> {
        let mut table = self;
        for l in (2..=ROOT).rev() {
            table = table.below(Table::index(va, l)).ok_or(l)?;
        }
        Ok(table)
    }

    /// The same as `find`, making the tables above with zeroed frames from `alloc`; `flags` go into the entries
    /// leading there. Nothing when `alloc` has none, or a large page is in the way.
    pub fn make(
        self,
        va: u64,
        level: u32,
        flags: u64,
        alloc: &mut dyn FnMut() -> Option<u64>,
    ) -> Option<&'static AtomicU64> {
        let mut table = self;
        for l in (level + 1..=ROOT).rev() {
            let index = Table::index(va, l);
            if table.slot(index).load(Ordering::Relaxed) & PRESENT == 0 {
                table.slot(index).store(alloc()? | PRESENT | flags, Ordering::Release);
            }
            table = table.below(index)?;
        }
        Some(table.slot(Table::index(va, level)))
    }

    /// Maps `len` bytes (whole pages) at `va` to `phys` with the largest pages up to `max_level` that fit.
    pub fn map(
        self,
        va: u64,
        phys: u64,
        len: u64,
        flags: u64,
        max_level: u32,
        alloc: &mut dyn FnMut() -> Option<u64>,
    ) -> Option<()> {
        let mut done = 0;
        while done < len {
            let fits = |l: &u32| {
                (va + done).is_multiple_of(span(*l))
                    && (phys + done).is_multiple_of(span(*l))
                    && len - done >= span(*l)
            };
            let level = (2..=max_level).rev().find(fits).unwrap_or(1);
            let large = if level > 1 { LARGE } else { 0 };
            let slot = self.make(va + done, level, WRITE, alloc)?;
            slot.store((phys + done) | PRESENT | flags | large, Ordering::Release);
            done += span(level);
        }
        Some(())
    }

    /// What `va` is mapped to: physical address and entry, whatever the page's size.
    pub fn translate(self, va: u64) -> Option<(u64, u64)> {
        for level in 1..ROOT {
            let Some(slot) = self.find(va, level) else { continue };
            let e = slot.load(Ordering::Relaxed);
            if e & PRESENT == 0 || (level > 1 && e & LARGE == 0) {
                return None;
            }
            let mask = span(level) - 1;
            return Some(((e & ADDRESS & !mask) | (va & mask), e));
        }
        None
    }
}
