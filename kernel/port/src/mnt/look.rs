//! Looking at a file by its name with one message.
//!
//! The server of a device, which is QEMU's, knows a fid by its path. So the fid of a name that was walked to tells what
//! has that name now, as a walk of the same names would: when somebody wants to know what a file is like (`stat`), its
//! fid is not clunked, but kept, and the next time only a Tstat is sent. What that says is as new as the call. When it
//! says that there is nothing, or another file, the names are walked again, and what that says counts.
//!
//! * The server puts the paths of its fids right when this machine renames a file. So nothing is kept over that, nor
//!   used or walked to meanwhile.
//! * A name of several elements may lead over directories that the host has put others in the place of. They are only
//!   looked for in the table of mounts: where anything of the tree is mounted upon, such a name is walked.
//! * The directory of a name that is missing is kept, too, since the server says only of a first element why it is not
//!   there: programs look for the same files in the same places again and again.
//! * What was reached over a symbolic link is not kept: the link may lead elsewhere.
//! * A directory that was walked from is known by which fid of all it is, since numbers are used again.
//!
//! Ownership: a session's [`Fids`](super::fid::Fids) have at most [`MOST`] of these, under their lock; each has its
//! fid, which has the session. When nobody has another fid, they all go.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, Qid};
use machine::heap;
use machine::ledger::as_kernel;
use ninep::translate::FileType;
use ninep::translate::stat::File;

use super::dirread::is_of_the_session;
use super::fid::Fid;
use super::file::MntFile;
use super::links::{Place, walk_to};
use super::stat::look_at;
use super::trail::Trail;
use crate::error::Result;
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// Most names that are kept.
const MOST: usize = 32;
/// Bytes of a name that is kept, at most.
const LONG: usize = 256;

/// A name that was walked to.
pub(super) struct Look {
    /// Which fid it was walked from.
    from: u64,
    /// Its elements, with slashes between.
    name: String,
    /// What they lead to, as the server says.
    qids: Vec<Qid>,
    fid: Arc<Fid>,
    /// When it was used.
    used: u64,
}

/// Those of a session.
pub(super) struct Looks {
    all: Vec<Look>,
    uses: u64,
    /// Renames under way.
    renaming: u32,
    /// How many there were.
    renames: u64,
}

