//! Reading and writing through a program's page tables, as the kernel does for every call.
//!
//! A space remembers some of its page tables ([`Leaves`]), so that what calls are given is found without looking at the
//! tables above. Whoever unmaps a page waits for all processors that have the space loaded (`space`), so with
//! interrupts off, or put off, nothing found there goes away.

use super::page::{Page, Pinned};
use super::space::AddressSpace;
use super::tables::{self, ADDRESS, PAGE, PRESENT, Table, WRITE};
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::interrupts;
use crate::types::Prot;
use abi::layout::USTKTOP;
use core::str::Utf8Error;
use core::sync::atomic::{AtomicU64, Ordering};

/// Page tables that a space remembers.
const LEAVES: usize = 8;

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

    /// Whether it is the one that the processor has loaded.
    #[inline]
    pub(crate) fn is_loaded(&self, cpu: &Cpu) -> bool {
        cpu.root.get() == self.root
    }

    /// Reads words from `va` on, of a page that is mapped. False unless they lie in one, and `va` is a word's. The
    /// space is loaded on the calling processor, `cpu`, and interrupts are off.
    #[inline]
    pub(crate) fn read_here<const N: usize>(&self, cpu: &Cpu, va: u64, words: &mut [u64; N]) -> bool {
        debug_assert!(self.is_loaded(cpu) && !interrupts::are_enabled());
        let offset = va % PAGE;
        if va >= USTKTOP || !va.is_multiple_of(8) || offset > PAGE - 8 * N as u64 {
            return false;
        }
        let Some(table) = self.table_for(va) else { return false };
        let entry = table.slot(Table::index(va, 1)).load(Ordering::Acquire);
        let there = entry & PRESENT != 0;
        if there {
            // SAFETY: the entry holds a reference, and the page stays as `with_page` says.
            unsafe { Page::with_phys(entry & ADDRESS, |page| page.read_words(offset as usize, words)) };
        }
        there
    }

    /// The page table for an address, which is remembered from now on.
    ///
    /// # Errors
    /// The level of the entry that leads nowhere.
    #[inline]
    pub(super) fn leaf(&self, va: u64) -> Result<Table, u32> {
        match self.leaves.find(va) {
            Some(table) => Ok(table),
            None => self.remember(va),
        }
    }

    /// The same for who does not want to know where the way ends. (It comes in registers.)
    #[inline]
    fn table_for(&self, va: u64) -> Option<Table> {
        match self.leaves.find(va) {
            Some(table) => Some(table),
            None => self.look_up(va),
        }
    }

    #[inline(never)]
    fn look_up(&self, va: u64) -> Option<Table> {
        self.remember(va).ok()
    }

    #[inline(never)]
    fn remember(&self, va: u64) -> Result<Table, u32> {
        self.table().leaf(va).inspect(|table| self.leaves.put(va, *table))
    }

    /// Copies the text at `va` up to the zero byte at its end. None unless all of it is in one page that is mapped, and
    /// `buf` has room for it and for eight bytes more; an error when it is no text.
    #[inline]
    pub fn read_text<'b>(&self, va: u64, buf: &'b mut [u8]) -> Option<Result<&'b str, Utf8Error>> {
        let mut read = None;
        self.with_page(va, 1, 0, |page, offset| read = page.read_string(offset, buf));
        let (len, is_ascii) = read?;
        let bytes = buf.get(..len)?;
        if !is_ascii {
            return Some(str::from_utf8(bytes));
        }
        // SAFETY: ASCII is UTF-8.
        Some(Ok(unsafe { str::from_utf8_unchecked(bytes) }))
    }

    /// Changes the aligned word at `va`, where it is mapped to be written, to what `change` makes of it, which may be
    /// asked again. What was there; as `Err` when `change` gives nothing. None when it is not mapped so.
    pub fn update_u32(&self, va: u64, change: impl Fn(u32) -> Option<u32>) -> Option<Result<u32, u32>> {
        let mut done = None;
        if va.is_multiple_of(4) {
            self.with_page(va, 4, WRITE, |page, offset| done = Some(page.update_u32(offset, change)));
        }
        done
    }

    /// Pins these bytes, if they lie in one page that is mapped, to be written if `write`. Whoever takes the page out,
    /// or takes writing away, sees the pin when he has done so.
    pub fn pin(&self, va: u64, len: usize, write: bool) -> Option<Pinned> {
        let mut pinned = None;
        self.with_page(va, len, if write { WRITE } else { 0 }, |page, offset| {
            pinned = Some(Pinned::new(page.clone(), offset, len));
        });
        pinned
    }

    /// Whether these bytes lie in one page that is mapped, to be written if `write`.
    pub fn holds(&self, va: u64, len: usize, write: bool) -> bool {
        self.with_page(va, len, if write { WRITE } else { 0 }, |_, _| ())
    }

    /// Does something with `len` bytes of a page if it is mapped, with the flags `needs`. The page cannot become
    /// another's meanwhile: either the lock is held, or interrupts are put off on a processor that has the space
    /// loaded, and whoever has unmapped the page waits for that one's answer before he drops it.
    #[inline]
    fn with_page(&self, va: u64, len: usize, needs: u64, use_it: impl FnOnce(&Page, usize)) -> bool {
        let offset = va % PAGE;
        if va >= USTKTOP || len as u64 > PAGE - offset {
            return false;
        }
        interrupts::put_off();
        if !self.is_loaded(cpu::this()) {
            interrupts::let_in();
            return self.with_page_elsewhere(va, needs, use_it);
        }
        let found = self.table_for(va).is_some_and(|table| use_entry(table, va, needs, use_it));
        interrupts::let_in();
        found
    }

    /// The same with the lock.
    #[cold]
    #[inline(never)]
    fn with_page_elsewhere(&self, va: u64, needs: u64, use_it: impl FnOnce(&Page, usize)) -> bool {
        let _guard = self.lock.lock();
        self.table_for(va).is_some_and(|table| use_entry(table, va, needs, use_it))
    }
}

