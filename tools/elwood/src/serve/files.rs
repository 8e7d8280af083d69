//! The folder as a tree of files for the server engine: names resolved anew for each request, and open files kept.

use std::fs::File as HostFile;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use abi::{DMDIR, OEXEC, ORCLOSE, ORDWR, OTRUNC, OWRITE, Qid, error};
use ninep::server::{self, Files, Refused, Result, names, valid_name};
use ninep::translate::errors;
use ninep::{Stat, Str, escape};
use parking_lot::{Mutex, RawMutex};
use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

use super::tree::{Change, Node, Tree};

type NameNode = names::Node<RawMutex>;

/// A folder, for as many clients as there are.
pub struct Folder {
    tree: Tree,
    names: Arc<NameNode>,
}

/// A file of it.
pub struct File {
    name: Arc<NameNode>,
    open: Option<Open>,
}

enum Open {
    File(HostFile),
    Directory(HostFile, Mutex<Listing>),
}

/// A directory being read: names from the moment the reading began, so that removing what was read loses nothing.
#[derive(Default)]
struct Listing {
    names: Vec<Vec<u8>>,
    next: usize,
}

impl Folder {
    /// What is served.
    pub fn new(tree: Tree) -> Folder {
        Folder { tree, names: NameNode::root() }
    }

    fn node(&self, name: &[Vec<u8>]) -> Result<Node> {
        self.tree.node(name).map_err(refused)
    }

    /// What is known of a file: of the open one, if it is, even when its name has gone.
    fn look(&self, file: &File) -> Result<Node> {
        match &file.open {
            None => self.node(&file.name.path()),
            Some(Open::File(f) | Open::Directory(f, _)) => self.describe(f),
        }
    }

    fn describe(&self, file: &HostFile) -> Result<Node> {
        let handle = file.try_clone().map_err(failed)?;
        self.tree.describe(handle.into()).map_err(refused)
    }

    fn found(&self, name: Arc<NameNode>) -> Result<(File, Qid)> {
        let qid = self.node(&name.path())?.qid;
        Ok((File { name, open: None }, qid))
    }
}

impl Files for Folder {
    type File = File;

    fn attach(&self, _user: &[u8], tree: &[u8]) -> Result<(File, Qid)> {
        if !matches!(tree, b"" | b"/") {
            return Err(error::ENONEXIST.into());
        }
        self.found(self.names.clone())
    }

    fn walk(&self, dir: &File, name: &[u8]) -> Result<(File, Qid)> {
        match name {
            b".." => self.found(dir.name.parent()),
            name => self.found(dir.name.child(name).ok_or(error::ETOOLONG)?),
        }
    }

    fn open(&self, file: &File, mode: u32) -> Result<(File, Qid)> {
        let name = file.name.path();
        let node = self.node(&name)?;
        let (remove, cut) = (mode & ORCLOSE != 0, mode & OTRUNC != 0);
        if remove || cut {
            self.tree.writable().map_err(refused)?;
        }
        if remove && name.is_empty() {
            return Err(error::EPERM.into());
        }
        let reopen = |flags| self.tree.reopen(&node, flags).map_err(refused);
        let open = if node.kind == FileType::Directory {
            Open::Directory(reopen(OFlags::RDONLY)?, Mutex::default())
        } else {
            if mode & 3 == OEXEC && node.mode & 0o111 == 0 {
                return Err(error::EPERM.into());
            }
            // The host wants the right to write for this, whatever else the file is opened for.
            Open::File(reopen(if cut { access(mode) | OFlags::TRUNC } else { access(mode) })?)
        };
        Ok((File { name: file.name.clone(), open: Some(open) }, node.qid))
    }

    fn create(&self, dir: &File, name: &[u8], perm: u32, mode: u32) -> Result<(File, Qid)> {
        let node = self.node(&dir.name.path())?;
        if node.kind != FileType::Directory {
            return Err(error::ENOTDIR.into());
        }
        // Append-only and exclusive files are promises that the host does not keep.
        if perm & !(DMDIR | abi::DMTMP | 0o777) != 0 {
            return Err(errors::ENOTSUP.into());
        }
        let child = dir.name.child(name).ok_or(error::ETOOLONG)?;
        let file = self.tree.create(&node, name, perm, access(mode)).map_err(refused)?;
        let qid = self.describe(&file)?.qid;
        let is_dir = perm & DMDIR != 0;
        let open = if is_dir { Open::Directory(file, Mutex::default()) } else { Open::File(file) };
        Ok((File { name: child, open: Some(open) }, qid))
    }

    fn read(&self, file: &File, offset: u64, buf: &mut [u8]) -> Result<usize> {
        match &file.open {
            Some(Open::File(f)) => f.read_at(buf, offset).map_err(failed),
            _ => Err(error::EBADUSEFD.into()),
        }
    }

