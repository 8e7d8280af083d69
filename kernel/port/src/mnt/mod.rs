//! The mount driver: 9P servers as part of the name space. One client engine with two faces.
//!
//! * `#M` speaks 9P2000 over any channel ([`channels`], [`chan_transport`]).
//! * `#9`, the phantom mount device, speaks 9P2000.u or 9P2000.L ([`dotl`]) to QEMU's virtio-9p devices, which are
//!   found by their mount tags ([`tags`]) or are files of it ([`shares`]), and to servers behind channels as well.
//!   Programs see plain 9P2000 semantics all the same: `ninep::translate` is the table of how.
//!
//! What is here is the device; [`mount`] makes the root of a tree from a server and a specifier, and [`living`] knows
//! the sessions.
//!
//! A 9P server is a message transport here, not a byte stream: [`rpc`] gives a transport one T-message with the buffers
//! its reply goes to, [`wait`] how it waits, and [`abandoned`] what becomes of requests that nobody can wait for any
//! more. A [`slot`] is what a message is sent with, [`slots`] the PID cache, [`session`] what was agreed on, [`fid`] a
//! file at the server, [`farewell`] how it is forgotten, [`look`] how it is kept to be looked at again, [`trail`] its
//! names, [`attributes`] what the server does not know of it. [`file`] is a file of a
//! mount, [`links`] the way to it, [`stat`] what it is like, [`rename`] the giving of another name, [`io`] and
//! [`dirread`] are its contents, with [`passes`] where the host changes a directory meanwhile, and [`kept`]
//! and [`kept_list`] what was read before.
//!
//! Ownership: a channel's `aux` is an [`MntFile`], which holds its fids, which hold the session. Nothing else does: the
//! device knows its sessions weakly. So the last file closed, mounted roots among them, ends the session.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use ::io::message::Transport;
use abi::{Dir, OTRUNC, Qid, error};
use ninep::Dialect;
use ninep::translate::ids::Ids;

use crate::dev::dirtab::{self, Entry, Put};
use crate::dev::{Dev, MountDriver, Root, Teller, Walk};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Aim, Chan, OwnChan};
use crate::proc::process::Proc;

mod abandoned;
mod attributes;
pub(crate) mod chan_transport;
pub(crate) mod channels;
pub(crate) mod dirread;
pub(crate) mod dotl;
mod farewell;
pub(crate) mod fid;
pub(crate) mod file;
pub(crate) mod io;
mod kept;
mod kept_list;
pub(crate) mod links;
mod living;
mod look;
mod mount;
mod passes;
mod rename;
pub(crate) mod rpc;
pub(crate) mod session;
pub(crate) mod shared;
mod shares;
mod slot;
pub(crate) mod slots;
mod stat;
pub(crate) mod tags;
mod trail;
mod wait;

use channels::Channels;
use file::MntFile;
use kept::Kept;
use living::Living;
use mount::Driver;
use tags::Tags;

pub use session::Patience;

/// A mount driver: `#M` or `#9`.
pub struct MntDev {
    /// The devices, if this is `#9`.
    tags: Option<Tags>,
    /// Both have the same.
    channels: Arc<Channels>,
    /// Everything that lives, to tell it of processes that exit.
    sessions: Living,
}

impl MntDev {
    /// `#M`.
    pub fn channels() -> Arc<Self> {
        Arc::new(MntDev { tags: None, channels: Arc::new(Channels::new()), sessions: Living::default() })
    }

    /// `#9` beside this `#M`, for these devices: mount tag and transport, in the order in which they were found.
    pub fn phantom(&self, devices: Vec<(String, Arc<dyn Transport>)>) -> Arc<Self> {
        self.phantom_with(devices, Patience::DEVICE)
    }

    /// The same, with this much patience.
    pub fn phantom_with(&self, devices: Vec<(String, Arc<dyn Transport>)>, patience: Patience) -> Arc<Self> {
        Arc::new(MntDev {
            tags: Some(Tags::new(devices, patience)),
            channels: self.channels.clone(),
            sessions: Living::default(),
        })
    }

