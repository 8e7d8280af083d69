//! Fids: the numbers by which a session's server knows its files.
//!
//! Ownership: a [`Fid`] holds its session. Its drop tells the server, and its number is free only when the server knows
//! it no more. A number that is named in a request that was [abandoned](super::abandoned) is *parked* until that is
//! back.
//!
//! Lock order: `Fids::inner` is a leaf.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::array;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use abi::{Qid, error};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use ninep::{Dialect, NOFID, Rmsg, Tmsg};

use super::farewell::Farewells;
use super::look::{Look, Looks};
use super::session::Session;
use super::trail::{SOME, Trail};
use crate::error::Result;

/// Which numbers a session's files have, and which are free.
pub(super) struct Fids {
    inner: Lock<Inner>,
    /// Those that nobody waits for any more.
    pub(super) farewells: Farewells,
}

/// While a server that is silent is still to be told of so many, whoever closes a file waits again.
const ORPHANS: usize = 1024;

/// Each list has room for all numbers that there ever were: whoever lets a fid go asks for no memory. What these lists
/// take, some twenty bytes for each number, is on nobody's bill: numbers are used by one process after the other.
struct Inner {
    next: u32,
    free: Vec<u32>,
    /// Numbers in requests that were [abandoned](super::abandoned), in their order.
    parked: Vec<Parked>,
    /// Numbers that nobody has any more, and that the server still knows.
    orphans: Vec<u32>,
    /// The names on the way to each, for dialects whose server does not tell.
    trails: BTreeMap<u32, Arc<Trail>>,
    /// Passes over all of them so far.
    passes: u32,
    /// Numbers that somebody has.
    held: usize,
    /// How many fids there were.
    serials: u64,
    /// What was walked to, and may be looked at again.
    kept: Looks,
}

/// What the server thinks of a fid is not known.
struct Parked {
    number: u32,
    /// Requests that are not back.
    requests: u16,
    /// Nobody has the fid any more.
    dropped: bool,
}

/// Whether a fid that is dropped can be seen to.
enum Drops {
    /// When the requests that name it are back.
    Later,
    /// Now. The server may know it even if it was never born.
    Doubtful,
    /// Now.
    Known,
}

impl Fids {
    /// All numbers are free.
    pub(crate) const fn new() -> Self {
        Fids {
            inner: Lock::new(Inner {
                next: 1,
                free: Vec::new(),
                parked: Vec::new(),
                orphans: Vec::new(),
                trails: BTreeMap::new(),
                passes: 0,
                held: 0,
                serials: 0,
                kept: Looks::new(),
            }),
            farewells: Farewells::new(),
        }
    }

    /// A number that the server does not know, and which fid of all that there were this is.
    fn take(&self) -> Result<(u32, u64)> {
        let mut fids = self.inner.lock();
        let fids = &mut *fids;
        let serial = fids.serials + 1;
        if let Some(fid) = fids.free.pop() {
            fids.held += 1;
            fids.serials = serial;
            return Ok((fid, serial));
        }
        let all = fids.next as usize;
        // Another one cannot come to pass before memory is gone, but the arithmetic shall hold.
        let next = fids.next.checked_add(1).filter(|next| *next != NOFID).ok_or(error::ENOMEM)?;
        let (free, parked, orphans) = (fids.free.len(), fids.parked.len(), fids.orphans.len());
        // They are the session's, for those who come after this process as well.
        as_kernel(|| {
            heap::try_reserve(&mut fids.free, all.saturating_sub(free))?;
            heap::try_reserve(&mut fids.parked, all.saturating_sub(parked))?;
            heap::try_reserve(&mut fids.orphans, all.saturating_sub(orphans))
        })?;
        fids.held += 1;
        fids.serials = serial;
        Ok((core::mem::replace(&mut fids.next, next), serial))
    }

