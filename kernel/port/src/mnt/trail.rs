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

use abi::Qid;
use machine::heap;
use machine::lock::Lock;
use ninep::{Dialect, Str};

use super::fid::Fid;
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
}

impl Trail {
    fn new(name: &str, file: Qid, up: Option<Arc<Trail>>) -> Arc<Trail> {
        Arc::new(Trail { name: Lock::new(Arc::from(name)), file: file.path, up })
    }

    /// The way to the root of a tree, for a fid that has attached to it.
    pub(super) fn begin(fid: &Fid, tree: &str, root: Qid) {
        if fid.session.dialect != Dialect::P9 {
            fid.session.fids.set_trail(fid.number, Trail::new(tree, root, None));
        }
    }

    /// A fid has been walked from the one numbered `from`, over `elements`, which are these files.
    pub(super) fn follow(fid: &Fid, from: &Fid, elements: &[&str], files: &[Qid]) {
        if fid.session.dialect == Dialect::P9 {
            return;
        }
        let Some(from) = from.session.fids.trail(from.number) else { return };
        let trail = elements.iter().enumerate().fold(from, |at, (i, &e)| match e {
            ".." => at.up.clone().unwrap_or(at),
            _ => Trail::new(e, files.get(i).copied().unwrap_or_default(), Some(at)),
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
        let fids = &fid.session.fids;
        let Some(own) = fids.trail(fid.number) else { return };
        let (file, dir) = (own.file, own.up.as_ref().map(|t| t.file));
        let new: Arc<str> = Arc::from(&*Str(new).text());
        let mut from = 0;
        while let Some((next, some)) = fids.some_trails(from) {
            for trail in some.iter().flatten() {
                trail.over(file, dir, |name| {
                    if **name == *old {
                        *name = new.clone();
                    }
                });
            }
            from = next;
        }
    }

    /// Does something with the name that a file has on this way in that directory.
    fn over(&self, file: u64, dir: Option<u64>, change: impl Fn(&mut Arc<str>)) {
        let mut at = self;
        while let Some(up) = &at.up {
            if at.file == file && Some(up.file) == dir {
                change(&mut at.name.lock());
            }
            at = up;
        }
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
