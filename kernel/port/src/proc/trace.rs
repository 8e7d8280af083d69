//! `/proc/trace`: what happens to processes that are traced, while somebody has it open.
//!
//! Of Plan 9's events there are those of the scheduler (a process runs, is ready to, or waits), those that programs
//! make (`event` in their `ctl`), and their ends; there is no scheduler that keeps deadlines, and so no events of one.
//! A ring has the last [`EVENTS`]; who reads too seldom loses the oldest.
//!
//! Ownership: a process that has been traced has a [`Traced`], which its thread holds as well, to tell it what it does.
//! Processes that never were have none, and cost the scheduler a look at a word.
//!
//! Lock: `ring` is a leaf, under which no memory is taken or given back: the scheduler comes with locks of its own.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use machine::lock::Lock;
use machine::thread::{Observer, State};
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
    /// It begins to run.
    Run = 3,
    /// It could run, and waits for a processor.
    Ready = 4,
    /// It waits for something.
    Sleep = 5,
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

/// A process that is traced, or was.
pub(crate) struct Traced {
    pid: u32,
    /// It is now.
    is_on: AtomicBool,
    trace: Arc<Trace>,
}

impl Observer for Traced {
    fn state(&self, state: State) {
        let event = match state {
            State::Running => Event::Run,
            State::Ready => Event::Ready,
            State::Parked => Event::Sleep,
            // Its process has ended before.
            State::Dead => return,
        };
        self.add(event);
    }
}

impl Traced {
    fn add(&self, event: Event) {
        if self.is_on.load(Ordering::Relaxed) {
            self.trace.add(self.pid, event);
        }
    }
}

/// Is what `p` does told?
pub(crate) fn is_on(p: &Proc) -> bool {
    p.traced.get().is_some_and(|traced| traced.is_on.load(Ordering::Relaxed))
}

/// Says whether what `p` does is told from now on.
pub(crate) fn turn(p: &Proc, on: bool) {
    if !on && p.traced.get().is_none() {
        return;
    }
    let trace = &p.kernel.trace;
    let traced = p
        .traced
        .call_once(|| Arc::new(Traced { pid: p.pid, is_on: AtomicBool::new(false), trace: trace.clone() }));
    if let Some(thread) = p.thread.get() {
        thread.observe(traced.clone());
    }
    traced.is_on.store(on, Ordering::Relaxed);
}

/// Something has happened to `p`.
pub(crate) fn add(p: &Proc, event: Event) {
    if let Some(traced) = p.traced.get() {
        traced.add(event);
    }
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

    fn add(&self, pid: u32, event: Event) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&pid.to_le_bytes());
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
