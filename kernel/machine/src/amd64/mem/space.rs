//! Address spaces of programs: the lower half of a page table tree.
//!
//! Every present entry holds one reference to its `Page`. The lock guards the tree below the root; it is held while
//! translations are thrown away on every processor that has the space loaded (`flush`), so an unmapped page is not
//! reused while one still knows it. Tables stay until the space is dropped, which can only be when no processor has it
//! loaded: each that has keeps a reference, in its `Cpu::space`.

pub use crate::types::{OutOfMemory, Prot};

use super::flush;
use super::frames;
use super::page::Page;
use super::paging;
use super::tables::{self, ACCESSED, ADDRESS, DIRTY, PAGE, PRESENT, Table, USER, WRITE};
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::lock::Lock;
use abi::layout::USTKTOP;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::instructions::interrupts;

/// Root entries of the lower half.
const USER_ENTRIES: u64 = 256;
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
        let root = new_table().ok_or(OutOfMemory)?;
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
        let slot = self.table().make(va, 1, WRITE | USER, &mut new_table).ok_or(OutOfMemory)?;
        let new = page.into_phys() | flags(prot);
        let old = slot.swap(new, Ordering::AcqRel);
        if old & PRESENT == 0 {
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
        let slot = self.table().make(va, 1, WRITE | USER, &mut new_table).ok_or(OutOfMemory)?;
        let absent = slot.load(Ordering::Acquire) & PRESENT == 0;
        if absent {
            slot.store(page.into_phys() | flags(prot), Ordering::Release);
            self.resident.fetch_add(1, Ordering::Relaxed);
        }
        drop(guard);
        Ok(absent)
    }

    /// Unmaps a stretch and drops its references.
    ///
    /// # Panics
    /// As `map`.
    pub fn unmap(&self, va: u64, pages: u64) {
        check(va, pages);
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

    /// Does something with `len` bytes of a page if it is mapped, with the flags `needs`. The lock is held: the page
    /// cannot become another's meanwhile.
    fn with_page(&self, va: u64, len: usize, needs: u64, use_it: impl FnOnce(&Page, usize)) -> bool {
        let offset = va % PAGE;
        if va >= USTKTOP || len as u64 > PAGE - offset {
            return false;
        }
        let _guard = self.lock.lock();
        let Some(slot) = self.table().find(va, 1) else { return false };
        let entry = slot.load(Ordering::Acquire);
        if entry & (PRESENT | needs) != PRESENT | needs {
            return false;
        }
        // SAFETY: the entry holds a reference, and stays while the lock is held.
        unsafe { Page::with_phys(entry & ADDRESS, |page| use_it(page, offset as usize)) };
        true
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

/// Takes pages from `va` to `end` out of the page table that is for `va`, as many as a batch has room for. Where to
/// go on.
fn take(table: Table, va: u64, end: u64, gone: &mut Vec<Page>) -> u64 {
    let stop = end.min((va / tables::span(2) + 1) * tables::span(2));
    let mut at = va;
    while at < stop && gone.len() < BATCH {
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
        }
    }
    at
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        for i in 0..USER_ENTRIES {
            if let Some(table) = self.table().below(i) {
                free_below(table, 3);
                free_table(self.table().slot(i).load(Ordering::Relaxed));
            }
        }
        // SAFETY: the root was taken in `new`, and no processor has it loaded: each that has keeps a reference.
        unsafe { frames::put_kernel(self.root, 1) };
    }
}

/// Frees everything that hangs below a table at `level`.
fn free_below(table: Table, level: u32) {
    for i in 0..512 {
        let entry = table.slot(i).load(Ordering::Relaxed);
        if entry & PRESENT == 0 {
            continue;
        }
        if level == 1 {
            // SAFETY: nobody walks this tree any more; the reference was the entry's.
            drop(unsafe { Page::from_phys(entry & ADDRESS) });
        } else if let Some(below) = table.below(i) {
            free_below(below, level - 1);
            free_table(entry);
        }
    }
}

/// Frees the table that an entry of a dead tree leads to.
fn free_table(entry: u64) {
    // SAFETY: `new_table` took the frame for this tree, which nobody walks any more.
    unsafe { frames::put_kernel(entry & ADDRESS, 1) };
}

/// The flags of an entry.
fn flags(prot: Prot) -> u64 {
    let write = if prot.write { WRITE } else { 0 };
    let no_exec = if prot.exec { 0 } else { paging::nx() };
    PRESENT | USER | write | no_exec
}

/// A table for a program, which pays for it: refused while memory is short, counted as the kernel's.
fn new_table() -> Option<u64> {
    let phys = if frames::affords(1) { frames::kernel_run(1) } else { None }?;
    // SAFETY: a fresh frame.
    unsafe { frames::zero(phys) };
    Some(phys)
}

fn check(va: u64, pages: u64) {
    let end = pages.checked_mul(PAGE).and_then(|len| va.checked_add(len));
    assert!(va.is_multiple_of(PAGE), "address {va:#x} is not a page's");
    assert!(end.is_some_and(|e| e <= USTKTOP), "address {va:#x} and {pages} pages is not a program's");
}