/// Does something with the page that a table has for `va`, if it is mapped, with the flags `needs`; it stays, as
/// `AddressSpace::with_page` says.
#[inline]
fn use_entry(table: Table, va: u64, needs: u64, use_it: impl FnOnce(&Page, usize)) -> bool {
    let entry = table.slot(Table::index(va, 1)).load(Ordering::Acquire);
    let there = entry & (PRESENT | needs) == PRESENT | needs;
    if there {
        // SAFETY: the entry holds a reference, and the page stays.
        unsafe { Page::with_phys(entry & ADDRESS, |page| use_it(page, (va % PAGE) as usize)) };
    }
    there
}

/// Some page tables of a space, each with the stretch of addresses that it is for: a program's stack, and what its
/// calls are given, are found without looking at the tables above. A space's tables stay as long as it does.
pub(crate) struct Leaves([AtomicU64; LEAVES]);

/// Bits of a table's frame number; above them is the number of its stretch, and one.
const FRAME: u32 = 36;
const _: () = assert!(USTKTOP / tables::span(2) < 1 << (u64::BITS - FRAME));

impl Leaves {
    pub const fn new() -> Leaves {
        Leaves([const { AtomicU64::new(0) }; LEAVES])
    }

    /// Where the table of a stretch is, by its number. What is attached is 16 MiB below the end of the stack, and the
    /// two are used by turns: they are not at the same place, nor at that of text and data that end below 10 MiB.
    #[inline]
    fn place(&self, part: u64) -> &AtomicU64 {
        &self.0[(part + part / LEAVES as u64) as usize % LEAVES]
    }

    #[inline]
    fn find(&self, va: u64) -> Option<Table> {
        let part = va / tables::span(2);
        let word = self.place(part).load(Ordering::Relaxed);
        // SAFETY: `put` for this space, whose tables stay.
        (word >> FRAME == part + 1).then(|| unsafe { Table::at((word & ((1 << FRAME) - 1)) * PAGE) })
    }

    fn put(&self, va: u64, table: Table) {
        let part = va / tables::span(2);
        self.place(part).store(((part + 1) << FRAME) | (table.phys() / PAGE), Ordering::Relaxed);
    }
}
