//! Kernel stacks: 32 KiB, with as much unmapped space below, so that running over the end faults at once.
//!
//! Each stack has a slot of 64 KiB in the stack window. Stacks of dead threads stay mapped for the next ones. They
//! count as free memory: their frames are given back when there are no others. When there are too many of them, half
//! are unmapped together, for then all processors have to forget the addresses, and whoever asks them waits until the
//! last one has answered: on a host with fewer processors than the guest has, that is milliseconds. (A thousand threads
//! that were killed at once took more than a minute to go when each stack was unmapped by itself.)
//!
//! Who has a slot owns its entries in the page tables, which are written and read without a lock. A free slot remembers
//! the next one in its first page's entry, so nothing is allocated here. `POOL` guards the kept stacks and the free
//! slots. Lock order: `paging`'s, then `POOL`, then `FRAMES`.

use super::flush;
use super::frames;
use super::paging::{self, STACKS};
use super::tables::{self, PAGE, PRESENT, WRITE};
use crate::amd64::lock::Lock;
use crate::ledger;
use crate::types::OutOfMemory;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of a stack.
pub const SIZE: u64 = 32 << 10;
/// Pages of one.
pub(super) const PAGES: usize = (SIZE / PAGE) as usize;
/// A slot: the guard below, the stack above.
const SLOT: u64 = 2 * SIZE;
/// The window has 512 GiB.
const SLOTS: u64 = (512 << 30) / SLOT;
/// Slots that one page table is for.
const IN_TABLE: u64 = tables::span(2) / SLOT;
/// Stacks kept for reuse, at most...
const KEEP: usize = 64;
/// ...and no more than this part of memory...
const KEEP_PART: usize = 32;
/// ...but so many always.
const KEEP_LEAST: usize = 8;

struct Pool {
    /// Slots of stacks that are mapped and nobody's, the oldest first.
    kept: [u64; KEEP],
    count: usize,
    /// One more than the number of the first free slot among those that were used before, or 0.
    free: u64,
    /// Slots from here on were never used.
    next: u64,
    /// Slots below have a page table.
    reached: u64,
}

static POOL: Lock<Pool> = Lock::new(Pool { kept: [0; KEEP], count: 0, free: 0, next: 0, reached: 0 });
/// How many stacks are kept, for those who look without the lock.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// A mapped stack; dropping it (never while standing on it) gives it back.
pub struct Stack {
    slot: u64,
    /// The account that pays for it.
    owner: u16,
}

impl Stack {
    /// A stack, refused while memory is short: threads are made on behalf of programs.
    pub fn new() -> Result<Stack, OutOfMemory> {
        if !frames::affords_thread(PAGES) {
            return Err(OutOfMemory);
        }
        let kept = POOL.lock().take_kept();
        if let Some(slot) = kept {
            return Ok(Stack::on_account(slot));
        }
        let slot = slot().ok_or(OutOfMemory)?;
        let mut some = [0; PAGES];
        if !frames::kernel_some(&mut some) {
            POOL.lock().put_slot(slot);
            return Err(OutOfMemory);
        }
        for (entry, frame) in entries(slot).zip(some) {
            entry.store(frame | PRESENT | WRITE | paging::nx(), Ordering::Release);
        }
        Ok(Stack::on_account(slot))
    }

    /// Frames of stacks are nobody's, since they wait for the next one; who has a stack pays for it.
    fn on_account(slot: u64) -> Stack {
        Stack { slot, owner: ledger::charge(SIZE as usize) }
    }

    /// The number of the account that pays for it.
    pub fn owner(&self) -> u16 {
        self.owner
    }

    /// The address above the highest byte.
    pub fn top(&self) -> u64 {
        bottom(self.slot) + SIZE
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        ledger::credit(self.owner, SIZE as usize);
        let mut pool = POOL.lock();
        let (count, most) = (pool.count, most());
        if count >= most {
            pool.unmap_oldest(count - most / 2);
        }
        pool.put_kept(self.slot);
    }
}

impl Pool {
    /// The stack that was kept last, since the processor may still have something of it.
    fn take_kept(&mut self) -> Option<u64> {
        let count = self.count.checked_sub(1)?;
        self.count = count;
        KEPT.store(count, Ordering::Relaxed);
        self.kept.get(count).copied()
    }

