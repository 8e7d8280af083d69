//! The tree of archives: each is laid over those before it, once, and then it never changes.
//!
//! File contents stay where the archives are. Hard links share their file's contents; symbolic links to files become
//! those files when all archives are there, and others are left out, since Plan 9 has none. The places at which the
//! command line mounts shares are made when no archive has them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::layout::PAGE;
use machine::page::Page;

use super::packed::Packed;
use super::tar::{self, Kind};

/// Directories that are there with any archive: what the usual name space is mounted on.
const DIRS: &[&str] = &[
    "bin", "boot", "dev", "env", "fd", "mnt", "n", "net", "net.alt", "proc", "rc", "root", "shr", "srv",
    "tmp",
];
/// What `/` has when another tree is to be the root, and everything else is in `boot`. Not `rc`, `lib` or `tmp`: a
/// whole Plan 9 brings those along.
const BARE: &[&str] =
    &["bin", "boot", "dev", "env", "fd", "mnt", "n", "net", "net.alt", "proc", "root", "shr", "srv"];
/// Most symbolic links on the way to one file.
const MAXLINKS: usize = 8;

/// Where the archives are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In `/`.
    AtRoot,
    /// In `/boot`, since the root is to be another tree. The first process has it bound on `/`.
    InBoot,
}

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

/// A file or a directory.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) parent: usize,
    pub(super) perm: u32,
    pub(super) mtime: u32,
    pub(super) what: What,
}

/// What is in it.
pub(super) enum What {
    Dir(BTreeMap<String, usize>),
    File {
        archive: usize,
        data: Range<usize>,
    },
    /// A symbolic link, and what it has displaced.
    Symlink(String, Option<usize>),
}

/// Where the contents of a file are.
pub(super) enum Contents<'a> {
    /// Here they are.
    Plain(&'a [u8]),
    /// In blocks of this archive, whose bytes are these.
    Packed(&'a Packed, &'a [u8]),
}

/// All of them. A file is known by its index in `nodes`; 0 is the root.
pub(super) struct Tree {
    archives: Vec<(Archive, Option<Packed>)>,
    pub(super) nodes: Vec<Node>,
    /// The directory of the archives.
    base: usize,
}

