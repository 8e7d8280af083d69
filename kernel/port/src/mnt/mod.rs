//! The mount driver: 9P servers as part of the name space. One client engine with two faces.
//!
//! * `#M` speaks 9P2000 over any channel ([`channels`], [`chan_transport`]).
//! * `#9`, the phantom mount device, speaks 9P2000.u or 9P2000.L ([`dotl`]) to QEMU's virtio-9p devices, which are
//!   found by their mount tags ([`tags`]), and to servers behind channels as well. Programs see plain 9P2000 semantics
//!   all the same: `ninep::translate` is the table of how.
//!
//! A 9P server is a message transport here, not a byte stream: [`rpc`] gives a transport one T-message with the buffers
//! its reply goes to, [`wait`] how it waits, and [`abandoned`] what becomes of requests that nobody can wait for any
//! more. A [`slot`] is what a message is sent with, [`slots`] the PID cache, [`session`] what was agreed on, [`fid`] a
//! file at the server, [`trail`] its names, [`kept`] what the server does not know of it. [`file`] is a file of a
//! mount, [`links`] the way to it, [`stat`] what it is like, [`rename`] the giving of another name, [`io`] and
//! [`dirread`] are its contents, with [`passes`] where the host changes a directory meanwhile.
//!
//! Ownership: a channel's `aux` is an [`MntFile`], which holds its fids, which hold the session. Nothing else does: the
//! device knows its sessions weakly. So the last file closed, mounted roots among them, ends the session.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;

use ::io::message::Transport;
use abi::{Dir, Qid, error};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use ninep::translate::ids::Ids;
use ninep::translate::version::DEFAULT_MSIZE;
use ninep::{Dialect, NOFID, Rmsg, Tmsg};

use crate::dev::pipe::ATOMIC;
use crate::dev::{Dev, MountDriver, Root, Walk};
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::name::path::Path;
use crate::proc::process::Proc;

mod abandoned;
pub(crate) mod chan_transport;
pub(crate) mod channels;
pub(crate) mod dirread;
pub(crate) mod dotl;
pub(crate) mod fid;
pub(crate) mod file;
pub(crate) mod io;
mod kept;
pub(crate) mod links;
mod passes;
mod rename;
pub(crate) mod rpc;
pub(crate) mod session;
pub(crate) mod shared;
mod slot;
pub(crate) mod slots;
mod stat;
pub(crate) mod tags;
mod trail;
mod wait;

use channels::Channels;
use fid::Fid;
use file::MntFile;
use session::Session;
use shared::Wanted;
use tags::Tags;

pub use session::Patience;

/// A mount driver: `#M` or `#9`.
pub struct MntDev {
    /// The devices, if this is `#9`.
    tags: Option<Tags>,
    /// Both have the same.
    channels: Arc<Channels>,
    /// Everything that lives, to tell it of processes that exit.
    sessions: Lock<Living>,
}

/// Sessions, in the order in which they were remembered.
#[derive(Default)]
struct Living {
    list: Vec<Remembered>,
    next: u64,
}

struct Remembered {
    /// Rises along the list.
    order: u64,
    /// The number of the mounts.
    devno: u32,
    session: Weak<Session>,
}

