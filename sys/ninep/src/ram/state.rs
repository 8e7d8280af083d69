//! The [files](Node) by number, and the rules about them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use abi::{
    AEXEC, AREAD, AWRITE, DMAPPEND, DMDIR, DMEXCL, DMTMP, OEXEC, ORCLOSE, ORDWR, OTRUNC, OWRITE, Qid, error,
};

use super::data::{Blocks, Budget, Bytes};
use super::node::{Body, Node, is_same, node_cost};
use crate::server::{Result, valid_name};
use crate::{Stat, Str};

/// The root's number.
pub const ROOT: u64 = 0;
/// The bits of a mode that a file can have.
const MODE: u32 = DMDIR | DMAPPEND | DMEXCL | DMTMP | 0o777;
/// Fields of a `Twstat` that change nothing.
const KEEP: u32 = u32::MAX;

/// All files.
pub struct State {
    nodes: BTreeMap<u64, Box<Node>>,
    next: u64,
    budget: Budget,
    clock: fn() -> u32,
    /// What is to be done between pieces of something long.
    pub pause: fn(),
    /// What nobody has any more of a file's contents, until the tree is not locked any more. One call cuts or frees one
    /// file at most.
    gone: Blocks,
}

impl State {
    /// The root alone.
    #[expect(clippy::disallowed_methods, reason = "a kernel brings its own way to reserve")]
    pub fn new(owner: &[u8], limit: u64, clock: fn() -> u32) -> State {
        let mut state = State {
            nodes: BTreeMap::new(),
            next: ROOT,
            budget: Budget { used: 0, limit, room: |_| true, reserve: |v, n| v.try_reserve_exact(n).is_ok() },
            clock,
            pause: || {},
            gone: Blocks::default(),
        };
        let owner = Arc::from(owner);
        let mut root = Node::new(clock(), &owner, &owner, Arc::from(&b"/"[..]), DMDIR | 0o775, ROOT);
        root.held = 1;
        state.nodes.insert(ROOT, root);
        state.next = ROOT + 1;
        state
    }

    /// Gives the root other permissions.
    pub fn set_root(&mut self, perm: u32) {
        if let Some(root) = self.nodes.get_mut(&ROOT) {
            root.mode = DMDIR | perm & 0o777;
        }
    }

    /// Has it asked, for whatever is to be taken, whether the machine has that.
    pub fn set_room(&mut self, room: fn(u64) -> bool) {
        self.budget.room = room;
    }

    /// Files and directories, those too that were removed and are in use still.
    pub fn files(&self) -> usize {
        self.nodes.len()
    }

    /// Has it ask for the memory of a file's contents in this way.
    pub fn set_reserve(&mut self, reserve: fn(&mut Vec<u8>, usize) -> bool) {
        self.budget.reserve = reserve;
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.budget.used
    }

    /// What is to be let go of when the tree is not locked.
    pub fn take_gone(&mut self) -> Blocks {
        core::mem::take(&mut self.gone)
    }

    /// A file by its number.
    pub fn node(&self, number: u64) -> Result<&Node> {
        Ok(self.nodes.get(&number).ok_or(error::ENONEXIST)?)
    }

    /// The number of the file under a name in a directory, or of the directory above.
    pub fn step(&self, number: u64, user: &Arc<[u8]>, name: &[u8]) -> Result<u64> {
        let node = self.node(number)?;
        node.allow(user, AEXEC)?;
        match name {
            b".." => Ok(node.parent),
            name => node.child(name),
        }
    }

    fn node_mut(&mut self, number: u64) -> Result<&mut Node> {
        Ok(self.nodes.get_mut(&number).ok_or(error::ENONEXIST)?)
    }

    /// A further fid stands for the file, if it is there.
    pub fn acquire(&mut self, number: u64, is_open: bool) -> Option<Qid> {
        let node = self.nodes.get_mut(&number)?;
        node.held += 1;
        node.opens += usize::from(is_open);
        Some(node.qid(number))
    }

