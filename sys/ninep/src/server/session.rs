//! One client: its fids, and what becomes of each request.
//!
//! A fid is `Ready`, or reserved for a request under way: `Making` when it stands for nothing yet, `Busy` while an
//! open or create decides what it becomes. Each fid has a serial number, so that a job that comes back late, when the
//! client has clunked the fid and uses its number for something else, changes nothing; sessions are told apart by the
//! `era` in the same way.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use abi::{DMDIR, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR, Qid, error};

use super::job::{Done, Effect, Job, Work, refusal};
use super::{ENOVERSION, Files, MSIZE_MIN, Refused, Result, valid_name};
use crate::head::Head;
use crate::wire::WireError;
use crate::{Dialect, NOFID, Rmsg, Tmsg, kind};

/// What the client says when it uses a fid that it has not made.
const UNKNOWN: &str = "unknown fid";
/// The other way round.
const INUSE: &str = "fid in use";

/// A file and how it is open.
pub(super) struct Handle<T> {
    pub file: Arc<T>,
    pub qid: Qid,
    pub open: Option<Opened>,
}

/// How a file is open.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    /// `OREAD`, `OWRITE`, `ORDWR` or `OEXEC`.
    pub access: u32,
    /// Remove it when it is closed.
    pub remove: bool,
    /// Where the next read of a directory must be.
    pub offset: u64,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Handle { file: self.file.clone(), qid: self.qid, open: self.open }
    }
}

enum State<T> {
    Making,
    Busy(Handle<T>),
    Ready(Handle<T>),
}

struct Fid<T> {
    serial: u64,
    state: State<T>,
}

/// What is to be done about a request.
pub enum Step<F: Files> {
    /// Send this.
    Reply(Vec<u8>),
    /// Run this, with the request, and hand the result to [`Session::finish`].
    Job(Job<F::File>),
    /// Interrupt the request with this tag: the answer to the flush comes with its own.
    Interrupt(u16),
}

/// What becomes of a finished job.
pub struct Finished {
    /// The reply, and those to the flushes that waited for it, as one run of bytes; empty when nobody waits any more.
    pub replies: Vec<u8>,
    /// Whether it was to be interrupted.
    pub flushed: bool,
}

/// One client.
pub struct Session<F: Files> {
    limit: u32,
    msize: Option<u32>,
    era: u64,
    serial: u64,
    fids: BTreeMap<u32, Fid<F::File>>,
    /// The requests under way, and the tags of the flushes that wait for each.
    pending: BTreeMap<u16, Vec<u16>>,
}

