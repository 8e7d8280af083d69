//! A 9P server for tests that behaves as QEMU's does, oddities included (`docs/facts/virtio-9p.md` section 4).
//!
//! [`Server::handle`] takes one request and gives its reply; order and delay are the business of the transport
//! that the test puts around it. The files are a [`Tree`] that the test fills, looks at, and changes behind the
//! server's back. Three dialects:
//!
//! * **9P2000.u** and **9P2000.L** as QEMU has them: fids are paths, errors are Linux's, directories list `.`
//!   and `..` in no order, special files can be seen and not opened, `Rstat`'s count is 0, a truncating open to
//!   read cuts the file even on a read-only share, and a rename replaces what is in its way.
//! * **9P2000** (when [`Server::plan9`] made it) as a Plan 9 file server has it: no `.` and `..`, errors in
//!   Plan 9's words, create only what is not there, `ORCLOSE`, wstat as a whole or not at all.
//!
//! What makes QEMU's device break (a request shorter than its fields, a reply that does not fit) or QEMU abort
//! (a slash in a rename) makes this server fall silent for good: [`Server::broken`] says why, and replies are
//! empty from then on. A driver that is right never gets there.
//!
//! It was compared with QEMU 7.2.22: some ten thousand random requests in sessions of both dialects and on
//! read-only shares, each sent to both, had the same outcome (numbers of inodes and times aside).
//!
//! Not as QEMU's: which fids a Twstat or a Trename leaves behind (those with lower numbers; QEMU's order is that of a
//! hash table), the contents of `Rstatfs`, extended attributes (refused), and `Tstat` in a 9P2000.L session
//! (refused, QEMU answers).

mod dotl;
mod dotu;
pub mod errno;
mod fids;
pub mod hostile;
mod tree;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::attr::smode;
use crate::wire::Data;
use crate::{Dialect, Names, Qids, Rmsg, Str, Tmsg, WireError, kind};
use abi::{QTDIR, QTSYMLINK, Qid};
use errno::*;
use fids::{Fid, Open, illegal};
pub use tree::{Body, Churn, Node, ROOT, SELF, Tree};

/// The server: one session at a time, as the device has it.
#[derive(Clone, Debug)]
pub struct Server {
    /// The files.
    pub host: Tree,
    /// Whether the share is exported read-only.
    pub readonly: bool,
    /// Goes up from directories alone, as most servers that are not QEMU's (Debian's diod).
    pub dotdot_in_dirs: bool,
    /// Looks at each entry of a 9P2000.L directory that it reads, as QEMU with `multidevs=remap`: the whole read fails
    /// when one has gone.
    pub remap: bool,
    /// What the host does meanwhile.
    pub churn: Churn,
    /// Walks to these names fail with these numbers.
    pub refuses: BTreeMap<Vec<u8>, u32>,
    /// Answer `Tversion` with at most this many bytes.
    pub max_msize: u32,
    plan9: bool,
    dialect: Dialect,
    msize: u32,
    tag: u16,
    fids: BTreeMap<u32, Fid>,
    broken: Option<String>,
    requests: BTreeMap<u8, u64>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// A reply in bytes, or an error number to make one of.
type Answer = Result<Vec<u8>, u32>;

impl Server {
    /// A server of 9P2000.u and 9P2000.L with an empty share.
    pub fn new() -> Self {
        Server {
            host: Tree::default(),
            readonly: false,
            dotdot_in_dirs: false,
            remap: false,
            churn: Churn::default(),
            refuses: BTreeMap::new(),
            max_msize: u32::MAX,
            plan9: false,
            dialect: Dialect::U,
            msize: 8192,
            tag: 0,
            fids: BTreeMap::new(),
            broken: None,
            requests: BTreeMap::new(),
        }
    }

    /// A server of 9P2000.
    pub fn plan9() -> Self {
        Server { plan9: true, dialect: Dialect::P9, ..Self::new() }
    }

    /// How many fids there are.
    pub fn fids(&self) -> usize {
        self.fids.len()
    }

    /// How many requests of a type came, since the server was made.
    pub fn requests(&self, kind: u8) -> u64 {
        self.requests.get(&kind).copied().unwrap_or(0)
    }

    /// Why the device would be broken, or QEMU gone.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The device was reset: no session, no fids, working again.
    pub fn reset(&mut self) {
        self.fids.clear();
        self.broken = None;
    }

    /// Answers one request. The reply is empty when the server is [broken](Server::broken).
    pub fn handle(&mut self, request: &[u8]) -> Vec<u8> {
        self.handle_in(request, usize::MAX)
    }

