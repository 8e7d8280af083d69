//! `#/`: the root. Mount points, and the files of tar archives.
//!
//! The tree is built once from a list of archives, each laid over those before it, and never changes: so there
//! are no locks. File contents stay where the archives are. Its files say `M` as their type, as those of any
//! main file system do: programs take other letters for devices.
//!
//! The places at which the command line mounts shares are made when no archive has them.
//!
//! Nothing can be written. Hard links share their file's contents; symbolic links to files are resolved when
//! the tree is built, others are left out, since Plan 9 has none.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::{Dir, Qid, error};

use crate::dev::dirtab;
use crate::dev::{Dev, Teller, Walk};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::name::chan::Chan;
use crate::proc::process::Proc;

mod index;
pub mod tar;

use index::Index;
use tar::Kind;

/// Directories that are there with any archive: what the usual name space is mounted on.
const DIRS: &[&str] = &[
    "bin", "boot", "dev", "env", "fd", "mnt", "n", "net", "net.alt", "proc", "rc", "root", "shr", "srv",
    "tmp",
];
/// Most symbolic links on the way to one file.
const MAXLINKS: usize = 8;

/// An archive's bytes.
#[derive(Clone)]
pub enum Archive {
    /// Part of the kernel's image.
    Static(&'static [u8]),
    /// A boot module, and its physical address.
    Module(&'static [u8], u64),
    /// Made at run time.
    Shared(Arc<[u8]>),
}

impl Archive {
    fn bytes(&self) -> &[u8] {
        match self {
            Archive::Static(b) | Archive::Module(b, _) => b,
            Archive::Shared(b) => b,
        }
    }

    /// What it is called when something is wrong with it; `i` is its number among all.
    fn name(&self, i: usize) -> String {
        match self {
            Archive::Module(bytes, start) => format!("the module of {} bytes at {start:#x}", bytes.len()),
            Archive::Static(_) | Archive::Shared(_) => format!("archive {i}"),
        }
    }
}

struct Node {
    name: String,
    parent: usize,
    perm: u32,
    mtime: u32,
    what: What,
}

enum What {
    Dir(BTreeMap<String, usize>),
    File { archive: usize, data: Range<usize> },
    Symlink(String),
}

/// The device. A file's qid path is its index in `nodes`; 0 is the root.
pub struct Root {
    archives: Vec<Archive>,
    nodes: Vec<Node>,
    /// All that is in directories, once the tree is complete.
    index: Index,
}

impl Root {
    /// A tree of `archives`, later ones over earlier ones, with a directory for each of `places` (absolute paths).
    /// Also says what is wrong with them, one line each.
    pub fn new<'a>(
        archives: Vec<Archive>,
        places: impl Iterator<Item = &'a str>,
    ) -> (Arc<Self>, Vec<String>) {
        let mut root = Root { archives: Vec::new(), nodes: Vec::new(), index: Index::default() };
        root.nodes.push(Node::dir(String::new(), 0, 0o555, 0));
        for dir in DIRS {
            root.make_dir(0, dir, 0o555, 0);
        }
        let mut wrong = Vec::new();
        for (i, archive) in archives.into_iter().enumerate() {
            root.archives.push(archive.clone());
            for entry in tar::read(archive.bytes()) {
                let said = match entry {
                    Ok(e) => root.add(i, &e).map_err(|why| format!("{}: {why}", e.name)),
                    Err(why) => Err(format!("{}: {why}", archive.name(i))),
                };
                wrong.extend(said.err());
            }
        }
        root.resolve_links(&mut wrong);
        wrong.extend(places.filter_map(|p| root.make_place(p).err().map(|why| format!("{p}: {why}"))));
        let files = root.nodes.iter().enumerate().flat_map(|(dir, node)| match &node.what {
            What::Dir(children) => Some(children.iter().map(move |(name, n)| (*n, dir, name.as_str()))),
            _ => None,
        });
        root.index = Index::new(files.flatten());
        (Arc::new(root), wrong)
    }

    /// Makes what is missing of the directory `path`. What is there stays as it is.
    fn make_place(&mut self, path: &str) -> core::result::Result<(), &'static str> {
        let mut at = 0;
        for name in elements(path)? {
            at = match self.child(at, name) {
                Some(n) => n,
                None if matches!(self.nodes.get(at), Some(Node { what: What::Dir(_), .. })) => {
                    self.make_dir(at, name, 0o555, 0)
                }
                None => return Err("a file is in the way"),
            };
        }
        Ok(())
    }

