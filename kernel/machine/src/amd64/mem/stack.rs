//! Kernel stacks: 32 KiB, with as much unmapped space below, so that running over the end faults at once.
//!
//! Each stack has a slot of 64 KiB in the stack window. Stacks of dead threads are kept, mapped, for the next one: up
//! to a limit, and few only while memory is short. Their frames are taken, so a processor that is about to halt gives
//! back those that are too many by then. `POOL` guards them and the free slots.

use super::frames;
use super::paging::{self, STACKS};
use super::tables::PAGE;
use crate::amd64::lock::Lock;
use crate::ledger;
use crate::types::OutOfMemory;
use alloc::vec::Vec;

/// Bytes of a stack.
pub const SIZE: u64 = 32 << 10;
/// A slot: the guard below, the stack above.
const SLOT: u64 = 2 * SIZE;
/// The window has 512 GiB.
const SLOTS: u64 = (512 << 30) / SLOT;
/// Stacks kept for reuse, at most...
const KEEP: usize = 32;
/// ...and no more than this part of memory...
const KEEP_PART: usize = 64;
/// ...but so many always.
const KEEP_LEAST: usize = 2;

struct Pool {
    ready: Vec<u64>,
    unmapped: Vec<u64>,
    next: u64,
}

static POOL: Lock<Pool> = Lock::new(Pool { ready: Vec::new(), unmapped: Vec::new(), next: 0 });

/// A mapped stack; dropping it (never while standing on it) gives it back.
pub struct Stack {
    slot: u64,
    /// The account that pays for it.
    owner: u16,
}

impl Stack {
    /// A stack, refused while memory is short: threads are made on behalf of programs.
    pub fn new() -> Result<Stack, OutOfMemory> {
        if !frames::affords_thread((SIZE / PAGE) as usize) {
            return Err(OutOfMemory);
        }
        let mut pool = POOL.lock();
        if let Some(slot) = pool.ready.pop() {
            drop(pool);
            return Ok(Stack::on_account(slot));
        }
        let slot = match pool.unmapped.pop() {
            Some(slot) => slot,
            None if pool.next < SLOTS => {
                pool.next += 1;
                pool.next - 1
            }
            None => return Err(OutOfMemory),
        };
        drop(pool);
        if map(slot).is_err() {
            unmap(slot);
            POOL.lock().unmapped.push(slot);
            return Err(OutOfMemory);
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
        if pool.ready.len() < most() {
            pool.ready.push(self.slot);
            return;
        }
        drop(pool);
        unmap(self.slot);
        POOL.lock().unmapped.push(self.slot);
    }
}

/// How many stacks may be kept now.
fn most() -> usize {
    let part = frames::counts().0 / KEEP_PART / (SIZE / PAGE) as usize;
    if frames::is_short() { KEEP_LEAST } else { part.clamp(KEEP_LEAST, KEEP) }
}

/// Gives back the frames of stacks that are kept and are too many by now. To be called where no lock is held.
pub(crate) fn give_back() {
    loop {
        let mut pool = POOL.lock();
        let extra = if pool.ready.len() > most() { pool.ready.pop() } else { None };
        drop(pool);
        let Some(slot) = extra else { return };
        unmap(slot);
        POOL.lock().unmapped.push(slot);
    }
}

fn bottom(slot: u64) -> u64 {
    STACKS + slot * SLOT + SIZE
}

fn map(slot: u64) -> Result<(), OutOfMemory> {
    for off in (0..SIZE).step_by(PAGE as usize) {
        let phys = frames::kernel_own(1).ok_or(OutOfMemory)?;
        // SAFETY: a slot that is not mapped and belongs to the caller, and a fresh frame.
        if unsafe { paging::map_data(bottom(slot) + off, phys) }.is_err() {
            // SAFETY: the frame taken above, which is not mapped.
            unsafe { frames::put_kernel(phys, 1) };
            return Err(OutOfMemory);
        }
    }
    Ok(())
}

/// Frees whatever of a slot is mapped.
fn unmap(slot: u64) {
    const _: () = assert!(SIZE / PAGE <= paging::MOST_UNMAPPED as u64);
    // SAFETY: what is mapped there was taken by `map`, and no processor knows it any more.
    let mut free = |phys| unsafe { frames::put_kernel(phys, 1) };
    // SAFETY: nobody stands on the stack of this slot, by the contract of `Stack`'s owner.
    unsafe { paging::unmap_data(bottom(slot), SIZE / PAGE, &mut free) };
}

/// Whether an address lies in the unmapped part below some stack.
pub fn is_guard(va: u64) -> bool {
    let (_, _, boot_guard) = paging::boot_stack();
    let in_window = (STACKS..STACKS + SLOTS * SLOT).contains(&va) && (va - STACKS) % SLOT < SIZE;
    in_window || (boot_guard..boot_guard + PAGE).contains(&va)
}
