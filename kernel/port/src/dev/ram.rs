//! `#R`: files in memory; what `/tmp` is.
//!
//! The files, and the rules about them, are those of [`ninep::ram`], which ramfs(4) serves as well; here they are asked
//! without messages. Whoever asks for permission is the user of the calling process at that moment, not of the one who
//! attached; an open file belongs to who opened it.
//!
//! The memory is the kernel's. It is taken only as long as programs could have it, so the kernel keeps its reserve, and
//! the owner keeps what is set aside for whoever sits at the console. What is taken comes back when the last user of a
//! removed file is gone.
//!
//! Locks: the tree's own, which may sleep; nothing else is taken under it. A channel's `aux` is its file.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, ORCLOSE, OTRUNC, Qid, error};
use machine::ledger::for_long;
use machine::sync::RawQLock;
use machine::{clock, heap};
use ninep::Str;
use ninep::ram::{File, Ram};
use ninep::server::{Files, Refused};

use crate::dev::dirtab;
use crate::dev::{Dev, Qids, Root, Teller, Walk};
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::mem::let_others;
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;
use crate::proc::scarce;

/// Bytes that go through the kernel at a time.
const PIECE: usize = 64 * 1024;
/// Bytes that are copied with the tree locked.
const SMALL: usize = 8 * 1024;
/// Longest name of a file, in bytes.
const NAME_MAX: usize = 1024;
/// Who owns the root: the owner of every machine at its start.
const OWNER: &[u8] = b"glenda";
/// Everybody may make files.
const ROOT: u32 = 0o777;
/// What its files report as type: programs take all but M, a server's, for devices.
const TYPE: u16 = b'M' as u16;
/// And as instance: that of the root is 0, mounts are numbered from 2.
const INSTANCE: u32 = 1;

/// A file of the tree.
type Node = File<RawQLock>;

/// The device.
pub struct RamDev {
    tree: Ram<RawQLock>,
}

impl From<Refused> for Error {
    fn from(Refused(text): Refused) -> Error {
        match text {
            alloc::borrow::Cow::Borrowed(text) => Error::new(text),
            alloc::borrow::Cow::Owned(text) => text.into(),
        }
    }
}

/// The time as files have it.
fn now() -> u32 {
    dirtab::seconds(clock::wall_ns())
}

impl RamDev {
    /// An empty tree that takes at most `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        let tree = Ram::new(OWNER, limit, now).with_root(ROOT).with_room(heap::can_afford);
        let tree = tree.with_reserve(|bytes, more| heap::try_reserve_exact(bytes, more).is_ok());
        Arc::new(RamDev { tree: tree.with_pause(let_others) })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.tree.used()
    }

    /// The channel's file as the calling process may use it.
    fn file(&self, up: &Arc<Proc>, c: &Chan) -> Result<Arc<Node>> {
        let file = c.aux_arc::<Node>()?;
        let user = up.user();
        Ok(if file.user() == user.as_bytes() {
            file
        } else {
            Arc::new(self.tree.as_user(&file, user.as_bytes()))
        })
    }

    /// Does something with the channel's file as the calling process may use it.
    fn with_file<T>(&self, up: &Arc<Proc>, c: &Chan, f: impl FnOnce(&Node) -> Result<T>) -> Result<T> {
        let file = c.aux::<Node>()?;
        let is_his = file.user() == up.user.lock().as_bytes();
        if is_his { f(file) } else { f(&*self.file(up, c)?) }
    }

    /// The channel's file, if the channel alone has it and the calling process may use it as it is.
    fn own<'c>(&self, up: &Arc<Proc>, c: &'c mut Chan) -> Option<&'c mut Node> {
        let file = Arc::get_mut(c.aux.as_mut()?)?.downcast_mut::<Node>()?;
        let is_his = file.user() == up.user.lock().as_bytes();
        is_his.then_some(file)
    }

    /// The records of a directory that fit, from the beginning at offset 0, else from where the last read ended.
    fn read_dir(&self, file: &Node, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        let (room, mut out, mut short, mut scarce) = (dst.len(), Vec::new(), false, false);
        self.tree.list(file, offset == 0, &mut |record| {
            if out.len() + record.len() > room {
                short = out.is_empty();
                return false;
            }
            let at = out.len();
            if heap::try_extend(&mut out, record).is_err() {
                scarce = true;
                return false;
            }
            if let Some(place) = out.get_mut(at + 2..at + 8) {
                place[..2].copy_from_slice(&TYPE.to_le_bytes());
                place[2..].copy_from_slice(&INSTANCE.to_le_bytes());
            }
            true
        })?;
        if scarce {
            return Err(error::ENOMEM.into());
        }
        if short {
            return Err(error::ESHORT.into());
        }
        dst.put(0, &out)?;
        Ok(out.len())
    }
}

