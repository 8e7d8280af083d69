//! `#σ`: shares, directories in which services are mounted for everybody, whatever his name space (shr(3)).
//!
//! There are two trees. In `#σc` a share is made as a directory, and a service in it as a file, into which the number
//! of a descriptor is written on which a 9P server answers. In `#σ` the share is a directory that shows the union of
//! its services' trees. A share is bound as itself, not as what is mounted in it at that moment: what comes later is
//! seen, too. So it is this device that goes from a share into the services' trees, a step at a time
//! ([`Walk`] may end early), and hands out their channels.
//!
//! Ownership: a share's [`Mhead`] has the channels to its servers, and to their roots; whoever looks takes a reference
//! to the list as it is.
//!
//! Locks: `change` (sleeping) is held while a union changes, never while a server is asked; `table` guards names and
//! permissions, is taken inside it, and is a leaf. What is taken out is dropped when neither is held.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{AEXEC, DMDIR, Dir, MBEFORE, MCREATE, ORCLOSE, ORDWR, OREAD, OWRITE, Qid, error};
use machine::heap;
use machine::ledger::for_long;
use machine::lock::Lock;
use machine::sync::QLock;

use self::table::{NAME_MAX, Named, Node, Service, Share, Table};
use super::srv;
use crate::dev::dirtab::{self, Entry, Put};
use crate::dev::{Dev, Root, Walk};
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::name::fgrp::fd_to_chan;
use crate::name::mhead::{Mhead, Mount, Mounted, Origin};
use crate::name::namec::clone_chan;
use crate::proc::process::Proc;

mod table;

/// The device.
#[derive(Default)]
pub struct Shr {
    table: Lock<Table>,
    change: QLock<()>,
}

fn node(c: &Chan) -> Result<Node> {
    Node::of(c.qid).ok_or(error::ENONEXIST.into())
}

/// Whether this process may add to the share of this owner, or take from it.
fn may_change(up: &Arc<Proc>, share: &Named) -> Result<()> {
    if up.is_hostowner() {
        return Ok(());
    }
    if *share.owner == **up.kernel.hostowner.lock() {
        return Err(error::EPERM.into());
    }
    up.check_perm(&share.owner, share.perm, abi::AREAD | abi::AWRITE)
}

/// Whether this process may make anything here.
fn may_make(up: &Arc<Proc>, name: &str) -> Result<()> {
    if up.pgrp().no_mount() {
        return Err(error::ENOATTACH.into());
    }
    if &*up.user() == "none" {
        return Err(error::EPERM.into());
    }
    if name.len() > NAME_MAX {
        return Err(error::ETOOLONG.into());
    }
    // It may be there for ever.
    if for_long(heap::is_granted) { Ok(()) } else { Err(error::ENOMEM.into()) }
}