    /// The server knows the fid no more: its number may be used again.
    pub(super) fn free(&self, number: u32) {
        let mut fids = self.inner.lock();
        fids.free.push(number);
        let trail = fids.trails.remove(&number);
        drop(fids);
        drop(trail);
    }

    /// The names on the way to a fid that nobody has any more are of no use.
    pub(super) fn forget_trail(&self, number: u32) {
        let trail = self.inner.lock().trails.remove(&number);
        drop(trail);
    }

    /// The names on the way to a fid, if they are known.
    pub(super) fn trail(&self, number: u32) -> Option<Arc<Trail>> {
        self.inner.lock().trails.get(&number).cloned()
    }

    /// This is the way to a fid now.
    pub(super) fn set_trail(&self, number: u32, trail: Arc<Trail>) {
        let mut fids = self.inner.lock();
        let old = as_kernel(|| fids.trails.insert(number, trail));
        drop(fids);
        drop(old);
    }

    /// The number of a new pass over all ways; never 0.
    pub(super) fn new_pass(&self) -> u32 {
        let mut fids = self.inner.lock();
        fids.passes = fids.passes.checked_add(1).unwrap_or(1);
        fids.passes
    }

    /// The ways to some fids, from the number `from` on, and where to go on; `None` behind the last.
    pub(super) fn some_trails(&self, from: u32) -> Option<(u32, [Option<Arc<Trail>>; SOME])> {
        let fids = self.inner.lock();
        let mut range = fids.trails.range(from..);
        let mut last = None;
        let some = array::from_fn(|_| {
            let (number, trail) = range.next()?;
            last = Some(*number);
            Some(trail.clone())
        });
        Some((last?.checked_add(1)?, some))
    }

    /// How many are not free, without those that are kept to be looked at again, or that the server is about to forget.
    pub(super) fn in_use(&self) -> u64 {
        let farewells = self.farewells.out();
        let fids = self.inner.lock();
        u64::from(fids.next - 1).saturating_sub((fids.free.len() + fids.kept.len() + farewells) as u64)
    }

    /// What is kept to be looked at again.
    pub(super) fn with_looks<R>(&self, f: impl FnOnce(&mut Looks) -> R) -> R {
        f(&mut self.inner.lock().kept)
    }

    /// Requests that name these fids were abandoned.
    pub(super) fn park(&self, numbers: &[u32]) {
        let mut fids = self.inner.lock();
        for &number in numbers {
            match fids.find(number) {
                Ok(at) => fids.parked.get_mut(at).into_iter().for_each(|parked| parked.requests += 1),
                Err(at) => fids.parked.insert(at, Parked { number, requests: 1, dropped: false }),
            }
        }
    }

    /// They are back. Those that nobody has any more are [orphans](Fids::orphans).
    pub(super) fn unpark(&self, numbers: &[u32]) {
        let mut fids = self.inner.lock();
        for &number in numbers {
            // What is still held stays here, in doubt, until it is dropped.
            let Ok(at) = fids.find(number) else { continue };
            let Some(parked) = fids.parked.get_mut(at) else { continue };
            parked.requests = parked.requests.saturating_sub(1);
            if parked.requests == 0 && parked.dropped {
                fids.parked.remove(at);
                fids.orphans.push(number);
            }
        }
    }

    /// Nobody has the fid any more, and the server still knows it.
    pub(super) fn orphan(&self, number: u32) {
        self.inner.lock().orphans.push(number);
    }

    /// Whether there are so few orphans that more may be left to wait for a silent server.
    pub(super) fn has_few_orphans(&self) -> bool {
        self.inner.lock().orphans.len() < ORPHANS
    }

