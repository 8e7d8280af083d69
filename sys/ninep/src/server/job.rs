//! What a request asks of the tree: done without the session, so that it may wait.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{ORCLOSE, OTRUNC, QTDIR, Qid, error};

use super::session::{Handle, Opened};
use super::{Files, Refused, Result};
use crate::head::{RIOSZ, Rio};
use crate::wire::{Data, Record, WireError};
use crate::{Dialect, IOHDRSZ, Qids, Rmsg, Stat, Tmsg};

/// Longest text of an error, in bytes: more than any of Plan 9's, and it fits the smallest message.
const TEXT_MAX: usize = 256;

/// A request that needs the tree. Drop it only with the session: its fid stays reserved.
pub struct Job<T> {
    pub(super) era: u64,
    pub(super) tag: u16,
    pub(super) msize: u32,
    pub(super) work: Work<T>,
}

pub(super) enum Work<T> {
    Version { files: Vec<Handle<T>>, agreed: Result<(u32, &'static str), &'static str> },
    Attach { fid: u32, serial: u64 },
    Walk { newfid: u32, serial: u64, from: Handle<T> },
    Open { fid: u32, serial: u64, file: Handle<T> },
    Create { fid: u32, serial: u64, dir: Handle<T> },
    Read { fid: u32, serial: u64, file: Handle<T> },
    Write { file: Handle<T> },
    Close { files: Vec<Handle<T>> },
    Remove { file: Handle<T> },
    Stat { file: Handle<T> },
    Wstat { file: Handle<T> },
}

/// A job that has run.
pub struct Done<T> {
    pub(super) era: u64,
    pub(super) tag: u16,
    pub(super) reply: Vec<u8>,
    pub(super) effect: Effect<T>,
}

/// What the session is to make of it.
pub(super) enum Effect<T> {
    None,
    /// The fid stands for this now.
    Becomes {
        fid: u32,
        serial: u64,
        file: Handle<T>,
    },
    /// The fid that was reserved is not needed.
    Fails {
        fid: u32,
        serial: u64,
    },
    /// A directory was read up to here.
    ReadTo {
        fid: u32,
        serial: u64,
        offset: u64,
    },
}

impl<T> Job<T> {
    /// The tag of the request.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// Whether it closes files and does nothing else: such a job cannot be [refused](Self::refuse) without losing them.
    pub fn closes(&self) -> bool {
        matches!(self.work, Work::Close { .. } | Work::Version { .. })
    }

    /// Does what `request`, the bytes that the job was made from, asks for. It may wait; it needs no session.
    pub fn run<F: Files<File = T>>(self, tree: &F, request: &[u8]) -> Done<T> {
        let Job { era, tag, msize, work } = self;
        let failure = work.failure();
        let (reply, effect) =
            work.run(tree, request, tag, msize).unwrap_or_else(|refused| (refusal(tag, &refused), failure));
        Done { era, tag, reply, effect }
    }

    /// Refuses it for a reason of the server's own, as having nobody who could run it.
    pub fn refuse(self, reason: &Refused) -> Done<T> {
        Done { era: self.era, tag: self.tag, reply: refusal(self.tag, reason), effect: self.work.failure() }
    }
}

impl<T> Work<T> {
    /// What a failure does to the session.
    fn failure(&self) -> Effect<T> {
        match *self {
            Work::Attach { fid, serial }
            | Work::Walk { newfid: fid, serial, .. }
            | Work::Open { fid, serial, .. }
            | Work::Create { fid, serial, .. } => Effect::Fails { fid, serial },
            _ => Effect::None,
        }
    }

