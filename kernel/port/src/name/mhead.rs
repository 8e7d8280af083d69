//! What stands in the place of a file: a [`Mhead`] is the file, its union the ordered list of what is mounted on it.
//!
//! Lists are replaced, never changed: whoever looks takes a counted reference to the list as it is, and then walks or
//! reads without any lock.
//!
//! Lock: `Mhead::list` guards a single pointer and is a leaf.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

use machine::lock::{Lock, LockGuard};

use crate::name::chan::Chan;
use crate::name::path::{Crossing, FirstCrossed};
use crate::pools::{Counted, MOUNTS};

/// What identifies a file that is mounted upon: device letter, instance, qid path.
pub(crate) type Key = (char, u32, u64);

/// One element of a union.
#[derive(Clone)]
pub(crate) struct Mount {
    /// What `bind` or `mount` returned for it.
    pub(crate) id: u32,
    /// Order and `MCREATE`, as given.
    pub(crate) flags: u32,
    pub(crate) what: Arc<Mounted>,
}

impl Mount {
    /// What is mounted, when nobody else has it.
    pub(super) fn into_mounted(self) -> Option<Mounted> {
        Arc::into_inner(self.what)
    }
}

/// What is mounted, in one place or in many.
pub(crate) struct Mounted {
    /// The channel to the server, for `mount`; `None` for `bind`.
    pub(crate) server: Option<Arc<Chan>>,
    /// Name under which the server is posted, else its path; empty for `bind`.
    pub(crate) server_name: String,
    /// The attach specifier of a `mount`.
    pub(crate) spec: String,
    /// What stands here.
    pub(crate) to: Arc<Chan>,
    _counted: Counted<MOUNTS>,
}

/// What is to be mounted, besides the channel itself.
#[derive(Default)]
pub(crate) struct Origin {
    /// The channel to the server.
    pub(crate) server: Option<Arc<Chan>>,
    /// What the server is called in `/proc/n/ns`.
    pub(crate) server_name: String,
    /// The attach specifier.
    pub(crate) spec: String,
}

impl Mounted {
    /// What stands somewhere from now on, and where it came from.
    pub(crate) fn new(to: Arc<Chan>, origin: Origin) -> Arc<Self> {
        let Origin { server, server_name, spec } = origin;
        Arc::new(Mounted { server, server_name, spec, to, _counted: Counted::new() })
    }
}

impl Deref for Mount {
    type Target = Mounted;

    fn deref(&self) -> &Mounted {
        &self.what
    }
}

/// The elements of a union, in order.
pub(crate) type Union = Arc<Vec<Mount>>;

/// A file that is mounted upon.
pub(crate) struct Mhead {
    /// It, as it was named when the first mount was made.
    pub(crate) from: Arc<Chan>,
    /// For the paths that cross it.
    pub(crate) crossed: FirstCrossed,
    list: Lock<Union>,
}

impl Mhead {
    /// A file, and what is mounted on it.
    pub(crate) fn new(from: Arc<Chan>, list: Union) -> Arc<Self> {
        Arc::new(Mhead { from, crossed: FirstCrossed::default(), list: Lock::new(list) })
    }

    /// What stands here now, in order. Empty once everything has been unmounted.
    pub(crate) fn list(&self) -> Union {
        self.list.lock().clone()
    }

    /// The first of it.
    pub(crate) fn first(&self) -> Option<Arc<Chan>> {
        self.list.lock().first().map(|m| m.to.clone())
    }

    /// The same for who has found it under a lock.
    pub(crate) fn first_under<T>(&self, outer: &LockGuard<'_, T>) -> Option<Arc<Chan>> {
        self.list.lock_under(outer).first().map(|m| m.to.clone())
    }

    /// Changes what stands here; gives what stood here before, to be dropped when nothing is held.
    pub(crate) fn replace(&self, list: Vec<Mount>) -> Union {
        let new = Arc::new(list);
        core::mem::replace(&mut *self.list.lock(), new)
    }

    /// What it is made of.
    pub(super) fn into_parts(self) -> (Arc<Chan>, Option<Vec<Crossing>>, Union) {
        (self.from, self.crossed.into_crossed(), self.list.into_inner())
    }
}