impl<F: Files> Session<F> {
    /// A client that has said nothing yet. Messages are at most `limit` bytes long.
    pub fn new(limit: u32) -> Self {
        Session {
            limit: limit.max(MSIZE_MIN),
            msize: None,
            era: 0,
            serial: 0,
            fids: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Largest message now, in bytes.
    pub fn msize(&self) -> u32 {
        self.msize.unwrap_or(self.limit)
    }

    /// How many fids there are.
    pub fn fids(&self) -> usize {
        self.fids.len()
    }

    /// Answers one request of a tree that does not wait.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn handle(&mut self, tree: &F, request: &[u8]) -> Result<Vec<u8>, WireError> {
        Ok(match self.begin(request)? {
            Step::Reply(reply) => reply,
            Step::Job(job) => {
                let done = job.run(tree, request);
                self.finish(done).replies
            }
            Step::Interrupt(_) => Vec::new(),
        })
    }

    /// Looks at a request.
    ///
    /// # Errors
    /// When the bytes have no tag to answer to, or exceed the size agreed on: the client is lost.
    pub fn begin(&mut self, request: &[u8]) -> Result<Step<F>, WireError> {
        let head = Head::parse(request)?;
        if head.size > self.msize() {
            return Err(WireError::Size(head.size));
        }
        let tag = head.tag;
        let step = match Tmsg::decode(Dialect::P9, request) {
            Ok((_, request)) => self.step(tag, request),
            Err(e) => Err(e.into()),
        };
        Ok(step.unwrap_or_else(|refused| Step::Reply(refusal(tag, &refused))))
    }

    fn step(&mut self, tag: u16, request: Tmsg<'_>) -> Result<Step<F>> {
        let work = match request {
            Tmsg::Version { msize, version } => self.version(msize, version.bytes())?,
            _ if self.msize.is_none() => return Err(ENOVERSION.into()),
            Tmsg::Flush { oldtag } => {
                return Ok(match self.pending.get_mut(&oldtag) {
                    Some(flushes) => {
                        flushes.push(tag);
                        Step::Interrupt(oldtag)
                    }
                    None => Step::Reply(flushed(tag)),
                });
            }
            _ if self.pending.contains_key(&tag) => return Err("tag in use".into()),
            request => self.work(request)?,
        };
        self.pending.insert(tag, Vec::new());
        Ok(Step::Job(Job { era: self.era, tag, msize: self.msize(), work }))
    }

    /// What is to be done where the tree is needed. Fids are reserved here, and nothing else changes when this fails.
    fn work(&mut self, request: Tmsg<'_>) -> Result<Work<F::File>> {
        Ok(match request {
            Tmsg::Auth { .. } => return Err("authentication not required".into()),
            Tmsg::Attach { afid, .. } if afid != NOFID => return Err("authentication not required".into()),
            Tmsg::Attach { fid, .. } => Work::Attach { fid, serial: self.reserve(fid)? },
            Tmsg::Walk { fid, newfid, .. } => {
                let from = self.unopened(fid)?;
                let serial = if newfid == fid { self.occupy(fid)? } else { self.reserve(newfid)? };
                Work::Walk { newfid, serial, from }
            }
            Tmsg::Open { fid, mode } => {
                let access = access(mode)?;
                let file = self.unopened(fid)?;
                if file.qid.kind & QTDIR != 0
                    && (matches!(access, OWRITE | ORDWR) || u32::from(mode) & OTRUNC != 0)
                {
                    return Err(error::EISDIR.into());
                }
                Work::Open { fid, serial: self.occupy(fid)?, file }
            }
            Tmsg::Create { fid, name, perm, mode, .. } => {
                let access = access(mode)?;
                valid_name(name.bytes())?;
                let dir = self.unopened(fid)?;
                if dir.qid.kind & QTDIR == 0 {
                    return Err(error::ENOTDIR.into());
                }
                if perm & DMDIR != 0 && (access != OREAD || u32::from(mode) & OTRUNC != 0) {
                    return Err(error::EISDIR.into());
                }
                Work::Create { fid, serial: self.occupy(fid)?, dir }
            }
            Tmsg::Read { fid, offset, .. } => {
                let (serial, file) = self.ready(fid)?;
                match file.open {
                    Some(Opened { access: OREAD | ORDWR | OEXEC, offset: next, .. }) => {
                        if file.qid.kind & QTDIR != 0 && offset != 0 && offset != next {
                            return Err(error::EDIRSEEK.into());
                        }
                    }
                    _ => return Err(error::EBADUSEFD.into()),
                }
                Work::Read { fid, serial, file }
            }
            Tmsg::Write { fid, .. } => match self.ready(fid)?.1 {
                file @ Handle { open: Some(Opened { access: OWRITE | ORDWR, .. }), .. } => {
                    Work::Write { file }
                }
                _ => return Err(error::EBADUSEFD.into()),
            },
            Tmsg::Clunk { fid } => Work::Close { files: self.take(fid)?.into_iter().collect() },
            // The fid is gone in any case.
            Tmsg::Remove { fid } => Work::Remove { file: self.take(fid)?.ok_or(UNKNOWN)? },
            Tmsg::Stat { fid } => Work::Stat { file: self.ready(fid)?.1 },
            Tmsg::Wstat { fid, .. } => Work::Wstat { file: self.ready(fid)?.1 },
            _ => return Err(crate::translate::errors::ENOTSUP.into()),
        })
    }

    /// A version begins everything anew: what is under way has nobody to be answered to.
    fn version(&mut self, msize: u32, version: &[u8]) -> Result<Work<F::File>> {
        let files = self.forget();
        if msize < MSIZE_MIN {
            return Ok(Work::Version { files, agreed: Err("message size too small") });
        }
        let msize = msize.min(self.limit);
        // A dialect of 9P2000 is answered with what it is a dialect of.
        let known = version.split(|b| *b == b'.').next() == Some(b"9P2000");
        self.msize = known.then_some(msize);
        Ok(Work::Version { files, agreed: Ok((msize, if known { "9P2000" } else { "unknown" })) })
    }

    /// Ends the session: the job closes what the client left open. Requests under way go unanswered.
    pub fn end(&mut self) -> Job<F::File> {
        let files = self.forget();
        Job { era: self.era.wrapping_sub(1), tag: crate::NOTAG, msize: 0, work: Work::Close { files } }
    }

    fn forget(&mut self) -> Vec<Handle<F::File>> {
        self.era = self.era.wrapping_add(1);
        self.msize = None;
        self.pending.clear();
        let files = mem::take(&mut self.fids).into_values().map(|fid| fid.state);
        files.filter_map(State::into_handle).collect()
    }

    /// Takes back what a job has done.
    pub fn finish(&mut self, done: Done<F::File>) -> Finished {
        if done.era != self.era {
            return Finished { replies: Vec::new(), flushed: true };
        }
        match done.effect {
            Effect::None => {}
            Effect::Becomes { fid, serial, file } => {
                if let Some(fid) = self.fids.get_mut(&fid).filter(|f| f.serial == serial) {
                    fid.state = State::Ready(file);
                }
            }
            // The fid is what it was, or nothing.
            Effect::Fails { fid, serial } => {
                if let Some(Fid { state, .. }) = self.fids.get_mut(&fid).filter(|f| f.serial == serial) {
                    match mem::replace(state, State::Making) {
                        State::Busy(file) | State::Ready(file) => *state = State::Ready(file),
                        State::Making => drop(self.fids.remove(&fid)),
                    }
                }
            }
            Effect::ReadTo { fid, serial, offset } => {
                let fid = self.fids.get_mut(&fid).filter(|f| f.serial == serial);
                if let Some(Fid { state: State::Ready(Handle { open: Some(open), .. }), .. }) = fid {
                    open.offset = offset;
                }
            }
        }
        let flushes = self.pending.remove(&done.tag).unwrap_or_default();
        let mut replies = done.reply;
        for tag in &flushes {
            replies.extend_from_slice(&flushed(*tag));
        }
        Finished { replies, flushed: !flushes.is_empty() }
    }

    /// A file that no request is changing.
    fn ready(&self, fid: u32) -> Result<(u64, Handle<F::File>)> {
        match self.fids.get(&fid) {
            None => Err(UNKNOWN.into()),
            Some(Fid { serial, state: State::Ready(file) }) => Ok((*serial, file.clone())),
            Some(_) => Err(INUSE.into()),
        }
    }

    /// A file that is not open, as `walk`, `open` and `create` need it.
    fn unopened(&self, fid: u32) -> Result<Handle<F::File>> {
        match self.ready(fid)?.1 {
            Handle { open: Some(_), .. } => Err("file is open already".into()),
            file => Ok(file),
        }
    }

    /// Keeps a new fid's number.
    fn reserve(&mut self, fid: u32) -> Result<u64> {
        if fid == NOFID || self.fids.contains_key(&fid) {
            return Err(INUSE.into());
        }
        self.serial = self.serial.wrapping_add(1);
        self.fids.insert(fid, Fid { serial: self.serial, state: State::Making });
        Ok(self.serial)
    }

    /// Keeps others away from a fid that is about to be something else.
    fn occupy(&mut self, fid: u32) -> Result<u64> {
        let fid = self.fids.get_mut(&fid).ok_or(UNKNOWN)?;
        fid.state = match mem::replace(&mut fid.state, State::Making) {
            State::Ready(file) => State::Busy(file),
            other => other,
        };
        Ok(fid.serial)
    }

    /// Takes a fid away; it may have no file yet.
    fn take(&mut self, fid: u32) -> Result<Option<Handle<F::File>>> {
        Ok(self.fids.remove(&fid).ok_or(UNKNOWN)?.state.into_handle())
    }
}

impl<T> State<T> {
    fn into_handle(self) -> Option<Handle<T>> {
        match self {
            State::Making => None,
            State::Busy(file) | State::Ready(file) => Some(file),
        }
    }
}

/// The access that a mode asks for.
fn access(mode: u8) -> Result<u32> {
    let mode = u32::from(mode);
    // OCEXEC is the client's own business.
    if mode & !(3 | OTRUNC | ORCLOSE | abi::OCEXEC) != 0 {
        return Err(Refused::from(error::EBADARG));
    }
    Ok(mode & 3)
}

/// The reply to a flush.
fn flushed(tag: u16) -> Vec<u8> {
    Rmsg::Flush {}.to_vec(Dialect::P9, tag).unwrap_or_else(|_| {
        // It has no field that could be too long.
        Head { size: 7, kind: kind::RFLUSH, tag }.to_bytes().to_vec()
    })
}