    fn list(&self, dir: &File, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        let Some(Open::Directory(file, listing)) = &dir.open else { return Err(error::EBADUSEFD.into()) };
        let mut listing = listing.lock();
        if rewind {
            *listing = Listing { names: names_in(file).map_err(refused)?, next: 0 };
        }
        let mut path = dir.name.path();
        while let Some(name) = listing.names.get(listing.next) {
            path.push(name.clone());
            // What has gone meanwhile is not listed.
            let found = self.tree.node(&path).ok();
            path.pop();
            if let Some(node) = found
                && !put(&record(&node, name)?)
            {
                break;
            }
            listing.next += 1;
        }
        Ok(())
    }

    fn write(&self, file: &File, offset: u64, data: &[u8]) -> Result<usize> {
        match &file.open {
            Some(Open::File(f)) => f.write_at(data, offset).map_err(failed),
            _ => Err(error::EBADUSEFD.into()),
        }
    }

    fn stat(&self, file: &File) -> Result<Vec<u8>> {
        let node = self.look(file)?;
        let name = file.name.name();
        record(&node, if name.is_empty() { b"/" } else { &name })
    }

    fn wstat(&self, file: &File, stat: &Stat<'_>) -> Result<()> {
        if *stat == Stat::default() {
            // Nothing to change: what is written is to be safe.
            return match &file.open {
                Some(Open::File(f)) => f.sync_all().map_err(failed),
                _ => Ok(()),
            };
        }
        let node = self.look(file)?;
        let name = file.name.path();
        let change = change(stat, &node, name.last())?;
        self.tree.change(&name, &node, &change).map_err(refused)?;
        if let Some(new) = &change.name {
            file.name.rename(new);
        }
        Ok(())
    }

    fn remove(&self, file: &File) -> Result<()> {
        self.tree.remove(&file.name.path()).map_err(refused)
    }
}

/// Plan 9's words for the host's number.
fn refused(e: Errno) -> Refused {
    let text = u32::try_from(e.raw_os_error()).ok().and_then(errors::errno);
    text.map_or_else(|| e.to_string().into(), Refused::from)
}

fn failed(e: std::io::Error) -> Refused {
    Errno::from_io_error(&e).map_or_else(|| e.to_string().into(), refused)
}

/// How the host is asked for the access of a mode.
fn access(mode: u32) -> OFlags {
    match mode & 3 {
        OWRITE => OFlags::WRONLY,
        ORDWR => OFlags::RDWR,
        _ => OFlags::RDONLY,
    }
}

fn names_in(dir: &HostFile) -> Result<Vec<Vec<u8>>, Errno> {
    let mut entries = Dir::read_from(dir)?;
    entries.rewind();
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// The stat record of a file. Names are bytes; owners come from the host's tables.
fn record(node: &Node, name: &[u8]) -> Result<Vec<u8>> {
    let (uid, gid) = (Str(node.uid.as_bytes()), Str(node.gid.as_bytes()));
    let stat = Stat::from(abi::Dir {
        kind: 0,
        dev: 0,
        qid: node.qid,
        mode: node.mode,
        atime: node.atime,
        mtime: node.mtime,
        length: node.length,
        name: Str(name),
        uid,
        gid,
        muid: uid,
    });
    server::record(&stat)
}

/// What a `Twstat` changes; all of it is checked before any of it is done.
fn change(stat: &Stat<'_>, node: &Node, last: Option<&Vec<u8>>) -> Result<Change> {
    const KEEP: u32 = u32::MAX;
    let keep = Stat::default();
    let fixed = (stat.kind == keep.kind || stat.kind == 0)
        && (stat.dev == keep.dev || stat.dev == 0)
        && (stat.qid == keep.qid || stat.qid == node.qid)
        && (stat.uid.is_empty() || stat.uid.bytes() == node.uid.as_bytes())
        && (stat.muid.is_empty() || stat.muid.bytes() == node.uid.as_bytes())
        && (stat.mode == KEEP || stat.mode & !0o777 == node.mode & !0o777);
    if !fixed {
        return Err(error::EPERM.into());
    }
    let name = Some(stat.name.bytes()).filter(|n| !n.is_empty());
    let name = match (name, last) {
        (Some(new), Some(old)) if new == old => None,
        (Some(_), None) => return Err(error::EPERM.into()),
        (Some(new), _) => {
            valid_name(new)?;
            Some(new.to_vec())
        }
        (None, _) => None,
    };
    let length = Some(stat.length).filter(|n| *n != u64::MAX);
    if node.mode & DMDIR != 0 && length.is_some_and(|n| n != 0) {
        return Err(error::EPERM.into());
    }
    Ok(Change {
        name,
        length: length.filter(|_| node.mode & DMDIR == 0),
        mode: Some(stat.mode).filter(|m| *m != KEEP),
        atime: Some(stat.atime).filter(|t| *t != KEEP),
        mtime: Some(stat.mtime).filter(|t| *t != KEEP),
        gid: Some(stat.gid).filter(|g| !g.is_empty()).map(|g| escape(g.bytes()).into_owned()),
    })
}