impl Tree {
    /// A tree of `archives`, later ones over earlier ones, with a directory for each of `places` (absolute paths).
    /// Also says what is wrong with them, one line each.
    pub(super) fn new<'a>(
        archives: Vec<Archive>,
        places: impl Iterator<Item = &'a str>,
        layout: Layout,
    ) -> (Self, Vec<String>) {
        let mut tree = Tree { archives: Vec::new(), nodes: Vec::new(), base: 0 };
        tree.nodes.push(Node::dir(String::new(), 0, 0o555, 0));
        if layout == Layout::InBoot {
            for dir in BARE {
                tree.make_dir(0, dir, 0o555, 0);
            }
            tree.base = tree.make_dir(0, "boot", 0o555, 0);
        }
        for dir in DIRS {
            tree.make_dir(tree.base, dir, 0o555, 0);
        }
        let mut wrong = Vec::new();
        for (i, archive) in archives.into_iter().enumerate() {
            let mut add = |entry: core::result::Result<tar::Entry, &str>| {
                let said = match entry {
                    Ok(e) => tree.add(i, &e).map_err(|why| format!("{}: {why}", e.name)),
                    Err(why) => Err(format!("{}: {why}", archive.name(i))),
                };
                wrong.extend(said.err());
            };
            let packed = match Packed::read(archive.bytes()) {
                None => {
                    tar::read(archive.bytes()).for_each(add);
                    None
                }
                Some(Ok((packed, entries))) => {
                    entries.for_each(add);
                    Some(packed)
                }
                Some(Err(why)) => {
                    add(Err(why));
                    None
                }
            };
            tree.archives.push((archive, packed));
        }
        tree.resolve_links(&mut wrong);
        wrong.extend(places.filter_map(|p| tree.make_place(p).err().map(|why| format!("{p}: {why}"))));
        (tree, wrong)
    }

    /// Makes what is missing of the directory `path`. What is there stays as it is.
    fn make_place(&mut self, path: &str) -> core::result::Result<(), &'static str> {
        let mut at = self.base;
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
        let mut at = self.base;
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
            Kind::Link(to) => match self.find(self.base, to).and_then(|n| self.nodes.get(n)).map(|n| &n.what)
            {
                Some(What::File { archive, data }) => What::File { archive: *archive, data: data.clone() },
                _ => return Err("it links to what is not there"),
            },
            Kind::Symlink(to) => What::Symlink(to.clone(), self.child(at, last)),
            Kind::Other => return Err("it is neither file nor directory"),
        };
        let node = Node { name: (*last).into(), parent: at, perm: e.perm, mtime: e.mtime, what };
        self.put(at, node);
        Ok(())
    }

    /// The directory `name` in `parent`, made if need be; a file of that name gives way, and a link to what was there
    /// before it.
    fn make_dir(&mut self, parent: usize, name: &str, perm: u32, mtime: u32) -> usize {
        let mut at = self.child(parent, name);
        while let Some(n) = at {
            at = match self.nodes.get(n) {
                Some(Node { what: What::Dir(_), .. }) => {
                    self.set_child(parent, name, Some(n));
                    return n;
                }
                Some(Node { what: What::Symlink(_, before), .. }) => *before,
                _ => None,
            };
        }
        self.put(parent, Node::dir(name.into(), parent, perm, mtime))
    }

    /// Has a directory this file by that name, or none.
    fn set_child(&mut self, dir: usize, name: &str, n: Option<usize>) {
        if let Some(Node { what: What::Dir(children), .. }) = self.nodes.get_mut(dir) {
            match n {
                Some(n) => children.insert(name.into(), n),
                None => children.remove(name),
            };
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

    /// Walks `path` from `dir` (from the archives' own root if it begins with a slash), not through symbolic links.
    fn find(&self, dir: usize, path: &str) -> Option<usize> {
        let mut at = if path.starts_with('/') { self.base } else { dir };
        for name in path.split('/').filter(|x| !x.is_empty() && *x != ".") {
            at = match name {
                ".." if at == self.base => at,
                ".." => self.nodes.get(at)?.parent,
                _ => self.child(at, name)?,
            };
        }
        Some(at)
    }

    /// Makes files of symbolic links to files. The others are left out: what they have displaced is there again. (Links
    /// come behind what they displace, and go before it.)
    fn resolve_links(&mut self, wrong: &mut Vec<String>) {
        for n in (1..self.nodes.len()).rev() {
            let Some(Node { what: What::Symlink(_, before), name, parent, .. }) = self.nodes.get(n) else {
                continue;
            };
            let (name, parent, before) = (name.clone(), *parent, *before);
            let mut at = Some(n);
            for _ in 0..MAXLINKS {
                match at.and_then(|a| self.nodes.get(a)) {
                    Some(Node { what: What::Symlink(to, _), parent, .. }) => at = self.find(*parent, to),
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
                    // Something else may have come over it.
                    if self.child(parent, &name) == Some(n) {
                        self.set_child(parent, &name, before);
                    }
                }
            }
        }
    }

    /// The contents of a file.
    pub(super) fn contents(&self, archive: usize, data: &Range<usize>) -> Contents<'_> {
        let Some((archive, packed)) = self.archives.get(archive) else { return Contents::Plain(&[]) };
        let bytes = archive.bytes();
        match packed {
            None => Contents::Plain(bytes.get(data.clone()).unwrap_or(&[])),
            Some(packed) => match packed.plain(bytes, data) {
                Some(plain) => Contents::Plain(plain),
                None => Contents::Packed(packed, bytes),
            },
        }
    }

    /// The page from `offset` on of a file's contents, if it is in the kernel's image as it is.
    pub(super) fn page(&self, archive: usize, data: &Range<usize>, offset: usize) -> Option<Page> {
        let Some((Archive::Static(bytes), packed)) = self.archives.get(archive) else { return None };
        let contents = match packed {
            None => bytes.get(data.clone()),
            Some(packed) => packed.plain(bytes, data),
        };
        Page::of_constant(contents?.get(offset..offset.checked_add(PAGE as usize)?)?)
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
    pub(super) fn name_of(&self, n: usize) -> &str {
        if n == 0 { "/" } else { &self.name }
    }

    fn dir(name: String, parent: usize, perm: u32, mtime: u32) -> Self {
        Node { name, parent, perm, mtime, what: What::Dir(BTreeMap::new()) }
    }
}
