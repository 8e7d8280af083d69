//! The host's files: inodes, names and the rules of a Unix file system, in memory.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::errno::*;
use crate::attr::smode;

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A plain file and its bytes.
    File(Vec<u8>),
    /// A directory: names and inode numbers.
    Dir(BTreeMap<Vec<u8>, u64>),
    /// A symbolic link and its target.
    Link(Vec<u8>),
    /// A fifo, a socket, or a device with its number.
    Special(u64),
}

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Linux's mode, with the type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last read, in seconds since 1970.
    pub atime: i64,
    /// Last change, in seconds since 1970.
    pub mtime: i64,
    /// Names it has.
    pub nlink: u32,
    /// What it is.
    pub body: Body,
}

impl Node {
    /// Its length in bytes, as the host tells it.
    pub fn size(&self) -> u64 {
        match &self.body {
            Body::File(data) => data.len() as u64,
            Body::Dir(_) => 4096,
            Body::Link(target) => target.len() as u64,
            Body::Special(_) => 0,
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }
}

/// Number of the root's inode.
pub const ROOT: u64 = 2;
/// Owner and group of what is made: those the server runs as.
pub const SELF: u32 = 1000;

/// A file system. Paths are slash-separated bytes from its root; nothing in a path is followed.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    again: Option<u64>,
    clock: i64,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Tree { nodes: BTreeMap::new(), next: ROOT, again: None, clock: 1_000_000_000 };
        tree.make(smode::IFDIR | 0o755, Body::Dir(BTreeMap::new()));
        tree
    }
}

/// The names of a path.
pub(super) fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/').filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect()
}

impl Tree {
    /// Makes a plain file with its directories, or gives an existing one these bytes.
    pub fn file(&mut self, path: impl AsRef<[u8]>, data: &[u8]) -> Result<u64, u32> {
        if let Some(Node { body: Body::File(old), .. }) = self.node_mut(path.as_ref()) {
            *old = data.to_vec();
            return self.find(&names(path.as_ref()));
        }
        self.put(path.as_ref(), smode::IFREG | 0o644, Body::File(data.to_vec()))
    }

    /// Makes a directory with those above it.
    pub fn dir(&mut self, path: impl AsRef<[u8]>) -> Result<u64, u32> {
        self.put(path.as_ref(), smode::IFDIR | 0o755, Body::Dir(BTreeMap::new()))
    }

    /// Makes a symbolic link with its directories.
    pub fn link(&mut self, path: impl AsRef<[u8]>, target: &[u8]) -> Result<u64, u32> {
        self.put(path.as_ref(), smode::IFLNK | 0o777, Body::Link(target.to_vec()))
    }

    /// Makes a fifo, a socket or a device, by Linux's mode.
    pub fn special(&mut self, path: impl AsRef<[u8]>, mode: u32, device: u64) -> Result<u64, u32> {
        self.put(path.as_ref(), mode, Body::Special(device))
    }

    /// The inode at a path.
    pub fn node(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        self.nodes.get(&self.find(&names(path.as_ref())).ok()?)
    }

    /// The inode at a path, to change it behind the server's back.
    pub fn node_mut(&mut self, path: impl AsRef<[u8]>) -> Option<&mut Node> {
        let ino = self.find(&names(path.as_ref())).ok()?;
        self.nodes.get_mut(&ino)
    }