impl MntDev {
    /// `#M`.
    pub fn channels() -> Arc<Self> {
        Arc::new(MntDev { tags: None, channels: Arc::new(Channels::new()), sessions: Lock::default() })
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
            sessions: Lock::default(),
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

    fn remember(&self, devno: u32, session: &Arc<Session>) -> Result<()> {
        let mut living = self.sessions.lock();
        let living = &mut *living;
        living.list.retain(|s| s.session.strong_count() > 0);
        if living.list.iter().any(|s| s.session.as_ptr() == Arc::as_ptr(session)) {
            return Ok(());
        }
        let new = Remembered { order: living.next, devno, session: Arc::downgrade(session) };
        as_kernel(|| heap::try_push(&mut living.list, new))?;
        living.next += 1;
        Ok(())
    }

    /// Does something with each session that lives, and the number of its mounts. There may be any number, so no list
    /// is made.
    fn each_living(&self, mut f: impl FnMut(u32, &Arc<Session>)) {
        let mut from = 0;
        loop {
            let next = {
                let living = self.sessions.lock();
                let at = living.list.partition_point(|s| s.order < from);
                let rest = living.list.get(at..).unwrap_or(&[]);
                rest.iter().find_map(|s| Some((s.order, s.devno, s.session.upgrade()?)))
            };
            let Some((order, devno, session)) = next else { return };
            f(devno, &session);
            from = order + 1;
        }
    }

    /// The session on a channel.
    fn channel_session(
        &self,
        up: &Arc<Proc>,
        server: &Arc<Chan>,
        wanted: Wanted,
        msize: u32,
    ) -> Result<(Arc<Session>, u32)> {
        let dialect = wanted.dialect.unwrap_or(Dialect::U);
        let msize = wanted.msize.unwrap_or(msize);
        let (session, devno) = self.channels.session(up, server, wanted, (dialect, msize))?;
        self.remember(devno, &session)?;
        Ok((session, devno))
    }

    /// What `#9`'s spec leads to: the session, its device number and the tree that is wanted.
    fn phantom_session<'a>(
        &self,
        tags: &Tags,
        up: &Arc<Proc>,
        server: &Arc<Chan>,
        spec: &'a str,
    ) -> Result<(Arc<Session>, u32, &'a str)> {
        if let Some((tag, wanted)) = tags.find(spec)? {
            let (session, devno) = tags.session(&up.kernel, tag, wanted)?;
            self.remember(devno, &session)?;
            return Ok((session, devno, ""));
        }
        let (aname, wanted) = Wanted::parse(spec)?;
        // Nothing of the console device leads to a server: /dev/null says that a tag is meant.
        if server.dev.letter() == 'c' {
            return Err(Error::new(error::EBADSPEC).with_name(aname));
        }
        let (session, devno) = self.channel_session(up, server, wanted, DEFAULT_MSIZE)?;
        Ok((session, devno, aname))
    }

    fn root(self: Arc<Self>, session: &Arc<Session>, devno: u32, attached: (Fid, Qid)) -> Chan {
        let (fid, qid) = attached;
        debug_assert!(Arc::ptr_eq(session, &fid.session));
        let path = Path::of_device(self.letter(), "");
        Chan::new(self, devno, qid, path, Some(Arc::new(MntFile::root(fid, qid))))
    }
}

/// The size of `#M`'s messages to begin with on a channel. Who reads them from a pipe may take a read for a message,
/// and have room for what a pipe keeps together.
fn usual_msize(server: &Chan) -> u32 {
    if server.dev.letter() == '|' { DEFAULT_MSIZE.min(ATOMIC as u32) } else { DEFAULT_MSIZE }
}

/// The kernel knows no names for the numbers of the host's users and groups, so their files show the numbers.
const NO_NAMES: Ids = Ids::new();

/// What `#M` wants of a session.
const PLAN9: Wanted = Wanted { dialect: Some(Dialect::P9), msize: None };

/// `MountDriver` hands out channels of the device, so it needs the device's own reference.
struct Driver(Arc<MntDev>);

impl MountDriver for Driver {
    fn attach_server(
        &self,
        up: &Arc<Proc>,
        server: Arc<Chan>,
        auth: Option<Arc<Chan>>,
        spec: &str,
    ) -> Result<Chan> {
        let dev = &self.0;
        let (session, devno, aname) = match &dev.tags {
            Some(tags) => dev.phantom_session(tags, up, &server, spec)?,
            None => {
                let (session, devno) = dev.channel_session(up, &server, PLAN9, usual_msize(&server))?;
                (session, devno, spec)
            }
        };
        let afid = match &auth {
            Some(c) => c.aux::<MntFile>()?.fid.number,
            None => NOFID,
        };
        let attached = Fid::attach(&session, &up.user(), aname, afid)?;
        dev.channels.used(&server);
        Ok(dev.clone().root(&session, devno, attached))
    }

