//! Where a program's time goes: ticks counted for each eight bytes of its text, as `/proc/n/profile` has them.
//!
//! The counts belong to the text, so that all who run it by fork are counted together, and go with it. They are on the
//! bill of who asked for them. The processors tick as long as there are any; who is met by a tick counts it itself, on
//! its way out of user mode.
//!
//! Locks: `Segment::profile` is a leaf.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use machine::heap;
use machine::ledger::for_long;
use machine::sampling::Ticking;

use super::memory::Memory;
use super::segment::{Kind, Segment};
use crate::error::Result;

/// Bytes of text that are counted together.
const CELL: u64 = 8;
/// The longest text that is counted, in bytes.
const LONGEST: u64 = 16 << 20;

/// The counts of a text, in milliseconds: the first is of all ticks.
pub(crate) struct Profile {
    base: u64,
    counts: Vec<AtomicU32>,
    _ticking: Ticking,
}

impl Profile {
    /// Nothing counted yet of a text from `base` to `top`.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    fn new(base: u64, top: u64) -> Result<Arc<Profile>> {
        let len = top.saturating_sub(base);
        if len > LONGEST {
            return Err(abi::error::ENOMEM.into());
        }
        let cells = (len / CELL) as usize;
        // It may be there for longer than who asks.
        let mut counts = for_long(|| heap::try_vec(cells))?;
        counts.resize_with(cells, || AtomicU32::new(0));
        Ok(Arc::new(Profile { base, counts, _ticking: Ticking::new() }))
    }

    /// So many ticks have met the program at `pc`.
    pub(crate) fn count(&self, pc: u64, ticks: u32) {
        let cell = pc.checked_sub(self.base).and_then(|at| usize::try_from(at / CELL).ok());
        let cell = cell.and_then(|cell| self.counts.get(cell));
        for n in [self.counts.first(), cell].into_iter().flatten() {
            n.fetch_add(ticks, Ordering::Relaxed);
        }
    }

    /// The counts.
    pub(crate) fn counts(&self) -> &[AtomicU32] {
        &self.counts
    }
}

impl Segment {
    /// The counts, if somebody has asked for them.
    pub(crate) fn profile(&self) -> Option<Arc<Profile>> {
        self.profile.lock().clone()
    }
}

impl Memory {
    fn text(&self) -> Option<Arc<Segment>> {
        // What is only read is text as well.
        self.segment_where(|s| matches!(s.kind, Kind::Text | Kind::Patched) && s.is_executable())
    }

    /// The counts of the program's text, if somebody has asked for them.
    pub(crate) fn profile(&self) -> Option<Arc<Profile>> {
        self.text().and_then(|text| text.profile())
    }

    /// Counts from now on, from nothing.
    ///
    /// # Errors
    /// `bad process or channel control request` for a process without a program; `kernel allocate failed`.
    pub(crate) fn start_profile(&self) -> Result<()> {
        let text = self.text().ok_or(abi::error::EBADCTL)?;
        let new = Profile::new(text.base, text.top())?;
        let old = text.profile.lock().replace(new);
        drop(old);
        Ok(())
    }
}
