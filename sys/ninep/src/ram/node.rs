//! One file of the tree: its record, what it holds, and who may use it.
//!
//! A file's name is in memory once, for itself and for its directory; and so is a user's, for all files that he makes.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{DMDIR, Dir, Qid, error};

use super::data::Bytes;
use super::qid_kind;
use crate::server::{Result, record};
use crate::{Stat, Str};

/// What a file takes beside its contents and its name, about.
const NODE_COST: u64 = 320;

/// One file.
pub struct Node {
    pub name: Arc<[u8]>,
    /// The directory it stands in, or stood in.
    pub parent: u64,
    /// Whether it stands there still.
    pub linked: bool,
    pub mode: u32,
    pub uid: Arc<[u8]>,
    pub gid: Arc<[u8]>,
    pub muid: Arc<[u8]>,
    pub atime: u32,
    pub mtime: u32,
    pub vers: u32,
    pub body: Body,
    /// Fids that stand for it.
    pub held: usize,
    /// Those of them that are open.
    pub opens: usize,
}

/// What is in it.
pub enum Body {
    Dir(Entries),
    File(Bytes),
}

/// The files of a directory, by their names.
pub type Entries = BTreeMap<Arc<[u8]>, u64>;

/// Whether it is the same user: mostly his name is the same one.
pub fn is_same(a: &Arc<[u8]>, b: &Arc<[u8]>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

impl Node {
    /// A new one in the directory `parent`, empty.
    pub fn new(
        now: u32,
        uid: &Arc<[u8]>,
        gid: &Arc<[u8]>,
        name: Arc<[u8]>,
        mode: u32,
        parent: u64,
    ) -> Box<Node> {
        Box::new(Node {
            name,
            parent,
            linked: true,
            mode,
            uid: uid.clone(),
            gid: gid.clone(),
            muid: uid.clone(),
            atime: now,
            mtime: now,
            vers: 0,
            body: if mode & DMDIR != 0 { Body::Dir(BTreeMap::new()) } else { Body::File(Bytes::default()) },
            held: 0,
            opens: 0,
        })
    }

    /// What the client knows it by.
    pub fn qid(&self, number: u64) -> Qid {
        Qid { kind: qid_kind(self.mode), vers: self.vers, path: number }
    }

    /// What there is to tell of it.
    pub fn dir(&self, number: u64) -> Dir<&[u8]> {
        let length = match &self.body {
            Body::Dir(_) => 0,
            Body::File(bytes) => bytes.length(),
        };
        Dir {
            kind: 0,
            dev: 0,
            qid: self.qid(number),
            mode: self.mode,
            atime: self.atime,
            mtime: self.mtime,
            length,
            name: &self.name,
            uid: &self.uid,
            gid: &self.gid,
            muid: &self.muid,
        }
    }

    /// Its record.
    pub fn record(&self, number: u64) -> Result<Vec<u8>> {
        let dir = self.dir(number);
        record(&Stat::from(dir.with_strings(dir.strings().map(|s| Str(s)))))
    }

    /// May this user do this (`AREAD`, `AWRITE`, `AEXEC` together)?
    pub fn allow(&self, user: &Arc<[u8]>, want: u32) -> Result<()> {
        let has = |bits: u32| bits & want == want;
        // What everybody may is asked for most: then it does not matter who it is.
        if has(self.mode) {
            return Ok(());
        }
        let mut bits = self.mode & 7;
        if is_same(user, &self.uid) {
            bits |= self.mode >> 6 & 7;
        }
        if is_same(user, &self.gid) {
            bits |= self.mode >> 3 & 7;
        }
        if has(bits) { Ok(()) } else { Err(error::EPERM.into()) }
    }

    /// What stands under a name in this directory.
    pub fn child(&self, name: &[u8]) -> Result<u64> {
        Ok(*self.entries()?.get(name).ok_or(error::ENONEXIST)?)
    }

    /// The directory's files, by their names.
    pub fn entries(&self) -> Result<&Entries> {
        match &self.body {
            Body::Dir(entries) => Ok(entries),
            Body::File(_) => Err(error::ENOTDIR.into()),
        }
    }

    /// The same, to change them.
    pub fn entries_mut(&mut self) -> Result<&mut Entries> {
        match &mut self.body {
            Body::Dir(entries) => Ok(entries),
            Body::File(_) => Err(error::ENOTDIR.into()),
        }
    }

    /// Its contents have changed.
    pub fn changed(&mut self, user: &Arc<[u8]>, now: u32) {
        self.vers = self.vers.wrapping_add(1);
        self.mtime = now;
        if !is_same(&self.muid, user) {
            self.muid = user.clone();
        }
    }

    /// What it takes.
    pub fn cost(&self) -> u64 {
        let body = match &self.body {
            Body::Dir(_) => 0,
            Body::File(bytes) => bytes.cost(),
        };
        node_cost(&self.name) + body
    }
}

/// What a file of this name takes.
pub fn node_cost(name: &[u8]) -> u64 {
    NODE_COST + name.len() as u64
}