    fn version(&self, up: &Arc<Proc>, server: &Arc<Chan>, msize: u32, version: &str) -> Result<String> {
        if !version.is_empty() && !version.starts_with("9P2000") {
            return Err(error::EBADARG.into());
        }
        let msize = if msize == 0 { usual_msize(server) } else { msize };
        let (session, _) = self.0.channel_session(up, server, PLAN9, msize)?;
        self.0.channels.keep(server, &session);
        Ok(String::from(session.dialect.version()))
    }

    fn auth(&self, up: &Arc<Proc>, server: Arc<Chan>, aname: &str) -> Result<Arc<Chan>> {
        let (session, devno) = self.0.channel_session(up, &server, PLAN9, DEFAULT_MSIZE)?;
        // The mount that follows is of this session, also when the server asks for no proof, or the proof is over.
        self.0.channels.keep(&server, &session);
        let fid = Fid::reserve(&session)?;
        let user = up.user();
        let message = Tmsg::Auth {
            afid: fid.number,
            uname: (*user).into(),
            aname: aname.into(),
            n_uname: ninep::NONUM,
        };
        let qid = session.call(&message, |reply| match reply {
            Rmsg::Auth { aqid } => Ok(aqid),
            _ => Err(error::EMOUNTRPC.into()),
        })?;
        let mut chan = self.0.clone().root(&session, devno, (fid.born(), qid));
        chan.mode = Some(abi::ORDWR);
        chan.iounit = session.msize.saturating_sub(ninep::IOHDRSZ);
        Ok(Arc::new(chan))
    }
}

impl Dev for MntDev {
    fn letter(&self) -> char {
        if self.tags.is_some() { '9' } else { 'M' }
    }

    fn name(&self) -> &'static str {
        if self.tags.is_some() { "phantom" } else { "mnt" }
    }

    fn attach(&self, _up: &Arc<Proc>, _spec: &str) -> Result<Root> {
        Err(error::ENOATTACH.into())
    }

    fn walk(&self, _up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        let from = c.aux::<MntFile>()?;
        let (mut qids, file) = from.walk(c.qid, names)?;
        from.show(&mut qids);
        let qid = qids.last().copied().unwrap_or(c.qid);
        Ok(match file {
            Ok(file) => Walk { qids, chan: Some(c.derive(qid, Some(Arc::new(file)))), why: None },
            Err(why) => Walk { qids, chan: None, why: Some(why) },
        })
    }

    fn stat(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        let dir = c.aux::<MntFile>()?.stat()?.dir;
        Ok(Dir { kind: u16::from(b'M'), dev: c.devno, ..dir })
    }

    fn open(&self, _up: &Arc<Proc>, mut c: Chan, mode: u32) -> Result<Arc<Chan>> {
        own_fid(&mut c)?;
        let (qid, iounit) = c.aux::<MntFile>()?.open(c.qid, mode)?;
        c.qid = qid;
        c.iounit = iounit;
        c.mode = Some(mode);
        Ok(Arc::new(c))
    }

    fn create(&self, _up: &Arc<Proc>, mut c: Chan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        own_fid(&mut c)?;
        let (qid, iounit) = c.aux::<MntFile>()?.create(name, mode, perm)?;
        c.qid = qid;
        c.iounit = iounit;
        c.mode = Some(mode);
        Ok(Arc::new(c))
    }

    fn read(&self, _up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        let file = c.aux::<MntFile>()?;
        if c.qid.is_dir() {
            return file.read_dir(dst, offset, c.devno);
        }
        if dst.is_empty() {
            return Ok(0);
        }
        file.read(dst, offset, c.iounit)
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let file = c.aux::<MntFile>()?;
        if src.is_empty() && file.session().dialect != Dialect::P9 {
            return Ok(0);
        }
        let written = file.write(src, offset, c.iounit);
        file.wrote();
        written
    }

    fn remove(&self, _up: &Arc<Proc>, mut c: Chan) -> Result<()> {
        own_fid(&mut c)?;
        c.aux::<MntFile>()?.remove()
    }

    fn wstat(&self, _up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        c.aux::<MntFile>()?.wstat(dir)
    }

    fn process_exited(&self, pid: u32) {
        self.each_living(|_, session| session.slots.release(u64::from(pid)));
        self.channels.forget_closed();
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        self.each_living(|devno, session| {
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
