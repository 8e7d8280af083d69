//! Where time goes: while somebody wants to know, every processor that runs something ticks a thousand times a second.
//!
//! A tick that meets a program is the program's thread's ([`Thread::take_ticks`]) and brings it out of user mode, so
//! that whoever ran it can look where it was. Ticks are also counted for the kernel, if that is wanted: in all,
//! outside its text, and for each [`CELL`] bytes of it. Where interrupts are off a tick waits for their end, and
//! counts there. A processor that halts does not tick.
//!
//! `COUNTS` is made at the first start and stays, on nobody's bill: half as many bytes as the kernel's text. Its
//! numbers are counted by interrupt handlers.
//!
//! Locks: `COUNTS`, a leaf; `KERNEL`, under which the ticking begins.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::arch;
use crate::heap;
use crate::ledger::as_kernel;
use crate::lock::Lock;
use crate::thread::Thread;
use crate::types::OutOfMemory;

/// Nanoseconds between ticks.
pub const PERIOD_NS: u64 = 1_000_000;
/// Bytes of the kernel's text that are counted together.
pub const CELL: u64 = 8;
/// A tick that comes so late counts for no more.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the host's ticks are made by tests"))]
pub(crate) const LATEST: u64 = 1000;

static WANTED: AtomicU32 = AtomicU32::new(0);
static COUNTS: Lock<Option<Arc<Counts>>> = Lock::new(None);
static KERNEL_TICKS: AtomicBool = AtomicBool::new(false);
static KERNEL: Lock<Option<Ticking>> = Lock::new(None);

type Counts = Vec<AtomicU32>;

/// While there is one of these the processors tick.
#[derive(Debug)]
pub struct Ticking(());

impl Ticking {
    /// They begin.
    pub fn new() -> Ticking {
        if WANTED.fetch_add(1, Ordering::SeqCst) == 0 {
            arch::begin_ticking();
        }
        Ticking(())
    }
}

impl Default for Ticking {
    fn default() -> Ticking {
        Ticking::new()
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        WANTED.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the processors are to tick.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the host's ticks are made by tests"))]
#[inline]
pub(crate) fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed) != 0
}

/// How many counts there are for the kernel.
pub fn kernel_cells() -> usize {
    let text = arch::kernel_text();
    ((text.end - text.start) / CELL) as usize
}

/// Begins to count where the kernel is, from nothing if `clear`.
///
/// # Errors
/// No memory for the counts.
pub fn start_kernel(clear: bool) -> Result<(), OutOfMemory> {
    let old = kernel_counts();
    if clear {
        old.iter().flat_map(|counts| counts.iter()).for_each(|n| n.store(0, Ordering::Relaxed));
    }
    if old.is_none() {
        let cells = kernel_cells();
        let new = as_kernel(|| {
            let mut counts = heap::try_vec(cells)?;
            counts.resize_with(cells, || AtomicU32::new(0));
            Ok(Arc::new(counts))
        })?;
        // Where two begin at once the second finds the first one's.
        COUNTS.lock().get_or_insert(new);
    }
    KERNEL_TICKS.store(true, Ordering::Relaxed);
    KERNEL.lock().get_or_insert_with(Ticking::new);
    Ok(())
}

/// Counts the kernel's ticks no more; what was counted stays.
pub fn stop_kernel() {
    KERNEL_TICKS.store(false, Ordering::Relaxed);
    let was = KERNEL.lock().take();
    drop(was);
}

/// What was counted, if there was a start: number 0 is of all ticks, 1 of those outside the kernel's text, n of the
/// ticks in the n-th [`CELL`] bytes of that.
pub fn kernel_counts() -> Option<Arc<Vec<AtomicU32>>> {
    COUNTS.lock().clone()
}

/// So many ticks have met this place, which is a program's if it is not in the kernel's text.
pub(crate) fn count(pc: u64, ticks: u32) {
    if !KERNEL_TICKS.load(Ordering::Relaxed) {
        return;
    }
    let text = arch::kernel_text();
    let place = match text.contains(&pc) {
        true => ((pc - text.start) / CELL) as usize,
        false => 1,
    };
    if let Some(counts) = &*COUNTS.lock() {
        for n in [counts.first(), counts.get(place)].into_iter().flatten() {
            n.fetch_add(ticks, Ordering::Relaxed);
        }
    }
}

impl Thread {
    /// So many ticks have met its program, at this place.
    pub fn tick(&self, pc: u64, ticks: u32) {
        count(pc, ticks);
        self.common.ticks.fetch_add(ticks, Ordering::Relaxed);
    }

    /// The ticks that have met its program since this was asked last.
    pub fn take_ticks(&self) -> u32 {
        match self.common.ticks.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.common.ticks.swap(0, Ordering::Relaxed),
        }
    }
}
