//! One file of the tree: its record, what it holds, and who may use it.

use alloc::collections::BTreeMap;
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
    pub name: Vec<u8>,
    /// The directory it stands in, or stood in.
    pub parent: u64,
    /// Whether it stands there still.
    pub linked: bool,
    pub mode: u32,
    pub uid: Vec<u8>,
    pub gid: Vec<u8>,
    pub muid: Vec<u8>,
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
    Dir(BTreeMap<Vec<u8>, u64>),
    File(Bytes),
}

impl Node {
    /// A new one in the directory `parent`, empty.
    pub fn new(now: u32, uid: &[u8], gid: &[u8], name: &[u8], mode: u32, parent: u64) -> Node {
        Node {
            name: name.to_vec(),
            parent,
            linked: true,
            mode,
            uid: uid.to_vec(),
            gid: gid.to_vec(),
            muid: uid.to_vec(),
            atime: now,
            mtime: now,
            vers: 0,
            body: if mode & DMDIR != 0 { Body::Dir(BTreeMap::new()) } else { Body::File(Bytes::default()) },
            held: 0,
            opens: 0,
        }
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
    pub fn allow(&self, user: &[u8], want: u32) -> Result<()> {
        let mut has = self.mode & 7;
        if user == self.uid {
            has |= self.mode >> 6 & 7;
        }
        if user == self.gid {
            has |= self.mode >> 3 & 7;
        }
        if has & want == want { Ok(()) } else { Err(error::EPERM.into()) }
    }

    /// What stands under a name in this directory.
    pub fn child(&self, name: &[u8]) -> Result<u64> {
        Ok(*self.entries()?.get(name).ok_or(error::ENONEXIST)?)
    }

    /// The directory's files, by their names.
    pub fn entries(&self) -> Result<&BTreeMap<Vec<u8>, u64>> {
        match &self.body {
            Body::Dir(entries) => Ok(entries),
            Body::File(_) => Err(error::ENOTDIR.into()),
        }
    }

    /// The same, to change them.
    pub fn entries_mut(&mut self) -> Result<&mut BTreeMap<Vec<u8>, u64>> {
        match &mut self.body {
            Body::Dir(entries) => Ok(entries),
            Body::File(_) => Err(error::ENOTDIR.into()),
        }
    }

    /// Its contents have changed.
    pub fn changed(&mut self, user: &[u8], now: u32) {
        self.vers = self.vers.wrapping_add(1);
        self.mtime = now;
        if self.muid != user {
            self.muid = user.to_vec();
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

/// What a file of this name takes. The name stands in the directory, too.
pub fn node_cost(name: &[u8]) -> u64 {
    NODE_COST + 2 * name.len() as u64
}
