//! The names on the way to a file.
//!
//! The server of 9P2000.u and 9P2000.L does not always tell which directory a file is in, and 9P2000.L's does not tell
//! a file's name. So of every fid of these dialects the session knows the names on the way to it, and the files that
//! have them. When a file is given another name through one fid, the ways of all other fids over it change as well:
//! that is looked for by what the names belong to and not by the names alone, since replies do not come in the order in
//! which the server has renamed.
//!
//! Ownership: a session's fids ([`Fids`](super::fid::Fids)) have one way each; ways share what they have in common.
//!
//! Lock order: a `name` is a leaf.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use abi::Qid;
use machine::heap;
use machine::lock::Lock;
use machine::thread;
use ninep::{Dialect, Str};

use super::fid::{Fid, Fids};
use crate::error::Result;

/// Ways that are looked at together when a file has got another name.
pub(super) const SOME: usize = 32;

/// The last name on the way from the root to a file, and the way to the directory that it is in.
pub(crate) struct Trail {
    name: Lock<Arc<str>>,
    /// The qid path of what has the name.
    file: u64,
    /// `None` for the root, whose name is that of the tree.
    up: Option<Arc<Trail>>,
    /// The file was removed, and what has the name is another one.
    gone: AtomicBool,
    /// How many removals there had been before it was asked what has the name.
    since: u32,
    /// The last pass over all ways that has been here.
    pass: AtomicU32,
}

impl Trail {
    fn new(name: &str, file: Qid, up: Option<Arc<Trail>>, since: u32) -> Arc<Trail> {
        let (gone, pass) = (AtomicBool::new(false), AtomicU32::new(0));
        Arc::new(Trail { name: Lock::new(Arc::from(name)), file: file.path, up, gone, since, pass })
    }

    /// The way to the root of a tree, for a fid that has attached to it.
    pub(super) fn begin(fid: &Fid, tree: &str, root: Qid) {
        if fid.session.dialect != Dialect::P9 {
            fid.session.fids.set_trail(fid.number, Trail::new(tree, root, None, 0));
        }
    }

    /// A fid has been walked from another one over `elements`, which are these files. Before it was asked there had
    /// been so many removals.
    pub(super) fn follow(fid: &Fid, from: &Fid, elements: &[&str], files: &[Qid], since: u32) {
        if fid.session.dialect == Dialect::P9 {
            return;
        }
        let Some(from) = from.session.fids.trail(from.number) else { return };
        let trail = elements.iter().enumerate().fold(from, |at, (i, &e)| match e {
            ".." => at.up.clone().unwrap_or(at),
            _ => Trail::new(e, files.get(i).copied().unwrap_or_default(), Some(at), since),
        });
        fid.session.fids.set_trail(fid.number, trail);
    }

    /// The last name; that of the root is empty.
    pub(super) fn name(fid: &Fid) -> String {
        fid.session.fids.trail(fid.number).filter(|t| t.up.is_some()).map(|t| t.text()).unwrap_or_default()
    }

    fn text(&self) -> String {
        String::from(&**self.name.lock())
    }

    fn try_name(&self) -> Result<String> {
        Ok(heap::try_string(&self.name.lock())?)
    }

