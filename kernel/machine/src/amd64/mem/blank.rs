//! Page tables of programs in which nothing is, kept for the next program.
//!
//! A table whose entries have all been taken out is what a new one has to be: zeros. So it is neither zeroed again nor
//! given back at once, for a process that ends is mostly followed by one that begins. Nobody pays for the tables that
//! are kept; they count as free, and are given back when no other frame is.
//!
//! Lock order: the pool's, then that of `frames`.

use super::frames;
use crate::amd64::lock::Lock;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Tables kept at most: those of two or three processes.
const MOST: usize = 24;

struct Pool {
    tables: [u64; MOST],
    len: usize,
}

static POOL: Lock<Pool> = Lock::new(Pool { tables: [0; MOST], len: 0 });
/// How many are kept, for those who look without the lock.
static KEPT: AtomicUsize = AtomicUsize::new(0);
/// How many programs have.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Frames of tables that programs have.
pub(super) fn used() -> usize {
    USED.load(Ordering::Relaxed)
}

/// Frames of tables that are kept.
pub(super) fn kept() -> usize {
    KEPT.load(Ordering::Relaxed)
}

/// A table of zeros, for which nobody pays yet.
fn take() -> Option<u64> {
    if kept() == 0 {
        return None;
    }
    let mut pool = POOL.lock();
    pool.len = pool.len.checked_sub(1)?;
    KEPT.store(pool.len, Ordering::Relaxed);
    pool.tables.get(pool.len).copied()
}

/// A table for a program, which pays for it: refused while memory is short, counted as the kernel's.
pub(super) fn new_table() -> Option<u64> {
    if !frames::affords(1) {
        return None;
    }
    if let Some(phys) = take() {
        frames::pay_for_table(phys);
        USED.fetch_add(1, Ordering::Relaxed);
        return Some(phys);
    }
    let phys = frames::kernel_run(1)?;
    USED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: a fresh frame.
    unsafe { frames::zero(phys) };
    // SAFETY: from the allocator.
    unsafe { frames::meta((phys / super::tables::PAGE) as u32) }.begin_table();
    Some(phys)
}

/// Gives back a table, for which nobody pays from now on.
///
/// # Safety
/// It is from `new_table`, zeros again, and nobody uses it any more.
pub(super) unsafe fn free_table(phys: u64) {
    USED.fetch_sub(1, Ordering::Relaxed);
    let mut pool = POOL.lock();
    let len = pool.len;
    if let Some(place) = pool.tables.get_mut(len) {
        *place = phys;
        pool.len = len + 1;
        KEPT.store(len + 1, Ordering::Relaxed);
        frames::relieve_of_table(phys);
    } else {
        drop(pool);
        // SAFETY: the caller's promise.
        unsafe { frames::put_kernel(phys, 1) };
    }
}

/// Gives all of them back.
pub(super) fn give_back() {
    while let Some(phys) = take() {
        frames::pay_for_table(phys);
        // SAFETY: it was kept, and is nobody's.
        unsafe { frames::put_kernel(phys, 1) };
    }
}