impl Looks {
    /// None.
    pub(super) const fn new() -> Self {
        Looks { all: Vec::new(), uses: 0, renaming: 0, renames: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them, to be dropped.
    pub(super) fn take_all(&mut self) -> Vec<Look> {
        core::mem::take(&mut self.all)
    }

    /// A file is about to be renamed, or has been. Gives what was kept, to be dropped.
    pub(super) fn renames(&mut self, begins: bool) -> Vec<Look> {
        self.renames += 1;
        self.renaming = if begins { self.renaming + 1 } else { self.renaming.saturating_sub(1) };
        self.take_all()
    }

    fn find(&mut self, from: u64, names: &[&str]) -> Option<(Arc<Fid>, Vec<Qid>)> {
        let look = self.all.iter_mut().find(|look| look.from == from && look.is_called(names))?;
        self.uses += 1;
        look.used = self.uses;
        Some((look.fid.clone(), look.qids.clone()))
    }

    /// Takes out what has this fid.
    fn take(&mut self, fid: &Arc<Fid>) -> Option<Look> {
        let at = self.all.iter().position(|look| Arc::ptr_eq(&look.fid, fid))?;
        Some(self.all.swap_remove(at))
    }

    /// When was the last rename? `None` during one.
    fn since(&self) -> Option<u64> {
        (self.renaming == 0).then_some(self.renames)
    }

    /// Keeps what was walked to since then, and gives what goes instead.
    fn keep(&mut self, mut look: Look, since: u64) -> Option<Look> {
        let same = |other: &Look| other.from == look.from && other.name == look.name;
        if self.since() != Some(since) || self.all.iter().any(same) {
            return Some(look);
        }
        self.uses += 1;
        look.used = self.uses;
        if self.all.len() < MOST {
            // Nothing is dropped here, under a lock.
            if as_kernel(|| heap::try_reserve(&mut self.all, 1)).is_err() {
                return Some(look);
            }
            self.all.push(look);
            return None;
        }
        let oldest = self.all.iter_mut().min_by_key(|look| look.used)?;
        Some(core::mem::replace(oldest, look))
    }
}

impl Look {
    fn is_called(&self, names: &[&str]) -> bool {
        match names {
            [name] => self.name == *name,
            names => self.qids.len() == names.len() && self.name.split('/').eq(names.iter().copied()),
        }
    }
}

/// The elements with slashes between; `None` when that is too long, or there is no memory.
fn joined(names: &[&str]) -> Option<String> {
    let len = names.iter().map(|name| name.len() + 1).sum::<usize>();
    if len > LONG {
        return None;
    }
    let mut all = String::new();
    heap::try_reserve_exact(&mut all, len).ok()?;
    for name in names {
        if !all.is_empty() {
            all.push('/');
        }
        all.push_str(name);
    }
    Some(all)
}

/// The file at the end of elements that lead from `from` to these qids, as has just been told: a file that others may
/// have, to be walked on from.
///
/// # Errors
/// The server's; `file does not exist` when it has gone meanwhile.
pub(super) fn walk_again(from: &Place, elements: &[&str], qids: &[Qid]) -> Result<Place> {
    let (session, serial) = (&from.fid.session, from.fid.serial);
    let fids = &session.fids;
    let since = fids.with_looks(|looks| looks.since()).filter(|_| session.looks_by_fid());
    let (Some(since), Some(&qid)) = (since, qids.last()) else { return walk_to(from, elements) };
    let same = |a: &Qid, b: &Qid| (a.path, a.kind) == (b.path, b.kind);
    if let Some((fid, kept)) = fids.with_looks(|looks| looks.find(serial, elements)) {
        if !Trail::is_gone(&fid) && kept.len() == qids.len() && kept.iter().zip(qids).all(|(a, b)| same(a, b))
        {
            return Ok(Place { fid, qid });
        }
        let old = fids.with_looks(|looks| looks.take(&fid));
        drop(old);
    }
    let found = walk_to(from, elements)?;
    if same(&found.qid, &qid)
        && let Some(name) = as_kernel(|| joined(elements))
    {
        let qids = as_kernel(|| qids.to_vec());
        let look = Look { from: serial, name, qids, fid: found.fid.clone(), used: 0 };
        let old = fids.with_looks(|looks| looks.keep(look, since));
        drop(old);
    }
    Ok(found)
}

impl MntFile {
    /// Walks as [`walk`](MntFile::walk) does, to a file that is only looked at.
    ///
    /// # Errors
    /// As of that, and of [`stat`](MntFile::stat).
    pub(super) fn look(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<(Vec<Qid>, Result<Self>)> {
        if self.keeps() && self.session().looks_by_fid() && self.via.is_none() && !names.contains(&"..") {
            return self.look_kept(up, c, names);
        }
        self.look_now(up, c, names)
    }

    /// The same, with what was told lately, for a mount that has that kept.
    fn look_kept(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<(Vec<Qid>, Result<Self>)> {
        let all = &up.kernel.contents.names;
        let session = self.session();
        if !Trail::is_gone(&self.fid)
            && let Some((qids, mut dir)) = self.known(all, names)
        {
            session.attributes.show(&mut dir);
            // There is no fid of it, and none is needed: what it is like is all that is asked.
            let file = MntFile::new(self.fid.clone(), self.root.clone(), None);
            *file.told.lock() = Some(File { dir, what: FileType::Plain, raw_mode: 0 });
            return Ok((qids, Ok(file)));
        }
        let asked = all.asking();
        let (mut qids, file) = self.look_now(up, c, names)?;
        let found = match &file {
            Ok(file) if file.via.is_none() && file.dangling.is_none() && qids.len() == names.len() => file,
            _ => return Ok((qids, file)),
        };
        if let Some(last) = qids.last_mut()
            && found.told.lock().is_none()
        {
            let (qid, told) = look_at(&found.fid)?;
            if (qid.path, qid.kind) == (last.path, last.kind) {
                *last = qid;
                *found.told.lock() = Some(told);
            }
        }
        let mut dir = Trail::file(&self.fid);
        for (name, qid) in names.iter().zip(&qids) {
            // What is told of the last one is shown, and kept as the server says it.
            let is_last = core::ptr::eq(qid, qids.last().unwrap_or(qid));
            let told = found.told.lock().as_ref().filter(|_| is_last).map(|file| file.dir.clone());
            let told = told.map(|told| Dir { qid: *qid, ..told });
            self.keep_name(all, (dir, name), *qid, told.as_ref(), asked);
            dir = qid.path;
        }
        Ok((qids, file))
    }

    /// The same, as it is now.
    fn look_now(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<(Vec<Qid>, Result<Self>)> {
        let fids = &self.session().fids;
        let may = self.session().looks_by_fid() && self.via.is_none() && !names.contains(&"..");
        let Some(since) = fids.with_looks(|looks| looks.since()).filter(|_| may) else {
            return self.walk(c.qid, names);
        };
        let serial = self.fid.serial;
        if let Some((fid, qids)) = fids.with_looks(|looks| looks.find(serial, names)) {
            let hides = names.len() > 1 && up.pgrp().any_on(c.dev.letter(), c.devno);
            if let Some(found) = self.look_again(&fid, qids, hides)? {
                return Ok(found);
            }
            let old = fids.with_looks(|looks| looks.take(&fid));
            drop(old);
        }
        let (qids, file) = self.walk(c.qid, names)?;
        if let Ok(file) = &file
            && file.via.is_none()
            && file.dangling.is_none()
            && qids.len() == names.len()
            && let Some(name) = as_kernel(|| joined(names))
        {
            let qids = as_kernel(|| qids.clone());
            let look = Look { from: serial, name, qids, fid: file.fid.clone(), used: 0 };
            let old = fids.with_looks(|looks| looks.keep(look, since));
            drop(old);
        }
        Ok((qids, file))
    }

    /// Asks what has the name of a fid now. `None` when the name has to be walked.
    fn look_again(
        &self,
        fid: &Arc<Fid>,
        mut qids: Vec<Qid>,
        hides: bool,
    ) -> Result<Option<(Vec<Qid>, Result<Self>)>> {
        if hides || Trail::is_gone(&self.fid) || Trail::is_gone(fid) {
            return Ok(None);
        }
        let Some(last) = qids.last_mut() else { return Ok(None) };
        let (qid, told) = match look_at(fid) {
            Ok(found) => found,
            Err(e) if e.is_note() || is_of_the_session(&e) => return Err(e),
            Err(_) => return Ok(None),
        };
        if (qid.path, qid.kind) != (last.path, last.kind) {
            return Ok(None);
        }
        *last = qid;
        let file = MntFile::new(fid.clone(), self.root.clone(), None);
        *file.told.lock() = Some(told);
        Ok(Some((qids, Ok(file))))
    }
}