    /// The names on the way to the directory that a file is in; none for the root's, which is itself.
    ///
    /// # Errors
    /// No memory.
    pub(super) fn above(fid: &Fid) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut at = fid.session.fids.trail(fid.number).and_then(|t| t.up.clone());
        while let Some(trail) = at.filter(|t| t.up.is_some()) {
            heap::try_push(&mut names, trail.try_name()?)?;
            at = trail.up.clone();
        }
        names.reverse();
        Ok(names)
    }

    /// The file behind a fid has the name `new` in place of `old`: so it is on every way that leads to it or over it.
    pub(super) fn renamed(fid: &Fid, old: &str, new: &[u8]) {
        let new: Arc<str> = Arc::from(&*Str(new).text());
        Trail::on_all(fid, old, |trail| *trail.name.lock() = new.clone());
    }

    /// The file behind a fid is removed from its directory.
    pub(super) fn removed(fid: &Fid) {
        Trail::on_all(fid, &Trail::name(fid), |trail| trail.gone.store(true, Ordering::Relaxed));
    }

    /// Was the file behind a fid removed?
    pub(super) fn is_gone(fid: &Fid) -> bool {
        fid.session.fids.trail(fid.number).is_some_and(|trail| trail.gone.load(Ordering::Relaxed))
    }

    /// Does something where the file behind a fid, which is called `name` in its directory, is on any way.
    ///
    /// There may be a million fids in a directory that is thousands of names deep: what ways have in common is gone
    /// over once, and others have the processor meanwhile. It is not ended by a note, since the server has done it.
    fn on_all(fid: &Fid, name: &str, change: impl Fn(&Trail)) {
        if let Some(own) = fid.session.fids.trail(fid.number) {
            own.on_each(&fid.session.fids, name, change);
        }
    }

    /// The same for the way `self` of one of these fids. Says how many names were looked at.
    fn on_each(&self, fids: &Fids, name: &str, change: impl Fn(&Trail)) -> usize {
        let Some(dir) = &self.up else { return 0 };
        let (mut from, mut looks, pass) = (0, 0, fids.new_pass());
        while let Some((next, some)) = fids.some_trails(from) {
            for trail in some.iter().flatten() {
                let mut at = trail;
                // Above one that this pass has been at it has been as well.
                while let Some(up) = &at.up
                    && at.pass.swap(pass, Ordering::Relaxed) != pass
                {
                    looks += 1;
                    if at.file == self.file && up.file == dir.file && at.is_called(name) {
                        change(at);
                    }
                    at = up;
                }
            }
            from = next;
            if thread::need_resched() {
                thread::yield_now();
            }
        }
        looks
    }

    fn is_called(&self, name: &str) -> bool {
        **self.name.lock() == *name
    }

    /// The qid path of the directory that a fid's file is in, and the file's name there.
    pub(super) fn place(fid: &Fid) -> Option<(u64, String)> {
        let own = fid.session.fids.trail(fid.number)?;
        own.up.as_ref().map(|dir| (dir.file, own.text()))
    }

    /// The qid path of the file behind a fid.
    pub(super) fn file(fid: &Fid) -> u64 {
        Trail::found(fid).0
    }

    /// The same, and how many removals there had been before it was looked for.
    pub(super) fn found(fid: &Fid) -> (u64, u32) {
        fid.session.fids.trail(fid.number).map_or((u64::MAX, 0), |trail| (trail.file, trail.since))
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        // One after the other: a deep tree must not become a deep stack.
        let mut up = self.up.take();
        while let Some(mut trail) = up.and_then(Arc::into_inner) {
            up = trail.up.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use std::format;

    use super::*;

    #[test]
    fn what_ways_have_in_common_is_gone_over_once() {
        const DEEP: u64 = 1000;
        const FIDS: u64 = 1000;
        let fids = Fids::new();
        let root = Trail::new("", Qid::dir(0), None, 0);
        let dir = (1..=DEEP).fold(root, |up, n| Trail::new("d", Qid::dir(n), Some(up), 0));
        for n in 0..FIDS {
            let file = Trail::new(&format!("f{n}"), Qid::file(DEEP + 1 + n), Some(dir.clone()), 0);
            fids.set_trail(n as u32 + 1, file);
        }
        // One that is on the way to all of them, and one of them; twice, since each pass is one of its own.
        let way = |n: u32| fids.trail(n).unwrap();
        let mut middle = way(1);
        while middle.file != DEEP / 2 {
            middle = middle.up.clone().unwrap();
        }
        for (own, name) in [(middle.clone(), "d"), (way(7), "f6"), (middle, "d")] {
            let changed = Cell::new(0);
            let looks = own.on_each(&fids, name, |_| changed.set(changed.get() + 1));
            assert_eq!((looks as u64, changed.get()), (DEEP + FIDS, 1), "{name}");
        }
    }
}
