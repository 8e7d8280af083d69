//! 9P2000.u as QEMU speaks it, and 9P2000: open, create, stat, wstat, records in directories.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::errno::*;
use super::tree::order;
use super::{Answer, Body, Node, Open, ROOT, Server, illegal};
use crate::attr::smode;
use crate::stat::dm;
use crate::translate::open::{U_APPEND, U_EXCL};
use crate::wire::{Data, Record};
use crate::{Dialect, NONUM, Rmsg, Stat, Str, Tmsg};
use abi::{DMDIR, Dir, ORCLOSE, OTRUNC};

impl Server {
    pub(super) fn answer_u(&mut self, message: Tmsg<'_>) -> Answer {
        match message {
            Tmsg::Open { fid, mode } => self.open_u(fid, mode),
            Tmsg::Create { fid, name, perm, mode, extension } => {
                self.create_u(fid, name, perm, mode, extension)
            }
            Tmsg::Stat { fid } => {
                let path = &self.fids.get(&fid).ok_or(ENOENT)?.path;
                let ino = self.host.find(path)?;
                let name = path.last().map_or(&b"."[..], Vec::as_slice);
                let mut record = self.record(ino, name)?;
                if !self.plan9 {
                    // The count before the record is not filled in: the message is put together by hand.
                    let whole = self.say(Rmsg::Stat { stat: Record(&record) })?;
                    record = whole;
                    record.get_mut(7..9).into_iter().for_each(|n| n.fill(0));
                    return Ok(record);
                }
                self.say(Rmsg::Stat { stat: Record(&record) })
            }
            Tmsg::Wstat { fid, stat } => match Stat::parse(self.dialect, stat.0) {
                Ok((stat, _)) if self.plan9 => self.wstat_plan9(fid, &stat),
                Ok((stat, _)) => self.wstat_u(fid, &stat),
                Err(e) => self.fail(&alloc::format!("Twstat: {e}")),
            },
            _ => Err(EOPNOTSUPP),
        }
    }

    fn open_u(&mut self, fid: u32, mode: u8) -> Answer {
        let f = self.fids.get(&fid).ok_or(ENOENT)?;
        if f.open.is_some() {
            return Err(EINVAL);
        }
        let ino = self.host.find(&f.path)?;
        let node = self.host.inode(ino)?;
        let (bits, wide) = (u32::from(mode), u32::from(mode) & 3);
        let writes = matches!(wide, 1 | 2);
        match &node.body {
            // The host's O_WRONLY and O_RDWR happen to be these bits; its O_TRUNC is not 0x10.
            body if self.readonly && wide != 0 && !matches!(body, Body::Dir(_)) => return Err(EROFS),
            Body::Link(_) => return Err(ELOOP),
            Body::Special(_) => return Err(ENXIO),
            Body::Dir(_) if self.plan9 && (writes || wide == 3 || bits & OTRUNC != 0) => return Err(EISDIR),
            _ => {}
        }
        if self.plan9 && (self.readonly || node.mode & 0o200 == 0) && (writes || bits & OTRUNC != 0) {
            return Err(EPERM);
        }
        let truncates = bits & OTRUNC != 0 && !node.is_dir();
        if truncates {
            let now = self.host.tick();
            let node = self.host.inode_mut(ino)?;
            (node.body, node.mtime) = (Body::File(Vec::new()), now);
        }
        let open = Open {
            read: wide != 1,
            write: writes,
            append: mode & U_APPEND != 0,
            remove: self.plan9 && bits & ORCLOSE != 0,
            ..Open::new(ino)
        };
        self.set_open(fid, open)?;
        let (qid, iounit) = (self.qid(ino)?, self.iounit(ino));
        self.say(Rmsg::Open { qid, iounit })
    }

