//! Semaphores: integers in user memory with a queue of waiters in the kernel (section 2, `semacquire`).
//!
//! The integer is changed with compare-and-swap only. Waiters are keyed by address within their segment, so
//! they meet across processes that share it. A waiter puts itself on the queue *before* it looks at the
//! integer again; a release adds first and wakes then; so no unit can be overlooked. Whoever was woken and
//! leaves without a unit (a note, a timeout) wakes the next in its place.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use machine::lock::Lock;
use machine::page::Pinned;
use machine::sync::{Rendez, Wake};

use super::memory::Memory;
use crate::error::{Error, Result};

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

    fn wake(&self, va: u64, mut count: u32) {
        let mut woken = Vec::new();
        {
            let mut queue = self.queue.lock();
            queue.retain(|w| {
                let wake = count > 0 && w.va == va;
                if wake {
                    count -= 1;
                    woken.push(w.clone());
                }
                !wake
            });
        }
        for w in woken {
            w.woken.store(true, Ordering::Release);
            w.rendez.wakeup();
        }
    }
}

impl Default for Sema {
    fn default() -> Self {
        Self::new()
    }
}

/// The integer at `va`, pinned for writing.
fn integer(mem: &Memory, va: u64) -> Result<Pinned> {
    if !va.is_multiple_of(4) {
        return Err(abi::error::EBADARG.into());
    }
    mem.pin(va, 4, true)?.pop().ok_or(Error::bad_address())
}

/// Takes a unit if there is one.
fn take(word: &Pinned) -> Result<bool> {
    let mut value = word.load_u32(0);
    loop {
        if (value as i32) < 0 {
            return Err(abi::error::EBADARG.into());
        }
        if value == 0 {
            return Ok(false);
        }
        match word.compare_exchange_u32(0, value, value - 1) {
            Ok(_) => return Ok(true),
            Err(now) => value = now,
        }
    }
}

/// `semacquire` and `tsemacquire`: takes a unit; when there is none, waits until `deadline_ns` (`None`: does not
/// wait). True when it got one.
///
/// # Errors
/// `bad arg in system call` for a negative or misaligned integer, a bad address, `interrupted`.
pub(crate) fn acquire(mem: &Memory, va: u64, deadline_ns: Option<u64>) -> Result<bool> {
    if take(&integer(mem, va)?)? {
        return Ok(true);
    }
    let Some(deadline_ns) = deadline_ns else { return Ok(false) };
    let seg = mem.find(va).ok_or(Error::bad_address())?;
    let waiter = Arc::new(Waiter { va, woken: AtomicBool::new(false), rendez: Rendez::new() });
    loop {
        waiter.woken.store(false, Ordering::Relaxed);
        seg.sema.queue.lock().push(waiter.clone());
        // The page is looked up anew each time: a fork may have put another in its place.
        let got = integer(mem, va).and_then(|word| take(&word));
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
    let word = integer(mem, va)?;
    let count = u32::try_from(count).map_err(|_| abi::error::EBADARG)?;
    let mut value = word.load_u32(0);
    let new = loop {
        let new = value.checked_add(count).filter(|&n| (value as i32) >= 0 && (n as i32) >= 0);
        let new = new.ok_or(abi::error::EBADARG)?;
        match word.compare_exchange_u32(0, value, new) {
            Ok(_) => break new,
            Err(now) => value = now,
        }
    };
    let seg = mem.find(va).ok_or(Error::bad_address())?;
    seg.sema.wake(va, count);
    Ok(new as i32)
}
