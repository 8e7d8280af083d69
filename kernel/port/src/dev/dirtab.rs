//! Devices whose files are a table: walking, stat, permission and directory reads, written once.
//!
//! Such a device says which [`Entry`]s a directory has ([`Dev::list`]), from a constant or made up on the
//! spot; the defaults of `Dev` come here. What is left to write is read and write.
//! A channel's `aux` is passed on from a directory to what is below it.
//!
//! No state, no locks.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
use machine::lock::Lock;
use machine::{clock, heap};

use crate::dev::{Dev, Qids, Walk};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::name::chan::{Chan, OwnChan, Seen};
use crate::proc::process::Proc;

/// A file of a device.
#[derive(Clone)]
pub struct Entry {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its identity.
    pub(crate) qid: Qid,
    /// Bytes, when they are known.
    pub(crate) length: u64,
    /// Permission and `DM` bits.
    pub(crate) perm: u32,
    /// Whose it is; the machine owner's when `None`.
    pub(crate) owner: Option<Arc<str>>,
}

impl Entry {
    /// A plain file of the machine's owner.
    pub(crate) const fn file(name: &'static str, path: u64, perm: u32) -> Self {
        Entry { name: Cow::Borrowed(name), qid: Qid::file(path), length: 0, perm, owner: None }
    }

    /// A directory of the machine's owner.
    pub(crate) const fn dir(name: &'static str, path: u64, perm: u32) -> Self {
        let perm = perm | abi::DMDIR;
        Entry { name: Cow::Borrowed(name), qid: Qid::dir(path), length: 0, perm, owner: None }
    }

    /// A plain file with a name that was made up.
    pub(crate) fn named(name: String, path: u64, perm: u32) -> Self {
        Entry { name: Cow::Owned(name), qid: Qid::file(path), length: 0, perm, owner: None }
    }
}

/// Who takes the files of a directory one by one, each with its key, and says whether he wants more.
pub type Put<'a> = &'a mut dyn FnMut(u64, Entry) -> bool;

/// [`Dev::each`] of a directory with one file.
pub(crate) fn only(entry: Entry, after: u64, put: Put<'_>) -> Result<()> {
    if after == 0 {
        put(1, entry);
    }
    Ok(())
}

/// `Dev::walk`.
///
/// # Errors
/// `file does not exist`, `not a directory`, for the first element.
pub(crate) fn walk<T: Dev + ?Sized>(dev: &T, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
    let mut at = c.qid;
    let mut qids = Qids::new();
    for name in names {
        let next = if !at.is_dir() {
            Err(error::ENOTDIR.into())
        } else if *name == ".." {
            Ok(if at.path == 0 { at } else { dev.parent(c, at) })
        } else {
            dev.lookup(up, c, at, name).and_then(|q| q.ok_or(error::ENONEXIST.into()))
        };
        match next {
            Ok(qid) => at = qid,
            Err(e) if qids.is_empty() => return Err(e),
            Err(e) => return Ok(Walk { qids, chan: None, why: Some(e) }),
        }
        qids.push(at);
    }
    Ok(Walk { qids, chan: Some(c.derive(at, c.aux.clone())), why: None })
}

/// `Dev::stat`.
///
/// # Errors
/// `file does not exist` when it has gone.
pub(crate) fn stat<T: Dev + ?Sized>(dev: &T, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
    Ok(to_dir(up, dev.letter(), c.devno, dev.entry(up, c)?))
}