    fn create_u(&mut self, fid: u32, name: Str<'_>, perm: u32, mode: u8, extension: Str<'_>) -> Answer {
        let path = self.place(fid, name, EEXIST, EINVAL)?;
        if self.fids.get(&fid).is_none_or(|f| f.open.is_some()) {
            return Err(EINVAL);
        }
        let uid = self.creator(fid);
        let bits = perm & 0o777;
        let exclusive = self.plan9 || mode & U_EXCL != 0;
        let (mode_l, body) = match perm {
            p if p & DMDIR != 0 => (smode::IFDIR, Body::Dir(BTreeMap::new())),
            _ if self.plan9 => (smode::IFREG, Body::File(Vec::new())),
            p if p & dm::SYMLINK != 0 => (smode::IFLNK, Body::Link(extension.bytes().to_vec())),
            p if p & dm::LINK != 0 => return self.link_u(fid, path, extension),
            p if p & dm::DEVICE != 0 => {
                let block = extension.bytes().first() == Some(&b'b');
                (if block { smode::IFBLK } else { smode::IFCHR }, Body::Special(device(extension)?))
            }
            p if p & dm::NAMEDPIPE != 0 => (smode::IFIFO, Body::Special(0)),
            p if p & dm::SOCKET != 0 => (smode::IFSOCK, Body::Special(0)),
            _ => (smode::IFREG, Body::File(Vec::new())),
        };
        let bits = if self.plan9 { self.inherit(&path, perm)? } else { bits };
        let plain = matches!(body, Body::File(_));
        let ino = match self.host.add(&path, mode_l | bits, body) {
            // A file that is there is opened as it is, unless the client asked for better.
            Err(EEXIST) if plain => {
                let there = self.host.find(&path)?;
                self.may_create_over(there, exclusive)?;
                there
            }
            other => other?,
        };
        self.host.inode_mut(ino)?.uid = uid;
        self.fids.get_mut(&fid).ok_or(EINVAL)?.path = path;
        let wide = mode & 3;
        let opens = plain || self.host.inode(ino)?.is_dir();
        if opens {
            let open = Open {
                read: wide != 1,
                write: matches!(wide, 1 | 2),
                append: mode & U_APPEND != 0,
                remove: self.plan9 && u32::from(mode) & ORCLOSE != 0,
                ..Open::new(ino)
            };
            self.set_open(fid, open)?;
        }
        // Unlike an open, a create says how much to write even to a directory; a link's blocks cannot be asked for.
        let is_link = matches!(self.host.inode(ino)?.body, Body::Link(_));
        let most = self.msize.saturating_sub(crate::IOHDRSZ);
        let (qid, iounit) = (self.qid(ino)?, if is_link { most } else { self.whole_blocks() });
        self.say(Rmsg::Create { qid, iounit })
    }

    /// What an open to create says of a file that is there.
    pub(super) fn may_create_over(&self, ino: u64, exclusive: bool) -> Result<(), u32> {
        match self.host.inode(ino)?.body {
            _ if exclusive => Err(EEXIST),
            Body::File(_) => Ok(()),
            Body::Dir(_) => Err(EISDIR),
            Body::Link(_) => Err(ELOOP),
            Body::Special(_) => Err(ENXIO),
        }
    }

    fn inherit(&self, path: &[Vec<u8>], perm: u32) -> Result<u32, u32> {
        let dir = self.host.find(path.split_last().map_or(path, |(_, d)| d))?;
        Ok(crate::translate::create::inherit(perm, self.host.inode(dir)?.mode) & 0o777)
    }

    fn link_u(&mut self, fid: u32, path: Vec<Vec<u8>>, extension: Str<'_>) -> Answer {
        let number = core::str::from_utf8(extension.bytes()).ok().and_then(|s| s.parse::<u32>().ok());
        let target = self.fids.get(&number.ok_or(EINVAL)?).ok_or(EINVAL)?;
        let ino = self.host.find(&target.path)?;
        self.host.hardlink(ino, &path)?;
        self.fids.get_mut(&fid).ok_or(EINVAL)?.path = path;
        let qid = self.qid(ino)?;
        self.say(Rmsg::Create { qid, iounit: 0 })
    }

    /// The stat record of an inode.
    fn record(&self, ino: u64, name: &[u8]) -> Result<Vec<u8>, u32> {
        let node = self.host.inode(ino)?;
        let extension = extension(node);
        let owner = node.uid.to_string();
        let group = node.gid.to_string();
        let (name, uid, gid) = match self.dialect {
            Dialect::P9 if ino == ROOT => (&b"/"[..], owner.as_str(), group.as_str()),
            Dialect::P9 => (name, owner.as_str(), group.as_str()),
            _ => (name, "", ""),
        };
        let dir = Dir {
            kind: 0,
            dev: 0,
            qid: self.qid(ino)?,
            mode: if self.plan9 { mode_u(node.mode) & (DMDIR | 0o777) } else { mode_u(node.mode) },
            atime: node.atime as u32,
            mtime: node.mtime as u32,
            length: if self.plan9 && node.is_dir() { 0 } else { node.size() },
            name: Str(name),
            uid: uid.into(),
            gid: gid.into(),
            muid: uid.into(),
        };
        let stat = Stat { dir, extension: Str(&extension), n_uid: node.uid, n_gid: node.gid, n_muid: 0 };
        stat.to_vec(self.dialect).map_err(|_| EIO)
    }

