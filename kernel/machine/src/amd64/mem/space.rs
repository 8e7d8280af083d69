//! Address spaces of programs: the lower half of a page table tree.
//!
//! Every present entry holds one reference to its `Page`. The lock guards the tree below the root; it is held while
//! translations are thrown away on every processor that has the space loaded (`flush`), so an unmapped page is not
//! reused while one still knows it. A processor that has the space loaded may also look without the lock, as it does
//! for the program, with interrupts off: what it has found stays until it serves a flush. Tables stay until the space
//! is dropped, which can only be when no processor has it loaded: each that has keeps a reference, in its
//! `Cpu::space`.

pub use crate::types::{OutOfMemory, Prot};

use super::blank;
use super::flush;
use super::frames;
use super::page::Page;
use super::paging;
use super::tables::{self, ACCESSED, ADDRESS, DIRTY, PAGE, PRESENT, Table, USER, WRITE};
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::lock::{Lock, LockGuard};
use abi::layout::USTKTOP;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::instructions::interrupts;

/// The root's level.
const ROOT: u32 = 4;
/// Page tables that a processor remembers.
const LEAVES: usize = 4;
/// Pages dropped at a time, with the lock released in between.
const BATCH: usize = 64;
/// Missing tables looked for in that time: a stretch of many gigabytes may be empty.
const LOOKS: usize = 128;
/// What going through a table counts for.
const TABLE: usize = 16;

/// A program's address space.
pub struct AddressSpace {
    root: u64,
    /// Guards the tables below the root.
    lock: Lock<()>,
    resident: AtomicU64,
    /// Bit set: that processor has it loaded.
    active: AtomicU64,
}

impl AddressSpace {
    /// An empty space.
    pub fn new() -> Result<Arc<AddressSpace>, OutOfMemory> {
        let root = blank::new_table().ok_or(OutOfMemory)?;
        let space = AddressSpace {
            root,
            lock: Lock::new(()),
            resident: AtomicU64::new(0),
            active: AtomicU64::new(0),
        };
        paging::share_with(space.table());
        Ok(Arc::new(space))
    }

