//! 9P2000.L as QEMU speaks it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::dotu::may_chmod;
use super::errno::*;
use super::tree::order;
use super::{Answer, Body, Open, Server};
use crate::attr::{AT_REMOVEDIR, dt, getattr, lopen, setattr, smode};
use crate::wire::Data;
use crate::{Attr, Dirent, NOFID, NONUM, Rmsg, SetAttr, Str, Time, Tmsg};
use abi::Qid;

impl Server {
    pub(super) fn answer_l(&mut self, message: Tmsg<'_>) -> Answer {
        match message {
            Tmsg::Statfs { fid } => {
                self.fids.get(&fid).ok_or(ENOENT)?;
                let (fs_type, bsize, blocks, bfree) = (0x0102_1994, 4096, 1 << 20, 1 << 19);
                let (files, ffree, fsid, namelen) = (1 << 16, 1 << 15, 1, 255);
                let bavail = bfree;
                let r = Rmsg::Statfs { fs_type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen };
                self.say(r)
            }
            Tmsg::Lopen { fid, flags } => self.lopen(fid, flags),
            Tmsg::Lcreate { fid, name, flags, mode, gid } => self.lcreate(fid, name, flags, mode, gid),
            Tmsg::Symlink { dfid, name, target, gid } => {
                let body = Body::Link(target.bytes().to_vec());
                let qid = self.make_l(dfid, name, smode::IFLNK | 0o777, gid, body)?;
                self.say(Rmsg::Symlink { qid })
            }
            Tmsg::Mknod { dfid, name, mode, major, minor, gid } => {
                let body = match mode & smode::IFMT {
                    0 | smode::IFREG => Body::File(Vec::new()),
                    _ => Body::Special(u64::from(major) << 32 | u64::from(minor)),
                };
                let qid = self.make_l(dfid, name, mode, gid, body)?;
                self.say(Rmsg::Mknod { qid })
            }
            Tmsg::Mkdir { dfid, name, mode, gid } => {
                let body = Body::Dir(BTreeMap::new());
                let qid = self.make_l(dfid, name, smode::IFDIR | mode & 0o7777, gid, body)?;
                self.say(Rmsg::Mkdir { qid })
            }
            Tmsg::Rename { fid, dfid, name } => self.rename_l(fid, dfid, name),
            Tmsg::Renameat { olddirfid, oldname, newdirfid, newname } => {
                let from = self.place(olddirfid, oldname, EISDIR, EBADF);
                let to = self.place(newdirfid, newname, EISDIR, EBADF);
                // Both names are looked at before the fids.
                let names = [&from, &to].into_iter().filter_map(|p| p.as_ref().err().copied());
                if let Some(number) = names.min_by_key(|e| *e == EBADF) {
                    return Err(if number == EBADF { ENOENT } else { number });
                }
                let (from, to) = (from?, to?);
                self.move_path(&from, &to)?;
                self.say(Rmsg::Renameat {})
            }
            Tmsg::Readlink { fid } => {
                let ino = self.host.find(&self.fids.get(&fid).ok_or(ENOENT)?.path)?;
                match &self.host.inode(ino)?.body {
                    Body::Link(target) => self.say(Rmsg::Readlink { target: Str(target) }),
                    _ => Err(EINVAL),
                }
            }
            Tmsg::Getattr { fid, .. } => {
                // Of what is open it is asked, whatever has its name.
                let f = self.fids.get(&fid).ok_or(ENOENT)?;
                let ino = f.open.as_ref().map_or_else(|| self.host.find(&f.path), |open| Ok(open.ino))?;
                let attr = self.attr(ino)?;
                self.say(Rmsg::Getattr { attr })
            }
            Tmsg::Setattr { fid, attr } => self.setattr(fid, &attr),
            Tmsg::Readdir { fid, offset, count } => self.readdir(fid, offset, count),
            Tmsg::Fsync { fid, .. } => {
                self.fids.get(&fid).ok_or(ENOENT)?;
                self.opened(fid)?;
                self.say(Rmsg::Fsync {})
            }
            Tmsg::Lock { fid, .. } => {
                self.fids.get(&fid).ok_or(ENOENT)?;
                self.say(Rmsg::Lock { status: 0 })
            }
            Tmsg::Getlock { fid, start, length, proc_id, client_id, .. } => {
                self.fids.get(&fid).ok_or(ENOENT)?;
                self.say(Rmsg::Getlock { lock: 2, start, length, proc_id, client_id })
            }
            Tmsg::Link { dfid, fid, name } => {
                let path = self.place(dfid, name, EEXIST, ENOENT)?;
                let ino = self.host.find(&self.fids.get(&fid).ok_or(ENOENT)?.path)?;
                self.host.hardlink(ino, &path)?;
                self.say(Rmsg::Link {})
            }
            Tmsg::Unlinkat { dirfid, name, flags } => {
                let dots = if name.bytes() == b"." { EINVAL } else { ENOTEMPTY };
                let path = self.place(dirfid, name, dots, EINVAL)?;
                let ino = self.host.find(&path)?;
                match (self.host.inode(ino)?.is_dir(), flags & AT_REMOVEDIR != 0) {
                    (true, false) => Err(EISDIR),
                    (false, true) => Err(ENOTDIR),
                    _ => {
                        self.host.unlink(&path)?;
                        self.say(Rmsg::Unlinkat {})
                    }
                }
            }
            _ => Err(EOPNOTSUPP),
        }
    }