    /// A fid that stands for it is open from now on.
    pub fn opened(&mut self, number: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.opens += 1;
        }
    }

    /// One less; a removed file goes with the last.
    pub fn release(&mut self, number: u64, is_open: bool) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        node.held = node.held.saturating_sub(1);
        node.opens = node.opens.saturating_sub(usize::from(is_open));
        if !node.linked {
            self.free_if_unused(number);
        }
    }

    /// Frees what is in no directory any more and in nobody's hands.
    fn free_if_unused(&mut self, number: u64) {
        if self.nodes.get(&number).is_some_and(|node| !node.linked && node.held == 0)
            && let Some(node) = self.nodes.remove(&number)
        {
            self.budget.give(node.cost());
            if let Body::File(bytes) = node.body {
                self.gone = bytes.into_blocks();
            }
        }
    }

    /// Checks an open, and cuts the file if that is asked for.
    pub fn open(&mut self, number: u64, user: &Arc<[u8]>, mode: u32) -> Result<Qid> {
        let node = self.node(number)?;
        if !node.linked {
            return Err(error::ENONEXIST.into());
        }
        let want = match mode & 3 {
            OWRITE => AWRITE,
            ORDWR => AREAD | AWRITE,
            OEXEC => AEXEC,
            _ => AREAD,
        };
        let cut = mode & OTRUNC != 0;
        node.allow(user, want | if cut { AWRITE } else { 0 })?;
        if mode & ORCLOSE != 0 {
            self.may_remove(number, user)?;
        }
        if node.mode & DMEXCL != 0 && node.opens > 0 {
            return Err(error::EEXCL.into());
        }
        let now = (self.clock)();
        let node = self.nodes.get_mut(&number).ok_or(error::ENONEXIST)?;
        // Nothing is cut from a file that only grows.
        if let Body::File(bytes) = &mut node.body
            && cut
            && node.mode & DMAPPEND == 0
        {
            self.gone = bytes.set_len(0, &mut self.budget)?;
            node.changed(user, now);
        }
        Ok(node.qid(number))
    }

    /// Makes a file. It gets the group of its directory, and no permissions that the directory does not have.
    pub fn create(&mut self, dir: u64, user: &Arc<[u8]>, name: &[u8], perm: u32) -> Result<(u64, Qid)> {
        let parent = self.node(dir)?;
        if !parent.linked {
            return Err(error::ENONEXIST.into());
        }
        parent.allow(user, AWRITE)?;
        if parent.entries()?.contains_key(name) {
            return Err(error::EEXIST.into());
        }
        if perm & !MODE != 0 {
            return Err(error::EPERM.into());
        }
        let mask = if perm & DMDIR != 0 { 0o777 } else { 0o666 };
        let mode = perm & (!mask | parent.mode & mask);
        let gid = parent.gid.clone();
        self.budget.take(node_cost(name))?;
        let (now, name): (u32, Arc<[u8]>) = ((self.clock)(), Arc::from(name));
        let number = self.next;
        self.next += 1;
        let parent = self.node_mut(dir)?;
        parent.entries_mut()?.insert(name.clone(), number);
        parent.changed(user, now);
        let node = Node::new(now, user, &gid, name, mode, dir);
        let qid = node.qid(number);
        self.nodes.insert(number, node);
        Ok((number, qid))
    }

    /// What is in a plain file, to be read.
    pub fn contents(&mut self, number: u64) -> Result<&Bytes> {
        let now = (self.clock)();
        let node = self.node_mut(number)?;
        node.atime = now;
        match &node.body {
            Body::File(bytes) => Ok(bytes),
            Body::Dir(_) => Err(error::EISDIR.into()),
        }
    }

    /// Hands on the records of a directory behind the name `last`, with their names, until one is refused.
    pub fn list(
        &self,
        number: u64,
        last: Option<&[u8]>,
        mut put: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        for (name, number) in self.node(number)?.entries()?.range::<[u8], _>((from, Bound::Unbounded)) {
            if !put(&self.node(*number)?.record(*number)?, name) {
                break;
            }
        }
        Ok(())
    }

    /// Writes a plain file; at its end if it only grows.
    pub fn write(&mut self, number: u64, user: &Arc<[u8]>, offset: u64, data: &[u8]) -> Result<()> {
        let now = (self.clock)();
        let node = self.nodes.get_mut(&number).ok_or(error::ENONEXIST)?;
        let append = node.mode & DMAPPEND != 0;
        let Body::File(bytes) = &mut node.body else { return Err(error::EISDIR.into()) };
        let offset = if append { bytes.length() } else { offset };
        bytes.write(offset, data, &mut self.budget)?;
        node.changed(user, now);
        Ok(())
    }

    /// May this user take the file out of its directory, or give it another name there?
    fn may_remove(&self, number: u64, user: &Arc<[u8]>) -> Result<()> {
        let node = self.node(number)?;
        if number == ROOT {
            return Err(error::EPERM.into());
        }
        if !node.linked {
            return Err(error::ENONEXIST.into());
        }
        let dir = self.node(node.parent)?;
        dir.allow(user, AWRITE)?;
        // Where everybody may make files, what somebody has made stays there until he takes it away.
        let his = is_same(user, &node.uid) || is_same(user, &dir.uid);
        if dir.mode & 0o002 == 0 || his { Ok(()) } else { Err(error::EPERM.into()) }
    }

    /// Takes a file out of its directory.
    pub fn remove(&mut self, number: u64, user: &Arc<[u8]>) -> Result<()> {
        self.may_remove(number, user)?;
        let now = (self.clock)();
        let node = self.node_mut(number)?;
        if node.entries().is_ok_and(|entries| !entries.is_empty()) {
            return Err(error::ENOTEMPTY.into());
        }
        node.linked = false;
        let (parent, name) = (node.parent, node.name.clone());
        let parent = self.node_mut(parent)?;
        parent.entries_mut()?.remove(&name);
        parent.changed(user, now);
        self.free_if_unused(number);
        Ok(())
    }

    /// Changes a file's record: all is checked before anything is done.
    pub fn wstat(&mut self, number: u64, user: &Arc<[u8]>, change: &Stat<'_>) -> Result<()> {
        let node = self.node(number)?;
        let rename = self.check(number, node, user, change)?;
        let now = (self.clock)();
        if rename {
            let name = change.name.bytes();
            let node = self.nodes.get_mut(&number).ok_or(error::ENONEXIST)?;
            let (old, new) = (node_cost(&node.name), node_cost(name));
            self.budget.take(new.saturating_sub(old))?;
            self.budget.give(old.saturating_sub(new));
            let name: Arc<[u8]> = Arc::from(name);
            let old = core::mem::replace(&mut node.name, name.clone());
            let parent = node.parent;
            let parent = self.node_mut(parent)?;
            let entries = parent.entries_mut()?;
            entries.remove(&old);
            entries.insert(name, number);
            parent.changed(user, now);
        }
        let node = self.nodes.get_mut(&number).ok_or(error::ENONEXIST)?;
        if let Body::File(bytes) = &mut node.body
            && change.length != u64::MAX
            && change.length != bytes.length()
        {
            self.gone = bytes.set_len(change.length, &mut self.budget)?;
            node.changed(user, now);
        }
        if change.mode != KEEP {
            node.mode = change.mode;
        }
        if change.atime != KEEP {
            node.atime = change.atime;
        }
        if change.mtime != KEEP {
            node.mtime = change.mtime;
        }
        if !change.gid.is_empty() {
            node.gid = Arc::from(change.gid.bytes());
        }
        Ok(())
    }

    /// Checks a `Twstat`; says whether it renames. Type, device and version are the client's idea and mean nothing.
    fn check(&self, number: u64, node: &Node, user: &Arc<[u8]>, change: &Stat<'_>) -> Result<bool> {
        let refused = Err(error::EPERM.into());
        let same = |new: Str<'_>, old: &[u8]| new.is_empty() || new.bytes() == old;
        if !same(change.uid, &node.uid) || !same(change.muid, &node.muid) {
            return refused;
        }
        if change.qid.path != u64::MAX && change.qid.path != number {
            return refused;
        }
        let owner = is_same(user, &node.uid);
        let leads = is_same(user, &node.gid);
        let attributes = change.mode != KEEP && change.mode != node.mode
            || change.atime != KEEP && change.atime != node.atime
            || change.mtime != KEEP && change.mtime != node.mtime;
        if attributes && !owner && !leads {
            return refused;
        }
        if change.mode != KEEP && (change.mode & !MODE != 0 || (change.mode ^ node.mode) & DMDIR != 0) {
            return refused;
        }
        // The new group must be one that the user is in; who leads both need not be the owner.
        if !same(change.gid, &node.gid) && !(change.gid.bytes() == &**user && (owner || leads)) {
            return refused;
        }
        let length = match &node.body {
            Body::Dir(_) => 0,
            Body::File(bytes) => bytes.length(),
        };
        if change.length != u64::MAX && change.length != length {
            node.allow(user, AWRITE)?;
            match &node.body {
                Body::Dir(_) => return refused,
                Body::File(_) if change.length > i64::MAX as u64 => return Err(error::ETOOBIG.into()),
                Body::File(_) => {}
            }
        }
        if same(change.name, &node.name) {
            return Ok(false);
        }
        self.may_remove(number, user)?;
        valid_name(change.name.bytes())?;
        if self.node(node.parent)?.entries()?.contains_key(change.name.bytes()) {
            return Err(error::EEXIST.into());
        }
        // A longer name takes more; said before anything else is changed.
        let grown = node_cost(change.name.bytes()).saturating_sub(node_cost(&node.name));
        if self.budget.used.saturating_add(grown) > self.budget.limit {
            Err(error::EFULL.into())
        } else {
            Ok(true)
        }
    }
}
