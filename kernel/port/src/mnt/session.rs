//! A session with a server: the dialect and message size agreed on, the fids, and whether it still lives.
//!
//! Ownership: every file of a mount holds its session; when the last is closed, the session is over. A session
//! that failed is *hung up*: nothing is sent any more and every call says so; its files can only be closed.
//!
//! Lock order: `fids`, `kept` are leaves. `ending` is held while the transport is reset, and taken by nobody
//! who holds anything.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use abi::{Qid, error};
use io::message::Transport;
use machine::lock::Lock;
use machine::sync::QLock;
use ninep::translate::ids::Ids;
use ninep::translate::kept::Kept;
use ninep::translate::{errors, version};
use ninep::{Dialect, Rmsg, Tmsg};

use super::dotl::Trail;
use super::left::Estate;
use super::slots::Slots;
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// How long a server may be silent before the session is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a request may be under way before the server is asked for a sign of life, in ns.
    pub ask_ns: u64,
    /// How long the server has for that, in ns.
    pub sign_ns: u64,
    /// How long the server has to answer a Tflush, in ns.
    pub flush_ns: u64,
}

impl Patience {
    /// For a device. The host's disk may be slow, and QEMU answers a flush after what is flushed; but its server
    /// answers at once when asked for a sign.
    pub const DEVICE: Patience =
        Patience { ask_ns: 30_000_000_000, sign_ns: 10_000_000_000, flush_ns: u64::MAX };
    /// For a program behind a channel, which may think as long as it likes. When it dies the channel tells, but not
    /// every channel: who gives up a request is not to wait for ever for a server that is not there.
    pub const ENDLESS: Patience = Patience { ask_ns: u64::MAX, sign_ns: u64::MAX, flush_ns: 20_000_000_000 };
}

/// A session. See the module comment.
pub struct Session {
    /// What is spoken.
    pub dialect: Dialect,
    /// Largest message in bytes.
    pub msize: u32,
    /// The way to the server.
    pub transport: Arc<dyn Transport>,
    /// How long it waits.
    pub(super) patience: Patience,
    /// The PID cache.
    pub slots: Slots,
    /// Names for the host's numbers.
    pub ids: Ids,
    /// Mode bits the server does not know.
    pub kept: Lock<Kept>,
    fids: Lock<Fids>,
    /// To ask who is to die.
    pub(super) kernel: Weak<Kernel>,
    pub(super) estate: Estate,
    dead: AtomicBool,
    ending: QLock<()>,
}

struct Fids {
    next: u32,
    free: Vec<u32>,
    /// Numbers in requests that were [left](super::left).
    parked: BTreeMap<u32, Parked>,
}

/// What the server thinks of a fid is not known.
#[derive(Default)]
struct Parked {
    /// Requests that are not back.
    requests: usize,
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

impl Session {
    /// Begins a session: agrees on version and message size.
    ///
    /// # Errors
    /// The server does not speak the dialect, or does not answer.
    pub fn begin(
        kernel: &Arc<Kernel>,
        transport: Arc<dyn Transport>,
        (dialect, msize): (Dialect, u32),
        patience: Patience,
    ) -> Result<Arc<Session>> {
        let mut session = Arc::new(Session {
            dialect,
            msize,
            transport,
            patience,
            slots: Slots::new(),
            ids: Ids::new(),
            kept: Lock::new(Kept::new()),
            fids: Lock::new(Fids { next: 1, free: Vec::new(), parked: BTreeMap::new() }),
            kernel: Arc::downgrade(kernel),
            estate: Estate::new(),
            dead: AtomicBool::new(false),
            ending: QLock::new(()),
        });
        let ask = Tmsg::Version { msize, version: dialect.version().into() };
        let (dialect, msize) = session.call(&ask, |reply| Ok(version::accept(dialect, msize, &reply)?))?;
        // A Tversion is never left to anybody, so nobody else has it yet.
        let new = Arc::get_mut(&mut session).ok_or(error::EMOUNTRPC)?;
        (new.dialect, new.msize) = (dialect, msize);
        Ok(session)
    }

