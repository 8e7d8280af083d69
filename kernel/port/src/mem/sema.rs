//! Semaphores: integers in user memory with a queue of waiters in the kernel (section 2, `semacquire`).
//!
//! The integer is changed with compare-and-swap only. Waiters are keyed by address within their segment, so
//! they meet across processes that share it. A waiter puts itself on the queue *before* it looks at the
//! integer again; a release adds first and wakes then; so no unit can be overlooked. Whoever was woken and
//! leaves without a unit (a note, a timeout) wakes the next in its place.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::{Rendez, Wake};

use super::access::FaultAccess;
use super::memory::Memory;
use crate::error::{Error, Result};

/// Waiters that are woken at a time.
const BATCH: usize = 8;

/// The waiters of a segment.
pub(crate) struct Sema {
    queue: Lock<Vec<Arc<Waiter>>>,
}

struct Waiter {
    va: u64,
    woken: AtomicBool,
    rendez: Rendez,
}

impl Sema {
    /// Nobody waits.
    pub(crate) const fn new() -> Self {
        Sema { queue: Lock::new(Vec::new()) }
    }

    /// Puts a waiter at the end. The list grows for all who wait, and is nobody's.
    ///
    /// # Errors
    /// No memory.
    fn enter(&self, waiter: &Arc<Waiter>) -> Result<()> {
        let mut queue = self.queue.lock();
        as_kernel(|| heap::try_reserve(&mut *queue, 1))?;
        queue.push(waiter.clone());
        Ok(())
    }

    fn wake(&self, va: u64, mut count: u32) {
        while count > 0 {
            let mut woken: [Option<Arc<Waiter>>; BATCH] = [const { None }; BATCH];
            let mut places = woken.iter_mut().take(count as usize);
            let mut left = 0;
            self.queue.lock().retain(|w| {
                if w.va != va {
                    return true;
                }
                match places.next() {
                    Some(place) => *place = Some(w.clone()),
                    None => left += 1,
                }
                left > 0
            });
            for w in woken.into_iter().flatten() {
                count -= 1;
                w.woken.store(true, Ordering::Release);
                w.rendez.wakeup();
            }
            if left == 0 {
                break;
            }
        }
    }
}

impl Default for Sema {
    fn default() -> Self {
        Self::new()
    }
}

/// Changes the integer at `va` to what `change` makes of it, which may be asked again. What was there; as `Err` when
/// `change` gives nothing.
fn update(
    mem: &Memory,
    va: u64,
    change: impl Fn(u32) -> Option<u32>,
) -> Result<core::result::Result<u32, u32>> {
    if let Some(done) = mem.space.update_u32(va, &change) {
        return Ok(done);
    }
    if !va.is_multiple_of(4) {
        return Err(abi::error::EBADARG.into());
    }
    // It is not there yet, or not to be written; the next time it is.
    if mem.touch(va, FaultAccess::Write)
        && let Some(done) = mem.space.update_u32(va, &change)
    {
        return Ok(done);
    }
    let word = mem.pin(va, 4, true)?.pop().ok_or(Error::bad_address())?;
    Ok(word.update_u32(0, &change))
}

/// Takes a unit if there is one.
fn take(mem: &Memory, va: u64) -> Result<bool> {
    match update(mem, va, |value| (value as i32 > 0).then(|| value - 1))? {
        Ok(_) => Ok(true),
        Err(0) => Ok(false),
        Err(_) => Err(abi::error::EBADARG.into()),
    }
}

/// `semacquire` and `tsemacquire`: takes a unit; when there is none, waits until `deadline_ns` (`None`: does not
/// wait). True when it got one.
///
/// # Errors
/// `bad arg in system call` for a negative or misaligned integer, a bad address, `interrupted`; no memory for a place
/// among those who wait.
pub(crate) fn acquire(mem: &Memory, va: u64, deadline_ns: Option<u64>) -> Result<bool> {
    if take(mem, va)? {
        return Ok(true);
    }
    let Some(deadline_ns) = deadline_ns else { return Ok(false) };
    let seg = mem.find(va).ok_or(Error::bad_address())?;
    let waiter = Arc::new(Waiter { va, woken: AtomicBool::new(false), rendez: Rendez::new() });
    loop {
        waiter.woken.store(false, Ordering::Relaxed);
        if let Err(e) = seg.sema.enter(&waiter) {
            // It may have been woken before: then the next one is.
            seg.sema.wake(va, 1);
            return Err(e);
        }
        // The page is looked up anew each time: a fork may have put another in its place.
        let got = take(mem, va);
        let slept = match got {
            Ok(false) => waiter.rendez.sleep_until(deadline_ns, || waiter.woken.load(Ordering::Acquire)),
            _ => Ok(()),
        };
        let queued = {
            let mut queue = seg.sema.queue.lock();
            let before = queue.len();
            queue.retain(|w| !Arc::ptr_eq(w, &waiter));
            queue.len() < before
        };
        let leave = match (got, slept) {
            (Ok(false), Ok(())) => continue,
            (Ok(false), Err(Wake::Interrupted)) => Err(abi::error::EINTR.into()),
            (Ok(false), Err(Wake::TimedOut)) => Ok(false),
            (got, _) => got,
        };
        if !queued {
            seg.sema.wake(va, 1);
        }
        return leave;
    }
}

/// `semrelease`: adds `count` units and wakes as many waiters. Gives the new value.
///
/// # Errors
/// `bad arg in system call` for a negative count or value, or one that would overflow.
pub(crate) fn release(mem: &Memory, va: u64, count: i32) -> Result<i32> {
    let more = |value: u32| {
        let count = u32::try_from(count).ok()?;
        value.checked_add(count).filter(|&n| (value as i32) >= 0 && (n as i32) >= 0)
    };
    let value = update(mem, va, more)?.map_err(|_| abi::error::EBADARG)?;
    let count = count as u32;
    let seg = mem.find(va).ok_or(Error::bad_address())?;
    seg.sema.wake(va, count);
    Ok((value + count) as i32)
}