    /// Takes some of the orphans, as many as there is room for.
    pub(super) fn orphans<'a>(&self, room: &'a mut [u32]) -> &'a [u32] {
        let mut fids = self.inner.lock();
        let n = room.len().min(fids.orphans.len());
        let at = fids.orphans.len() - n;
        let some = room.get_mut(..n).unwrap_or_default();
        for (place, number) in some.iter_mut().zip(fids.orphans.drain(at..)) {
            *place = number;
        }
        some
    }

    /// Nobody has the fid any more. Also whether nobody has any, and what is kept when nobody has any other.
    fn lets_go(&self, number: u32) -> (Drops, bool, Vec<Look>) {
        let (last, kept) = {
            let mut fids = self.inner.lock();
            fids.held = fids.held.saturating_sub(1);
            let kept = if fids.held == fids.kept.len() { fids.kept.take_all() } else { Vec::new() };
            (fids.held == 0, kept)
        };
        (self.drops(number), last, kept)
    }

    fn drops(&self, number: u32) -> Drops {
        let mut fids = self.inner.lock();
        let Ok(at) = fids.find(number) else { return Drops::Known };
        match fids.parked.get_mut(at) {
            Some(parked) if parked.requests > 0 => {
                parked.dropped = true;
                Drops::Later
            }
            _ => {
                fids.parked.remove(at);
                Drops::Doubtful
            }
        }
    }
}

impl Inner {
    /// Where a number is parked, or where it would be.
    fn find(&self, number: u32) -> core::result::Result<usize, usize> {
        self.parked.binary_search_by_key(&number, |parked| parked.number)
    }
}

/// No such file at the server yet: the number may be used, and nothing has to be sent when it is dropped.
const UNBORN: u8 = 0;
/// The server knows it: dropping it sends a Tclunk.
const BORN: u8 = 1;
/// The server has forgotten it.
const GONE: u8 = 2;

/// A file at the server, by its number. Its drop tells the server, and only then is the number free.
pub(crate) struct Fid {
    /// The session.
    pub(crate) session: Arc<Session>,
    /// The number.
    pub(crate) number: u32,
    /// Which one of all fids of the session this is: numbers are used again.
    pub(super) serial: u64,
    /// The qid path of the file that is open, in dialects whose server knows files by their paths.
    open: AtomicU64,
    /// It is the root of a mount that has contents kept.
    pub(super) keeps: AtomicBool,
    /// Who closes it waits until the server has done so.
    waits: AtomicBool,
    state: AtomicU8,
}

/// No file is open.
const NOT_OPEN: u64 = u64::MAX;