    /// Maps a page, in place of whatever was there. The space takes over the reference.
    ///
    /// # Panics
    /// When `va` is not a program's, or not the start of a page.
    pub fn map(&self, va: u64, page: Page, prot: Prot) -> Result<(), OutOfMemory> {
        check(va, 1);
        let guard = self.lock.lock();
        let table = self.make_leaf(va).ok_or(OutOfMemory)?;
        let slot = table.slot(Table::index(va, 1));
        let new = page.into_phys() | flags(prot);
        let old = slot.swap(new, Ordering::AcqRel);
        if old & PRESENT == 0 {
            used(table).add_entry(Table::index(va, 1) as u32);
            self.resident.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if old & !(ACCESSED | DIRTY) == new {
            // Somebody else who shares the page was faster, or the processor remembered an older entry.
            cpu::this().tlb_faults.fetch_add(1, Ordering::Relaxed);
        }
        self.flush(va, 1);
        drop(guard);
        // SAFETY: the entry that held this reference is gone.
        drop(unsafe { Page::from_phys(old & ADDRESS) });
        Ok(())
    }

    /// Maps a page where nothing is mapped yet. False when something is: it stays.
    ///
    /// # Panics
    /// As `map`.
    pub fn map_absent(&self, va: u64, page: Page, prot: Prot) -> Result<bool, OutOfMemory> {
        check(va, 1);
        let guard = self.lock.lock();
        let table = self.make_leaf(va).ok_or(OutOfMemory)?;
        let slot = table.slot(Table::index(va, 1));
        let absent = slot.load(Ordering::Acquire) & PRESENT == 0;
        if absent {
            used(table).add_entry(Table::index(va, 1) as u32);
            slot.store(page.into_phys() | flags(prot), Ordering::Release);
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        drop(guard);
        Ok(absent)
    }

    /// The page table for `va`, made with those above it if need be. The lock is held.
    fn make_leaf(&self, va: u64) -> Option<Table> {
        if let Ok(table) = self.table().leaf(va) {
            return Some(table);
        }
        let mut table = self.table();
        for level in (2..=ROOT).rev() {
            let index = Table::index(va, level);
            let slot = table.slot(index);
            if slot.load(Ordering::Relaxed) & PRESENT == 0 {
                slot.store(blank::new_table()? | PRESENT | WRITE | USER, Ordering::Release);
                used(table).add_entry(index as u32);
            }
            table = table.below(index)?;
        }
        Some(table)
    }

    /// Unmaps a stretch and drops its references.
    ///
    /// # Panics
    /// As `map`.
    pub fn unmap(&self, va: u64, pages: u64) {
        check(va, pages);
        if pages == 1 {
            return self.unmap_one(va);
        }
        let end = va + pages * PAGE;
        let mut at = va;
        let mut gone: Vec<Page> = Vec::with_capacity(BATCH);
        while at < end {
            let first = at;
            let mut looks = 0;
            let guard = self.lock.lock();
            while at < end && gone.len() < BATCH && looks < LOOKS {
                at = match self.table().leaf(at) {
                    Ok(table) => {
                        looks += TABLE;
                        take(table, at, end, &mut gone)
                    }
                    // Nothing is mapped in all of what a missing table would cover.
                    Err(level) => {
                        looks += 1;
                        (at / tables::span(level) + 1) * tables::span(level)
                    }
                };
            }
            if !gone.is_empty() {
                self.resident.fetch_sub(gone.len() as u64, Ordering::Relaxed);
                self.flush(first, at.min(end).saturating_sub(first) / PAGE);
            }
            drop(guard);
            gone.clear();
        }
    }

    /// The same for a page, as for each that is written after a fork.
    fn unmap_one(&self, va: u64) {
        let guard = self.lock.lock();
        let Ok(table) = self.table().leaf(va) else { return };
        let old = table.slot(Table::index(va, 1)).swap(0, Ordering::AcqRel);
        if old & PRESENT == 0 {
            return;
        }
        used(table).end_entries(1);
        self.resident.fetch_sub(1, Ordering::Relaxed);
        self.flush(va, 1);
        drop(guard);
        // SAFETY: the entry that held this reference is gone.
        drop(unsafe { Page::from_phys(old & ADDRESS) });
    }

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

    /// Pages mapped.
    pub fn resident(&self) -> u64 {
        self.resident.load(Ordering::Relaxed)
    }

    fn table(&self) -> Table {
        // SAFETY: the root is this space's until it is dropped.
        unsafe { Table::at(self.root) }
    }

    /// Throws away translations where the space is loaded. The lock is held.
    fn flush(&self, va: u64, pages: u64) {
        flush::where_active(&self.active, va, pages);
    }

    /// Makes this the address space of the calling processor, whose interrupts are off. Returns the one before,
    /// which may be the last reference: to be dropped when there is time.
    #[must_use]
    pub(crate) fn activate(self: &Arc<AddressSpace>) -> Option<Arc<AddressSpace>> {
        debug_assert!(!interrupts::are_enabled());
        let cpu = cpu::this();
        if cpu.root.get() == self.root {
            return None;
        }
        self.active.fetch_or(cpu.bit(), Ordering::SeqCst);
        cpu.tlb_purges.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the root has the kernel's entries, and the reference below keeps it.
        unsafe { paging::load(self.root) };
        cpu.root.set(self.root);
        cpu.leaves.forget();
        // SAFETY: this processor's, with interrupts off.
        let old = unsafe { &mut *cpu.space.get() }.replace(self.clone());
        if let Some(old) = old.as_ref().filter(|old| old.root != self.root) {
            old.active.fetch_and(!cpu.bit(), Ordering::SeqCst);
        }
        old
    }

    /// Loads the kernel's own tables if the calling processor, whose interrupts are off, has this space loaded.
    pub(crate) fn unload(&self, cpu: &Cpu) {
        if cpu.root.get() == self.root {
            cpu.tlb_purges.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the kernel's own tables.
            unsafe { paging::load(paging::root()) };
            cpu.root.set(0);
            cpu.leaves.forget();
            self.active.fetch_and(!cpu.bit(), Ordering::SeqCst);
        }
    }

    /// Whether nobody but processors that have not loaded another yet keeps it.
    pub(crate) fn is_abandoned(self: &Arc<AddressSpace>) -> bool {
        Arc::strong_count(self) <= self.active.load(Ordering::SeqCst).count_ones() as usize
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
    fn forget(&self) {
        self.0.iter().for_each(|leaf| leaf.set((u64::MAX, 0)));
    }
}

/// What is known of a table of a space that is not dropped yet.
fn used(table: Table) -> &'static frames::Meta {
    // SAFETY: the frame is from `blank::new_table`, hence from the allocator.
    unsafe { frames::meta((table.phys() / PAGE) as u32) }
}

/// Takes pages from `va` to `end` out of the page table that is for `va`, as many as a batch has room for. Where to
/// go on.
fn take(table: Table, va: u64, end: u64, gone: &mut Vec<Page>) -> u64 {
    let base = va & !(tables::span(2) - 1);
    let stop = end.min(base + tables::span(2));
    // Only where entries have been, and no longer than there are any.
    let (mut left, first, behind) = used(table).entries();
    let last = stop.min(base + behind * PAGE);
    let (mut at, mut taken) = (va.max(base + first * PAGE), 0);
    while at < last && left > 0 {
        if gone.len() == BATCH {
            used(table).end_entries(taken);
            return at;
        }
        let slot = table.slot(Table::index(at, 1));
        at += PAGE;
        // Most of a sparse stretch is empty, and a look is cheaper than an exchange.
        if slot.load(Ordering::Relaxed) & PRESENT == 0 {
            continue;
        }
        let old = slot.swap(0, Ordering::AcqRel);
        if old & PRESENT != 0 {
            // SAFETY: the entry that held this reference is gone.
            gone.push(unsafe { Page::from_phys(old & ADDRESS) });
            (left, taken) = (left - 1, taken + 1);
        }
    }
    used(table).end_entries(taken);
    stop
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        free_below(self.table(), ROOT);
        paging::withdraw_from(self.table());
        // SAFETY: the root was taken in `new`, and no processor has it loaded: each that has keeps a reference. It has
        // no entries any more.
        unsafe { blank::free_table(self.root) };
    }
}

/// Frees everything that hangs below a table at `level`, which has no entries of the program afterwards.
fn free_below(table: Table, level: u32) {
    let (mut left, first, behind) = used(table).entries();
    // The last one first: of the root's, one is at either end.
    for i in [behind - 1].into_iter().chain(first..behind) {
        if left == 0 {
            break;
        }
        let entry = table.slot(i).load(Ordering::Relaxed);
        if entry & PRESENT == 0 {
            continue;
        }
        left -= 1;
        if level == 1 {
            table.slot(i).store(0, Ordering::Relaxed);
            // SAFETY: nobody walks this tree any more; the reference was the entry's.
            drop(unsafe { Page::from_phys(entry & ADDRESS) });
        } else if let Some(below) = table.below(i) {
            free_below(below, level - 1);
            table.slot(i).store(0, Ordering::Relaxed);
            // SAFETY: `make_leaf` took the table for this tree, which nobody walks any more; it has no entries now.
            unsafe { blank::free_table(entry & ADDRESS) };
        }
    }
    used(table).begin_table();
}

/// The flags of an entry.
fn flags(prot: Prot) -> u64 {
    let write = if prot.write { WRITE } else { 0 };
    let no_exec = if prot.exec { 0 } else { paging::nx() };
    PRESENT | USER | write | no_exec
}

fn check(va: u64, pages: u64) {
    let end = pages.checked_mul(PAGE).and_then(|len| va.checked_add(len));
    assert!(va.is_multiple_of(PAGE), "address {va:#x} is not a page's");
    assert!(end.is_some_and(|e| e <= USTKTOP), "address {va:#x} and {pages} pages is not a program's");
}