impl Shr {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(Shr::default())
    }

    fn head(&self, share: u32) -> Result<Arc<Mhead>> {
        Ok(self.table.lock().share(share)?.head.clone())
    }

    fn named(&self, node: Node) -> Result<Named> {
        self.table.lock().named(node).cloned()
    }

    /// The channel that a service answers on, when there is one.
    fn server(&self, service: u32) -> Result<Option<Arc<Chan>>> {
        let table = self.table.lock();
        let share = table.service(service)?.share;
        let head = table.share(share)?.head.clone();
        drop(table);
        Ok(head.list().iter().find(|m| m.id == service).and_then(|m| m.server.clone()))
    }

    /// The list of a share, for who may search it.
    fn searched(&self, up: &Arc<Proc>, share: u32) -> Result<Arc<Mhead>> {
        let named = self.named(Node::Share(share))?;
        up.check_perm(&named.owner, named.perm, AEXEC)?;
        self.head(share)
    }

    /// One step from a share into the trees of its services, the newest first.
    fn step(&self, up: &Arc<Proc>, share: u32, name: &str) -> Result<Walk> {
        let head = self.searched(up, share)?;
        let mut telling = Error::new(error::ENONEXIST);
        for m in head.list().iter() {
            match m.to.dev.walk(up, &m.to, &[name]) {
                Ok(walk) => return Ok(walk),
                Err(e) if e.is_note() => return Err(e),
                Err(e) if telling.is(error::ENONEXIST) => telling = e,
                Err(_) => {}
            }
        }
        Err(telling)
    }

    /// A new share.
    fn make_share(&self, up: &Arc<Proc>, c: &Chan, name: &str, perm: u32) -> Result<Node> {
        let named = Named { name: name.into(), owner: up.user(), perm: perm & 0o777 };
        let is_others = !up.is_hostowner();
        let id = self.table.lock().number()?;
        let from = c.derive(Node::Share(id).qid(), None).share();
        let share = Share { named, head: Mhead::new(from, Arc::new(Vec::new())), is_others };
        let added = self.table.lock().add_share(id, share);
        added.map_err(|(why, _)| why)
    }

    /// Mounts what answers on a descriptor in the share of a service.
    fn mount(&self, up: &Arc<Proc>, service: u32, fd: i32) -> Result<()> {
        if up.pgrp().no_mount() {
            return Err(error::ENOATTACH.into());
        }
        if self.server(service)?.is_some() {
            return Err(error::EINUSE.into());
        }
        let server = fd_to_chan(up, fd, Some(ORDWR))?;
        if server.qid.kind & abi::QTAUTH != 0 || server.qid.is_dir() {
            return Err(error::EBADARG.into());
        }
        let driver = up.kernel.mount_driver('M')?;
        let root = driver.attach_server(up, server.clone(), None, "", false)?;
        let server_name = heap::try_string(server.path.as_str())?;
        let origin = Origin { server: Some(server), server_name, spec: String::new() };
        let new = Mount { id: service, flags: MBEFORE | MCREATE, what: Mounted::new(root.share(), origin) };

        let change = self.change.lock_intr()?;
        let share = self.table.lock().service(service)?.share;
        let head = self.head(share)?;
        let was = head.list();
        if was.iter().any(|m| m.id == service) {
            return Err(error::EINUSE.into());
        }
        let mut list = heap::try_vec(was.len() + 1)?;
        list.push(new);
        list.extend(was.iter().cloned());
        let replaced = head.replace(list);
        drop(change);
        drop((was, replaced));
        Ok(())
    }

    /// Takes a service out of the table, and what it serves out of its share.
    ///
    /// # Errors
    /// `kernel allocate failed`; nothing has changed then.
    fn unmount(&self, service: u32) -> Result<()> {
        let change = self.change.lock();
        let share = self.table.lock().service(service)?.share;
        let head = self.head(share)?;
        let was = head.list();
        let mut list = heap::try_vec(was.len())?;
        list.extend(was.iter().filter(|m| m.id != service).cloned());
        let gone = self.table.lock().remove_service(service);
        let replaced = head.replace(list);
        drop(change);
        drop((was, replaced, gone));
        Ok(())
    }
}

impl Dev for Shr {
    fn letter(&self) -> char {
        'σ'
    }