    fn lopen(&mut self, fid: u32, flags: u32) -> Answer {
        let f = self.fids.get(&fid).ok_or(ENOENT)?;
        if f.open.is_some() {
            return Err(EINVAL);
        }
        let ino = self.host.find(&f.path)?;
        let writes = flags & (lopen::WRONLY | lopen::RDWR) != 0;
        let changes = writes || flags & (lopen::TRUNC | lopen::APPEND) != 0;
        match &self.host.inode(ino)?.body {
            Body::Dir(_) => {}
            _ if self.readonly && changes => return Err(EROFS),
            _ if flags & lopen::DIRECTORY != 0 => return Err(ENOTDIR),
            Body::Link(_) => return Err(ELOOP),
            Body::Special(_) => return Err(ENXIO),
            Body::File(_) if flags & lopen::TRUNC != 0 => self.truncate(ino, 0)?,
            _ => {}
        }
        let open = Open {
            read: flags & lopen::WRONLY == 0,
            write: writes,
            append: flags & lopen::APPEND != 0,
            ..Open::new(ino)
        };
        self.set_open(fid, open)?;
        let (qid, iounit) = (self.qid(ino)?, self.iounit(ino));
        self.say(Rmsg::Lopen { qid, iounit })
    }

    fn lcreate(&mut self, fid: u32, name: Str<'_>, flags: u32, mode: u32, gid: u32) -> Answer {
        let path = self.place(fid, name, EEXIST, ENOENT)?;
        if self.fids.get(&fid).is_some_and(|f| f.open.is_some()) {
            return Err(EINVAL);
        }
        let there = self.host.find(&path);
        if let Ok(ino) = there {
            self.may_create_over(ino, flags & lopen::EXCL != 0)?;
        }
        if there.is_err() {
            self.make_l(fid, name, smode::IFREG | mode & 0o7777, gid, Body::File(Vec::new()))?;
        }
        let dir = core::mem::replace(&mut self.fids.get_mut(&fid).ok_or(EINVAL)?.path, path.clone());
        if let Err(number) = self.lopen(fid, flags & !(lopen::CREAT | lopen::EXCL)) {
            self.fids.get_mut(&fid).ok_or(EINVAL)?.path = dir;
            return Err(number);
        }
        let ino = self.host.find(&path)?;
        let (qid, iounit) = (self.qid(ino)?, self.iounit(ino));
        self.say(Rmsg::Lcreate { qid, iounit })
    }

    fn make_l(&mut self, dir: u32, name: Str<'_>, mode: u32, gid: u32, body: Body) -> Result<Qid, u32> {
        let path = self.place(dir, name, EEXIST, ENOENT)?;
        let uid = self.creator(dir);
        let ino = self.host.add(&path, mode, body)?;
        let node = self.host.inode_mut(ino)?;
        node.uid = uid;
        if gid != NONUM {
            node.gid = gid;
        }
        self.qid(ino)
    }

    fn rename_l(&mut self, fid: u32, dfid: u32, name: Str<'_>) -> Answer {
        // The name is looked at before anything else.
        let to = self.place(if dfid == NOFID { fid } else { dfid }, name, EISDIR, ENOENT);
        if !matches!(to, Ok(_) | Err(ENOENT)) {
            return to.map(|_| Vec::new());
        }
        let f = self.fids.get(&fid).ok_or(ENOENT)?;
        if f.open.is_some() {
            return Err(EINVAL);
        }
        let from = f.path.clone();
        let mut to = to?;
        if dfid == NOFID {
            // It stays in its directory, which the path has one element too many for.
            let dir = from.split_last().ok_or(EBUSY)?.1;
            to = [dir, &[name.bytes().to_vec()]].concat();
        }
        self.move_fid(fid, &to)?;
        self.say(Rmsg::Rename {})
    }