    /// `/dev/mtags`: the devices, then the channels that are mounted; empty for `#M`.
    ///
    /// # Errors
    /// When `out` is full.
    pub fn write_mtags(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some(tags) = &self.tags else { return Ok(()) };
        tags.write_mtags(out)?;
        self.channels.write_mtags(out)
    }

    /// [`MntDev::write_mtags`] for tests.
    #[cfg(not(target_os = "none"))]
    pub fn mtags(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = self.write_mtags(&mut out);
        out
    }

    /// Forgets what is kept to be looked at again, and waits until the servers have answered all that nobody waits for;
    /// for tests.
    #[cfg(not(target_os = "none"))]
    pub fn settle(&self) {
        self.sessions.each(|_, session| {
            drop(session.fids.with_looks(look::Looks::take_all));
            session.fids.farewells.settle();
        });
    }

    /// Makes what sessions make when they need it, and keep; for tests that count memory.
    #[cfg(not(target_os = "none"))]
    pub fn make_all(&self) {
        self.sessions.each(|_, session| session.fids.farewells.make_all());
    }

    /// How many sessions are remembered, for tests.
    #[cfg(not(target_os = "none"))]
    pub fn remembered(&self) -> usize {
        self.sessions.len()
    }
}

/// The kernel knows no names for the numbers of the host's users and groups, so their files show the numbers.
const NO_NAMES: Ids = Ids::new();

impl Dev for MntDev {
    fn letter(&self) -> char {
        if self.tags.is_some() { '9' } else { 'M' }
    }