    fn name(&self) -> &'static str {
        "shr"
    }

    fn attach(&self, _up: &Arc<Proc>, spec: &str) -> Result<Root> {
        match spec {
            "" => Ok(Root::default()),
            "c" => Ok(Root { qid: Node::Control.qid(), ..Root::default() }),
            _ => Err(error::EBADSPEC.into()),
        }
    }

    fn each(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        let dir = Node::of(dir).ok_or(error::ENONEXIST)?;
        let mut at = u32::try_from(after).unwrap_or(u32::MAX);
        loop {
            let table = self.table.lock();
            let Some((id, node)) = table.next(dir, at) else { return Ok(()) };
            let entry = table.entry(node)?;
            drop(table);
            at = id;
            if !put(u64::from(id), entry) {
                return Ok(());
            }
        }
    }

    fn lookup(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid, name: &str) -> Result<Option<Qid>> {
        let dir = Node::of(dir).ok_or(error::ENONEXIST)?;
        Ok(self.table.lock().find(dir, name).map(Node::qid))
    }

    fn parent(&self, _c: &Chan, file: Qid) -> Qid {
        Node::of(file).map_or(Qid::dir(0), |node| self.table.lock().parent(node).qid())
    }

    fn entry(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        self.table.lock().entry(node(c)?)
    }

    fn walk(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        match (node(c)?, names) {
            (Node::Share(id), [first, ..]) if *first != ".." => self.step(up, id, first),
            // The share is not passed, but walked from.
            (Node::Root, [first, _, ..]) if *first != ".." => dirtab::walk(self, up, c, &[*first]),
            _ => dirtab::walk(self, up, c, names),
        }
    }

    fn is_union(&self, c: &Chan) -> bool {
        matches!(node(c), Ok(Node::Share(_)))
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        match node(&c)? {
            Node::Share(id) => {
                let mut c = dirtab::open(self, up, c, mode)?;
                // The share may be in a union itself, which is read then.
                if c.umh.is_none() {
                    c.umh = Some(self.head(id)?);
                }
                Ok(c.share())
            }
            Node::Service(id) => {
                let named = self.named(Node::Service(id))?;
                srv::open_posted(up, &named.owner, named.perm, self.server(id)?, mode)
            }
            _ => dirtab::open(self, up, c, mode).map(OwnChan::share),
        }
    }

    fn create(&self, up: &Arc<Proc>, mut c: OwnChan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        let made = match node(&c)? {
            Node::Control if perm & DMDIR == 0 || mode != OREAD => return Err(error::EPERM.into()),
            Node::Control => {
                may_make(up, name)?;
                self.make_share(up, &c, name, perm)?
            }
            Node::Services(_) if perm & DMDIR != 0 || mode & 3 != OWRITE => {
                return Err(error::EPERM.into());
            }
            Node::Services(share) => {
                may_make(up, name)?;
                may_change(up, &self.named(Node::Services(share))?)?;
                let named = Named { name: name.into(), owner: up.user(), perm: perm & 0o777 };
                self.table.lock().add_service(Service { named, share, is_others: !up.is_hostowner() })?
            }
            // A file in the tree of the newest service.
            Node::Share(id) => {
                let list = self.searched(up, id)?.list();
                let first = list.first().ok_or(error::ENOCREATE)?;
                let mut dir = clone_chan(up, &first.to)?;
                dir.path = c.path.clone();
                return dir.dev.clone().create(up, dir, name, mode, perm);
            }
            Node::Root | Node::Service(_) => return Err(error::EPERM.into()),
        };
        (c.qid, c.mode) = (made.qid(), Some(mode));
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if c.mode.is_some_and(|m| m & ORCLOSE != 0)
            && let Some(Node::Service(id)) = Node::of(c.qid)
        {
            // When there is no memory for a shorter list, the service stays, and can be removed.
            let _ = self.unmount(id);
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        match node(c)? {
            // It is read as a union, and not here.
            Node::Share(_) => Ok(0),
            // A service that was opened is its server's channel; one that was created is open for writing.
            _ => dirtab::read_dir(self, up, c, dst, offset),
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let Node::Service(id) = node(c)? else { return Err(error::EPERM.into()) };
        let (fd, len) = srv::descriptor(src)?;
        self.mount(up, id, fd)?;
        Ok(len)
    }

    fn remove(&self, up: &Arc<Proc>, c: OwnChan) -> Result<()> {
        let node = node(&c)?;
        let share = match node {
            Node::Services(_) => node,
            Node::Service(_) => self.table.lock().parent(node),
            _ => return Err(error::EPERM.into()),
        };
        may_change(up, &self.named(share)?)?;
        match node {
            Node::Service(id) => self.unmount(id),
            Node::Services(id) => {
                let gone = self.table.lock().remove_share(id);
                gone.map(drop)
            }
            _ => Ok(()),
        }
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        let node = node(c)?;
        if !matches!(node, Node::Services(_) | Node::Service(_)) || !dir.uid.is_empty() {
            return Err(error::EPERM.into());
        }
        if dir.name.len() > NAME_MAX {
            return Err(error::ETOOLONG.into());
        }
        let (user, host) = (up.user(), up.is_hostowner());
        let name: Arc<str> = dir.name.as_str().into();
        let mut table = self.table.lock();
        let taken = table.find(table.parent(node), &name).is_some_and(|other| other != node);
        let named = table.named_mut(node)?;
        if *named.owner != *user && !host {
            return Err(error::EPERM.into());
        }
        if !name.is_empty() && taken {
            return Err(error::EEXIST.into());
        }
        if dir.mode != !0 {
            named.perm = dir.mode & 0o777;
        }
        let old = (!name.is_empty()).then(|| core::mem::replace(&mut named.name, name));
        drop(table);
        drop(old);
        Ok(())
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        show("shr", self.table.lock().count());
    }
}
