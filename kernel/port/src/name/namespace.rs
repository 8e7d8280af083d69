//! Name spaces: which directories and files are mounted upon, and with what.
//!
//! A [`Pgrp`] is shared by the processes of one name space. It maps the identity of a file (device letter,
//! instance, qid path; the version does not matter) to an [`Mhead`], the ordered list of what stands in its
//! place. Lists are replaced, never changed: whoever looks takes a counted reference to the list as it is
//! and then walks or reads without any lock.
//!
//! Locks: `Pgrp::change` (sleeping) serialises bind and unmount; `Pgrp::table` and `Mhead::list` guard
//! single pointers and are leaves. What is replaced is dropped after they are released, because dropping
//! the last reference to a `Chan` may talk to a server.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use abi::error;
use abi::quote::quote;
use machine::lock::Lock;
use machine::sync::QLock;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::name::chan::Chan;

/// What identifies a file that is mounted upon: device letter, instance, qid path.
pub(crate) type Key = (char, u32, u64);

/// One element of a union.
#[derive(Clone)]
pub(crate) struct Mount {
    /// What `bind` or `mount` returned for it.
    pub(crate) id: u32,
    /// Order and `MCREATE`, as given.
    pub(crate) flags: u32,
    /// The channel to the server, for `mount`; `None` for `bind`.
    pub(crate) server: Option<Arc<Chan>>,
    /// Name under which the server is posted, else its path; empty for `bind`.
    pub(crate) server_name: String,
    /// The attach specifier of a `mount`.
    pub(crate) spec: String,
    /// What stands here.
    pub(crate) to: Arc<Chan>,
}

/// The elements of a union, in order.
pub(crate) type Union = Arc<[Mount]>;

/// A file that is mounted upon.
pub(crate) struct Mhead {
    /// It, as it was named when the first mount was made.
    pub(crate) from: Arc<Chan>,
    list: Lock<Union>,
}

impl Mhead {
    /// What stands here now, in order. Empty once everything has been unmounted.
    pub(crate) fn list(&self) -> Union {
        self.list.lock().clone()
    }