    fn add(&mut self, archive: usize, e: &tar::Entry) -> core::result::Result<(), &'static str> {
        let elements = elements(&e.name)?;
        let Some((last, dirs)) = elements.split_last() else {
            return Ok(());
        };
        let mut at = 0;
        for dir in dirs {
            at = self.make_dir(at, dir, 0o555, e.mtime);
        }
        let what = match &e.kind {
            Kind::Dir => {
                let dir = self.make_dir(at, last, e.perm, e.mtime);
                if let Some(node) = self.nodes.get_mut(dir) {
                    (node.perm, node.mtime) = (e.perm, e.mtime);
                }
                return Ok(());
            }
            Kind::File => What::File { archive, data: e.data.clone() },
            Kind::Link(to) => match self.find(0, to).and_then(|n| self.nodes.get(n)).map(|n| &n.what) {
                Some(What::File { archive, data }) => What::File { archive: *archive, data: data.clone() },
                _ => return Err("it links to what is not there"),
            },
            Kind::Symlink(to) => What::Symlink(to.clone()),
            Kind::Other => return Err("it is neither file nor directory"),
        };
        let node = Node { name: (*last).into(), parent: at, perm: e.perm, mtime: e.mtime, what };
        self.put(at, node);
        Ok(())
    }

    /// The directory `name` in `parent`, made if need be; a file of that name gives way.
    fn make_dir(&mut self, parent: usize, name: &str, perm: u32, mtime: u32) -> usize {
        match self.child(parent, name) {
            Some(n) if matches!(self.nodes.get(n), Some(Node { what: What::Dir(_), .. })) => n,
            _ => self.put(parent, Node::dir(name.into(), parent, perm, mtime)),
        }
    }

    fn put(&mut self, parent: usize, node: Node) -> usize {
        let n = self.nodes.len();
        if let Some(Node { what: What::Dir(children), .. }) = self.nodes.get_mut(parent) {
            children.insert(node.name.clone(), n);
        }
        self.nodes.push(node);
        n
    }

    fn child(&self, dir: usize, name: &str) -> Option<usize> {
        match &self.nodes.get(dir)?.what {
            What::Dir(children) => children.get(name).copied(),
            _ => None,
        }
    }

    /// Walks `path` from `dir` (from the root if it begins with a slash), not through symbolic links.
    fn find(&self, dir: usize, path: &str) -> Option<usize> {
        let mut at = if path.starts_with('/') { 0 } else { dir };
        for name in path.split('/').filter(|x| !x.is_empty() && *x != ".") {
            at = if name == ".." { self.nodes.get(at)?.parent } else { self.child(at, name)? };
        }
        Some(at)
    }

    /// Makes files of symbolic links to files, and takes away the others.
    fn resolve_links(&mut self, wrong: &mut Vec<String>) {
        for n in 1..self.nodes.len() {
            let Some(Node { what: What::Symlink(_), name, parent, .. }) = self.nodes.get(n) else {
                continue;
            };
            let (name, parent) = (name.clone(), *parent);
            let mut at = Some(n);
            for _ in 0..MAXLINKS {
                match at.and_then(|a| self.nodes.get(a)) {
                    Some(Node { what: What::Symlink(to), parent, .. }) => at = self.find(*parent, to),
                    _ => break,
                }
            }
            let target = match at.and_then(|a| self.nodes.get(a)) {
                Some(Node { what: What::File { archive, data }, perm, mtime, .. }) => {
                    Some((*archive, data.clone(), *perm, *mtime))
                }
                _ => None,
            };
            match (target, self.nodes.get_mut(n)) {
                (Some((archive, data, perm, mtime)), Some(node)) => {
                    (node.perm, node.mtime) = (perm, mtime);
                    node.what = What::File { archive, data };
                }
                _ => {
                    wrong.push(format!("{name}: a symbolic link to no file"));
                    if let Some(Node { what: What::Dir(children), .. }) = self.nodes.get_mut(parent) {
                        children.remove(&name);
                    }
                }
            }
        }
    }

    fn node(&self, qid: Qid) -> Result<&Node> {
        let node = usize::try_from(qid.path).ok().and_then(|n| self.nodes.get(n));
        node.ok_or(error::ENONEXIST.into())
    }

    fn contents(&self, archive: usize, data: &Range<usize>) -> &[u8] {
        self.archives.get(archive).and_then(|a| a.bytes().get(data.clone())).unwrap_or(&[])
    }

    fn qid(&self, n: usize) -> Qid {
        match self.nodes.get(n) {
            Some(Node { what: What::Dir(_), .. }) => Qid::dir(n as u64),
            _ => Qid::file(n as u64),
        }
    }

    fn dir(&self, up: &Arc<Proc>, n: usize, node: &Node) -> Dir {
        let host = up.kernel.hostowner.lock().clone();
        let told = self.told(n, node, &host);
        told.with_strings([node.name_of(n).into(), host.clone(), host.clone(), host.clone()])
    }

    fn told<'a>(&self, n: usize, node: &'a Node, host: &'a str) -> Dir<&'a [u8]> {
        let (mode, length) = match &node.what {
            What::File { data, .. } => (node.perm & !0o222, data.len() as u64),
            _ => (node.perm & !0o222 | abi::DMDIR, 0),
        };
        Dir {
            kind: u16::from(b'M'),
            dev: 0,
            qid: self.qid(n),
            mode,
            atime: node.mtime,
            mtime: node.mtime,
            length,
            name: node.name_of(n).as_bytes(),
            uid: host.as_bytes(),
            gid: host.as_bytes(),
            muid: host.as_bytes(),
        }
    }
}

