//! The name space of a process as a tree of files that can be served: what exportfs(1) is made of.
//!
//! A file is its name, and a descriptor once it is open; the kernel resolves names, so that unions, mounts and
//! devices are what they are for any program here. Names never begin with `#`, so no device is reached that is not in
//! the name space. A name space has many devices that number their files alike; what the client gets as a file's
//! number is made of the device and the number there, the same each time.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, OEXCL, ORCLOSE, ORDWR, OTRUNC, OWRITE, Qid, STATMAX, error};
use lib9::serve::{Files, Refused};
use lib9::sys::{Lock, Raw};
use lib9::{Error, fd};
use ninep::server::{self, names};
use ninep::{Stat, Str};

use crate::export_patterns::Patterns;

type Node = names::Node<Raw>;
type Result<T> = server::Result<T>;

/// Bytes of a stat record before the device's type and number.
const TYPE_AT: usize = 2;
/// Bytes of a stat record before the number of the file.
const PATH_AT: usize = 13;
/// Flags of an open that change something, whatever the access.
const CHANGING: u32 = OTRUNC | ORCLOSE;

/// A part of the name space.
pub struct Export {
    root: String,
    readonly: bool,
    patterns: Patterns,
    names: Arc<Node>,
}

/// A file in it.
pub struct File {
    node: Arc<Node>,
    open: Option<lib9::File>,
    listing: Lock<Listing>,
}

/// Records of a directory that were read and not yet handed on.
#[derive(Default)]
struct Listing {
    records: Vec<u8>,
    at: usize,
}

impl Export {
    /// What is at and below the directory `root`, as far as its names go with the patterns; nothing of it can be
    /// changed if `readonly`.
    pub fn new(root: &str, readonly: bool, patterns: Patterns) -> Export {
        let root = root.trim_end_matches('/');
        Export {
            root: if root.is_empty() { "/" } else { root }.into(),
            readonly,
            patterns,
            names: Node::root(),
        }
    }

    fn path(&self, node: &Node) -> Result<String> {
        path(&self.root, &node.path())
    }

    fn look(&self, node: &Node) -> Result<Dir> {
        fd::stat(&self.path(node)?).map_err(refused)
    }

    /// Refuses when nothing may be changed.
    fn may_change(&self) -> Result<()> {
        if self.readonly { Err(error::EPERM.into()) } else { Ok(()) }
    }

    fn step(&self, dir: &Arc<Node>, name: &[u8]) -> Result<Arc<Node>> {
        match name {
            b".." => Ok(dir.parent()),
            name if self.patterns.is_empty() || self.patterns.allow(&dir.path(), name) => {
                Ok(dir.child(name).ok_or(error::ETOOLONG)?)
            }
            _ => Err(error::ENONEXIST.into()),
        }
    }
}

impl File {
    fn new(node: Arc<Node>, open: Option<lib9::File>) -> File {
        File { node, open, listing: Lock::default() }
    }

    fn fd(&self) -> Result<i32> {
        Ok(self.open.as_ref().ok_or(error::EBADUSEFD)?.fd())
    }
}

impl Files for Export {
    type File = File;

    /// A tree is a directory below the root.
    fn attach(&self, _user: &[u8], tree: &[u8]) -> Result<(File, Qid)> {
        let mut node = self.names.clone();
        for name in tree.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            server::valid_name(name)?;
            node = self.step(&node, name)?;
        }
        let dir = self.look(&node)?;
        if dir.is_dir() { Ok((File::new(node, None), qid(&dir))) } else { Err(error::ENOTDIR.into()) }
    }

    fn walk(&self, dir: &File, name: &[u8]) -> Result<(File, Qid)> {
        let node = self.step(&dir.node, name)?;
        let qid = qid(&self.look(&node)?);
        Ok((File::new(node, None), qid))
    }

    fn open(&self, file: &File, mode: u32) -> Result<(File, Qid)> {
        if mode & CHANGING != 0 || matches!(mode & 3, OWRITE | ORDWR) {
            self.may_change()?;
        }
        let opened = lib9::File::open(&self.path(&file.node)?, mode & !ORCLOSE).map_err(refused)?;
        let qid = qid(&opened.stat().map_err(refused)?);
        Ok((File::new(file.node.clone(), Some(opened)), qid))
    }

    fn create(&self, dir: &File, name: &[u8], perm: u32, mode: u32) -> Result<(File, Qid)> {
        self.may_change()?;
        let node = self.step(&dir.node, name)?;
        let path = self.path(&node)?;
        let made = lib9::File::create(&path, mode & !ORCLOSE | OEXCL, perm).map_err(refused)?;
        let qid = qid(&made.stat().map_err(refused)?);
        Ok((File::new(node, Some(made)), qid))
    }

    fn read(&self, file: &File, offset: u64, buf: &mut [u8]) -> Result<usize> {
        fd::pread(file.fd()?, buf, offset).map_err(refused)
    }

    fn list(&self, dir: &File, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        let fd = dir.fd()?;
        let mut listing = dir.listing.lock();
        if rewind {
            fd::seek(fd, 0, 0).map_err(refused)?;
            *listing = Listing::default();
        }
        let Listing { records, at } = &mut *listing;
        let place = if self.patterns.is_empty() { Vec::new() } else { dir.node.path() };
        loop {
            if *at >= records.len() {
                records.resize(STATMAX + 2, 0);
                *at = 0;
                let n = fd::read(fd, records);
                records.truncate(*n.as_ref().unwrap_or(&0));
                if n.map_err(refused)? == 0 {
                    return Ok(());
                }
            }
            let rest = records.get_mut(*at..).unwrap_or_default();
            let size = rest.first_chunk().map_or(0, |n| usize::from(u16::from_le_bytes(*n)) + 2);
            let record = rest.get_mut(..size).filter(|r| !r.is_empty()).ok_or(error::EBADSTAT)?;
            if !self.patterns.is_empty() {
                let (entry, _) = Dir::parse(record).map_err(|_| error::EBADSTAT)?;
                if !self.patterns.allow(&place, entry.name.as_bytes()) {
                    *at += size;
                    continue;
                }
            }
            let before = own_number(record).ok_or(error::EBADSTAT)?;
            if !put(record) {
                // It comes again, and is to be changed only once.
                set_number(record, before);
                return Ok(());
            }
            *at += size;
        }
    }

    fn write(&self, file: &File, offset: u64, data: &[u8]) -> Result<usize> {
        fd::pwrite(file.fd()?, data, offset).map_err(refused)
    }

    fn stat(&self, file: &File) -> Result<Vec<u8>> {
        let mut dir = match &file.open {
            Some(open) => open.stat().map_err(refused)?,
            None => self.look(&file.node)?,
        };
        dir.qid = qid(&dir);
        if file.node.path().is_empty() {
            dir.name = "/".into();
        }
        Ok(dir.to_bytes())
    }

    fn wstat(&self, file: &File, change: &Stat<'_>) -> Result<()> {
        self.may_change()?;
        if !change.name.is_empty() {
            self.step(&file.node.parent(), change.name.bytes())?;
        }
        // The file's identity is ours to know: the kernel has another idea of it.
        let Dir { kind, dev, qid, .. } = Dir::<Str<'_>>::untouched();
        let dir =
            Dir { kind, dev, qid, ..change.with_strings(change.strings().map(|s| s.text().into_owned())) };
        match &file.open {
            Some(open) => fd::fwstat(open.fd(), &dir),
            None => fd::wstat(&self.path(&file.node)?, &dir),
        }
        .map_err(refused)?;
        if !change.name.is_empty() {
            file.node.rename(change.name.bytes());
        }
        Ok(())
    }

    fn remove(&self, file: &File) -> Result<()> {
        self.may_change()?;
        if file.node.path().is_empty() {
            return Err(error::EPERM.into());
        }
        fd::remove(&self.path(&file.node)?).map_err(refused)
    }
}

