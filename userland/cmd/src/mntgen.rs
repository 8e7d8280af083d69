//! Directories that are there when somebody asks for them, to mount on: what mntgen(4) serves.
//!
//! Every name in the root is an empty directory. Its number is made of the name, so that what is mounted there is
//! found again whenever. The names that somebody uses, and no others, are listed; a name is forgotten with the last
//! fid on it, and there are no more fids than clients hold.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::{DMDIR, Dir, OEXEC, OREAD, Qid, error};
use lib9::serve::Files;
use lib9::sys::Lock;
use ninep::server::{self, record};
use ninep::{Stat, Str};

type Result<T> = server::Result<T>;

/// The number of the root.
const ROOT: u64 = 0;
/// Longest name, in bytes.
const LONGEST: usize = 255;

/// A name that somebody uses.
struct Name {
    bytes: Vec<u8>,
    number: u64,
}

/// The tree.
pub struct Mntgen {
    owner: Vec<u8>,
    /// Seconds since 1970 when it was made.
    born: u32,
    /// By their numbers.
    used: Lock<BTreeMap<u64, Weak<Name>>>,
}

/// The root, or a directory in it.
pub struct File {
    name: Option<Arc<Name>>,
    /// The number that a reader of the root has got last.
    last: Lock<Option<u64>>,
}

/// The number of a name: its hash (FNV-1a), which is not the root's.
fn number_of(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}

impl File {
    fn new(name: Option<Arc<Name>>) -> (File, Qid) {
        let qid = Qid::dir(name.as_ref().map_or(ROOT, |name| name.number));
        (File { name, last: Lock::new(None) }, qid)
    }
}

impl Mntgen {
    /// A tree whose directories belong to `owner`, made at `born`, in seconds since 1970.
    pub fn new(owner: &[u8], born: u32) -> Mntgen {
        Mntgen { owner: owner.to_vec(), born, used: Lock::new(BTreeMap::new()) }
    }

    /// The directory `bytes`, which is there from now on if it was not.
    fn name(&self, bytes: &[u8]) -> Result<Arc<Name>> {
        if bytes.len() > LONGEST {
            return Err(error::ETOOLONG.into());
        }
        let number = number_of(bytes);
        let mut used = self.used.lock();
        // What nobody uses any more is looked for where something is added.
        used.retain(|_, name| name.strong_count() > 0);
        if let Some(name) = used.get(&number).and_then(Weak::upgrade) {
            return if name.bytes == bytes { Ok(name) } else { Err("hash collision".into()) };
        }
        let name = Arc::new(Name { bytes: bytes.to_vec(), number });
        used.insert(number, Arc::downgrade(&name));
        Ok(name)
    }

    fn record(&self, name: Option<&Name>) -> Result<Vec<u8>> {
        let (bytes, number) = name.map_or((&b"/"[..], ROOT), |name| (name.bytes.as_slice(), name.number));
        let [name, uid, gid, muid] = [bytes, &self.owner, &self.owner, &self.owner].map(Str);
        let times = Dir { atime: self.born, mtime: self.born, mode: DMDIR | 0o555, ..Dir::default() };
        record(&Stat::from(Dir { qid: Qid::dir(number), name, uid, gid, muid, ..times }))
    }
}

impl Files for Mntgen {
    type File = File;

    fn attach(&self, _user: &[u8], _tree: &[u8]) -> Result<(File, Qid)> {
        Ok(File::new(None))
    }

    fn walk(&self, dir: &File, name: &[u8]) -> Result<(File, Qid)> {
        match (&dir.name, name) {
            (_, b"..") => Ok(File::new(None)),
            (None, name) => Ok(File::new(Some(self.name(name)?))),
            (Some(_), _) => Err(error::ENONEXIST.into()),
        }
    }

    fn open(&self, file: &File, mode: u32) -> Result<(File, Qid)> {
        match mode {
            OREAD | OEXEC => Ok(File::new(file.name.clone())),
            _ => Err(error::EPERM.into()),
        }
    }

    fn create(&self, _dir: &File, _name: &[u8], _perm: u32, _mode: u32) -> Result<(File, Qid)> {
        Err(error::EPERM.into())
    }

    fn read(&self, _file: &File, _offset: u64, _buf: &mut [u8]) -> Result<usize> {
        Ok(0)
    }

    fn list(&self, dir: &File, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        if dir.name.is_some() {
            return Ok(());
        }
        let mut last = dir.last.lock();
        if rewind {
            *last = None;
        }
        loop {
            let after = last.map_or(0, |number| number + 1);
            let next = self.used.lock().range(after..).find_map(|(_, name)| name.upgrade());
            let Some(name) = next else { return Ok(()) };
            if !put(&self.record(Some(&name))?) {
                return Ok(());
            }
            *last = Some(name.number);
        }
    }

    fn write(&self, _file: &File, _offset: u64, _data: &[u8]) -> Result<usize> {
        Err(error::EPERM.into())
    }

    fn stat(&self, file: &File) -> Result<Vec<u8>> {
        self.record(file.name.as_deref())
    }

    fn wstat(&self, _file: &File, _change: &Stat<'_>) -> Result<()> {
        Err(error::EPERM.into())
    }

    fn remove(&self, _file: &File) -> Result<()> {
        Err(error::EPERM.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(tree: &Mntgen, dir: &File) -> usize {
        let mut n = 0;
        tree.list(dir, true, &mut |_| {
            n += 1;
            true
        })
        .unwrap();
        n
    }

    #[test]
    fn every_name_is_a_directory_as_long_as_it_is_used() {
        let tree = Mntgen::new(b"glenda", 1);
        let (root, qid) = tree.attach(b"glenda", b"").unwrap();
        assert_eq!((qid, listed(&tree, &root)), (Qid::dir(0), 0));
        let (host, first) = tree.walk(&root, b"host").unwrap();
        let (again, second) = tree.walk(&root, b"host").unwrap();
        let (other, third) = tree.walk(&root, b"other").unwrap();
        assert!(first == second && first != third && first.is_dir());
        assert_eq!(listed(&tree, &root), 2);
        assert_eq!(tree.walk(&host, b"..").unwrap().1, Qid::dir(0));
        assert!(tree.walk(&host, b"x").is_err(), "there is nothing in one");
        assert_eq!(listed(&tree, &tree.open(&host, OREAD).unwrap().0), 0);
        drop((host, again));
        drop(tree.walk(&root, b"third"));
        assert_eq!(listed(&tree, &root), 1, "one is used");
        drop(other);
        assert_eq!(tree.walk(&root, b"host").unwrap().1, first, "its number is the same again");
        assert!(tree.walk(&root, &[b'x'; 256]).is_err());
    }

    #[test]
    fn nothing_can_be_changed_and_a_list_goes_on() {
        let tree = Mntgen::new(b"glenda", 1);
        let (root, _) = tree.attach(b"glenda", b"").unwrap();
        let kept: Vec<File> =
            [&b"a"[..], b"b", b"c"].iter().map(|name| tree.walk(&root, name).unwrap().0).collect();
        assert!(tree.create(&root, b"x", 0o666, abi::OWRITE).is_err());
        assert!(tree.open(&root, abi::OWRITE).is_err() && tree.remove(&kept[0]).is_err());
        // One record at a time.
        let mut names = Vec::new();
        for round in 0..5 {
            let mut taken = false;
            let mut put = |record: &[u8]| {
                if !taken {
                    names.push(record.to_vec());
                }
                !core::mem::replace(&mut taken, true)
            };
            tree.list(&root, round == 0, &mut put).unwrap();
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3);
    }
}
