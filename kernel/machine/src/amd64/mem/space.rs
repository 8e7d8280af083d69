//! Address spaces of programs: the lower half of a page table tree.
//!
//! Every present entry holds one reference to its `Page`. The lock guards the tree below the root; it is held while
//! translations are thrown away on every processor that has the space loaded (`flush`), so an unmapped page is not
//! reused while one still knows it. A processor that has the space loaded may also look without the lock, as it does
//! for the program, with interrupts put off (`leaves`): what it has found stays until it serves a flush. Tables stay
//! until the space is dropped, which can only be when no processor has it loaded: each that has keeps a reference, in
//! its `Cpu::space`.

pub use crate::types::{OutOfMemory, Prot};

use super::blank;
use super::flush;
use super::frames;
use super::leaves::Leaves;
use super::page::{Leaving, Page};
use super::paging;
use super::tables::{self, ACCESSED, ADDRESS, DIRTY, PAGE, PRESENT, Table, USER, WRITE};
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::interrupts;
use crate::amd64::lock::Lock;
use abi::layout::USTKTOP;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

/// The root's level.
const ROOT: u32 = 4;
/// Missing tables looked for with the lock in hand: a stretch of many gigabytes may be empty.
const LOOKS: usize = 128;
/// What going through a table counts for.
const TABLE: usize = 16;
/// Entries that are looked at together.
const LOOK: usize = 8;

/// A program's address space.
pub struct AddressSpace {
    pub(super) root: u64,
    /// Guards the tables below the root.
    pub(super) lock: Lock<()>,
    /// Some of the tables below the root, for who looks without the lock.
    pub(super) leaves: Leaves,
    /// A bit for each remainder of the numbers of 2 MiB stretches that there is a page table for, set for good: most
    /// stretches that are unmapped have none.
    marks: AtomicU64,
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
            leaves: Leaves::new(),
            marks: AtomicU64::new(0),
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
            used(table).add_entry(Table::index(va, 1));
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

    /// Maps the page at `wanted`, and with it others, where nothing is mapped yet: `pages` are from `va` on, one behind
    /// the other, as far as there are any; `wanted`'s is among them. The space gets references of its own. There are to
    /// be few, since interrupts are off meanwhile. False when something is mapped at `wanted`: it stays.
    ///
    /// # Errors
    /// No memory for `wanted`'s page table. For want of another one pages are left out.
    ///
    /// # Panics
    /// As `map`.
    pub fn map_absent<'a>(
        &self,
        wanted: u64,
        va: u64,
        mut pages: impl ExactSizeIterator<Item = Option<(&'a Page, Prot)>>,
    ) -> Result<bool, OutOfMemory> {
        check(va, pages.len() as u64);
        let _guard = self.lock.lock();
        let main = self.make_leaf(wanted).ok_or(OutOfMemory)?;
        let absent = main.slot(Table::index(wanted, 1)).load(Ordering::Relaxed) & PRESENT == 0;
        let mut at = va;
        while pages.len() > 0 {
            let is_main = at / tables::span(2) == wanted / tables::span(2);
            let Some(table) = is_main.then_some(main).or_else(|| self.make_leaf(at)) else { break };
            let index = Table::index(at, 1);
            let slots = table.slots(index..tables::ENTRIES.min(index + pages.len() as u64));
            let mut count = 0;
            for (slot, page) in slots.iter().zip(&mut pages) {
                if let Some((page, prot)) = page
                    && slot.load(Ordering::Relaxed) & PRESENT == 0
                {
                    slot.store(page.clone().into_phys() | flags(prot), Ordering::Release);
                    count += 1;
                }
            }
            if count > 0 {
                used(table).add_entries(count, index, index + slots.len() as u64 - 1);
                self.resident.fetch_add(u64::from(count), Ordering::Relaxed);
            }
            at += slots.len() as u64 * PAGE;
        }
        Ok(absent)
    }

    /// The page table for `va`, made with those above it if need be. The lock is held.
    fn make_leaf(&self, va: u64) -> Option<Table> {
        if let Ok(table) = self.leaf(va) {
            return Some(table);
        }
        let mut table = self.table();
        for level in (2..=ROOT).rev() {
            let index = Table::index(va, level);
            let slot = table.slot(index);
            if slot.load(Ordering::Relaxed) & PRESENT == 0 {
                slot.store(blank::new_table()? | PRESENT | WRITE | USER, Ordering::Release);
                used(table).add_entry(index);
                if level == 2 {
                    self.marks.fetch_or(marks_of(va, va + PAGE), Ordering::Release);
                }
            }
            table = table.below(index)?;
        }
        Some(table)
    }

    /// Whether there may be page tables for a stretch.
    #[inline]
    fn is_marked(&self, va: u64, end: u64) -> bool {
        self.marks.load(Ordering::Acquire) & marks_of(va, end) != 0
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
        self.each_table(va, pages, |table, at, end, gone| {
            let (next, taken) = take(table, at, end, gone);
            self.resident.fetch_sub(u64::from(taken), Ordering::Relaxed);
            (next, taken > 0)
        });
    }

    /// Lets nobody write any more to what is mapped in a stretch, until it is mapped anew.
    ///
    /// # Panics
    /// As `map`.
    pub fn protect(&self, va: u64, pages: u64) {
        check(va, pages);
        self.each_table(va, pages, |table, at, end, _| protect(table, at, end));
    }