impl Fid {
    /// A number for a request that will make the file.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn reserve(session: &Arc<Session>) -> Result<Fid> {
        let (number, serial) = session.fids.take()?;
        Ok(Fid {
            number,
            serial,
            session: session.clone(),
            open: AtomicU64::new(NOT_OPEN),
            keeps: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            state: AtomicU8::new(UNBORN),
        })
    }

    /// Attaches: a fid for the root of the tree.
    ///
    /// # Errors
    /// The server's.
    pub(crate) fn attach(session: &Arc<Session>, uname: &str, aname: &str, afid: u32) -> Result<(Fid, Qid)> {
        let fid = Fid::reserve(session)?;
        let message = match ninep::translate::attach(fid.number, uname, aname) {
            Tmsg::Attach { fid, uname, aname, n_uname, .. } => {
                Tmsg::Attach { fid, afid, uname, aname, n_uname }
            }
            other => other,
        };
        let qid = session.call(&message, |reply| match reply {
            Rmsg::Attach { qid } => Ok(qid),
            _ => Err(error::EMOUNTRPC.into()),
        })?;
        Trail::begin(&fid, aname, qid);
        Ok((fid.born(), qid))
    }

    /// The request succeeded.
    pub(crate) fn born(self) -> Fid {
        self.state.store(BORN, Ordering::Relaxed);
        self
    }

    /// The file that it is open with.
    pub(super) fn set_open(&self, file: Qid) {
        if self.session.dialect != Dialect::P9 {
            self.open.store(file.path, Ordering::Relaxed);
        }
    }

    /// Who closes it is to wait until the server has done so.
    pub(super) fn set_waits(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }

    /// The qid path of the file that is open.
    pub(super) fn open_file(&self) -> Option<u64> {
        Some(self.open.load(Ordering::Relaxed)).filter(|path| *path != NOT_OPEN)
    }

    /// A second fid for the same file.
    ///
    /// # Errors
    /// The server's.
    pub(crate) fn copy(&self) -> Result<Fid> {
        if Trail::is_gone(self) {
            return Err(error::ENONEXIST.into());
        }
        let new = Fid::reserve(&self.session)?;
        let walk = Tmsg::Walk { fid: self.number, newfid: new.number, names: ninep::Names::new(&[]) };
        self.session.call(&walk, |_| Ok(()))?;
        Trail::follow(&new, self, &[], &[], 0);
        Ok(new.born())
    }

    /// Removes the file; the server forgets the fid in any case.
    ///
    /// # Errors
    /// The server's.
    pub(crate) fn remove(&self) -> Result<()> {
        self.session.moves();
        self.removed(self.session.call_surely(&Tmsg::Remove { fid: self.number }, |_| Ok(())))
    }

    /// The same for a file that goes because it is closed: nobody has to wait for that, if the server has been silent
    /// for a second.
    ///
    /// # Errors
    /// The server's; `interrupted` when a keeper waits now.
    pub(crate) fn remove_soon(&self) -> Result<()> {
        self.session.moves();
        self.removed(self.session.call_soon(&Tmsg::Remove { fid: self.number }, |_| Ok(())))
    }

    /// Draws the conclusions from the answer to a Tremove.
    fn removed(&self, removed: Result<()>) -> Result<()> {
        if removed.is_ok() && self.session.dialect != Dialect::P9 {
            Trail::removed(self);
            self.session.attributes.removed(Trail::file(self));
        }
        self.session.moves();
        // QEMU refuses it on a read-only share before it looks at the fid, which stays. So after a failure a Tclunk
        // follows, and does no harm when there is nothing left to clunk.
        let keeps_to_it = self.session.dialect == Dialect::P9;
        if removed.is_ok() || keeps_to_it && was_answered(&removed) {
            self.state.store(GONE, Ordering::Relaxed);
        }
        removed
    }
}

/// Was a message that must get through answered, if only with an error? Without memory for it, it was not sent; and
/// nobody waits for ever.
fn was_answered(result: &Result<()>) -> bool {
    !matches!(result, Err(e) if !e.is_answer() && (e.is(error::ENOMEM) || e.is(error::EINTR)))
}

impl Fid {
    /// Has the server forget it, and its number used again when that is so. `last`: nobody has another one.
    fn let_go(&mut self, drops: Drops, last: bool) {
        let (session, number) = (&self.session, self.number);
        let known = match (&drops, *self.state.get_mut()) {
            (Drops::Later, _) => return,
            (Drops::Doubtful, UNBORN) | (_, BORN) => session.alive().is_ok(),
            _ => false,
        };
        if known {
            // The last one waits for all.
            let waits = *self.waits.get_mut() && !last || matches!(drops, Drops::Doubtful);
            if !waits && session.farewell(number) {
                return;
            }
            if session.must_hurry() {
                return session.clunk_later(number);
            }
            // The fid is gone even when the server says that closing failed.
            match session.clunk(number) {
                // The server still has it: the number is lost, which is better than used twice.
                Err(e) if !e.is_answer() && e.is(error::ENOMEM) => return,
                // Abandoned, or never sent.
                Err(e) if e.is_note() => {
                    return match session.fids.drops(number) {
                        Drops::Later => {}
                        _ => session.clunk_later(number),
                    };
                }
                _ => {}
            }
        }
        session.fids.free(number);
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        let (drops, last, kept) = self.session.fids.lets_go(self.number);
        self.let_go(drops, last);
        drop(kept);
        if last {
            self.session.see_farewells();
        }
    }
}
