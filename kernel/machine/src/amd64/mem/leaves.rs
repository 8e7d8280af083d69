//! Reading and writing through a program's page tables, as the kernel does for every call.
//!
//! Each processor remembers some page tables of the space that it has loaded ([`Leaves`]), so that what calls are given
//! is found without looking at the tables above. Whoever unmaps a page waits for all processors that have the space
//! loaded (`space`), so with interrupts off nothing found there goes away.

use super::page::Page;
use super::space::AddressSpace;
use super::tables::{self, ADDRESS, PAGE, PRESENT, Table, WRITE};
use crate::amd64::cpu;
use crate::amd64::lock::LockGuard;
use crate::types::Prot;
use abi::layout::USTKTOP;
use core::cell::Cell;
use core::sync::atomic::Ordering;
use x86_64::instructions::interrupts;

/// Page tables that a processor remembers.
const LEAVES: usize = 4;

impl AddressSpace {
    /// What is mapped at an address: a counted reference and how it may be used.
    pub fn lookup(&self, va: u64) -> Option<(Page, Prot)> {
        if va >= USTKTOP {
            return None;
        }
        let _guard = self.lock.lock();
        let entry = self.table().find(va, 1)?.load(Ordering::Acquire);
        if entry & PRESENT == 0 {
            return None;
        }
        let prot = Prot { write: entry & WRITE != 0, exec: entry & tables::NO_EXECUTE == 0 };
        // SAFETY: the entry holds a reference, and stays while the lock is held.
        Some((unsafe { Page::share_phys(entry & ADDRESS) }, prot))
    }

    /// Copies bytes from `va` on. False, and nothing is done, unless they lie in one page that is mapped.
    pub fn read(&self, va: u64, buf: &mut [u8]) -> bool {
        self.with_page(va, buf.len(), 0, |page, offset| page.read(offset, buf))
    }

    /// Copies bytes to `va`. False, and nothing is done, unless they lie in one page that is mapped to be written.
    pub fn write(&self, va: u64, data: &[u8]) -> bool {
        self.with_page(va, data.len(), WRITE, |page, offset| page.write(offset, data))
    }

    /// Words from `va` on, of a page that is mapped. None unless they lie in one, and `va` is a word's.
    #[inline]
    pub fn read_words<const N: usize>(&self, va: u64) -> Option<[u64; N]> {
        if !va.is_multiple_of(8) {
            return None;
        }
        let mut words = [0; N];
        let read = |page: &Page, offset: usize| {
            words = page.read_words(offset);
        };
        self.with_page(va, N * 8, 0, read).then_some(words)
    }

    /// Whether these bytes lie in one page that is mapped, to be written if `write`.
    pub fn holds(&self, va: u64, len: usize, write: bool) -> bool {
        self.with_page(va, len, if write { WRITE } else { 0 }, |_, _| ())
    }

    /// Does something with `len` bytes of a page if it is mapped, with the flags `needs`. The page cannot become
    /// another's meanwhile: either the lock is held, or interrupts are off on a processor that has the space loaded,
    /// and whoever has unmapped the page waits for that one's answer before he drops it.
    #[inline]
    fn with_page(&self, va: u64, len: usize, needs: u64, use_it: impl FnOnce(&Page, usize)) -> bool {
        let offset = va % PAGE;
        if va >= USTKTOP || len as u64 > PAGE - offset {
            return false;
        }
        let enabled = interrupts::are_enabled();
        interrupts::disable();
        let cpu = cpu::this();
        let guard = if cpu.root.get() == self.root { None } else { Some(self.lock_elsewhere()) };
        let table = match cpu.leaves.find(va) {
            Some(table) if guard.is_none() => Some(table),
            _ => self.table().leaf(va).ok().inspect(|table| {
                if guard.is_none() {
                    cpu.leaves.put(va, *table);
                }
            }),
        };
        let found = table.is_some_and(|table| {
            let entry = table.slot(Table::index(va, 1)).load(Ordering::Acquire);
            let there = entry & (PRESENT | needs) == PRESENT | needs;
            if there {
                // SAFETY: the entry holds a reference, and the page stays as it is said above.
                unsafe { Page::with_phys(entry & ADDRESS, |page| use_it(page, offset as usize)) };
            }
            there
        });
        drop(guard);
        if enabled {
            interrupts::enable();
        }
        found
    }

    #[cold]
    fn lock_elsewhere(&self) -> LockGuard<'_, ()> {
        self.lock.lock()
    }
}

/// Page tables of the space that a processor has loaded, by the addresses that they are for: a program's stack, and
/// what its calls are given, are found without looking at the tables above. A space's tables stay as long as it is
/// loaded.
pub(crate) struct Leaves([Cell<(u64, u64)>; LEAVES]);

impl Leaves {
    pub const fn new() -> Leaves {
        Leaves([const { Cell::new((u64::MAX, 0)) }; LEAVES])
    }

    #[inline]
    fn find(&self, va: u64) -> Option<Table> {
        let part = va / tables::span(2);
        let (for_part, phys) = self.0[part as usize % LEAVES].get();
        // SAFETY: `put` for this space, which is loaded still.
        (for_part == part).then(|| unsafe { Table::at(phys) })
    }

    fn put(&self, va: u64, table: Table) {
        let part = va / tables::span(2);
        self.0[part as usize % LEAVES].set((part, table.phys()));
    }

    /// Another space is loaded.
    pub(super) fn forget(&self) {
        self.0.iter().for_each(|leaf| leaf.set((u64::MAX, 0)));
    }
}
