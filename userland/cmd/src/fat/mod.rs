//! File systems of FAT for 9P: what dossrv(4) serves. What is on the disk the library lamfat understands; here are
//! Plan 9's names, records and errors for it.
//!
//! A file system is there while somebody has a file of it, by however many mounts. Everything is done by one process,
//! one request after the other.

pub mod disk;
pub mod entries;
#[cfg(test)]
mod tests;
pub mod volume;

use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use abi::{DMDIR, Dir, OTRUNC, Qid, error};
use ninep::server::{Files, Refused, Result, record};
use ninep::{Stat, Str};

use disk::Device;
use entries::Known;
use volume::{Node, Now, Volume};

/// In a change: as it is.
const KEEP: u32 = u32::MAX;

/// Opens the device of that name.
pub type Open<D> = fn(&str) -> Result<D, String>;

/// The file systems of a machine's devices.
pub struct Dos<D: Device> {
    open: Open<D>,
    now: Now,
    /// The device of an attach without a name.
    usual: Option<String>,
    owner: Vec<u8>,
    volumes: RefCell<Vec<(String, Weak<Volume<D>>)>>,
}

/// A file of one.
pub struct File<D: Device> {
    volume: Rc<Volume<D>>,
    node: Rc<Node>,
    /// Entries of a directory that were read.
    at: Cell<usize>,
}

impl<D: Device> Dos<D> {
    /// Those that `open` finds, all files the owner's.
    pub fn new(open: Open<D>, now: Now, usual: Option<&str>, owner: &[u8]) -> Self {
        Dos { open, now, usual: usual.map(String::from), owner: owner.into(), volumes: RefCell::default() }
    }

    fn file(&self, volume: &Rc<Volume<D>>, node: Rc<Node>) -> File<D> {
        File { volume: volume.clone(), node, at: Cell::new(0) }
    }

    fn tell<T>(&self, volume: &Volume<D>, known: &Known, tell: impl FnOnce(&Stat<'_>) -> T) -> T {
        let mut mode = if known.is_dir { DMDIR | 0o777 } else { 0o666 };
        if known.is_readonly || volume.is_readonly() {
            mode &= !0o222;
        }
        let dir = Dir {
            kind: 0,
            dev: 0,
            qid: qid(known),
            mode,
            atime: known.atime,
            mtime: known.mtime,
            length: known.len,
            name: Str(known.name.as_bytes()),
            uid: Str(&self.owner),
            gid: Str(&self.owner),
            muid: Str(&self.owner),
        };
        tell(&dir.into())
    }
}

fn qid(known: &Known) -> Qid {
    // The time is all that tells one content from another.
    Qid { path: known.number, vers: known.mtime, kind: if known.is_dir { (DMDIR >> 24) as u8 } else { 0 } }
}

fn text(name: &[u8]) -> Result<&str> {
    core::str::from_utf8(name).map_err(|_| Refused::from(error::EBADCHAR))
}

impl<D: Device> File<D> {
    /// Fails if it cannot be changed.
    fn writable(&self) -> Result<Known> {
        let known = self.volume.known(&self.node)?;
        if known.is_readonly || self.volume.is_readonly() { Err(error::EPERM.into()) } else { Ok(known) }
    }
}

impl<D: Device> Files for Dos<D> {
    type File = File<D>;

    fn attach(&self, _: &[u8], tree: &[u8]) -> Result<(File<D>, Qid)> {
        let name = match (tree, &self.usual) {
            (b"", Some(usual)) => usual.as_str(),
            (b"", None) => return Err("no device: say mount /srv/dos place /dev/sdXX/dos".into()),
            _ => text(tree)?,
        };
        let mut volumes = self.volumes.borrow_mut();
        volumes.retain(|(_, volume)| volume.strong_count() > 0);
        let there = volumes.iter().find(|(of, _)| of == name).and_then(|(_, volume)| volume.upgrade());
        let volume = match there {
            Some(volume) => volume,
            None => {
                let volume = Rc::new(Volume::new((self.open)(name)?, self.now)?);
                volumes.push((name.into(), Rc::downgrade(&volume)));
                volume
            }
        };
        let root = volume.root();
        let known = volume.known(&root)?;
        Ok((self.file(&volume, root), qid(&known)))
    }