    /// A read of a directory: whole records from where the last read stopped; offset 0 begins again.
    pub(super) fn read_records(&mut self, fid: u32, offset: u64, count: u32) -> Answer {
        let ino = self.opened(fid)?.ino;
        if offset == 0 {
            let names = self.host.listing(ino)?;
            let open = self.opened_mut(fid)?;
            (open.names, open.at, open.offset) = (names, 0, 0);
        }
        let open = self.opened(fid)?;
        if self.plan9 && offset != open.offset {
            return Err(EINVAL);
        }
        let (mut names, mut at) = (open.names.clone(), open.at);
        let dir = self.fids.get(&fid).map(|f| f.path.clone()).unwrap_or_default();
        let mut out = Vec::new();
        while let Some(name) = names.get(at) {
            self.churn.meddle(&mut self.host);
            if !(self.plan9 && matches!(name.as_slice(), b"." | b"..")) {
                match self.entry(&dir, name).and_then(|ino| self.record(ino, name)) {
                    Ok(record) if out.len() + record.len() > count as usize => {
                        // QEMU goes back to this entry, and the host will name afresh what is there.
                        let place = order(name);
                        names = self.host.listing(ino)?;
                        at = names.iter().position(|n| order(n) >= place).unwrap_or(names.len());
                        break;
                    }
                    Ok(record) => out.extend(record),
                    Err(_) if self.plan9 => {}
                    Err(number) => {
                        // One name that is gone meanwhile fails the whole read, for QEMU, which stands behind it then.
                        self.opened_mut(fid)?.at = at + 1;
                        return Err(number);
                    }
                }
            }
            at += 1;
        }
        let reply = self.say(Rmsg::Read { data: Data(&out) });
        let open = self.opened_mut(fid)?;
        (open.names, open.at) = (names, at);
        open.offset = offset + out.len() as u64;
        reply
    }

    /// The inode of a name in a directory, `.` and `..` among them.
    pub(super) fn entry(&self, dir: &[Vec<u8>], name: &[u8]) -> Result<u64, u32> {
        match name {
            b"." => self.host.find(dir),
            b".." => self.host.find(dir.split_last().map_or(dir, |(_, above)| above)),
            _ => self.host.find(&[dir, &[name.to_vec()]].concat()),
        }
    }

    fn wstat_u(&mut self, fid: u32, stat: &Stat<'_>) -> Answer {
        let f = self.fids.get(&fid).ok_or(EINVAL)?;
        let (path, is_open) = (f.path.clone(), f.open.is_some());
        if *stat == Stat::default() {
            return if is_open { self.say(Rmsg::Wstat {}) } else { Err(EINVAL) };
        }
        let ino = self.host.find(&path)?;
        let node = self.host.inode_mut(ino)?;
        if stat.mode != !0 {
            let types = DMDIR | dm::SYMLINK | dm::LINK | dm::SPECIAL;
            if (stat.mode ^ mode_u(node.mode)) & types != 0 {
                return Err(EIO);
            }
            may_chmod(node)?;
            node.mode = node.mode & smode::IFMT | setbits(stat.mode) | stat.mode & 0o777;
        }
        for (field, value) in [(&mut node.atime, stat.atime), (&mut node.mtime, stat.mtime)] {
            if value != !0 {
                // QEMU takes it for a signed number.
                *field = i64::from(value as i32);
            }
        }
        for (field, value) in [(&mut node.uid, stat.n_uid), (&mut node.gid, stat.n_gid)] {
            if value != NONUM {
                *field = value;
            }
        }
        let mut ends_as = path.clone();
        if !stat.name.is_empty() {
            if stat.name.bytes().contains(&b'/') {
                return self.fail("QEMU aborts: a slash in the name of a wstat");
            }
            *ends_as.last_mut().ok_or(EBUSY)? = stat.name.bytes().to_vec();
            self.move_fid(fid, &ends_as)?;
        }
        if stat.length != !0 {
            self.truncate(ino, stat.length)?;
        }
        self.say(Rmsg::Wstat {})
    }

    pub(super) fn truncate(&mut self, ino: u64, length: u64) -> Result<(), u32> {
        let now = self.host.tick();
        let node = self.host.inode_mut(ino)?;
        match &mut node.body {
            Body::File(bytes) => {
                let length = usize::try_from(length).ok().filter(|l| *l <= 1 << 28).ok_or(EINVAL)?;
                bytes.resize(length, 0);
                node.mtime = now;
                Ok(())
            }
            Body::Dir(_) => Err(EISDIR),
            Body::Link(_) => Err(ELOOP),
            Body::Special(_) => Err(ENXIO),
        }
    }

