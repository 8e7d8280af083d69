//! The names on the way to a file.
//!
//! The server of 9P2000.u and 9P2000.L does not always tell which directory a file is in, and 9P2000.L's does not tell
//! a file's name: it is that by which the file was walked to. So a fid of these dialects knows the names on the way to
//! it.
//!
//! Lock order: a fid's `trail`, then a `name`.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::lock::Lock;
use ninep::{Dialect, Str};

use super::fid::Fid;

/// The names on the way from the root to a file.
pub(crate) struct Trail {
    name: Lock<String>,
    up: Option<Arc<Trail>>,
}

impl Trail {
    /// The way from `from` over `elements`; `None` is the root.
    fn over(from: Option<Arc<Trail>>, elements: &[&str]) -> Option<Arc<Trail>> {
        elements.iter().fold(from, |at, &e| match e {
            ".." => at.and_then(|t| t.up.clone()),
            _ => Some(Arc::new(Trail { name: Lock::new(String::from(e)), up: at })),
        })
    }

    /// A fid has been walked from one with the trail `from`, over `elements`.
    pub(super) fn follow(fid: &Fid, from: &Fid, elements: &[&str]) {
        if fid.session.dialect != Dialect::P9 {
            let from = from.trail.lock().clone();
            *fid.trail.lock() = Trail::over(from, elements);
        }
    }

    /// The last name.
    pub(super) fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// The names on the way to the directory that a file is in; none for the root's, which is itself.
    pub(super) fn above(fid: &Fid) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = fid.trail.lock().as_ref().and_then(|t| t.up.clone());
        while let Some(trail) = at {
            names.push(trail.name());
            at = trail.up.clone();
        }
        names.reverse();
        names
    }

    /// The file has another name now.
    pub(super) fn renamed(fid: &Fid, name: &[u8]) {
        if let Some(trail) = &*fid.trail.lock() {
            *trail.name.lock() = Str(name).text().into_owned();
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