    fn run<F: Files<File = T>>(
        self,
        tree: &F,
        request: &[u8],
        tag: u16,
        msize: u32,
    ) -> Result<(Vec<u8>, Effect<T>)> {
        let (_, request) = Tmsg::decode(Dialect::P9, request).unwrap_or((tag, Tmsg::Flush { oldtag: tag }));
        let most = msize.saturating_sub(IOHDRSZ);
        let say = |reply: Rmsg<'_>| Ok::<_, Refused>(reply.to_vec(Dialect::P9, tag)?);
        Ok(match (self, request) {
            (Work::Version { files, agreed }, _) => {
                files.into_iter().for_each(|file| close(tree, file));
                let (msize, version) = agreed?;
                (say(Rmsg::Version { msize, version: version.into() })?, Effect::None)
            }
            (Work::Attach { fid, serial }, Tmsg::Attach { uname, aname, .. }) => {
                let (file, qid) = tree.attach(uname.bytes(), aname.bytes())?;
                (say(Rmsg::Attach { qid })?, becomes(fid, serial, found(file, qid)))
            }
            (Work::Walk { newfid, serial, from }, Tmsg::Walk { names, .. }) => {
                let mut qids = Vec::new();
                let mut at = from;
                let mut reason = None;
                for name in names.iter() {
                    match step(tree, &at, name.bytes()) {
                        Ok(next) => {
                            qids.push(next.qid);
                            at = next;
                        }
                        Err(e) => {
                            reason = Some(e);
                            break;
                        }
                    }
                }
                let effect = match reason {
                    None => becomes(newfid, serial, at),
                    Some(reason) if qids.is_empty() => return Err(reason),
                    Some(_) => Effect::Fails { fid: newfid, serial },
                };
                (say(Rmsg::Walk { qids: Qids::new(&qids) })?, effect)
            }
            (Work::Open { fid, serial, file }, Tmsg::Open { mode, .. }) => {
                let (file, qid) = tree.open(&file.file, u32::from(mode) & (3 | OTRUNC | ORCLOSE))?;
                (say(Rmsg::Open { qid, iounit: most })?, becomes(fid, serial, opened(file, qid, mode)))
            }
            (Work::Create { fid, serial, dir }, Tmsg::Create { name, perm, mode, .. }) => {
                let flags = u32::from(mode) & (3 | OTRUNC | ORCLOSE);
                let (file, qid) = tree.create(&dir.file, name.bytes(), perm, flags)?;
                (say(Rmsg::Create { qid, iounit: most })?, becomes(fid, serial, opened(file, qid, mode)))
            }
            (Work::Read { fid, serial, file }, Tmsg::Read { offset, count, .. }) => {
                let count = count.min(most) as usize;
                if file.qid.kind & QTDIR == 0 {
                    return Ok((read(tree, &file.file, tag, offset, count)?, Effect::None));
                }
                let data = list(tree, &file.file, offset == 0, count)?;
                let offset = offset.saturating_add(data.len() as u64);
                (say(Rmsg::Read { data: Data(&data) })?, Effect::ReadTo { fid, serial, offset })
            }
            (Work::Write { file }, Tmsg::Write { offset, data, .. }) => {
                let n = tree.write(&file.file, offset, data.0)?.min(data.0.len());
                (say(Rmsg::Write { count: u32::try_from(n).unwrap_or(u32::MAX) })?, Effect::None)
            }
            (Work::Close { files }, _) => {
                files.into_iter().for_each(|file| close(tree, file));
                (say(Rmsg::Clunk {})?, Effect::None)
            }
            (Work::Remove { file }, _) => {
                tree.remove(&file.file)?;
                (say(Rmsg::Remove {})?, Effect::None)
            }
            (Work::Stat { file }, _) => {
                let record = tree.stat(&file.file)?;
                if record.len() > most as usize {
                    return Err(error::ETOOBIG.into());
                }
                (say(Rmsg::Stat { stat: Record(&record) })?, Effect::None)
            }
            (Work::Wstat { file }, Tmsg::Wstat { stat, .. }) => {
                let (change, size) = Stat::parse(Dialect::P9, stat.0)?;
                if size != stat.0.len() {
                    return Err(WireError::Trailing.into());
                }
                tree.wstat(&file.file, &change)?;
                (say(Rmsg::Wstat {})?, Effect::None)
            }
            // Not the bytes that the job was made from.
            _ => return Err(error::EBADARG.into()),
        })
    }
}

/// One name of a walk.
fn step<F: Files>(tree: &F, dir: &Handle<F::File>, name: &[u8]) -> Result<Handle<F::File>> {
    if dir.qid.kind & QTDIR == 0 {
        return Err(error::ENOTDIR.into());
    }
    if name != b".." && super::valid_name(name).is_err() {
        return Err(error::ENONEXIST.into());
    }
    let (file, qid) = tree.walk(&dir.file, name)?;
    Ok(found(file, qid))
}

/// The whole reply to a read: the data are read to where they belong in it.
fn read<F: Files>(tree: &F, file: &F::File, tag: u16, offset: u64, count: usize) -> Result<Vec<u8>> {
    let mut reply = alloc::vec![0; RIOSZ + count];
    let n = tree.read(file, offset, reply.get_mut(RIOSZ..).unwrap_or_default())?.min(count);
    reply.truncate(RIOSZ + n);
    let head = Rio::read(tag, n as u32).to_bytes();
    reply.iter_mut().zip(head).for_each(|(to, from)| *to = from);
    Ok(reply)
}

/// As many whole records as fit.
fn list<F: Files>(tree: &F, dir: &F::File, rewind: bool, count: usize) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let mut refused = false;
    tree.list(dir, rewind, &mut |record| {
        let fits = data.len() + record.len() <= count;
        if fits {
            data.extend_from_slice(record);
        }
        refused |= !fits;
        fits
    })?;
    if refused && data.is_empty() { Err(error::ETOOSMALL.into()) } else { Ok(data) }
}

fn close<F: Files>(tree: &F, file: Handle<F::File>) {
    if file.open.is_some_and(|open| open.remove) {
        // A clunk has no way to fail; the file may have gone before.
        let _ = tree.remove(&file.file);
    }
}

fn becomes<T>(fid: u32, serial: u64, file: Handle<T>) -> Effect<T> {
    Effect::Becomes { fid, serial, file }
}

fn found<T>(file: T, qid: Qid) -> Handle<T> {
    Handle { file: Arc::new(file), qid, open: None }
}

fn opened<T>(file: T, qid: Qid, mode: u8) -> Handle<T> {
    let mode = u32::from(mode);
    let open = Opened { access: mode & 3, remove: mode & ORCLOSE != 0, offset: 0 };
    Handle { open: Some(open), ..found(file, qid) }
}

/// An error reply. A text too long for the smallest message is cut.
pub(super) fn refusal(tag: u16, Refused(text): &Refused) -> Vec<u8> {
    let text = text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default();
    // A text this short always fits.
    Rmsg::Error { ename: text.into(), errno: 0 }.to_vec(Dialect::P9, tag).unwrap_or_default()
}
