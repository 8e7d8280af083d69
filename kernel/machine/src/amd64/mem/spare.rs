//! Small blocks of the heap that nobody uses, kept where they were given back: a list for each processor and size.
//!
//! Most blocks live as long as one system call, and the next call wants others of the same sizes. Taking such a block
//! from its list, or putting it there, is a handful of instructions without a lock, while `talc` needs hundreds.
//!
//! `talc` makes the sizes: it cuts blocks in steps of 32 bytes of which 8 are its own, so blocks of one list are the
//! same to it, and lie on a boundary of 32 bytes.
//!
//! # Who may touch a list
//!
//! The threads of its processor, one after the other, since kernel code is never preempted. Interrupt handlers, who
//! would come in between, have no lists: they are known by their payer, which is the processor's own. So nothing is
//! locked, and interrupts stay on.
//!
//! # What it may cost
//!
//! A list has at most [`MOST`] blocks and [`BYTES`] bytes, so that a processor keeps 64 KiB at most. But a block that
//! is kept also keeps `talc`'s chunk, however little else is in that: after a burst the blocks of a few lists can keep
//! megabytes. So a processor gives back what it keeps when memory is short, before it refuses anything (`frames`) and
//! before it halts, and before it halts also when there are many chunks, once a second. One that would halt within that
//! second is woken at its end, once: it keeps nothing then.

use super::frames;
use super::heap;
use crate::amd64::cpu::{self, Cpu};
use crate::ledger::Payer;
use core::cell::Cell;
use core::ptr;

/// Steps of sizes.
const STEP: usize = 32;
/// What `talc` adds to a block.
const TAIL: usize = size_of::<usize>();
/// Sizes there are lists for: blocks up to a kilobyte.
const SIZES: usize = 32;
/// Blocks of a list, at most...
const MOST: usize = 16;
/// ...and their bytes.
const BYTES: usize = 2048;
/// Pages of chunks that are many: half a megabyte.
const MANY: usize = 128;
/// How often a processor gives back what it keeps, where there are many, in ns.
const OFTEN_NS: u64 = 1_000_000_000;

/// What a processor keeps.
pub(crate) struct Spare {
    lists: [List; SIZES],
    /// When it gave it back before it halted (ns).
    given: Cell<u64>,
}

struct List {
    first: Cell<*mut Block>,
    /// Blocks that it has room for.
    room: Cell<usize>,
}

/// A block that nobody uses.
struct Block {
    next: *mut Block,
}

/// Which list blocks of so many bytes belong to, what is behind them included. None when there is none.
#[inline]
pub(super) fn place(bytes: usize, align: usize) -> Option<usize> {
    let place = (bytes + TAIL - 1) / STEP;
    (place < SIZES && align <= STEP).then_some(place)
}

/// Blocks that a list may have.
const fn most(place: usize) -> usize {
    let by_bytes = BYTES / (STEP * (place + 1));
    if by_bytes < MOST { by_bytes } else { MOST }
}

impl Spare {
    pub const fn new() -> Spare {
        let mut lists = [const { List { first: Cell::new(ptr::null_mut()), room: Cell::new(0) } }; SIZES];
        let mut place = 0;
        while place < SIZES {
            lists[place] = List { first: Cell::new(ptr::null_mut()), room: Cell::new(most(place)) };
            place += 1;
        }
        Spare { lists, given: Cell::new(0) }
    }

    /// Whether nothing is kept.
    fn is_empty(&self) -> bool {
        self.lists.iter().all(|list| list.first.get().is_null())
    }
}

/// This processor and who pays, when the caller is a thread.
#[inline]
fn here() -> Option<(&'static Cpu, &'static Payer)> {
    let cpu = cpu::this();
    let payer = cpu.payer.get();
    // SAFETY: as in `cpu::with_payer`; the borrow ends before the caller's next chance to be switched away.
    (!ptr::eq(payer, &cpu.nobody)).then(|| (cpu, unsafe { &*payer }))
}

/// A block from a list, and who pays for it; none if the list is empty, or in an interrupt.
#[inline]
pub(super) fn take(place: usize) -> Option<(*mut u8, &'static Payer)> {
    let (cpu, payer) = here()?;
    let list = cpu.spare.lists.get(place)?;
    let block = list.first.get();
    if block.is_null() {
        return None;
    }
    // SAFETY: blocks in a list are nobody else's, and begin with the next one's address.
    list.first.set(unsafe { (*block).next });
    list.room.set(list.room.get() + 1);
    Some((block.cast(), payer))
}

/// Puts a block into its list. Who is to be told that it is paid for no more; none, and nothing is done, if the list is
/// full, or in an interrupt.
///
/// # Safety
/// The block is `talc`'s, of this list's size, and nobody uses it.
#[inline]
pub(super) unsafe fn put(place: usize, block: *mut u8) -> Option<&'static Payer> {
    let (cpu, payer) = here()?;
    let list = cpu.spare.lists.get(place)?;
    let room = list.room.get().checked_sub(1)?;
    let block = block.cast::<Block>();
    // SAFETY: the caller's promise: there is room for an address, and the boundary is right for one.
    unsafe { block.write(Block { next: list.first.get() }) };
    list.first.set(block);
    list.room.set(room);
    Some(payer)
}

/// This processor has nothing to do: gives back what it keeps, if others may want the memory, or much is held by it.
/// When it wants to be asked again, if it keeps something that it is too early for. `now_ns` is the clock.
pub(crate) fn rest(now_ns: impl FnOnce() -> u64) -> Option<u64> {
    if frames::is_short() {
        give_back();
        return None;
    }
    let spare = &cpu::this().spare;
    if heap::chunks() < MANY || spare.is_empty() {
        return None;
    }
    let now = now_ns();
    let due = spare.given.get().saturating_add(OFTEN_NS);
    if now < due {
        return Some(due);
    }
    spare.given.set(now);
    give_back();
    None
}

/// Gives everything that this processor keeps back to `talc`, if the caller is a thread.
pub(crate) fn give_back() {
    let Some((cpu, _)) = here() else { return };
    for (place, list) in cpu.spare.lists.iter().enumerate() {
        let mut block = list.first.replace(ptr::null_mut());
        list.room.set(most(place));
        while !block.is_null() {
            // SAFETY: it was in the list, and is nobody's any more.
            unsafe {
                let next = (*block).next;
                heap::put_small(block.cast(), STEP * (place + 1) - TAIL);
                block = next;
            }
        }
    }
}