    fn walk(&self, dir: &File<D>, name: &[u8]) -> Result<(File<D>, Qid)> {
        let (node, known) = dir.volume.walk(&dir.node, text(name)?)?;
        Ok((self.file(&dir.volume, node), qid(&known)))
    }

    fn open(&self, file: &File<D>, mode: u32) -> Result<(File<D>, Qid)> {
        // To read, or to execute what is read.
        let reads = matches!(mode & 3, abi::OREAD | abi::OEXEC) && mode & (OTRUNC | abi::ORCLOSE) == 0;
        let known = if reads { file.volume.known(&file.node)? } else { file.writable()? };
        if mode & OTRUNC != 0 && !known.is_dir {
            file.volume.set_len(&file.node, 0)?;
        }
        Ok((self.file(&file.volume, file.node.clone()), qid(&known)))
    }

    fn create(&self, dir: &File<D>, name: &[u8], perm: u32, _: u32) -> Result<(File<D>, Qid)> {
        dir.writable()?;
        if perm & (abi::DMAPPEND | abi::DMEXCL) != 0 {
            return Err("FAT has no such files".into());
        }
        let (node, known) = dir.volume.create(&dir.node, text(name)?, perm & DMDIR != 0)?;
        Ok((self.file(&dir.volume, node), qid(&known)))
    }

    fn read(&self, file: &File<D>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        file.volume.read(&file.node, offset, buf)
    }

    fn list(&self, dir: &File<D>, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        if rewind {
            dir.at.set(0);
        }
        let mut failed = None;
        let mut taken = dir.at.get();
        dir.volume.list(&dir.node, dir.at.get(), |known| {
            match self.tell(&dir.volume, known, record) {
                Ok(record) if put(&record) => taken += 1,
                Ok(_) => return false,
                Err(e) => failed = Some(e),
            }
            failed.is_none()
        })?;
        dir.at.set(taken);
        failed.map_or(Ok(()), Err)
    }

    fn write(&self, file: &File<D>, offset: u64, data: &[u8]) -> Result<usize> {
        file.writable()?;
        if !data.is_empty() {
            file.volume.write(&file.node, offset, data)?;
        }
        Ok(data.len())
    }

    fn stat(&self, file: &File<D>) -> Result<Vec<u8>> {
        let known = file.volume.known(&file.node)?;
        self.tell(&file.volume, &known, record)
    }

    fn wstat(&self, file: &File<D>, change: &Stat<'_>) -> Result<()> {
        let known = file.volume.known(&file.node)?;
        let mode = self.tell(&file.volume, &known, |stat| stat.mode);
        let other = |new: Str<'_>| !new.is_empty() && new.bytes() != self.owner;
        // FAT knows no owners, and only whether a file may be written, which the library cannot set.
        if other(change.uid) || other(change.gid) || change.mode != KEEP && change.mode != mode {
            return Err(error::EPERM.into());
        }
        let name = text(change.name.bytes())?;
        let renames = !name.is_empty() && name != known.name;
        let cuts = change.length != u64::MAX && change.length != known.len;
        let dates = change.mtime != KEEP && change.mtime != known.mtime;
        if !renames && !cuts && !dates {
            return Ok(());
        }
        file.writable()?;
        if known.is_dir && (cuts || dates) {
            return Err(error::EPERM.into());
        }
        // Everything or nothing.
        if renames && (cuts || dates) {
            return Err("FAT changes one thing at a time".into());
        }
        if renames {
            file.volume.rename(&file.node, name)?;
        }
        if cuts {
            file.volume.set_len(&file.node, change.length)?;
        }
        if dates {
            file.volume.set_mtime(&file.node, change.mtime)?;
        }
        Ok(())
    }

    fn remove(&self, file: &File<D>) -> Result<()> {
        file.writable()?;
        file.volume.remove(&file.node)
    }
}
