//! Requests that nobody can wait for any more: their process was killed or told a note, and the server does not answer.
//! Or nobody has to wait: a file was closed, and a second is long enough to hear that the server knows.
//!
//! A process that is to die abandons the slot of such a request ([`Session::abandon`]) and goes. So does one that goes
//! on living, if nothing but the slot's own buffers is in the request: a read or write may still come for its pages. A
//! kernel thread, the slot's *keeper*, waits in its place. Until the requests are back, tags and buffers are the
//! transport's. The fids that they name are *parked*: what the server thinks of them is not known, so their numbers may
//! not be used again. When all is back they are clunked, those that the server does not know too, to which it only says
//! no.
//!
//! While a session has keepers, whoever closes a file or is to die waits for no Tclunk: one more thread sends them, up
//! to a number of them at a time.
//!
//! Ownership: a thread holds the session, and the slot that it keeps. When only such threads are left to hold the
//! session, nobody wants what they wait for, and the session ends: at once when somebody was killed or told a note,
//! else after some seconds, which a server has for what it does when a file is closed. Lock order: `slots` is a leaf;
//! under `being_clunked` that of the fids is taken.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use abi::error;
use machine::heap::Call;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;
use ninep::Tmsg;

use super::session::Session;
use super::slot::{Flush, PIECES};
use super::slots::{AbandonedSlot, Leaves, SlotGuard};
use crate::error::{Error, Result};
use crate::proc::notes;

/// What processes that were killed have abandoned.
pub(super) struct Abandoned {
    /// Slots that no keeper has taken yet. In boxes, since who abandons one may not have the memory for a list of all.
    slots: Lock<Vec<AbandonedSlot>>,
    /// Signalled with each of them. A keeper is there before its slot.
    given: Rendez,
    /// A thread sends the Tclunks of orphans.
    being_clunked: Lock<bool>,
    /// Threads that see to it.
    threads: AtomicUsize,
    /// Those of them that have slots, or are given them.
    keepers: AtomicUsize,
    /// Some of it was abandoned by who was killed or told a note.
    in_anger: AtomicBool,
}

/// How long a server that nobody wants any more has for its answers to Tclunks, in looks, which are a second apart.
pub(super) const LAST_LOOKS: u32 = 10;

impl Abandoned {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Abandoned {
            slots: Lock::new(Vec::new()),
            given: Rendez::new(),
            being_clunked: Lock::new(false),
            threads: AtomicUsize::new(0),
            keepers: AtomicUsize::new(0),
            in_anger: AtomicBool::new(false),
        }
    }
}

impl Session {
    /// Is the running process to die, so that it should not wait?
    pub(super) fn must_die(&self) -> bool {
        let pid = thread::tag();
        let Some(kernel) = self.kernel.upgrade().filter(|_| pid != 0) else { return false };
        let up = kernel.procs.lock().get(&(pid as u32)).cloned();
        up.is_none_or(|up| notes::must_die(&up))
    }

    /// Is a Tclunk to be left to others? The server is known to be silent, and the running process is to die, or there
    /// are not too many others that wait for the server.
    pub(super) fn must_hurry(&self) -> bool {
        let is_silent = self.abandoned.threads.load(Ordering::Relaxed) > 0;
        is_silent && (self.must_die() || self.has_keepers() && self.fids.has_few_orphans())
    }

    /// Whether there are messages that only keepers wait for.
    fn has_keepers(&self) -> bool {
        self.abandoned.keepers.load(Ordering::Acquire) > 0
    }

    /// What is enough for a Tclunk to be left to a keeper.
    pub(super) fn leaves_clunk(&self) -> Leaves {
        if self.fids.has_few_orphans() { Leaves::Soon } else { Leaves::AtNote }
    }

    /// Is the running process to die, or was it told a note, so that it should not wait for ever?
    pub(super) fn must_leave(&self) -> bool {
        thread::is_interrupted() || self.must_die()
    }

