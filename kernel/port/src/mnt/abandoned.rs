//! Requests that nobody can wait for any more: their process was killed or told a note, and the server does not answer.
//!
//! A process that is to die abandons the slot of such a request ([`Session::abandon`]) and goes. So does one that goes
//! on living, if nothing but the slot's own buffers is in the request: a read or write may still come for its pages. A
//! kernel thread, the slot's *keeper*, waits in its place. Until the requests are back, tags and buffers are the
//! transport's. The fids that they name are *parked*: what the server thinks of them is not known, so their numbers may
//! not be used again. When all is back they are clunked, those that the server does not know too, to which it only says
//! no.
//!
//! While a session has keepers, whoever is to die waits for nothing that it sends: one more thread sends its Tclunks.
//!
//! Ownership: a thread holds the session, and the slot that it keeps. When only such threads are left to hold the
//! session, nobody wants what they wait for, and the session ends. Lock order: `slots` is a leaf; under
//! `being_clunked` that of the fids is taken.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::error;
use machine::heap::Call;
use machine::lock::Lock;
use machine::thread;
use ninep::Tmsg;

use super::session::Session;
use super::slot::{Flush, PIECES};
use super::slots::{AbandonedSlot, SlotGuard};
use crate::error::{Error, Result};
use crate::proc::notes;

/// What processes that were killed have abandoned.
pub(super) struct Abandoned {
    /// Slots that no keeper has taken yet.
    slots: Lock<Vec<AbandonedSlot>>,
    /// A thread sends the Tclunks of orphans.
    being_clunked: Lock<bool>,
    /// Threads that see to it.
    threads: AtomicUsize,
}

impl Abandoned {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Abandoned {
            slots: Lock::new(Vec::new()),
            being_clunked: Lock::new(false),
            threads: AtomicUsize::new(0),
        }
    }
}

impl Session {
    /// Is the running process to die, so that it should not wait?
    pub(super) fn must_die(&self) -> bool {
        let pid = thread::current().tag();
        let Some(kernel) = self.kernel.upgrade().filter(|_| pid != 0) else { return false };
        let up = kernel.procs.lock().get(&(pid as u32)).cloned();
        up.is_none_or(|up| notes::must_die(&up))
    }

    /// Is the running process to die, and the server known to be silent?
    pub(super) fn must_hurry(&self) -> bool {
        self.abandoned.threads.load(Ordering::Relaxed) > 0 && self.must_die()
    }

    /// Is the running process to die, or was it told a note, so that it should not wait for ever?
    pub(super) fn must_leave(&self) -> bool {
        thread::current().interrupted() || self.must_die()
    }

    /// Whoever has waited for a while asks this whether to wait on.
    ///
    /// # Errors
    /// `interrupted`: the process is to die, or to see a note, and has abandoned its slot.
    pub(super) fn abandon_in_time(self: &Arc<Self>, guard: &mut SlotGuard<'_>) -> Result<()> {
        if if guard.may_leave { self.must_leave() } else { self.must_die() } {
            return Err(self.abandon(guard));
        }
        let threads = self.abandoned.threads.load(Ordering::Acquire);
        if threads > 0 && Arc::strong_count(self) == threads {
            self.hang_up();
        }
        Ok(())
    }

    /// Abandons a slot to a keeper. Gives what the call says then.
    fn abandon(self: &Arc<Self>, guard: &mut SlotGuard<'_>) -> Error {
        if let Ok(slot) = guard.slot() {
            self.fids.park(&slot.fids_out());
        }
        if let Some(slot) = guard.abandon() {
            self.abandoned.slots.lock().push(slot);
            self.have_done("9p-keep", Session::keep);
        }
        error::EINTR.into()
    }

    /// Has a thread do `what`. Without memory for one the session ends, and `what` is soon done.
    fn have_done(self: &Arc<Self>, name: &str, what: fn(&Arc<Session>)) {
        let session = self.clone();
        self.abandoned.threads.fetch_add(1, Ordering::AcqRel);
        let body = move || {
            let _call = Call::enter("keeper of a session");
            what(&session);
            session.abandoned.threads.fetch_sub(1, Ordering::AcqRel);
        };
        if thread::spawn(name, 0, Box::new(body)).is_err() {
            self.abandoned.threads.fetch_sub(1, Ordering::AcqRel);
            self.hang_up();
            what(self);
        }
    }

    /// A keeper's life.
    fn keep(self: &Arc<Self>) {
        let Some(slot) = self.abandoned.slots.lock().pop() else { return };
        let mut guard = self.slots.keep(slot);
        let fids = guard.slot().map(|slot| slot.fids_out()).unwrap_or_default();
        // Nothing kills a kernel thread.
        let _ = self.settle(&mut guard);
        drop(guard);
        self.fids.unpark(&fids);
        self.clunk_orphans();
    }

    /// Waits until everything of a slot is back.
    fn settle(self: &Arc<Self>, guard: &mut SlotGuard<'_>) -> Result<()> {
        // The sign of life first: without it there will be nothing else.
        for purpose in [Flush::Sign, Flush::Message] {
            if let Some(done) = guard.slot()?.flush_made(purpose).and_then(|flush| flush.is_out()) {
                self.see_flush(guard, purpose, &done)?;
            }
        }
        for number in 0..guard.slot()?.pieces().len() {
            let piece = guard.slot()?.piece(number)?;
            let (tag, may_flush) = (piece.tag, piece.may_flush);
            let Some(done) = piece.is_out() else { continue };
            if may_flush && !done.ready() {
                self.flush(guard, tag)?;
            }
            let request = self.wait_surely(guard, &done)?;
            guard.slot()?.piece(number)?.put_back(request);
        }
        Ok(())
    }

    /// Has a thread clunk a fid that nobody has any more.
    pub(super) fn clunk_later(self: &Arc<Self>, number: u32) {
        self.fids.orphan(number);
        let being_clunked = *self.abandoned.being_clunked.lock();
        if !being_clunked {
            self.have_done("9p-clunk", Session::clunk_orphans);
        }
    }

    /// Has the server forget all orphans, unless somebody is about that.
    fn clunk_orphans(self: &Arc<Self>) {
        let mut mine = false;
        loop {
            let mut room = [0; PIECES];
            let some = {
                let mut being_clunked = self.abandoned.being_clunked.lock();
                if *being_clunked != mine {
                    return;
                }
                let some = self.fids.orphans(&mut room);
                *being_clunked = !some.is_empty();
                some
            };
            if some.is_empty() {
                return;
            }
            mine = true;
            let clunks: Vec<Tmsg<'_>> = some.iter().map(|&fid| Tmsg::Clunk { fid }).collect();
            // It is gone whatever the server says. What could not be sent for want of memory is lost.
            let clunked = self.call_all(&clunks, false, |_, _| Ok(()));
            for (&fid, clunked) in some.iter().zip(clunked) {
                if !clunked.is_err_and(|e| !e.is_answer() && e.is(error::ENOMEM)) {
                    self.fids.free(fid);
                }
            }
        }
    }
}
