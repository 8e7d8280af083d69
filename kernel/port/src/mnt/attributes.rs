//! What a session keeps of its files that the server knows nothing of, by qid path.
//!
//! * Plan 9's mode bits, and which files are open: so append-only and exclusive-use files are such between the programs
//!   of this machine. Others may find a file that is being made before its maker has heard which one it is; therefore
//!   its name in its directory is kept as well until then, and counts as much.
//! * How often this machine has changed a file. QEMU's versions are made of seconds and lengths, and two contents of
//!   one second and length would have the same; so the number of changes is mixed in. It never becomes smaller, also
//!   when the host uses the number of a removed file again. When many files have been changed, all are taken to have
//!   been changed as often as the one that was most.
//! * Which files were removed and made. A host gives the number of a removed file to a new one at once; a file that is
//!   made with the number of one that was removed from here is shown with another. As many are kept as are written
//!   below; beyond that numbers come again.
//!
//! What is kept goes by the server's qid paths, not by those that are shown.
//!
//! These tables are the session's and outlive who added to them, so they are on nobody's bill but for the mode bits;
//! they are bounded as written below, or by the files that are open.
//!
//! Ownership: who has a file open holds its [`Open`]. Lock order: `inner` is a leaf, which may be taken under that of
//! `mem::names`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::{DMAPPEND, DMEXCL, Dir, Qid, error};
use machine::ledger::as_kernel;
use machine::lock::Lock;
use ninep::Dialect;
use ninep::translate::modebits::{DROPPED, ModeBits};

use super::fid::Fid;
use super::session::Session;
use super::trail::Trail;
use crate::error::Result;

/// A session's. See the module comment.
pub(super) struct Attributes {
    inner: Lock<Inner>,
    removals: AtomicU32,
}

struct Inner {
    bits: ModeBits,
    opens: BTreeMap<u64, Opens>,
    making: Vec<Name>,
    /// How often files were changed, without what was written by those who have them open.
    changed: BTreeMap<u64, u32>,
    /// How often the others were.
    floor: u32,
    /// Numbers that are free, or belong to files that had several names.
    removed: BTreeSet<u64>,
    /// How often numbers were used again.
    again: BTreeMap<u64, u16>,
    /// Files with mode bits that were removed, and how many of them before.
    gone: BTreeMap<u64, u32>,
}

/// Most files of which it is known how often they were changed.
const CHANGED_MOST: usize = 1024;
/// Most files that were removed, and most that were made in the place of such.
const REMOVED_MOST: usize = 4096;
/// Most removed files with mode bits.
const GONE_MOST: usize = 256;
/// Odd, so that numbers of changes spread over all versions.
const SPREAD: u32 = 0x9e37_79b1;

/// How a file is open.
#[derive(Default)]
struct Opens {
    count: usize,
    /// It was removed: its bits go when it is open no more, and the host uses its number again.
    removed: bool,
    /// How often it was written.
    written: Arc<AtomicU32>,
}

/// A name in the directory with this qid path, and the bits of the file that is made there.
struct Name {
    dir: u64,
    name: String,
    bits: u32,
}

/// A file that is open, or about to be; dropped when it is closed.
pub(super) struct Open {
    session: Arc<Session>,
    file: u64,
    /// `DMAPPEND`, `DMEXCL` and `DMTMP`.
    bits: u32,
    written: Arc<AtomicU32>,
}

/// A file that is about to be made; dropped when it is made or not.
pub(super) struct Making<'a> {
    session: &'a Arc<Session>,
    /// In the directory with this qid path, unless it has no bits.
    place: Option<(u64, &'a str)>,
    bits: u32,
}