    fn replace(&self, list: Vec<Mount>) {
        let old = core::mem::replace(&mut *self.list.lock(), list.into());
        drop(old);
    }
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

/// A name space. See the module comment.
pub struct Pgrp {
    /// `/dev/pgrpid`, once somebody has asked.
    id: AtomicU32,
    no_mount: AtomicBool,
    table: Lock<BTreeMap<Key, Arc<Mhead>>>,
    change: QLock<()>,
}

impl Pgrp {
    /// An empty name space.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Pgrp {
            id: AtomicU32::new(0),
            no_mount: AtomicBool::new(false),
            table: Lock::new(BTreeMap::new()),
            change: QLock::new(()),
        })
    }

    /// A copy, for `RFNAMEG`. Changes of one are not seen in the other. `RFNOMNT` is inherited.
    pub fn copy(&self) -> Arc<Self> {
        let new = Pgrp::new();
        new.no_mount.store(self.no_mount(), Ordering::Relaxed);
        let _quiet = self.change.lock();
        let heads: Vec<(Key, Arc<Mhead>)> = self.table.lock().iter().map(|(k, h)| (*k, h.clone())).collect();
        let copies = heads
            .into_iter()
            .map(|(k, h)| (k, Arc::new(Mhead { from: h.from.clone(), list: Lock::new(h.list()) })))
            .collect();
        *new.table.lock() = copies;
        new
    }

    /// An empty one in its place, for `RFCNAMEG`. `RFNOMNT` is inherited.
    pub(crate) fn emptied(&self) -> Arc<Self> {
        let new = Pgrp::new();
        new.no_mount.store(self.no_mount(), Ordering::Relaxed);
        new
    }

    /// The number of this name space, `/dev/pgrpid`: given when it is first asked for.
    pub(crate) fn id(&self, kernel: &Kernel) -> u32 {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let id = kernel.new_id();
                self.id.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(id)
            }
            id => id,
        }
    }

    /// `RFNOMNT`: no `mount` and hardly any `#` from now on.
    pub fn forbid_mounts(&self) {
        self.no_mount.store(true, Ordering::Relaxed);
    }

    /// Was `RFNOMNT` asked for?
    pub fn no_mount(&self) -> bool {
        self.no_mount.load(Ordering::Relaxed)
    }

    /// The union on this file, when it is mounted upon.
    pub(crate) fn find(&self, key: Key) -> Option<Arc<Mhead>> {
        self.table.lock().get(&key).cloned()
    }

    /// Is any file of this instance of a device mounted upon?
    pub(crate) fn any_on(&self, letter: char, devno: u32) -> bool {
        let range = (letter, devno, 0)..=(letter, devno, u64::MAX);
        self.table.lock().range(range).next().is_some()
    }

    /// Puts `new` on `old` as `flags` say, and gives the mount's `id` back. When `new` was reached through a
    /// mount point (`new.umh`), all elements of that union come along.
    ///
    /// # Errors
    /// `inconsistent mount`: a file on a directory or the other way round; before or after a file; creation
    /// wanted in a union, or in a single mount that does not allow it.
    pub(crate) fn mount(
        &self,
        id: u32,
        mut new: Chan,
        old: Arc<Chan>,
        flags: u32,
        origin: Origin,
    ) -> Result<u32> {
        let order = flags & abi::MORDER;
        let create = flags & abi::MCREATE != 0;
        if new.qid.is_dir() != old.qid.is_dir() || (!old.qid.is_dir() && order != abi::MREPL) {
            return Err(error::EMOUNT.into());
        }
        // It is not kept in the channel: a union that is bound onto itself would never go away.
        let source = new.umh.take().map(|h| h.list());
        if let (true, Some(s)) = (create, &source) {
            // One mount that allows creation may be bound on with -c; a union would not know where to create.
            let single = s.len() == 1 && s.iter().all(|m| m.flags & abi::MCREATE != 0);
            if !s.is_empty() && !single {
                return Err(error::EMOUNT.into());
            }
        }
        let key = old.key();
        let Origin { server, server_name, spec } = origin;
        let mut fresh = alloc::vec![Mount { id, flags, server, server_name, spec, to: Arc::new(new) }];
        for m in source.iter().flat_map(|s| s.iter().skip(1)) {
            let order = if order == abi::MREPL { abi::MAFTER } else { order };
            fresh.push(Mount { id, flags: order, ..m.clone() });
        }

        let _alone = self.change.lock();
        match self.find(key) {
            Some(head) => {
                let was = head.list();
                match order {
                    abi::MBEFORE => fresh.extend(was.iter().cloned()),
                    abi::MAFTER => {
                        fresh.splice(0..0, was.iter().cloned());
                    }
                    _ => {}
                }
                head.replace(fresh);
            }
            None => {
                if order != abi::MREPL {
                    // The first union on a plain directory keeps the directory itself.
                    let this = Mount {
                        id: 0,
                        flags: 0,
                        server: None,
                        server_name: String::new(),
                        spec: String::new(),
                        to: old.clone(),
                    };
                    let at = if order == abi::MBEFORE { fresh.len() } else { 0 };
                    fresh.insert(at, this);
                }
                let head = Arc::new(Mhead { from: old, list: Lock::new(fresh.into()) });
                self.table.lock().insert(key, head);
            }
        }
        Ok(id)
    }

    /// Takes `what` off `old`, or everything when that is `None`. `what` may also be the channel to the
    /// server that was mounted.
    ///
    /// # Errors
    /// `not mounted`; `not in union`.
    pub(crate) fn unmount(&self, what: Option<&Chan>, old: &Chan) -> Result<()> {
        let _alone = self.change.lock();
        let head = self.find(old.key()).ok_or(error::EUNMOUNT)?;
        let was = head.list();
        let mut rest: Vec<Mount> = Vec::new();
        if let Some(what) = what {
            let is_it =
                |m: &Mount| m.to.same_file(what) || m.server.as_ref().is_some_and(|s| s.same_file(what));
            let at = was.iter().position(is_it).ok_or(error::EUNION)?;
            rest.extend(was.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, m)| m.clone()));
        }
        if rest.is_empty() {
            let gone = self.table.lock().remove(&old.key());
            drop(gone);
        }
        // Channels that were opened through this union go on without what is gone.
        head.replace(rest);
        Ok(())
    }

    /// The mounts as rc commands in the order in which they were made, the last line being the current
    /// directory: `/proc/n/ns`.
    pub fn text(&self, dot: &str) -> String {
        let heads: Vec<Arc<Mhead>> = self.table.lock().values().cloned().collect();
        let mut lines: Vec<(u32, String)> = Vec::new();
        for head in heads {
            for m in head.list().iter().filter(|m| m.id != 0) {
                lines.push((m.id, m.line(head.from.path.as_str())));
            }
        }
        lines.sort_by_key(|(id, _)| *id);
        let mut out = String::new();
        for (_, line) in lines {
            out.push_str(&line);
        }
        out.push_str(&format!("cd {}\n", quote(dot)));
        out
    }
}

impl Mount {
    /// The command that would make this mount again.
    fn line(&self, old: &str) -> String {
        let mut flags = String::new();
        match self.flags & abi::MORDER {
            abi::MBEFORE => flags.push('b'),
            abi::MAFTER => flags.push('a'),
            _ => {}
        }
        if self.flags & abi::MCREATE != 0 {
            flags.push('c');
        }
        if self.flags & abi::MCACHE != 0 {
            flags.push('C');
        }
        if !flags.is_empty() {
            flags = format!("-{flags} ");
        }
        if self.server.is_none() {
            return format!("bind {flags}{} {}\n", quote(self.to.path.as_str()), quote(old));
        }
        let letter = self.to.dev.letter();
        if letter != 'M' {
            flags.push_str(&format!("-d #{letter} "));
        }
        let spec = if self.spec.is_empty() { String::new() } else { format!(" {}", quote(&self.spec)) };
        format!("mount {flags}{} {}{spec}\n", quote(&self.server_name), quote(old))
    }
}