/// The elements of a path.
fn elements(path: &str) -> core::result::Result<Vec<&str>, &'static str> {
    let elements: Vec<&str> = path.split('/').filter(|x| !x.is_empty() && *x != ".").collect();
    if elements.iter().any(|x| *x == ".." || x.bytes().any(|b| b < b' ' || b == 0x7f)) {
        return Err("such a name cannot be");
    }
    Ok(elements)
}

impl Node {
    /// What it is called, being number `n`.
    fn name_of(&self, n: usize) -> &str {
        if n == 0 { "/" } else { &self.name }
    }

    fn dir(name: String, parent: usize, perm: u32, mtime: u32) -> Self {
        Node { name, parent, perm, mtime, what: What::Dir(BTreeMap::new()) }
    }
}

impl Dev for Root {
    fn letter(&self) -> char {
        '/'
    }

    fn name(&self) -> &'static str {
        "root"
    }

    fn walk(&self, _up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        let mut at = usize::try_from(c.qid.path).map_err(|_| error::ENONEXIST)?;
        let mut qids = Vec::with_capacity(names.len());
        for name in names {
            let next = match self.nodes.get(at) {
                Some(Node { what: What::Dir(_), parent, .. }) if *name == ".." => Ok(*parent),
                Some(Node { what: What::Dir(_), .. }) => {
                    let is = |n: usize| self.nodes.get(n).is_some_and(|c| c.parent == at && c.name == **name);
                    self.index.find(at, name, is).ok_or(error::ENONEXIST)
                }
                _ => Err(error::ENOTDIR),
            };
            match next {
                Ok(n) => at = n,
                Err(e) if qids.is_empty() => return Err(e.into()),
                Err(e) => return Ok(Walk { qids, chan: None, why: Some(e.into()) }),
            }
            qids.push(self.qid(at));
        }
        Ok(Walk { qids, chan: Some(c.derive(self.qid(at), None)), why: None })
    }

    fn stat(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        let node = self.node(c.qid)?;
        Ok(self.dir(up, c.qid.path as usize, node))
    }

    fn stat_to(&self, up: &Arc<Proc>, c: &Chan, tell: Teller<'_>) -> Result<()> {
        let node = self.node(c.qid)?;
        let host = up.kernel.hostowner.lock();
        tell(&self.told(c.qid.path as usize, node, &host))
    }

    fn open(&self, up: &Arc<Proc>, mut c: Chan, mode: u32) -> Result<Arc<Chan>> {
        let node = self.node(c.qid)?;
        let writes = matches!(mode & 3, abi::OWRITE | abi::ORDWR);
        if writes || mode & (abi::OTRUNC | abi::ORCLOSE) != 0 {
            return Err(error::EPERM.into());
        }
        let host = up.kernel.hostowner.lock().clone();
        up.check_perm(&host, node.perm, dirtab::access(mode))?;
        c.mode = Some(mode);
        Ok(Arc::new(c))
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        match &self.node(c.qid)?.what {
            What::File { archive, data } => dst.put_from(self.contents(*archive, data), offset),
            What::Dir(children) => {
                let nodes = children.values().filter_map(|&n| Some((n, self.nodes.get(n)?)));
                dirtab::put_list(c, dst, offset, nodes, |(n, node)| self.dir(up, n, node))
            }
            What::Symlink(_) => Err(error::ENONEXIST.into()),
        }
    }
}
