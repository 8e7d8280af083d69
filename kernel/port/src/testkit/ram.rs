//! `#R`: files in memory, for tests. It can do all that a file server can: create, write, remove, rename, permissions,
//! and it counts what it is asked, so that a test can see how many walks a name costs.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::{Dir, Qid, error};
use machine::host::heap::aside;
use machine::lock::Lock;

use crate::dev::dirtab;
use crate::dev::{Dev, Qids, Root, Walk};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;

struct File {
    name: String,
    path: u64,
    parent: u64,
    vers: u32,
    mode: u32,
    owner: Arc<str>,
    data: Vec<u8>,
}

#[derive(Default)]
struct Files {
    list: Vec<File>,
    last: u64,
}

impl Files {
    fn get(&mut self, path: u64) -> Result<&mut File> {
        self.list.iter_mut().find(|f| f.path == path).ok_or(error::ENONEXIST.into())
    }

    fn child(&self, dir: u64, name: &str) -> Option<&File> {
        self.list.iter().find(|f| f.parent == dir && f.path != dir && f.name == name)
    }
}

impl File {
    fn qid(&self) -> Qid {
        Qid { kind: (self.mode >> 24) as u8, vers: self.vers, path: self.path }
    }

    fn dir(&self) -> Dir {
        Dir {
            kind: u16::from(b'R'),
            qid: self.qid(),
            mode: self.mode,
            length: self.data.len() as u64,
            name: self.name.clone(),
            uid: String::from(&*self.owner),
            gid: String::from(&*self.owner),
            ..Dir::default()
        }
    }
}

/// The device. Each specifier is a tree of its own, made when it is first attached.
#[derive(Default)]
pub struct Ram {
    files: Lock<Files>,
    /// Calls of `walk` so far.
    pub walks: AtomicU64,
    /// Channels that are open now.
    pub opens: AtomicU64,
}

impl Ram {
    /// An empty device.
    pub fn new() -> Arc<Self> {
        Arc::new(Ram::default())
    }
}

impl Dev for Ram {
    fn letter(&self) -> char {
        'R'
    }