    fn attr(&self, ino: u64) -> Result<Attr, u32> {
        let node = self.host.inode(ino)?;
        Ok(Attr {
            valid: getattr::BASIC,
            qid: self.qid(ino)?,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            nlink: u64::from(node.nlink),
            rdev: if let Body::Special(device) = node.body { device } else { 0 },
            size: node.size(),
            blksize: 4096,
            blocks: node.size().div_ceil(512),
            atime: Time::seconds(node.atime as u64),
            mtime: Time::seconds(node.mtime as u64),
            ctime: Time::seconds(node.mtime as u64),
            ..Attr::default()
        })
    }

    fn setattr(&mut self, fid: u32, attr: &SetAttr) -> Answer {
        let ino = self.host.find(&self.fids.get(&fid).ok_or(EINVAL)?.path)?;
        let now = self.host.tick();
        let node = self.host.inode_mut(ino)?;
        let has = |bit: u32| attr.valid & bit != 0;
        if has(setattr::MODE) {
            may_chmod(node)?;
            node.mode = node.mode & smode::IFMT | attr.mode & 0o7777;
        }
        if has(setattr::ATIME) {
            node.atime = if has(setattr::ATIME_SET) { attr.atime.sec as i64 } else { now };
        }
        if has(setattr::MTIME) {
            node.mtime = if has(setattr::MTIME_SET) { attr.mtime.sec as i64 } else { now };
        }
        if has(setattr::UID) && attr.uid != NONUM {
            node.uid = attr.uid;
        }
        if has(setattr::GID) && attr.gid != NONUM {
            node.gid = attr.gid;
        }
        if has(setattr::SIZE) {
            self.truncate(ino, attr.size)?;
        }
        self.say(Rmsg::Setattr {})
    }

    fn readdir(&mut self, fid: u32, offset: u64, count: u32) -> Answer {
        let open = self.fids.get(&fid).ok_or(EINVAL)?.open.as_ref();
        let ino = open.map(|o| o.ino).ok_or(ENOTDIR)?;
        if !self.host.inode(ino)?.is_dir() {
            return Err(ENOTDIR);
        }
        let names = self.host.listing(ino)?;
        let dir = self.fids.get(&fid).map(|f| f.path.clone()).unwrap_or_default();
        let start = names.iter().position(|n| offset == 0 || order(n) > place(offset)).unwrap_or(names.len());
        let count = (count as usize).min(self.msize.saturating_sub(11) as usize);
        let mut out = Vec::new();
        for name in names.iter().skip(start) {
            self.churn.meddle(&mut self.host);
            let mut entry = alloc::vec![0; 24 + name.len()];
            if out.len() + entry.len() > count {
                break;
            }
            let ino = match self.entry(&dir, name) {
                Ok(ino) => ino,
                Err(number) if self.remap => return Err(number),
                Err(_) => continue,
            };
            // Without multidevs=remap the qid has only the inode's number.
            let qid = Qid { kind: 0, vers: 0, path: ino };
            let dtype = match self.host.inode(ino)?.mode & smode::IFMT {
                smode::IFDIR => dt::DIR,
                smode::IFLNK => dt::LNK,
                smode::IFIFO => dt::FIFO,
                smode::IFSOCK => dt::SOCK,
                smode::IFCHR => dt::CHR,
                smode::IFBLK => dt::BLK,
                _ => dt::REG,
            };
            let dirent = Dirent { qid, cookie: cookie(name), dtype, name: Str(name) };
            dirent.encode(&mut entry).map_err(|_| EIO)?;
            out.extend(entry);
        }
        self.say(Rmsg::Readdir { data: Data(&out) })
    }
}

/// The mark of the place behind a name: numbers that do not grow from name to name.
fn cookie(name: &[u8]) -> u64 {
    1 << 40 | u64::from(order(name).rotate_left(16) ^ 0x5bd1_e995)
}

/// The place that is meant by a mark.
fn place(cookie: u64) -> u32 {
    (cookie as u32 ^ 0x5bd1_e995).rotate_right(16)
}
