//! `#/`: the root. Mount points, and the files of archives: tar's, and [`packed`] ones, whose files may be compressed.
//!
//! The tree ([`tree`]) is built once from a list of archives and never changes: so there are no locks. Nothing can be
//! written. Its files say `M` as their type, as those of any main file system do: programs take other letters for
//! devices.
//!
//! Where the machine is to have another root ([`Layout::InBoot`]), all of this is in `/boot`, and `/` has nothing but
//! directories to mount on, as Plan 9's has: what is in it hides what a tree behind it has under the same name.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::{Dir, Qid, error};
use machine::page::Page;

use crate::dev::dirtab;
use crate::dev::{Dev, Qids, Teller, Walk};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::mem::unpacked::Block;
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;

mod index;
pub mod packed;
pub mod tar;
mod tree;

use index::Index;
use packed::{BLOCK, Packed};
use tree::{Contents, Node, Tree, What};

pub use tree::{Archive, Layout};

/// The device. A file's qid path is its number in the tree; 0 is the root.
pub struct Root {
    tree: Tree,
    /// All that is in directories, once the tree is complete.
    index: Index,
}

impl Root {
    /// A tree of `archives`, later ones over earlier ones, with a directory for each of `places` (absolute paths).
    /// Also says what is wrong with them, one line each.
    pub fn new<'a>(
        archives: Vec<Archive>,
        places: impl Iterator<Item = &'a str>,
        layout: Layout,
    ) -> (Arc<Self>, Vec<String>) {
        let (tree, wrong) = Tree::new(archives, places, layout);
        let files = tree.nodes.iter().enumerate().flat_map(|(dir, node)| match &node.what {
            What::Dir(children) => Some(children.iter().map(move |(name, n)| (*n, dir, name.as_str()))),
            _ => None,
        });
        let index = Index::new(files.flatten());
        (Arc::new(Root { tree, index }), wrong)
    }

    fn node(&self, qid: Qid) -> Result<&Node> {
        let node = usize::try_from(qid.path).ok().and_then(|n| self.tree.nodes.get(n));
        node.ok_or(error::ENONEXIST.into())
    }

    /// The file of a directory. Nothing else has any.
    fn child(&self, dir: usize, name: &str) -> Option<usize> {
        let is = |n: usize| self.tree.nodes.get(n).is_some_and(|c| c.parent == dir && c.name == *name);
        self.index.find(dir, name, is)
    }

    fn qid(&self, n: usize) -> Qid {
        match self.tree.nodes.get(n) {
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

impl Dev for Root {
    fn letter(&self) -> char {
        '/'
    }

    fn name(&self) -> &'static str {
        "root"
    }

    /// Where they begin: links have them in common.
    fn contents(&self, c: &Chan) -> u64 {
        match self.node(c.qid) {
            Ok(Node { what: What::File { archive, data }, .. }) => {
                (*archive as u64) << 48 | data.start as u64
            }
            _ => c.qid.path,
        }
    }

    fn walk(&self, _up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        let mut at = usize::try_from(c.qid.path).map_err(|_| error::ENONEXIST)?;
        let mut qids = Qids::new();
        for name in names {
            let next = match self.tree.nodes.get(at) {
                Some(Node { what: What::Dir(_), parent, .. }) if *name == ".." => Ok(*parent),
                Some(Node { what: What::Dir(_), .. }) => self.child(at, name).ok_or(error::ENONEXIST),
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

    fn glance(
        &self,
        up: &Arc<Proc>,
        c: &Chan,
        names: &[&str],
        pass: &mut dyn FnMut(Qid) -> bool,
        tell: Teller<'_>,
    ) -> bool {
        let Ok(mut at) = usize::try_from(c.qid.path) else { return false };
        for name in names {
            match self.child(at, name) {
                Some(n) if pass(self.qid(n)) => at = n,
                _ => return false,
            }
        }
        let Some(node) = self.tree.nodes.get(at) else { return false };
        let host = up.kernel.hostowner.lock();
        tell(&self.told(at, node, &host)).is_ok()
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

    fn open(&self, up: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let node = self.node(c.qid)?;
        let writes = matches!(mode & 3, abi::OWRITE | abi::ORDWR);
        if writes || mode & (abi::OTRUNC | abi::ORCLOSE) != 0 {
            return Err(error::EPERM.into());
        }
        let host = up.kernel.hostowner.lock().clone();
        up.check_perm(&host, node.perm, dirtab::access(mode))?;
        c.mode = Some(mode);
        Ok(c.share())
    }

    fn page(&self, c: &Chan, offset: u64) -> Option<Page> {
        match &self.node(c.qid).ok()?.what {
            What::File { archive, data } => self.tree.page(*archive, data, usize::try_from(offset).ok()?),
            _ => None,
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        match &self.node(c.qid)?.what {
            What::File { archive, data } => match self.tree.contents(*archive, data) {
                Contents::Plain(bytes) => dst.put_from(bytes, offset),
                Contents::Packed(packed, bytes) => {
                    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
                    read_packed(up, *archive, packed, bytes, dst, data.start + start..data.end)
                }
            },
            What::Dir(children) => {
                let nodes = children.values().filter_map(|&n| Some((n, self.tree.nodes.get(n)?)));
                dirtab::put_list(c, dst, offset, nodes, |(n, node)| self.dir(up, n, node))
            }
            What::Symlink(..) => Err(error::ENONEXIST.into()),
        }
    }
}

/// Copies as much of these contents of an archive as there is room for, block by block.
fn read_packed(
    up: &Arc<Proc>,
    archive: usize,
    packed: &Packed,
    bytes: &[u8],
    dst: &mut Dst<'_>,
    data: Range<usize>,
) -> Result<usize> {
    let len = data.len().min(dst.len());
    let mut done = 0;
    while done < len && up.may_go_on(done) {
        let (number, from) = packed.place(data.start + done).ok_or(error::EIO)?;
        let (deflated, whole) = packed.block(bytes, number).ok_or(error::EIO)?;
        let block: Block = (archive, number);
        let block = match up.kernel.unpacked.block(up, block, number * BLOCK, deflated, whole) {
            Ok(block) => block,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let rest = block.get(from..).unwrap_or_default();
        let n = rest.len().min(len - done);
        // The index says that all is there.
        let piece = rest.get(..n).filter(|piece| !piece.is_empty()).ok_or(error::EIO)?;
        dst.put(done, piece)?;
        done += n;
    }
    Ok(done)
}