    /// Keeps a stack, for which there is room.
    fn put_kept(&mut self, slot: u64) {
        if let Some(place) = self.kept.get_mut(self.count) {
            *place = slot;
            self.count += 1;
            KEPT.store(self.count, Ordering::Relaxed);
        }
    }

    /// Unmaps so many of the kept stacks, with one flush for them all.
    fn unmap_oldest(&mut self, count: usize) {
        let count = count.min(self.count);
        let gone = self.kept;
        let gone = gone.get(..count).unwrap_or_default();
        // They lose their present bit and keep the frame's address until no processor knows them any more.
        for entry in gone.iter().flat_map(|&slot| entries(slot)) {
            entry.store(entry.load(Ordering::Relaxed) & tables::ADDRESS, Ordering::Release);
        }
        flush::everywhere(STACKS, u64::MAX);
        for &slot in gone {
            let mut some = [0; PAGES];
            for (frame, entry) in some.iter_mut().zip(entries(slot)) {
                *frame = entry.swap(0, Ordering::Relaxed);
            }
            // SAFETY: `new` took them, nobody stands on a stack that is kept, and no processor knows it any more.
            unsafe { frames::put_kernel_some(&some) };
            self.put_slot(slot);
        }
        self.kept.copy_within(count..self.count, 0);
        self.count -= count;
        KEPT.store(self.count, Ordering::Relaxed);
    }

    /// A slot has nothing mapped any more, and there is a page table for it.
    fn put_slot(&mut self, slot: u64) {
        if let Some(entry) = entries(slot).next() {
            entry.store(self.free * PAGE, Ordering::Relaxed);
            self.free = slot + 1;
        }
    }
}

/// Takes a slot in which nothing is mapped, with a page table. One is made without the lock: its frame may have to come
/// from stacks that are kept.
fn slot() -> Option<u64> {
    loop {
        let mut pool = POOL.lock();
        if let Some(slot) = pool.free.checked_sub(1) {
            let entry = entries(slot).next()?;
            pool.free = (entry.swap(0, Ordering::Relaxed) & tables::ADDRESS) / PAGE;
            return Some(slot);
        }
        let slot = pool.next;
        if slot < pool.reached {
            pool.next += 1;
            return Some(slot);
        }
        drop(pool);
        if slot >= SLOTS {
            return None;
        }
        paging::window_table(bottom(slot))?;
        let mut pool = POOL.lock();
        pool.reached = pool.reached.max((slot / IN_TABLE + 1) * IN_TABLE);
    }
}

/// How many stacks may be kept.
fn most() -> usize {
    (frames::total() / KEEP_PART / PAGES).clamp(KEEP_LEAST, KEEP)
}

/// Frames of stacks that are kept: nobody uses them, and they can be had.
pub(super) fn kept() -> usize {
    KEPT.load(Ordering::Relaxed) * PAGES
}

/// Gives back the frames of all stacks that are kept, because somebody else wants them. When somebody else is at it,
/// this waits until that is done.
#[cold]
pub(super) fn give_back() {
    let mut pool = POOL.lock();
    let count = pool.count;
    if count > 0 {
        pool.unmap_oldest(count);
    }
}

fn bottom(slot: u64) -> u64 {
    STACKS + slot * SLOT + SIZE
}

/// The entries for a stack's pages; a slot is the caller's.
fn entries(slot: u64) -> impl Iterator<Item = &'static AtomicU64> {
    let first = bottom(slot);
    let table = paging::table().leaf(first).ok();
    let index = tables::Table::index(first, 1);
    table.into_iter().flat_map(move |table| table.slots(index..index + PAGES as u64))
}

/// Whether an address lies in the unmapped part below some stack.
pub fn is_guard(va: u64) -> bool {
    let (_, _, boot_guard) = paging::boot_stack();
    let in_window = (STACKS..STACKS + SLOTS * SLOT).contains(&va) && (va - STACKS) % SLOT < SIZE;
    in_window || (boot_guard..boot_guard + PAGE).contains(&va)
}