    /// The bytes of a plain file.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Option<&[u8]> {
        match &self.node(path)?.body {
            Body::File(data) => Some(data),
            _ => None,
        }
    }

    /// Removes a file or an empty directory.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<(), u32> {
        self.unlink(&names(path.as_ref()))
    }

    /// The next file that is made has this number, which belonged to one that was removed.
    pub fn use_again(&mut self, number: u64) {
        self.again = Some(number);
    }

    /// Gives a file another path.
    pub fn rename(&mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<(), u32> {
        self.mv(&names(from.as_ref()), &names(to.as_ref()))
    }

    fn put(&mut self, path: &[u8], mode: u32, body: Body) -> Result<u64, u32> {
        let names = names(path);
        for n in 1..names.len() {
            let above = names.get(..n).unwrap_or_default();
            if self.find(above).is_err() {
                self.add(above, smode::IFDIR | 0o755, Body::Dir(BTreeMap::new()))?;
            }
        }
        self.add(&names, mode, body)
    }

    /// The next second: every change has its own.
    pub(super) fn tick(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    fn make(&mut self, mode: u32, body: Body) -> u64 {
        let now = self.tick();
        let ino = self.again.take().unwrap_or(self.next);
        self.next += u64::from(ino == self.next);
        let nlink = if mode & smode::IFMT == smode::IFDIR { 2 } else { 1 };
        self.nodes.insert(ino, Node { mode, uid: SELF, gid: SELF, atime: now, mtime: now, nlink, body });
        ino
    }

    /// The inode with a number.
    pub(super) fn inode(&self, ino: u64) -> Result<&Node, u32> {
        self.nodes.get(&ino).ok_or(ENOENT)
    }

    pub(super) fn inode_mut(&mut self, ino: u64) -> Result<&mut Node, u32> {
        self.nodes.get_mut(&ino).ok_or(ENOENT)
    }

    /// The inode number of a path, as `lstat` finds it.
    pub(super) fn find(&self, path: &[Vec<u8>]) -> Result<u64, u32> {
        let mut at = ROOT;
        for name in path {
            match &self.inode(at)?.body {
                Body::Dir(entries) => at = *entries.get(name).ok_or(ENOENT)?,
                _ => return Err(ENOTDIR),
            }
        }
        Ok(at)
    }

    fn entries_mut(&mut self, dir: &[Vec<u8>]) -> Result<&mut BTreeMap<Vec<u8>, u64>, u32> {
        let (ino, now) = (self.find(dir)?, self.tick());
        let node = self.inode_mut(ino)?;
        match &mut node.body {
            Body::Dir(entries) => {
                node.mtime = now;
                Ok(entries)
            }
            _ => Err(ENOTDIR),
        }
    }

    /// Makes an inode at a path where nothing is yet.
    pub(super) fn add(&mut self, path: &[Vec<u8>], mode: u32, body: Body) -> Result<u64, u32> {
        let (name, dir) = path.split_last().ok_or(EEXIST)?;
        if self.entries_mut(dir)?.contains_key(name) {
            return Err(EEXIST);
        }
        if name.len() > 255 {
            return Err(ENAMETOOLONG);
        }
        let ino = self.make(mode, body);
        self.entries_mut(dir)?.insert(name.clone(), ino);
        Ok(ino)
    }

    /// Gives an inode one more name.
    pub(super) fn hardlink(&mut self, ino: u64, path: &[Vec<u8>]) -> Result<(), u32> {
        let (name, dir) = path.split_last().ok_or(EEXIST)?;
        if self.inode(ino)?.is_dir() {
            return Err(EPERM);
        }
        let entries = self.entries_mut(dir)?;
        if entries.contains_key(name) {
            return Err(EEXIST);
        }
        entries.insert(name.clone(), ino);
        self.inode_mut(ino)?.nlink += 1;
        Ok(())
    }

    /// Removes a name. The inode stays: open fids go on using it.
    pub(super) fn unlink(&mut self, path: &[Vec<u8>]) -> Result<(), u32> {
        let (name, dir) = path.split_last().ok_or(EINVAL)?;
        let node = self.inode_mut_at(path)?;
        if let Body::Dir(entries) = &node.body {
            if !entries.is_empty() {
                return Err(ENOTEMPTY);
            }
            node.nlink = 0;
        }
        node.nlink = node.nlink.saturating_sub(1);
        self.entries_mut(dir)?.remove(name);
        Ok(())
    }

    fn inode_mut_at(&mut self, path: &[Vec<u8>]) -> Result<&mut Node, u32> {
        let ino = self.find(path)?;
        self.inode_mut(ino)
    }

    /// `rename(2)`: what has the new name already gives way silently.
    pub(super) fn mv(&mut self, from: &[Vec<u8>], to: &[Vec<u8>]) -> Result<(), u32> {
        let ino = self.find(from)?;
        let ((old, old_dir), (new, new_dir)) =
            (from.split_last().ok_or(EBUSY)?, to.split_last().ok_or(EBUSY)?);
        if to.starts_with(from) {
            return match self.inode(ino)?.is_dir() {
                _ if to == from => Ok(()),
                true => Err(EINVAL),
                false => Err(ENOTDIR),
            };
        }
        if let Ok(there) = self.find(to) {
            match (self.inode(ino)?.is_dir(), self.inode(there)?.is_dir()) {
                (true, false) => return Err(ENOTDIR),
                (false, true) => return Err(EISDIR),
                _ if there == ino => return Ok(()),
                _ => self.unlink(to)?,
            }
        }
        self.entries_mut(new_dir)?.insert(new.clone(), ino);
        self.entries_mut(old_dir)?.remove(old);
        Ok(())
    }

    /// The names in a directory, in an order that is no order, as a hashed directory has it.
    pub(super) fn listing(&self, ino: u64) -> Result<Vec<Vec<u8>>, u32> {
        let Body::Dir(entries) = &self.inode(ino)?.body else { return Err(ENOTDIR) };
        let mut names: Vec<Vec<u8>> = entries.keys().cloned().collect();
        names.extend([b".".to_vec(), b"..".to_vec()]);
        names.sort_by_cached_key(|n| order(n));
        Ok(names)
    }
}

/// A name's place in its directory.
pub(super) fn order(name: &[u8]) -> u32 {
    name.iter().fold(0xcbf2_9ce4u32, |h, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// Somebody on the host who makes and removes files as fast as he can: some between any two looks of the server at the
/// entries of a directory that it reads.
#[derive(Clone, Debug, Default)]
pub struct Churn {
    /// Where.
    pub dir: String,
    /// How many files, `tmp-0` and so on.
    pub files: u32,
    /// How many are made or removed at each look.
    pub at_once: u32,
    dice: u32,
}

impl Churn {
    /// In this directory, with so many files.
    pub fn new(dir: &str, files: u32, at_once: u32) -> Self {
        Churn { dir: String::from(dir), files, at_once, dice: 0 }
    }

    /// The server looks at an entry.
    pub(super) fn meddle(&mut self, host: &mut Tree) {
        for _ in 0..if self.files == 0 { 0 } else { self.at_once } {
            self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let path = alloc::format!("{}/tmp-{}", self.dir, (self.dice >> 8) % self.files);
            if host.remove(&path).is_err() {
                let _ = host.file(&path, b"");
            }
        }
    }
}