    /// Plan 9's wstat: checks everything first, then does everything.
    fn wstat_plan9(&mut self, fid: u32, stat: &Stat<'_>) -> Answer {
        let path = self.fids.get(&fid).ok_or(EINVAL)?.path.clone();
        let ino = self.host.find(&path)?;
        let node = self.host.inode(ino)?;
        let same = |s: Str<'_>, number: u32| s.is_empty() || s.bytes() == number.to_string().as_bytes();
        let kind_changes = stat.mode != !0 && (stat.mode & DMDIR != 0) != node.is_dir();
        if self.readonly || kind_changes || !same(stat.uid, node.uid) {
            return Err(EPERM);
        }
        let gid = match core::str::from_utf8(stat.gid.bytes()) {
            Ok("") => node.gid,
            Ok(text) => text.parse().map_err(|_| EPERM)?,
            Err(_) => return Err(EPERM),
        };
        let renames = !stat.name.is_empty() && path.last().is_none_or(|n| n != stat.name.bytes());
        let mut target = path.clone();
        if renames {
            if illegal(stat.name.bytes()) || matches!(stat.name.bytes(), b"." | b"..") {
                return Err(EINVAL);
            }
            *target.last_mut().ok_or(EPERM)? = stat.name.bytes().to_vec();
            if self.host.find(&target).is_ok() {
                return Err(EEXIST);
            }
        }
        if stat.length != !0 && !(node.is_dir() && stat.length == 0) {
            self.truncate(ino, stat.length)?;
        }
        let node = self.host.inode_mut(ino)?;
        node.gid = gid;
        if stat.mode != !0 {
            node.mode = node.mode & !0o777 | stat.mode & 0o777;
        }
        if stat.mtime != !0 {
            node.mtime = i64::from(stat.mtime);
        }
        if renames {
            self.move_path(&path, &target)?;
        }
        self.say(Rmsg::Wstat {})
    }
}

/// QEMU opens a file to change its mode, which these cannot be.
pub(super) fn may_chmod(node: &Node) -> Result<(), u32> {
    match node.body {
        Body::Link(_) => Err(ELOOP),
        Body::Special(_) => Err(ENXIO),
        _ => Ok(()),
    }
}

/// The number of a device from an extension such as `c 1 3`: major above, minor below.
fn device(extension: Str<'_>) -> Result<u64, u32> {
    let text = core::str::from_utf8(extension.bytes()).map_err(|_| EINVAL)?;
    let mut words = text.split(' ').skip(1).map(str::parse::<u32>);
    match (words.next(), words.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok(u64::from(major) << 32 | u64::from(minor)),
        _ => Err(EINVAL),
    }
}

fn extension(node: &Node) -> Vec<u8> {
    let text = match (&node.body, node.mode & smode::IFMT) {
        (Body::Link(target), _) => return target.clone(),
        (Body::Special(d), smode::IFCHR) => alloc::format!("c {} {}", d >> 32, d & 0xffff_ffff),
        (Body::Special(d), smode::IFBLK) => alloc::format!("b {} {}", d >> 32, d & 0xffff_ffff),
        (Body::Special(_), _) => String::new(),
        _ => alloc::format!("HARDLINKCOUNT {}", node.nlink),
    };
    text.into_bytes()
}

/// Linux's mode in 9P2000.u's bits.
fn mode_u(mode: u32) -> u32 {
    let kind = match mode & smode::IFMT {
        smode::IFDIR => DMDIR,
        smode::IFLNK => dm::SYMLINK,
        smode::IFIFO => dm::NAMEDPIPE,
        smode::IFSOCK => dm::SOCKET,
        smode::IFCHR | smode::IFBLK => dm::DEVICE,
        _ => 0,
    };
    let bit = |linux: u32, u: u32| if mode & linux != 0 { u } else { 0 };
    kind | bit(0o4000, dm::SETUID) | bit(0o2000, dm::SETGID) | bit(0o1000, dm::SETVTX) | mode & 0o777
}

/// The set-id and sticky bits of a 9P2000.u mode, as Linux has them.
fn setbits(mode: u32) -> u32 {
    let bit = |u: u32, linux: u32| if mode & u != 0 { linux } else { 0 };
    bit(dm::SETUID, 0o4000) | bit(dm::SETGID, 0o2000) | bit(dm::SETVTX, 0o1000)
}