    /// Does it still live?
    ///
    /// # Errors
    /// `i/o on hungup channel`.
    pub fn alive(&self) -> Result<()> {
        if self.dead.load(Ordering::Acquire) { Err(error::EHUNGUP.into()) } else { Ok(()) }
    }

    /// Its line in `/dev/mtags`: `name:version:msize:use:hits`.
    pub(super) fn mtag(&self, name: &str) -> String {
        let (used, hits) = self.slots.counts();
        format!("{name}:{}:{}:{used}:{hits}\n", self.dialect.version(), self.msize)
    }

    /// Ends it: whatever is under way comes back as hung up.
    pub fn hang_up(&self) {
        let _ending = self.ending.lock();
        if !self.dead.swap(true, Ordering::AcqRel) {
            // A device that cannot be reset stays silent; there is nobody to tell.
            let _ = self.transport.reset();
        }
    }

    /// The server has said what no server says: nothing can be believed any more. Ends the session.
    pub(super) fn broken(&self) -> Error {
        self.hang_up();
        error::EMOUNTRPC.into()
    }

    /// Waits until a session that is being ended has ended.
    pub fn wait_ended(&self) {
        drop(self.ending.lock());
    }

    /// What the program reads for an error reply.
    pub(super) fn server_error(&self, reply: &Rmsg<'_>) -> Error {
        match errors::text(self.dialect, reply) {
            Some(Cow::Borrowed(text)) => Error::new(text),
            Some(Cow::Owned(text)) => Error::from(text),
            None => Error::new(error::EMOUNTRPC),
        }
    }

    fn new_fid(&self) -> u32 {
        let mut fids = self.fids.lock();
        if let Some(fid) = fids.free.pop() {
            return fid;
        }
        fids.next += 1;
        fids.next - 1
    }

    /// The server knows the fid no more: its number may be used again.
    pub(super) fn free_fid(&self, number: u32) {
        self.fids.lock().free.push(number);
    }

    /// Requests that name these fids were left.
    pub(super) fn park(&self, numbers: &[u32]) {
        let mut fids = self.fids.lock();
        for &number in numbers {
            fids.parked.entry(number).or_default().requests += 1;
        }
    }

    /// They are back. Gives those that nobody has any more.
    pub(super) fn unpark(&self, numbers: &[u32]) -> Vec<u32> {
        let mut fids = self.fids.lock();
        let mut orphans = Vec::new();
        for &number in numbers {
            // What is still held stays here, in doubt, until it is dropped.
            let Some(parked) = fids.parked.get_mut(&number) else { continue };
            parked.requests = parked.requests.saturating_sub(1);
            if parked.requests == 0 && parked.dropped {
                fids.parked.remove(&number);
                orphans.push(number);
            }
        }
        orphans
    }

    /// Nobody has the fid any more.
    fn drops(&self, number: u32) -> Drops {
        let mut fids = self.fids.lock();
        match fids.parked.get_mut(&number) {
            None => Drops::Known,
            Some(parked) if parked.requests > 0 => {
                parked.dropped = true;
                Drops::Later
            }
            Some(_) => {
                fids.parked.remove(&number);
                Drops::Doubtful
            }
        }
    }
}

/// No such file at the server yet: the number may be used, and nothing has to be sent when it is dropped.
const UNBORN: u8 = 0;
/// The server knows it: dropping it sends a Tclunk.
const BORN: u8 = 1;
/// The server has forgotten it.
const GONE: u8 = 2;

/// A file at the server, by its number. Its drop tells the server, and only then is the number free.
pub struct Fid {
    /// The session.
    pub session: Arc<Session>,
    /// The number.
    pub number: u32,
    /// The names on the way to it, for dialects whose server does not tell; `None` for the root.
    pub(super) trail: Lock<Option<Arc<Trail>>>,
    state: AtomicU8,
}

impl Fid {
    /// A number for a request that will make the file.
    pub fn reserve(session: &Arc<Session>) -> Fid {
        Fid {
            number: session.new_fid(),
            session: session.clone(),
            trail: Lock::new(None),
            state: AtomicU8::new(UNBORN),
        }
    }