    fn name(&self) -> &'static str {
        "ram"
    }

    fn attach(&self, up: &Arc<Proc>, spec: &str) -> Result<Root> {
        let path = {
            let mut files = self.files.lock();
            match files.list.iter().find(|f| f.path == f.parent && f.name == spec) {
                Some(f) => f.path,
                None => {
                    files.last += 1;
                    let path = files.last;
                    files.list.push(File {
                        name: spec.into(),
                        path,
                        parent: path,
                        vers: 0,
                        mode: abi::DMDIR | 0o777,
                        owner: up.user(),
                        data: Vec::new(),
                    });
                    path
                }
            }
        };
        Ok(Root { qid: Qid::dir(path), ..Root::default() })
    }

    fn walk(&self, _up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        self.walks.fetch_add(1, Ordering::Relaxed);
        let mut files = self.files.lock();
        let mut at = c.qid;
        let mut qids = Qids::new();
        for name in names {
            let next = if !at.is_dir() {
                Err(error::ENOTDIR.into())
            } else if *name == ".." {
                let parent = files.get(at.path)?.parent;
                files.get(parent).map(|f| f.qid())
            } else {
                files.child(at.path, name).map(File::qid).ok_or(error::ENONEXIST.into())
            };
            match next {
                Ok(qid) => at = qid,
                Err(e) if qids.is_empty() => return Err(e),
                Err(e) => return Ok(Walk { qids, chan: None, why: Some(e) }),
            }
            qids.push(at);
        }
        Ok(Walk { qids, chan: Some(c.derive(at, None)), why: None })
    }

    fn stat(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        self.files.lock().get(c.qid.path).map(|f| f.dir())
    }

    fn open(&self, up: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let (owner, perm) = {
            let mut files = self.files.lock();
            let f = files.get(c.qid.path)?;
            (f.owner.clone(), f.mode)
        };
        if perm & abi::DMDIR != 0 && mode != abi::OREAD {
            return Err(error::EISDIR.into());
        }
        up.check_perm(&owner, perm, dirtab::access(mode))?;
        if mode & abi::OTRUNC != 0 {
            self.files.lock().get(c.qid.path)?.data.clear();
        }
        c.mode = Some(mode);
        self.opens.fetch_add(1, Ordering::Relaxed);
        Ok(c.share())
    }

    fn create(&self, up: &Arc<Proc>, mut c: OwnChan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        let owner = up.user();
        {
            let mut files = self.files.lock();
            let dir = files.get(c.qid.path)?;
            let (dir_owner, dir_mode) = (dir.owner.clone(), dir.mode);
            if files.child(c.qid.path, name).is_some() {
                return Err(error::EEXIST.into());
            }
            up.check_perm(&dir_owner, dir_mode, abi::AWRITE)?;
            let keep = if perm & abi::DMDIR != 0 { !0o777 } else { !0o666 };
            files.last += 1;
            let path = files.last;
            let mode = perm & (keep | dir_mode & 0o777);
            let parent = c.qid.path;
            aside(|| {
                files.list.push(File {
                    name: name.into(),
                    path,
                    parent,
                    vers: 0,
                    mode,
                    owner,
                    data: Vec::new(),
                })
            });
            c.qid = files.get(path)?.qid();
        }
        c.mode = Some(mode);
        self.opens.fetch_add(1, Ordering::Relaxed);
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if let Some(mode) = c.mode {
            self.opens.fetch_sub(1, Ordering::Relaxed);
            if mode & abi::ORCLOSE != 0 {
                self.files.lock().list.retain(|f| f.path != c.qid.path);
            }
        }
    }

    fn read(&self, _up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            let dirs: Vec<Dir> = {
                let files = self.files.lock();
                let inside = files.list.iter().filter(|f| f.parent == c.qid.path && f.path != c.qid.path);
                aside(|| inside.map(File::dir).collect())
            };
            return dirtab::put_list(c, dst, offset, dirs.into_iter(), |dir| dir);
        }
        let data = {
            let mut files = self.files.lock();
            let file = files.get(c.qid.path)?;
            aside(|| file.data.clone())
        };
        dst.put_from(&data, offset)
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let bytes = src.to_vec(1 << 20)?;
        let mut files = self.files.lock();
        let f = files.get(c.qid.path)?;
        let at = usize::try_from(offset).map_err(|_| error::ETOOBIG)?;
        if f.data.len() < at + bytes.len() {
            aside(|| f.data.resize(at + bytes.len(), 0));
        }
        f.data[at..at + bytes.len()].copy_from_slice(&bytes);
        f.vers += 1;
        Ok(bytes.len())
    }

    fn remove(&self, _up: &Arc<Proc>, c: OwnChan) -> Result<()> {
        let mut files = self.files.lock();
        if files.list.iter().any(|f| f.parent == c.qid.path) {
            return Err(error::ENOTEMPTY.into());
        }
        files.list.retain(|f| f.path != c.qid.path);
        Ok(())
    }

    fn wstat(&self, _up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        let mut files = self.files.lock();
        let parent = files.get(c.qid.path)?.parent;
        if files.child(parent, &dir.name).is_some_and(|f| f.path != c.qid.path) {
            return Err(error::EEXIST.into());
        }
        let f = files.get(c.qid.path)?;
        if !dir.name.is_empty() {
            f.name.clone_from(&dir.name);
        }
        if dir.mode != !0 {
            f.mode = f.mode & abi::DMDIR | dir.mode & 0o777;
        }
        if dir.length != !0 {
            let len = usize::try_from(dir.length).map_err(|_| error::ETOOBIG)?;
            aside(|| f.data.resize(len, 0));
        }
        Ok(())
    }
}