    fn name(&self) -> &'static str {
        if self.tags.is_some() { "phantom" } else { "mnt" }
    }

    fn attach(&self, _up: &Arc<Proc>, spec: &str) -> Result<Root> {
        if self.tags.is_some() { Root::of_only_tree(spec) } else { Err(error::ENOATTACH.into()) }
    }

    fn each(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        if let Some(tags) = &self.tags {
            shares::each(tags, after, put);
        }
        Ok(())
    }

    fn entry(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        match (&self.tags, c.qid.path) {
            (_, 0) => Ok(self.root_entry()),
            (Some(tags), number) => shares::entry(tags, number).ok_or(error::ENONEXIST.into()),
            (None, _) => Err(error::ENONEXIST.into()),
        }
    }

    fn lookup(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid, name: &str) -> Result<Option<Qid>> {
        Ok(self.tags.as_ref().and_then(|tags| shares::lookup(tags, name)))
    }

    fn glance(
        &self,
        up: &Arc<Proc>,
        c: &Chan,
        names: &[&str],
        pass: &mut dyn FnMut(Qid) -> bool,
        tell: Teller<'_>,
    ) -> bool {
        c.aux::<MntFile>().is_ok_and(|file| file.glance(&up.kernel.contents.names, c, names, pass, tell))
    }

    fn walk(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        self.walk_for(up, c, names, Aim::Any)
    }

    fn walk_for(&self, up: &Arc<Proc>, c: &Chan, names: &[&str], aim: Aim) -> Result<Walk> {
        if c.aux.is_none() {
            return dirtab::walk(self, up, c, names);
        }
        let from = c.aux::<MntFile>()?;
        let (mut qids, file) = match aim {
            Aim::Look => from.look(up, c, names)?,
            Aim::Any => from.walk(c.qid, names)?,
        };
        from.show(&mut qids);
        let qid = qids.last().copied().unwrap_or(c.qid);
        Ok(match file {
            Ok(file) => {
                Walk { qids: qids.into(), chan: Some(c.derive(qid, Some(Arc::new(file)))), why: None }
            }
            Err(why) => Walk { qids: qids.into(), chan: None, why: Some(why) },
        })
    }

    fn stat(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        if c.aux.is_none() {
            return dirtab::stat(self, up, c);
        }
        let dir = c.aux::<MntFile>()?.stat()?.dir;
        Ok(Dir { kind: u16::from(b'M'), dev: c.devno, ..dir })
    }

    fn stat_opened(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        let told = c.aux::<MntFile>().ok().and_then(|file| file.opened_as.lock().take());
        match told {
            Some(dir) => Ok(Dir { kind: u16::from(b'M'), dev: c.devno, ..*dir }),
            None => self.stat(up, c),
        }
    }

    fn asks(&self) -> bool {
        true
    }

    fn open(&self, up: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        if c.aux.is_none() {
            return dirtab::open(self, up, c, mode).map(OwnChan::share);
        }
        own_fid(&mut c)?;
        let file = c.aux::<MntFile>()?;
        if mode & OTRUNC != 0 {
            file.changes(up, c.qid);
        }
        let (qid, iounit) = file.open(c.qid, mode)?;
        if mode & OTRUNC != 0 {
            file.changes(up, qid);
        }
        file.keep(up, qid, mode);
        c.qid = qid;
        c.iounit = iounit;
        c.mode = Some(mode);
        Ok(c.share())
    }

    fn creates_exclusively(&self, c: &Chan) -> bool {
        c.aux::<MntFile>().is_ok_and(|file| file.session().looks_by_fid())
    }

    fn create(&self, up: &Arc<Proc>, mut c: OwnChan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        if c.aux.is_none() {
            return Err(error::EPERM.into());
        }
        own_fid(&mut c)?;
        let (qid, iounit) = c.aux::<MntFile>()?.create(name, mode, perm)?;
        c.aux::<MntFile>()?.changes(up, qid);
        c.qid = qid;
        c.iounit = iounit;
        c.mode = Some(mode);
        Ok(c.share())
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.aux.is_none() {
            return if c.qid.is_dir() {
                dirtab::read_dir(self, up, c, dst, offset)
            } else {
                Err(error::EPERM.into())
            };
        }
        let file = c.aux::<MntFile>()?;
        if c.qid.is_dir() {
            return file.read_dir(dst, offset, c.devno);
        }
        if dst.is_empty() {
            return Ok(0);
        }
        if let Some(Kept::Content(kept)) = file.kept.get()
            && let Some(n) = kept.read(up, file, dst, offset, c.iounit)?
        {
            return Ok(n);
        }
        file.read(dst, offset, c.iounit)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        if c.aux.is_none() {
            return Err(error::EPERM.into());
        }
        let file = c.aux::<MntFile>()?;
        if src.is_empty() && file.session().dialect != Dialect::P9 {
            return Ok(0);
        }
        file.changes(up, c.qid);
        let written = file.write(src, offset, c.iounit);
        file.wrote();
        file.changes(up, c.qid);
        written
    }

    fn remove(&self, up: &Arc<Proc>, mut c: OwnChan) -> Result<()> {
        if c.aux.is_none() {
            return Err(error::EPERM.into());
        }
        own_fid(&mut c)?;
        let file = c.aux::<MntFile>()?;
        let removed = file.remove();
        file.changes(up, c.qid);
        removed
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        if c.aux.is_none() {
            return Err(error::EPERM.into());
        }
        let file = c.aux::<MntFile>()?;
        file.changes(up, c.qid);
        let changed = file.wstat(dir);
        file.changes(up, c.qid);
        changed
    }

    fn process_exited(&self, pid: u32) {
        self.sessions.each(|_, session| session.slots.release(u64::from(pid)));
        self.channels.forget_closed();
        self.sessions.forget_dead();
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        self.sessions.each(|devno, session| {
            for (what, n) in session.pools() {
                show(&alloc::format!("9p.{devno}.{what}"), n);
            }
        });
    }

    fn as_mount_driver(self: Arc<Self>) -> Option<Arc<dyn MountDriver>> {
        Some(Arc::new(Driver(self)))
    }
}

/// The root's fid is everybody's: whoever opens it or removes it does so on a copy.
fn own_fid(c: &mut Chan) -> Result<()> {
    let file = c.aux::<MntFile>()?;
    if file.is_shared() {
        let copy = Arc::new(file.copy()?);
        c.aux = Some(copy);
    }
    Ok(())
}