    /// Does something with each page table that is there for a stretch, some at a time with the lock in hand: it is
    /// given where to begin and to end, and says where to go on and whether entries are other than they were. Then
    /// translations are thrown away before the lock is let go, and afterwards the pages that were taken out.
    fn each_table(&self, va: u64, pages: u64, change: impl Fn(Table, u64, u64, &mut Leaving) -> (u64, bool)) {
        let end = va + pages * PAGE;
        if !self.is_marked(va, end) {
            return;
        }
        // Of a longer stretch all bits may be set, and what is missing is found in larger steps.
        let is_short = end - va < tables::span(2) * u64::from(u64::BITS);
        let mut at = va;
        let mut gone = Leaving::new();
        while at < end {
            let first = at;
            let (mut looks, mut any) = (0, false);
            let guard = self.lock.lock();
            while at < end && !gone.is_full() && looks < LOOKS {
                let is_missing = is_short && !self.is_marked(at, at + PAGE);
                match if is_missing { Err(2) } else { self.leaf(at) } {
                    Ok(table) => {
                        looks += TABLE;
                        let (next, changed) = change(table, at, end, &mut gone);
                        (at, any) = (next, any | changed);
                    }
                    // Nothing is mapped in all of what a missing table would cover.
                    Err(level) => {
                        looks += 1;
                        at = (at / tables::span(level) + 1) * tables::span(level);
                    }
                }
            }
            if any {
                self.flush(first, at.min(end).saturating_sub(first) / PAGE);
            }
            drop(guard);
            gone.go();
        }
    }

    /// The same for a page, as for each that is written after a fork.
    fn unmap_one(&self, va: u64) {
        if !self.is_marked(va, va + PAGE) {
            return;
        }
        let guard = self.lock.lock();
        let Ok(table) = self.leaf(va) else { return };
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

    /// Pages mapped.
    pub fn resident(&self) -> u64 {
        self.resident.load(Ordering::Relaxed)
    }

    pub(super) fn table(&self) -> Table {
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
            self.active.fetch_and(!cpu.bit(), Ordering::SeqCst);
        }
    }

    /// Whether nobody but processors that have not loaded another yet keeps it.
    pub(crate) fn is_abandoned(self: &Arc<AddressSpace>) -> bool {
        Arc::strong_count(self) <= self.active.load(Ordering::SeqCst).count_ones() as usize
    }
}

/// What is known of a table of a space that is not dropped yet.
#[inline]
fn used(table: Table) -> &'static frames::Meta {
    // SAFETY: the frame is from `blank::new_table`, hence from the allocator.
    unsafe { frames::meta((table.phys() / PAGE) as u32) }
}

/// The part of a stretch for which a page table is.
struct Part {
    /// The table's first address.
    base: u64,
    /// Where the table ends, or the stretch.
    stop: u64,
    /// Entries of the whole table.
    entries: u32,
    /// The numbers of the places in which entries have been: the first, and the one behind the last.
    first: u64,
    behind: u64,
}

impl Part {
    fn of(table: Table, va: u64, end: u64) -> Part {
        let base = va & !(tables::span(2) - 1);
        let stop = end.min(base + tables::span(2));
        let (entries, first, behind) = used(table).entries();
        let (first, behind) = (first.max((va - base) / PAGE), behind.min((stop - base) / PAGE));
        Part { base, stop, entries, first, behind }
    }

    /// Those places.
    fn slots(&self, table: Table) -> &'static [AtomicU64] {
        table.slots(self.first..self.behind)
    }
}

/// Takes pages from `va` to `end` out of the page table that is for `va`, as many as there is room for. Where to go on,
/// and how many.
fn take(table: Table, va: u64, end: u64, gone: &mut Leaving) -> (u64, u32) {
    // Only where entries have been, and no longer than there are any.
    let part = Part::of(table, va, end);
    let (mut at, mut taken) = (part.first, 0);
    // Most of a sparse stretch is empty, and a look at some of it is cheaper than an exchange of each.
    for some in part.slots(table).chunks(LOOK) {
        let any = some.iter().fold(0, |bits, slot| bits | slot.load(Ordering::Relaxed));
        if any & PRESENT != 0 {
            for (slot, index) in some.iter().zip(at..) {
                if slot.load(Ordering::Relaxed) & PRESENT == 0 {
                    continue;
                }
                if gone.is_full() {
                    used(table).end_entries(taken);
                    return (part.base + index * PAGE, taken);
                }
                let old = slot.swap(0, Ordering::AcqRel);
                // SAFETY: the entry that held this reference is gone; with the lock in hand nobody else took it away.
                gone.add(unsafe { Page::from_phys(old & ADDRESS) });
                taken += 1;
            }
            if taken == part.entries {
                break;
            }
        }
        at += LOOK as u64;
    }
    used(table).end_entries(taken);
    (part.stop, taken)
}

/// Makes what is mapped from `va` to `end` by the page table that is for `va` read-only. As `take`,
/// and whether anything was not.
fn protect(table: Table, va: u64, end: u64) -> (u64, bool) {
    let part = Part::of(table, va, end);
    let mut changed = false;
    for slot in part.slots(table) {
        if slot.load(Ordering::Relaxed) & WRITE != 0 {
            slot.fetch_and(!WRITE, Ordering::AcqRel);
            changed = true;
        }
    }
    (part.stop, changed)
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

/// The bits of the stretches of 2 MiB that are in one, all of them if it is long.
#[inline]
fn marks_of(va: u64, end: u64) -> u64 {
    let (first, last) = (va / tables::span(2), end.saturating_sub(1) / tables::span(2));
    match last.saturating_sub(first) {
        more @ 0..63 => ((2 << more) - 1u64).rotate_left(first as u32 % u64::BITS),
        _ => u64::MAX,
    }
}

/// The flags of an entry.
#[inline]
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