impl Attributes {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Attributes {
            inner: Lock::new(Inner {
                bits: ModeBits::new(),
                opens: BTreeMap::new(),
                making: Vec::new(),
                changed: BTreeMap::new(),
                floor: 0,
                removed: BTreeSet::new(),
                again: BTreeMap::new(),
                gone: BTreeMap::new(),
            }),
            removals: AtomicU32::new(0),
        }
    }

    /// Puts the bits of a file, its version and its number in its stat.
    pub(super) fn show<S>(&self, dir: &mut Dir<S>) {
        let inner = self.inner.lock();
        inner.bits.show(dir);
        inner.mix(&mut dir.qid);
    }

    /// Puts their versions and numbers in the qids of files.
    pub(super) fn show_qids(&self, qids: &mut [Qid]) {
        let inner = self.inner.lock();
        qids.iter_mut().for_each(|qid| inner.mix(qid));
    }

    /// A file was changed otherwise than by writing.
    pub(super) fn changed(&self, file: u64) {
        self.inner.lock().change(file, 1);
    }

    /// Sets the bits of a file from its whole mode.
    pub(super) fn set(&self, file: u64, mode: u32) {
        self.inner.lock().bits.set(file, mode);
    }

    /// How often append-only and exclusive-use files were removed.
    pub(super) fn removals(&self) -> u32 {
        self.removals.load(Ordering::Relaxed)
    }

    /// A file was removed.
    pub(super) fn removed(&self, file: u64) {
        let mut inner = self.inner.lock();
        if inner.bits.get(file) != 0 {
            if inner.gone.len() >= GONE_MOST {
                inner.gone.pop_first();
            }
            let before = self.removals.fetch_add(1, Ordering::Relaxed);
            as_kernel(|| inner.gone.insert(file, before));
        }
        match inner.opens.get_mut(&file) {
            Some(opens) => opens.removed = true,
            None => inner.bits.forget(file),
        }
        if inner.removed.len() >= REMOVED_MOST {
            inner.removed.pop_first();
        }
        as_kernel(|| inner.removed.insert(file));
    }

    /// A file with these permissions is about to be made in a directory.
    pub(super) fn make<'a>(dir: &'a Fid, name: &'a str, perm: u32) -> Making<'a> {
        let session = &dir.session;
        let bits = if session.dialect == Dialect::P9 { 0 } else { perm & DROPPED };
        let mut place = None;
        if bits != 0 {
            let dir = Trail::file(dir);
            let made = Name { dir, name: String::from(name), bits };
            as_kernel(|| session.attributes.inner.lock().making.push(made));
            place = Some((dir, name));
        }
        Making { session, place, bits }
    }

    /// A file, which is this one, is about to be opened. It was looked for after so many removals; who has found a lock
    /// that was removed since would open, and cut, the next one of its name.
    ///
    /// # Errors
    /// `exclusive use file already open`; `file does not exist`.
    pub(super) fn open(fid: &Fid, file: u64, since: u32) -> Result<Open> {
        let session = &fid.session;
        // What is begun to be made now cannot be this file, which is there.
        let is_making = !session.attributes.inner.lock().making.is_empty();
        let place = if is_making { Trail::place(fid) } else { None };
        let mut inner = session.attributes.inner.lock();
        let inner = &mut *inner;
        let is_here =
            |made: &&Name| place.as_ref().is_some_and(|(dir, name)| (made.dir, &made.name) == (*dir, name));
        let made = inner.making.iter().find(is_here);
        if inner.gone.get(&file).is_some_and(|&removal| removal >= since) {
            return Err(error::ENONEXIST.into());
        }
        let bits = made.map_or_else(|| inner.bits.get(file), |made| made.bits);
        let opens = as_kernel(|| inner.opens.entry(file).or_default());
        if bits & DMEXCL != 0 && (opens.count > 0 || made.is_some()) {
            if opens.count == 0 {
                inner.opens.remove(&file);
            }
            return Err(error::EEXCL.into());
        }
        opens.count += 1;
        Ok(Open { session: session.clone(), file, bits, written: opens.written.clone() })
    }
}

impl Inner {
    /// How often a file was changed.
    fn changes(&self, file: u64) -> u32 {
        let written = self.opens.get(&file).map_or(0, |opens| opens.written.load(Ordering::Relaxed));
        self.changed.get(&file).copied().unwrap_or(self.floor).wrapping_add(written)
    }

    fn mix(&self, qid: &mut Qid) {
        qid.vers = qid.vers.wrapping_add(self.changes(qid.path).wrapping_mul(SPREAD));
        if let Some(again) = self.again.get(&qid.path) {
            qid.path ^= u64::from(*again) << 48;
        }
    }

    /// A file was made with this number.
    fn made(&mut self, file: u64) {
        self.gone.remove(&file);
        if !self.removed.remove(&file) {
            return;
        }
        if self.again.len() >= REMOVED_MOST && !self.again.contains_key(&file) {
            let removed = &self.removed;
            self.again.retain(|file, _| !removed.contains(file));
            if self.again.len() >= REMOVED_MOST {
                return;
            }
        }
        let again = as_kernel(|| self.again.entry(file).or_default());
        *again = again.wrapping_add(1);
    }

    fn change(&mut self, file: u64, times: u32) {
        if self.changed.len() >= CHANGED_MOST && !self.changed.contains_key(&file) {
            self.floor = self.changed.values().fold(self.floor, |most, &n| most.max(n)).wrapping_add(1);
            self.changed.clear();
        }
        let n = as_kernel(|| self.changed.entry(file).or_insert(self.floor));
        *n = n.wrapping_add(times);
    }
}

impl Making<'_> {
    /// It is made, and open: this is its qid path.
    pub(super) fn made(self, file: u64) -> Open {
        let mut inner = self.session.attributes.inner.lock();
        inner.bits.set(file, self.bits);
        inner.change(file, 1);
        inner.made(file);
        // Who had a removed file with this number has not let go of it yet.
        let written = Arc::new(AtomicU32::new(0));
        let opens = Opens { count: 1, removed: false, written: written.clone() };
        let old = as_kernel(|| inner.opens.insert(file, opens));
        if let Some(old) = &old {
            inner.change(file, old.written.load(Ordering::Relaxed));
        }
        drop(inner);
        drop(old);
        Open { session: self.session.clone(), file, bits: self.bits, written }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let Some((dir, name)) = self.place else { return };
        let mut inner = self.session.attributes.inner.lock();
        let at = inner.making.iter().position(|made| made.dir == dir && made.name == name);
        let made = at.map(|at| inner.making.swap_remove(at));
        drop(inner);
        drop(made);
    }
}

impl Open {
    /// Is it append-only?
    pub(super) fn is_append(&self) -> bool {
        self.bits & DMAPPEND != 0
    }

    /// It was written.
    pub(super) fn written(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut inner = self.session.attributes.inner.lock();
        let Some(opens) = inner.opens.get_mut(&self.file) else { return };
        if !Arc::ptr_eq(&opens.written, &self.written) {
            return;
        }
        opens.count = opens.count.saturating_sub(1);
        if opens.count == 0 {
            let (removed, written) = (opens.removed, opens.written.load(Ordering::Relaxed));
            inner.opens.remove(&self.file);
            if written > 0 {
                inner.change(self.file, written);
            }
            if removed {
                inner.bits.forget(self.file);
            }
        }
    }
}