    /// Answers one request when there is so much room for the reply. As with QEMU a read that could overflow
    /// it breaks the device, even when the file is shorter.
    pub fn handle_in(&mut self, request: &[u8], room: usize) -> Vec<u8> {
        if self.broken.is_some() {
            return Vec::new();
        }
        let kind = request.get(4).copied().unwrap_or(0);
        *self.requests.entry(kind).or_default() += 1;
        self.tag = request.get(5..7).map_or(0, |t| u16::from(t[0]) | u16::from(t[1]) << 8);
        // `Tversion` is the same in every dialect, and begins a session in another.
        let dialect = if kind == kind::TVERSION { Dialect::P9 } else { self.dialect };
        let reply = match Tmsg::decode(dialect, request) {
            Ok((_, Tmsg::Read { count, .. } | Tmsg::Readdir { count, .. }))
                if (count as usize).saturating_add(11) > room =>
            {
                self.fail("a read that does not fit its buffer")
            }
            Ok((_, message)) => self.answer(message),
            Err(WireError::TooMany(_)) => Err(EINVAL),
            Err(WireError::Kind(_) | WireError::Dialect(_)) if kind != kind::TOPEN => Err(EOPNOTSUPP),
            Err(e) => self.fail(&alloc::format!("request {kind}: {e}")),
        };
        let reply = reply.unwrap_or_else(|number| self.error(number));
        if reply.len() > room {
            self.broken = Some(String::from("a reply that does not fit its buffer"));
        }
        if self.broken.is_some() { Vec::new() } else { reply }
    }

    fn fail(&mut self, why: &str) -> Answer {
        self.broken = Some(String::from(why));
        Ok(Vec::new())
    }

    fn say(&self, reply: Rmsg<'_>) -> Answer {
        reply.to_vec(self.dialect, self.tag).map_err(|_| EIO)
    }

    fn error(&self, number: u32) -> Vec<u8> {
        let reply = match self.dialect {
            Dialect::P9 => Rmsg::Error { ename: plan9(number).into(), errno: 0 },
            Dialect::U => Rmsg::Error { ename: strerror(number).into(), errno: number },
            Dialect::L => Rmsg::Lerror { ecode: number },
        };
        reply.to_vec(self.dialect, self.tag).unwrap_or_default()
    }

    fn answer(&mut self, message: Tmsg<'_>) -> Answer {
        if self.readonly && self.changes(&message) {
            return Err(EROFS);
        }
        match message {
            Tmsg::Version { msize, version } => self.version(msize, version),
            Tmsg::Auth { .. } => Err(EOPNOTSUPP),
            Tmsg::Attach { fid, n_uname, .. } => {
                self.new_fid(fid, Fid { path: Vec::new(), uid: n_uname, open: None })?;
                let qid = self.qid(ROOT)?;
                self.say(Rmsg::Attach { qid })
            }
            Tmsg::Flush { .. } => self.say(Rmsg::Flush {}),
            Tmsg::Walk { fid, newfid, names } => self.walk(fid, newfid, names),
            Tmsg::Read { fid, offset, count } => self.read(fid, offset, count),
            Tmsg::Write { fid, offset, data } => self.write(fid, offset, data),
            Tmsg::Clunk { fid } => {
                let gone = self.fids.remove(&fid).ok_or(ENOENT)?;
                if gone.open.is_some_and(|o| o.remove) {
                    let _ = self.host.unlink(&gone.path);
                }
                self.say(Rmsg::Clunk {})
            }
            Tmsg::Remove { fid } => {
                let gone = self.fids.remove(&fid).ok_or(EINVAL)?;
                self.host.unlink(&gone.path)?;
                self.say(Rmsg::Remove {})
            }
            Tmsg::Open { .. } | Tmsg::Create { .. } | Tmsg::Stat { .. } | Tmsg::Wstat { .. } => {
                self.answer_u(message)
            }
            other => self.answer_l(other),
        }
    }

    /// Requests that a read-only export refuses before it looks at them.
    fn changes(&self, message: &Tmsg<'_>) -> bool {
        use Tmsg::*;
        matches!(
            message,
            Create { .. }
                | Write { .. }
                | Remove { .. }
                | Wstat { .. }
                | Lcreate { .. }
                | Symlink { .. }
                | Mknod { .. }
                | Rename { .. }
                | Setattr { .. }
                | Xattrcreate { .. }
                | Link { .. }
                | Mkdir { .. }
                | Renameat { .. }
                | Unlinkat { .. }
        )
    }