/// The path of a file below `root`.
fn path(root: &str, names: &[Vec<u8>]) -> Result<String> {
    let mut path = String::from(root);
    for name in names {
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(core::str::from_utf8(name).map_err(|_| error::EBADCHAR)?);
    }
    Ok(path)
}

/// What the client is told: the kernel's text without the name in front of it, which the client does not know.
fn refused(e: Error) -> Refused {
    let text = e.text();
    let bare = text.strip_prefix('\'').and_then(|rest| rest.rsplit_once("' ")).map_or(text, |(_, bare)| bare);
    Refused(Cow::Owned(bare.into()))
}

/// A file's number among those of all devices: numbers of one device never meet, and those of two are far apart.
fn number(kind: u16, dev: u32, path: u64) -> u64 {
    let device = u64::from(kind) << 32 | u64::from(dev);
    path ^ device.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn qid(dir: &Dir) -> Qid {
    Qid { path: number(dir.kind, dir.dev, dir.qid.path), ..dir.qid }
}

/// Replaces the number in a record of the kernel's by ours; gives the old one.
fn own_number(record: &mut [u8]) -> Option<u64> {
    let (kind, rest) = record.get(TYPE_AT..)?.split_first_chunk()?;
    let (kind, dev) = (u16::from_le_bytes(*kind), u32::from_le_bytes(*rest.first_chunk()?));
    let old = u64::from_le_bytes(*record.get(PATH_AT..)?.first_chunk()?);
    set_number(record, number(kind, dev, old));
    Some(old)
}

fn set_number(record: &mut [u8], number: u64) {
    if let Some(place) = record.get_mut(PATH_AT..PATH_AT + 8) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        let names = [b"usr".to_vec(), b"glenda".to_vec()];
        assert_eq!(path("/", &names), Ok("/usr/glenda".into()));
        assert_eq!(path("/n/x", &names), Ok("/n/x/usr/glenda".into()));
        assert_eq!(path("/n/x", &[]), Ok("/n/x".into()));
        assert_eq!(path("/", &[b"#p".to_vec()]), Ok("/#p".into()));
        assert!(path("/", &[b"\xff".to_vec()]).is_err());
    }

    #[test]
    fn errors_lose_the_name_in_front() {
        for (kernel, client) in [
            ("'/usr/x' file does not exist", "file does not exist"),
            ("'/it's a' name' permission denied", "permission denied"),
            ("interrupted", "interrupted"),
            ("'odd", "'odd"),
        ] {
            assert_eq!(refused(Error::from(kernel)).0, client);
        }
    }

    #[test]
    fn records_get_our_numbers_and_nothing_else() {
        let dir = Dir {
            kind: 77,
            dev: 3,
            qid: Qid { kind: 0, vers: 5, path: 1 << 40 },
            name: "file".into(),
            ..Dir::untouched()
        };
        let mut record = dir.to_bytes();
        assert_eq!(own_number(&mut record), Some(1 << 40));
        assert_eq!(Dir::parse(&record).unwrap().0, Dir { qid: qid(&dir), ..dir.clone() });
        assert_ne!(qid(&dir), qid(&Dir { dev: 4, ..dir.clone() }));
        set_number(&mut record, 1 << 40);
        assert_eq!(record, dir.to_bytes());
        assert_eq!(own_number(&mut [0; 20]), None);
    }
}
