//! `/proc/trace`: what happens to processes that are traced, while somebody has it open.
//!
//! Of Plan 9's events there are those that programs make (`event` in their `ctl`) and their ends. A ring has the last
//! [`EVENTS`]; who reads too seldom loses the oldest.
//!
//! Lock: `ring` is a leaf.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use machine::lock::Lock;
use machine::{clock, heap};

use crate::error::Result;
use crate::proc::process::Proc;

/// Events that wait at most.
const EVENTS: usize = 4096;
/// Bytes of one: the pid, what it was, and when, in nanoseconds since 1970.
pub(crate) const RECORD: usize = 16;

/// What happened, by Plan 9's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The process has ended.
    Dead = 10,
    /// The program says that something has.
    User = 13,
}

#[derive(Default)]
struct Ring {
    /// Room for [`EVENTS`], while the file is open.
    records: Vec<[u8; RECORD]>,
    first: usize,
}

/// What traced processes have done.
#[derive(Default)]
pub(crate) struct Trace {
    is_open: AtomicBool,
    ring: Lock<Ring>,
}

impl Trace {
    /// Begins to remember.
    ///
    /// # Errors
    /// `already open`; `kernel allocate failed`.
    pub(crate) fn open(&self) -> Result<()> {
        let records = heap::try_vec(EVENTS)?;
        if self.is_open.swap(true, Ordering::AcqRel) {
            return Err("already open".into());
        }
        let old = core::mem::replace(&mut *self.ring.lock(), Ring { records, first: 0 });
        drop(old);
        Ok(())
    }

    /// Nobody wants to know any more.
    pub(crate) fn close(&self) {
        let old = core::mem::take(&mut *self.ring.lock());
        drop(old);
        self.is_open.store(false, Ordering::Release);
    }

    /// Something has happened to `p`.
    pub(crate) fn add(&self, p: &Proc, event: Event) {
        if !p.trace.load(Ordering::Relaxed) || !self.is_open.load(Ordering::Acquire) {
            return;
        }
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&p.pid.to_le_bytes());
        record[4..8].copy_from_slice(&(event as u32).to_le_bytes());
        record[8..].copy_from_slice(&clock::wall_ns().to_le_bytes());
        let mut ring = self.ring.lock();
        if ring.records.len() < EVENTS.min(ring.records.capacity()) {
            ring.records.push(record);
        } else if !ring.records.is_empty() {
            let first = ring.first;
            ring.first = (first + 1) % EVENTS;
            if let Some(place) = ring.records.get_mut(first) {
                *place = record;
            }
        }
    }

    /// Takes what fits into `max` bytes, in its order.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub(crate) fn take(&self, max: usize) -> Result<Vec<u8>> {
        let mut out = heap::try_vec((max / RECORD).min(EVENTS) * RECORD)?;
        let mut ring = self.ring.lock();
        let first = ring.first;
        ring.records.rotate_left(first);
        ring.first = 0;
        let n = ring.records.len().min(out.capacity() / RECORD);
        ring.records.drain(..n).for_each(|record| out.extend_from_slice(&record));
        Ok(out)
    }
}