    fn version(&mut self, msize: u32, version: Str<'_>) -> Answer {
        self.fids.clear();
        let known = if self.plan9 {
            version.bytes().starts_with(b"9P2000").then_some(Dialect::P9)
        } else {
            Dialect::from_version(version.bytes()).filter(|d| *d != Dialect::P9)
        };
        let Some(dialect) = known else {
            return self.say(Rmsg::Version { msize, version: "unknown".into() });
        };
        self.dialect = dialect;
        if msize < 4096 && !self.plan9 {
            return Err(EMSGSIZE);
        }
        self.msize = msize.min(self.max_msize);
        self.say(Rmsg::Version { msize: self.msize, version: dialect.version().into() })
    }

    fn walk(&mut self, fid: u32, newfid: u32, names: Names<'_>) -> Answer {
        let from = self.fids.get(&fid).ok_or(ENOENT)?;
        let (uid, is_open) = (from.uid, from.open.is_some());
        if is_open && self.plan9 {
            return Err(EINVAL);
        }
        let mut path = from.path.clone();
        let mut qids: Vec<Qid> = Vec::new();
        let mut error = self.host.find(&path).err();
        let up = names.iter().next().is_some_and(|name| name.bytes() == b"..");
        if up
            && self.dotdot_in_dirs
            && self.host.find(&path).is_ok_and(|ino| self.qid(ino).is_ok_and(|q| !q.is_dir()))
        {
            error = Some(ENOTDIR);
        }
        for name in names {
            if error.is_some() {
                break;
            }
            match name.bytes() {
                b"." => {}
                b".." => drop(path.pop()),
                n if illegal(n) => error = Some(ENOENT),
                n => {
                    path.push(n.to_vec());
                    error = self.refuses.get(n).copied();
                }
            }
            error = error.or_else(|| match self.host.find(&path) {
                Ok(ino) => self.qid(ino).map(|qid| qids.push(qid)).err(),
                Err(number) => Some(number),
            });
        }
        if let Some(number) = error.filter(|_| qids.is_empty()) {
            return Err(number);
        }
        if error.is_none() {
            if fid == newfid {
                if is_open {
                    return Err(EINVAL);
                }
                self.fids.remove(&fid);
            }
            self.new_fid(newfid, Fid { path, uid, open: None })?;
        }
        self.say(Rmsg::Walk { qids: Qids::new(&qids) })
    }

    fn read(&mut self, fid: u32, offset: u64, count: u32) -> Answer {
        let open = self.opened(fid)?;
        let node = self.host.inode(open.ino)?;
        if node.is_dir() {
            return match self.dialect {
                Dialect::L => Err(EOPNOTSUPP),
                _ => self.read_records(fid, offset, count),
            };
        }
        if !open.read {
            return Err(EBADF);
        }
        let Body::File(bytes) = &node.body else { return Err(EINVAL) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(count as usize).min(bytes.len());
        self.say(Rmsg::Read { data: Data(bytes.get(start..end).unwrap_or_default()) })
    }

    fn write(&mut self, fid: u32, offset: u64, data: Data<'_>) -> Answer {
        let open = self.opened(fid)?;
        let (ino, append) = (open.ino, open.append);
        if self.host.inode(ino)?.is_dir() {
            return Err(EINVAL);
        }
        if !open.write {
            return Err(EBADF);
        }
        let now = self.host.tick();
        let node = self.host.inode_mut(ino)?;
        let Body::File(bytes) = &mut node.body else { return Err(EINVAL) };
        let start = if append { bytes.len() } else { usize::try_from(offset).unwrap_or(usize::MAX) };
        // A test has no use for sparse files of more than this.
        let end = start.checked_add(data.0.len()).filter(|e| *e <= 1 << 28).ok_or(EINVAL)?;
        bytes.resize(bytes.len().max(end), 0);
        if let Some(place) = bytes.get_mut(start..end) {
            place.copy_from_slice(data.0);
        }
        node.mtime = now;
        let count = data.0.len() as u32;
        self.say(Rmsg::Write { count })
    }

    fn qid(&self, ino: u64) -> Result<Qid, u32> {
        let node = self.host.inode(ino)?;
        let kind = match node.mode & smode::IFMT {
            smode::IFDIR => QTDIR,
            smode::IFLNK if !self.plan9 => QTSYMLINK,
            _ => 0,
        };
        Ok(Qid { kind, vers: node.mtime as u32 ^ (node.size() as u32) << 8, path: ino })
    }

    /// QEMU's `iounit`: whole blocks of the host's file system.
    fn whole_blocks(&self) -> u32 {
        let most = self.msize.saturating_sub(crate::IOHDRSZ);
        if most >= 4096 { most & !4095 } else { most }
    }

    /// The same for an open, where a directory has none.
    fn iounit(&self, ino: u64) -> u32 {
        if self.host.inode(ino).is_ok_and(Node::is_dir) { 0 } else { self.whole_blocks() }
    }
}

#[cfg(test)]
mod tests;