impl Dev for RamDev {
    fn letter(&self) -> char {
        'R'
    }

    fn name(&self) -> &'static str {
        "ram"
    }

    fn attach(&self, up: &Arc<Proc>, spec: &str) -> Result<Root> {
        let root = Root::of_only_tree(spec)?;
        let (file, qid) = self.tree.attach(up.user().as_bytes(), b"")?;
        Ok(Root { qid, aux: Some(Arc::new(file)), ..root })
    }

    fn walk(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        let mut qids = Qids::new();
        if names.is_empty() {
            return Ok(Walk { qids, chan: Some(c.derive(c.qid, Some(self.file(up, c)?))), why: None });
        }
        let mut qid = c.qid;
        let mut pass = |its: Qid| {
            qids.push(its);
            qid = its;
        };
        let names = names.iter().map(|name| name.as_bytes());
        match self.with_file(up, c, |from| Ok(self.tree.walk_all(from, names, &mut pass)?)) {
            Ok(file) => Ok(Walk { qids, chan: Some(c.derive(qid, Some(Arc::new(file)))), why: None }),
            Err(e) if qids.is_empty() => Err(e),
            Err(e) => Ok(Walk { qids, chan: None, why: Some(e) }),
        }
    }

    fn glance(
        &self,
        up: &Arc<Proc>,
        c: &Chan,
        names: &[&str],
        pass: &mut dyn FnMut(Qid) -> bool,
        tell: Teller<'_>,
    ) -> bool {
        let Ok(file) = c.aux::<Node>() else { return false };
        // Another user has other permissions.
        if file.user() != up.user.lock().as_bytes() {
            return false;
        }
        let names = names.iter().map(|name| name.as_bytes());
        let told = self.tree.glance(file, names, pass, |mut dir| {
            (dir.kind, dir.dev) = (TYPE, INSTANCE);
            tell(&dir)
        });
        told.is_some_and(|told| told.is_ok())
    }

    fn stat(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        let mut told = Err(error::ENONEXIST.into());
        self.stat_to(up, c, &mut |dir| {
            let text = |s: &&[u8]| heap::try_lossy(s);
            let [name, uid, gid, muid] = dir.strings().map(text);
            told = Ok(dir.with_strings([name?, uid?, gid?, muid?]));
            Ok(())
        })?;
        told
    }

    fn stat_to(&self, _up: &Arc<Proc>, c: &Chan, tell: Teller<'_>) -> Result<()> {
        self.tree.with_stat(c.aux::<Node>()?, |mut dir| {
            (dir.kind, dir.dev) = (TYPE, INSTANCE);
            tell(&dir)
        })?
    }

    fn open(&self, up: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let writes = matches!(mode & 3, abi::OWRITE | abi::ORDWR) || mode & OTRUNC != 0;
        if c.qid.is_dir() && writes {
            return Err(error::EISDIR.into());
        }
        let qid = match self.own(up, &mut c) {
            Some(file) => self.tree.open_in_place(file, mode)?,
            None => {
                let (file, qid) = self.with_file(up, &c, |found| Ok(self.tree.open(found, mode)?))?;
                c.aux = Some(Arc::new(file));
                qid
            }
        };
        (c.qid, c.mode) = (qid, Some(mode));
        Ok(c.share())
    }

    fn create(&self, up: &Arc<Proc>, mut c: OwnChan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        if !c.qid.is_dir() {
            return Err(error::ENOTDIR.into());
        }
        if perm & abi::DMDIR != 0 && (mode & 3 != abi::OREAD || mode & OTRUNC != 0) {
            return Err(error::EISDIR.into());
        }
        ninep::server::valid_name(name.as_bytes())?;
        if name.len() > NAME_MAX {
            return Err(error::ETOOLONG.into());
        }
        if !for_long(|| heap::can_afford(0)) {
            return Err(error::EFULL.into());
        }
        let qid = match self.own(up, &mut c) {
            Some(dir) => self.tree.create_in_place(dir, name.as_bytes(), perm)?,
            None => {
                let create = |dir: &Node| Ok(self.tree.create(dir, name.as_bytes(), perm, mode)?);
                let (file, qid) = self.with_file(up, &c, create)?;
                c.aux = Some(Arc::new(file));
                qid
            }
        };
        (c.qid, c.mode) = (qid, Some(mode));
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if c.mode.is_some_and(|mode| mode & ORCLOSE != 0)
            && let Ok(file) = c.aux::<Node>()
        {
            // It may have been removed already, or stand where it must not go any more.
            let _ = self.tree.remove(file);
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        let file = c.aux::<Node>()?;
        if c.qid.is_dir() {
            return self.read_dir(file, dst, offset);
        }
        let mut put = 0;
        // What is small goes straight to its place, if that is there.
        if dst.len() <= SMALL
            && let Some(n) = self.tree.lend(file, offset, dst.len(), &mut |piece| {
                let there = dst.put_now(put, piece);
                put += piece.len();
                there
            })?
        {
            return Ok(n);
        }
        let mut bytes = heap::try_bytes(dst.len().min(PIECE))?;
        let mut done = 0;
        while done < dst.len() && up.may_go_on(done) {
            let want = (dst.len() - done).min(PIECE);
            let place = bytes.get_mut(..want).unwrap_or_default();
            let n = self.tree.read(file, offset.saturating_add(done as u64), place)?;
            dst.put(done, place.get(..n).unwrap_or(&[]))?;
            done += n;
            if n < want {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let file = c.aux::<Node>()?;
        let mut bytes = heap::try_bytes(src.len().min(PIECE))?;
        let mut done = 0;
        loop {
            let want = (src.len() - done).min(PIECE);
            let piece = bytes.get_mut(..want).unwrap_or_default();
            match src.get(done, piece) {
                Err(e) if done != 0 && scarce::is_want_of_memory(&e) => return Ok(done),
                got => got?,
            }
            // What keeps account of the blocks is not asked for; a piece of them fits into the grant.
            if done != 0 && !for_long(heap::is_granted) {
                return Ok(done);
            }
            match for_long(|| self.tree.write(file, offset.saturating_add(done as u64), piece)) {
                Ok(n) => done += n,
                // What went in counts.
                Err(_) if done != 0 => return Ok(done),
                Err(e) => return Err(e.into()),
            }
            if done == src.len() || !up.may_go_on(done) {
                return Ok(done);
            }
        }
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        show("ram.file", self.tree.files() as u64);
        show("ram.byte", self.used());
    }

    fn remove(&self, up: &Arc<Proc>, c: OwnChan) -> Result<()> {
        self.with_file(up, &c, |file| Ok(self.tree.remove(file)?))
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        if dir.name.len() > NAME_MAX || dir.gid.len() > NAME_MAX {
            return Err(error::ETOOLONG.into());
        }
        // Which device this is, is not for a program to say.
        let change = Dir { kind: !0, dev: !0, ..dir.with_strings(dir.strings().map(|s| Str(s.as_bytes()))) };
        let file = self.file(up, c)?;
        Ok(self.tree.wstat(&file, &change.into())?)
    }
}