    /// Whoever has waited for a while asks this whether to wait on.
    ///
    /// # Errors
    /// `interrupted`: the process is to die, or to see a note, or need not wait, and has abandoned its slot.
    pub(super) fn abandon_in_time(self: &Arc<Self>, guard: &mut SlotGuard<'_>) -> Result<()> {
        guard.slot()?;
        let must = if guard.leaves == Leaves::ToDie { self.must_die() } else { self.must_leave() };
        if must {
            self.abandoned.in_anger.store(true, Ordering::Relaxed);
            let has_keeper = self.start("9p-keep", Session::keep);
            return Err(self.abandon(guard, has_keeper));
        }
        // Who need not go waits on where there is no memory for a keeper.
        if guard.leaves == Leaves::Soon && self.start("9p-keep", Session::keep) {
            return Err(self.abandon(guard, true));
        }
        if self.is_only_threads() && (self.is_unwanted() || guard.looks >= LAST_LOOKS) {
            self.hang_up();
        }
        Ok(())
    }

    /// Is it held by its own threads alone?
    pub(super) fn is_only_threads(self: &Arc<Self>) -> bool {
        let threads = self.abandoned.threads.load(Ordering::Acquire);
        threads > 0 && Arc::strong_count(self) == threads
    }

    /// Was something left behind by who was killed or told a note?
    pub(super) fn is_unwanted(&self) -> bool {
        self.abandoned.in_anger.load(Ordering::Relaxed)
    }

    /// Abandons a slot to a keeper, which waits for it already. Without one the session ends, and everything is soon
    /// back. Gives what the call says then.
    fn abandon(self: &Arc<Self>, guard: &mut SlotGuard<'_>, has_keeper: bool) -> Error {
        if let Ok(slot) = guard.slot() {
            self.fids.park(&slot.fids_out());
        }
        if let Some(slot) = guard.abandon() {
            self.abandoned.keepers.fetch_add(1, Ordering::AcqRel);
            self.abandoned.slots.lock().push(slot);
            self.abandoned.given.wakeup_one();
        }
        if !has_keeper {
            self.hang_up();
            self.keep();
        }
        error::EINTR.into()
    }

    /// Has a thread do `what`. False when there is no memory for one.
    pub(super) fn start(self: &Arc<Self>, name: &str, what: fn(&Arc<Session>)) -> bool {
        let session = self.clone();
        self.abandoned.threads.fetch_add(1, Ordering::AcqRel);
        let body = move || {
            let _call = Call::enter("keeper of a session");
            what(&session);
            session.abandoned.threads.fetch_sub(1, Ordering::AcqRel);
        };
        let started = thread::spawn(name, 0, Box::new(body)).is_ok();
        if !started {
            self.abandoned.threads.fetch_sub(1, Ordering::AcqRel);
        }
        started
    }

    /// A keeper's life.
    fn keep(self: &Arc<Self>) {
        let mut given = None;
        self.abandoned.given.sleep(|| {
            given = self.abandoned.slots.lock().pop();
            given.is_some()
        });
        // That is what was waited for.
        let Some(slot) = given else { return };
        let mut guard = self.slots.keep(slot);
        let fids = guard.slot().map(|slot| slot.fids_out()).unwrap_or_default();
        // Nothing kills a kernel thread.
        let _ = self.settle(&mut guard);
        drop(guard);
        self.abandoned.keepers.fetch_sub(1, Ordering::AcqRel);
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
        // Without memory for a thread the session ends, unless there is a keeper, which does that in the end.
        if !being_clunked && !self.start("9p-clunk", Session::clunk_orphans) && !self.has_keepers() {
            self.hang_up();
            self.clunk_orphans();
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
            let clunked = self.call_all(&clunks, Leaves::AtNote, false, |_, _| Ok(()));
            for (&fid, clunked) in some.iter().zip(clunked) {
                if !clunked.is_err_and(|e| !e.is_answer() && e.is(error::ENOMEM)) {
                    self.fids.free(fid);
                }
            }
        }
    }
}
