//! Memory that is short for the moment: reads, writes, forks and execs wait until there is some.
//!
//! A call that is refused memory has changed nothing. For most that is the end of it, since what they want would be
//! kept. But who reads or writes passes something on, and what is in the way will mostly be gone in a moment: a reader
//! empties its pipe, a program ends. So a read or a write is tried again, as it would wait for a full pipe, whatever
//! device it is for: pipes, connections, ports, messages to servers. So is what makes a process or a program: when
//! many begin and end at the same time, each wants what the others are about to give back.
//!
//! Who has much memory himself is told at once, as is a user who has all that he may: nothing may come but by him. And
//! nobody waits longer than [`PATIENCE_NS`], since all that there are may wait for one another. A note ends it, too.
//!
//! What is kept of files is given up meanwhile, but not at each look: it is as likely to be wanted again.
//!
//! No lock is held here.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use abi::layout::PAGE;
use machine::sync::Patience;
use machine::{clock, heap, ledger};

use crate::error::{Error, Result};
use crate::mem::give_up_kept;
use crate::mem::iobuf::Src;
use crate::proc::process::Proc;
use crate::proc::{alarm, starve};

/// How long somebody waits for memory, in ns of the machine's time.
const PATIENCE_NS: u64 = 10_000_000_000;
/// How often it is tried, in ms...
const LOOK_MS: i32 = 20;
/// ...and with which of these tries what is kept of files is given up.
const GIVE_UP: u32 = 16;

/// Whether a call was refused memory, and not by a server.
pub(crate) fn is_want_of_memory(e: &Error) -> bool {
    !e.is_answer() && (e.is(error::ENOMEM) || e.is(error::ENOVMEM))
}

/// Whether others than `up` may give back what it wants.
fn may_come(up: &Proc) -> bool {
    ledger::may_have(PAGE as usize) && !starve::has_much(up)
}

/// Does what may fail for want of memory, [`again`] if it has.
///
/// # Errors
/// As [`again`].
pub(crate) fn patiently<T>(up: &Arc<Proc>, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    match call() {
        Err(e) if is_want_of_memory(&e) => again(up, e, call),
        done => done,
    }
}

/// The next piece of what is written, of which `done` bytes have gone. None when memory for it does not come: those
/// that have gone count. Before any has, who makes the call sees to that.
///
/// # Errors
/// A bad user address; no memory, when none has gone; `interrupted`.
pub(crate) fn piece(up: &Arc<Proc>, src: &Src<'_>, done: usize, most: usize) -> Result<Option<Vec<u8>>> {
    let get = || {
        let mut piece = heap::try_bytes((src.len() - done).min(most))?;
        src.get(done, &mut piece)?;
        Ok(Some(piece))
    };
    match if done == 0 { get() } else { patiently(up, get) } {
        Err(e) if done != 0 && is_want_of_memory(&e) => Ok(None),
        piece => piece,
    }
}

/// Tries again what has failed with `e`, if that was for want of memory that may come.
///
/// # Errors
/// What it failed with at last; `interrupted` by a note.
#[cold]
pub(crate) fn again<T>(up: &Arc<Proc>, e: Error, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    let (mut patience, mut e) = (Patience::new(PATIENCE_NS), e);
    for look in 0u32.. {
        if !is_want_of_memory(&e) || !may_come(up) {
            break;
        }
        // What there was of that may be enough.
        let more = look.is_multiple_of(GIVE_UP) && give_up_kept(up);
        if !more {
            patience.nap(clock::now_ns().saturating_add(LOOK_MS as u64 * 1_000_000));
            alarm::sleep(up, LOOK_MS)?;
            if patience.is_over() {
                break;
            }
        }
        match call() {
            Err(new) => e = new,
            done => return done,
        }
    }
    Err(e)
}