/// Checks permission and opens `c`; the device may then give it an `aux`.
///
/// # Errors
/// `permission denied`, also for a directory that is not only to be read.
pub(crate) fn open<T: Dev + ?Sized>(dev: &T, up: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<OwnChan> {
    if c.qid.is_dir() && mode != abi::OREAD {
        return Err(error::EPERM.into());
    }
    let entry = dev.entry(up, &c)?;
    match &entry.owner {
        Some(owner) => up.check_perm(owner, entry.perm, access(mode))?,
        None => {
            let owner = up.kernel.hostowner.lock().clone();
            up.check_perm(&owner, entry.perm, access(mode))?;
        }
    }
    if !c.qid.is_dir() {
        c.qid = entry.qid;
    }
    c.mode = Some(mode);
    c.offset.set(0);
    Ok(c)
}

/// The access bits that opening with `mode` needs.
pub(crate) fn access(mode: u32) -> u32 {
    let bits = match mode & 3 {
        abi::OREAD => abi::AREAD,
        abi::OWRITE => abi::AWRITE,
        abi::ORDWR => abi::AREAD | abi::AWRITE,
        _ => abi::AEXEC,
    };
    if mode & abi::OTRUNC != 0 { bits | abi::AWRITE } else { bits }
}

/// `Dev::read` of a directory: as many whole records from `offset` on as fit.
///
/// # Errors
/// `i/o count too small` when not one fits.
pub(crate) fn read_dir<T: Dev + ?Sized>(
    dev: &T,
    up: &Arc<Proc>,
    c: &Chan,
    dst: &mut Dst<'_>,
    offset: u64,
) -> Result<usize> {
    put_each(c, dst, offset, |after, put| {
        let mut put = |key, entry| put(key, to_dir(up, dev.letter(), c.devno, entry));
        dev.each(up, c, c.qid, after, &mut put)
    })
}

/// The records of a directory as a read of its channel `c` at `offset` gives them. `each` hands over the files behind
/// the one with a key, 0 for all, in the order of their keys, until it is told that no more are wanted.
///
/// Where the last read ended is known by the key, so that reading a directory of thousands goes through it once. Who
/// reads elsewhere pays for what is before: what begins before `offset` counts as read.
///
/// # Errors
/// `i/o count too small` when not one fits; `kernel allocate failed`; a bad user address.
pub(crate) fn put_each(
    c: &Chan,
    dst: &mut Dst<'_>,
    offset: u64,
    each: impl FnOnce(u64, &mut dyn FnMut(u64, Dir) -> bool) -> Result<()>,
) -> Result<usize> {
    let room = dst.len();
    let mut out = Vec::new();
    let mut at = Some(*c.seen.lock()).filter(|at| at.offset == offset).unwrap_or_default();
    let mut stopped = None;
    each(at.after, &mut |key, dir| {
        let size = dir.size();
        if at.offset >= offset {
            if out.len() + size > room {
                stopped = Some(error::ESHORT);
            } else if heap::try_reserve(&mut out, size).is_err() {
                stopped = Some(error::ENOMEM);
            } else {
                dir.append_to(&mut out);
            }
        }
        if stopped.is_none() {
            at = Seen { offset: at.offset + size as u64, after: key };
        }
        stopped.is_none()
    })?;
    match stopped {
        Some(why) if out.is_empty() => return Err(why.into()),
        _ => {}
    }
    *c.seen.lock() = at;
    dst.put(0, &out)?;
    Ok(out.len())
}

/// As [`put_each`], for files whose keys are their places, counted from 1.
///
/// # Errors
/// As [`put_each`].
pub(crate) fn put_list<F>(
    c: &Chan,
    dst: &mut Dst<'_>,
    offset: u64,
    files: impl Iterator<Item = F>,
    to_dir: impl Fn(F) -> Dir,
) -> Result<usize> {
    put_each(c, dst, offset, |after, put| {
        let mut places = (1..).zip(files).skip(usize::try_from(after).unwrap_or(usize::MAX));
        while places.next().is_some_and(|(place, file)| put(place, to_dir(file))) {}
        Ok(())
    })
}

/// An entry as `stat` tells it.
pub(crate) fn to_dir(up: &Arc<Proc>, letter: char, devno: u32, e: Entry) -> Dir {
    let host = up.kernel.hostowner.lock().clone();
    let now = clock::wall_ns();
    let started = now.saturating_sub(i64::try_from(clock::now_ns()).unwrap_or(0));
    Dir {
        // A rune above 0xffff does not fit; none of ours is.
        kind: u32::from(letter) as u16,
        dev: devno,
        qid: e.qid,
        mode: e.perm,
        atime: seconds(now),
        mtime: seconds(started),
        length: e.length,
        name: e.name.into_owned(),
        uid: e.owner.map_or_else(|| host.clone(), |o| String::from(&*o)),
        gid: host.clone(),
        muid: host,
    }
}

/// Nanoseconds since 1970 as a stat record has them.
pub(crate) fn seconds(wall_ns: i64) -> u32 {
    u32::try_from(wall_ns / 1_000_000_000).unwrap_or(0)
}

/// The text of a file that is made anew at every reading from the beginning, and stays the same while it is read
/// on. It goes into the `aux` of the open channel.
#[derive(Default)]
pub(crate) struct Text(Lock<Option<Arc<String>>>);

impl Text {
    /// Nothing made yet.
    pub(crate) fn new() -> Self {
        Text::default()
    }

    /// `Dev::read` at `offset`; `make` is called when that is 0, and the first time.
    ///
    /// # Errors
    /// A bad user address; what `make` says.
    pub(crate) fn read(
        &self,
        dst: &mut Dst<'_>,
        offset: u64,
        make: impl FnOnce() -> Result<String>,
    ) -> Result<usize> {
        let kept = if offset == 0 { None } else { self.0.lock().clone() };
        let text = match kept {
            Some(text) => text,
            None => {
                let fresh = Arc::new(make()?);
                let old = self.0.lock().replace(fresh.clone());
                drop(old);
                fresh
            }
        };
        dst.put_from(text.as_bytes(), offset)
    }
}