    /// The request succeeded.
    pub fn born(self) -> Fid {
        self.state.store(BORN, Ordering::Relaxed);
        self
    }

    /// A second fid for the same file.
    ///
    /// # Errors
    /// The server's.
    pub fn copy(&self) -> Result<Fid> {
        let new = Fid::reserve(&self.session);
        let walk = Tmsg::Walk { fid: self.number, newfid: new.number, names: ninep::Names::new(&[]) };
        self.session.call(&walk, |_| Ok(()))?;
        Trail::follow(&new, self, &[]);
        Ok(new.born())
    }

    /// Removes the file; the server forgets the fid in any case.
    ///
    /// # Errors
    /// The server's.
    pub fn remove(&self) -> Result<()> {
        let removed = self.session.call_surely(&Tmsg::Remove { fid: self.number }, |_| Ok(()));
        // QEMU refuses it on a read-only share before it looks at the fid, which stays. So after a failure a Tclunk
        // follows, and does no harm when there is nothing left to clunk.
        let keeps_to_it = self.session.dialect == Dialect::P9;
        if removed.is_ok() || keeps_to_it && was_answered(&removed) {
            self.state.store(GONE, Ordering::Relaxed);
        }
        removed
    }

    /// Has the server forget some together, at most as many as a slot has requests.
    pub fn clunk_all(fids: Vec<Fid>) {
        let Some(session) = fids.first().map(|fid| fid.session.clone()) else { return };
        let clunks: Vec<Tmsg<'_>> = fids.iter().map(|fid| Tmsg::Clunk { fid: fid.number }).collect();
        let clunked = session.call_all(&clunks, false, |_, _| Ok(()));
        for (fid, clunked) in fids.iter().zip(clunked) {
            // One that was not sent is sent again when the fid is dropped.
            if was_answered(&clunked) {
                fid.state.store(GONE, Ordering::Relaxed);
            }
        }
    }
}

/// Was a message that must get through answered, if only with an error? Without memory for it, it was not sent; and a
/// process that is to die does not wait for ever.
fn was_answered(result: &Result<()>) -> bool {
    !matches!(result, Err(e) if e.is(error::ENOMEM) || e.is(error::EINTR))
}

impl Drop for Fid {
    fn drop(&mut self) {
        let (session, number) = (&self.session, self.number);
        let known = match (session.drops(number), *self.state.get_mut()) {
            (Drops::Later, _) => return,
            (Drops::Doubtful, UNBORN) | (_, BORN) => session.alive().is_ok(),
            _ => false,
        };
        if known {
            if session.must_hurry() {
                return session.bury(number);
            }
            // The fid is gone even when the server says that closing failed.
            match session.call_surely(&Tmsg::Clunk { fid: number }, |_| Ok(())) {
                // The server still has it: the number is lost, which is better than used twice.
                Err(e) if e.is(error::ENOMEM) => return,
                // Left, or never sent: the process is to die.
                Err(e) if e.is(error::EINTR) => {
                    return match session.drops(number) {
                        Drops::Later => {}
                        _ => session.bury(number),
                    };
                }
                _ => {}
            }
        }
        session.free_fid(number);
    }
}

/// Attaches: a fid for the root of the tree.
///
/// # Errors
/// The server's.
pub fn attach(session: &Arc<Session>, uname: &str, aname: &str, afid: u32) -> Result<(Fid, Qid)> {
    let fid = Fid::reserve(session);
    let message = match ninep::translate::attach(fid.number, uname, aname) {
        Tmsg::Attach { fid, uname, aname, n_uname, .. } => Tmsg::Attach { fid, afid, uname, aname, n_uname },
        other => other,
    };
    let qid = session.call(&message, |reply| match reply {
        Rmsg::Attach { qid } => Ok(qid),
        _ => Err(error::EMOUNTRPC.into()),
    })?;
    Ok((fid.born(), qid))
}
