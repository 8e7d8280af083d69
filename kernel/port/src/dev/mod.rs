//! `Dev`: what every device is to the kernel, with defaults for whatever a simple one does not do.
//!
//! A simple device is a directory table ([`Dev::list`], see [`dirtab`]) plus `read` and `write`. Devices are found
//! through the table in `pc64/config.rs`, held in `Kernel::devs`; they own their state, and a channel carries a typed
//! `aux` of theirs. Methods may sleep unless said otherwise.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::Deref;

use abi::{Dir, Qid, error};
use machine::page::Page;

use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Aim, Chan, OwnChan};
use crate::proc::process::Proc;

pub mod cap;
pub mod cons;
pub mod dirtab;
pub mod dup;
pub mod env;
pub mod ether;
pub mod hardware;
pub mod ip;
pub mod kprof;
pub mod mouse;
pub mod pci;
pub mod pipe;

pub mod proc;
pub mod ram;
pub mod root;
pub mod rtc;
pub mod sd;
pub mod shr;
pub mod srv;
pub mod tls;
pub mod uart;
pub mod virtcon;

use dirtab::{Entry, Put};

/// The root of a tree of a device.
pub struct Root {
    /// Instance of the device: which mount, which pipe.
    pub devno: u32,
    /// The root's identity.
    pub qid: Qid,
    /// The device's own, which is passed on from a directory to what is below it.
    pub aux: Option<Arc<dyn Any + Send + Sync>>,
}

impl Default for Root {
    fn default() -> Root {
        Root { devno: 0, qid: Qid::dir(0), aux: None }
    }
}

impl Root {
    /// The root of a device that has one tree, and knows no specifiers.
    ///
    /// # Errors
    /// `bad attach specifier` for any.
    pub fn of_only_tree(spec: &str) -> Result<Root> {
        if spec.is_empty() { Ok(Root::default()) } else { Err(error::EBADSPEC.into()) }
    }
}

/// Who is told what a file is.
pub type Teller<'a> = &'a mut dyn FnMut(&Dir<&[u8]>) -> Result<()>;

/// What a walk achieved: one qid per element that exists, and the new channel when all do. A device may also end it at
/// an element from which another device goes on: the channel is then that element's, and the walk goes on from it.
pub struct Walk {
    /// Qids of the elements walked, in order.
    pub qids: Qids,
    /// The file at the last of them; `None` when an element after the first was missing.
    pub chan: Option<OwnChan>,
    /// Why that is missing; `None` for what is said of the last one: that the next is not there, or that it is no
    /// directory.
    pub why: Option<Error>,
}

/// Qids of a walk. Few of them need no memory. They are moved from hand to hand: 64 bytes by eight moves, and more by a
/// `rep`, which QEMU's translator makes slow.
#[derive(Default)]
pub struct Qids {
    few: [Qid; FEW],
    len: usize,
    /// All of them, when there are more than `FEW`.
    #[expect(clippy::box_collection, reason = "a vector is longer")]
    many: Option<Box<Vec<Qid>>>,
}

/// Elements of most walks, at most.
const FEW: usize = 3;
const _: () = assert!(size_of::<Qids>() == 64);

impl Qids {
    /// None yet.
    pub(crate) fn new() -> Qids {
        Qids::default()
    }

    /// Adds one. There are at most as many as a walk has elements.
    pub(crate) fn push(&mut self, qid: Qid) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = qid,
            None => self.many.get_or_insert_with(|| Box::new(self.few.to_vec())).push(qid),
        }
        self.len += 1;
    }
}

impl Deref for Qids {
    type Target = [Qid];

    fn deref(&self) -> &[Qid] {
        match &self.many {
            None => self.few.get(..self.len).unwrap_or_default(),
            Some(many) => many,
        }
    }
}

impl From<Vec<Qid>> for Qids {
    fn from(many: Vec<Qid>) -> Qids {
        Qids { few: Default::default(), len: many.len(), many: Some(Box::new(many)) }
    }
}

/// A device. `up` is the process on whose behalf it works.
pub trait Dev: Send + Sync {
    /// The letter behind `#`.
    fn letter(&self) -> char;

    /// The name in `/dev/drivers`.
    fn name(&self) -> &'static str;

    /// A number for what is in a file, the same for files that share it: a program of many names is in memory once.
    fn contents(&self, c: &Chan) -> u64 {
        c.qid.path
    }

    /// The root of the tree that `spec` chooses (`#eNAME` gives `NAME`). Most devices have only one.
    ///
    /// # Errors
    /// `bad attach specifier`.
    fn attach(&self, _up: &Arc<Proc>, spec: &str) -> Result<Root> {
        Root::of_only_tree(spec)
    }

    /// The files in the directory `dir`, of a device whose files are a table; the root has qid path 0. `c` is any
    /// channel of the tree, for its `aux`. [`walk`](Dev::walk), [`stat`](Dev::stat) and [`open`](Dev::open) need
    /// nothing else; a device that has no such table has those three itself.
    ///
    /// # Errors
    /// When the directory has gone.
    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        Err(error::EPERM.into())
    }

    /// Hands over the files in the directory `dir` of the table that are behind the one with the key `after`, each with
    /// its key, until `put` says that no more are wanted. Keys rise and are not 0. A device whose files somebody else
    /// makes many has this and no list, which would take memory for all of them; one that finds a file faster than by
    /// going through them has [`lookup`](Dev::lookup) and [`entry`](Dev::entry), too.
    ///
    /// # Errors
    /// As [`list`](Dev::list).
    fn each(&self, up: &Arc<Proc>, c: &Chan, dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        let list = self.list(up, c, dir)?;
        let mut rest = (1..).zip(list).skip(usize::try_from(after).unwrap_or(usize::MAX));
        while rest.next().is_some_and(|(place, entry)| put(place, entry)) {}
        Ok(())
    }

    /// The file `name` in the directory `dir` of the table.
    ///
    /// # Errors
    /// As [`list`](Dev::list).
    fn lookup(&self, up: &Arc<Proc>, c: &Chan, dir: Qid, name: &str) -> Result<Option<Qid>> {
        let mut found = None;
        self.each(up, c, dir, 0, &mut |_, entry| {
            found = (entry.name == name).then_some(entry.qid);
            found.is_none()
        })?;
        Ok(found)
    }

    /// The directory of the table in which `file` (a file or a directory) is.
    fn parent(&self, _c: &Chan, _file: Qid) -> Qid {
        Qid::dir(0)
    }

    /// The root of the table itself.
    fn root_entry(&self) -> Entry {
        Entry::dir("", 0, 0o555)
    }

    /// What `c` is in the table.
    ///
    /// # Errors
    /// `file does not exist` when it has gone.
    fn entry(&self, up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        if c.qid.path == 0 {
            return Ok(self.root_entry());
        }
        let mut found = None;
        self.each(up, c, self.parent(c, c.qid), 0, &mut |_, entry| {
            found = (entry.qid.path == c.qid.path).then_some(entry);
            found.is_none()
        })?;
        found.ok_or(error::ENONEXIST.into())
    }

    /// Tells what is at the end of `names` (none of them `..`) from `c` on, and shows the file of each on the way,
    /// the last one included, to `pass`, which may want no more. False when it was not told: whoever asks walks then,
    /// and is told what is wrong. Nobody else is waited for; a lock may be held meanwhile, as in
    /// [`stat_to`](Dev::stat_to).
    fn glance(
        &self,
        _up: &Arc<Proc>,
        _c: &Chan,
        _names: &[&str],
        _pass: &mut dyn FnMut(Qid) -> bool,
        _tell: Teller<'_>,
    ) -> bool {
        false
    }

    /// Walks from `c`, which is not open (or is a directory), over `names` (at most 16; none clones `c`).
    /// `..` at the root stays there; `.` never comes.
    ///
    /// # Errors
    /// When the first element does not exist (`file does not exist`) or `c` is no directory.
    fn walk(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        dirtab::walk(self, up, c, names)
    }

    /// Walks when it is known what for. Only a device that has to ask a server for each thing asks for two at once.
    ///
    /// # Errors
    /// As [`walk`](Dev::walk).
    fn walk_for(&self, up: &Arc<Proc>, c: &Chan, names: &[&str], _aim: Aim) -> Result<Walk> {
        self.walk(up, c, names)
    }

    /// What the file is. The kernel itself replaces the name by the last element used to get here.
    fn stat(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        dirtab::stat(self, up, c)
    }

    /// What a file is that has just been opened to be executed. A device that has to ask a server, and has been told as
    /// it opened the file, does not ask again.
    ///
    /// # Errors
    /// As [`stat`](Dev::stat).
    fn stat_opened(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        self.stat(up, c)
    }

    /// Is this directory a union in every name space? It is open with its `umh` then, if it has not been reached
    /// through another union.
    fn is_union(&self, _c: &Chan) -> bool {
        false
    }

    /// Is a server asked for whatever is read, so that few large reads are better than many small ones?
    fn asks(&self) -> bool {
        false
    }

    /// The page in which a file's bytes from `offset` on are, if it is in memory for good: whoever executes the file
    /// has it mapped, and nothing is read.
    fn page(&self, _c: &Chan, _offset: u64) -> Option<Page> {
        None
    }

    /// Tells what the file is, in strings that the device need not copy for that. It may hold a lock of its own
    /// meanwhile, under which `tell` waits for nothing.
    ///
    /// # Errors
    /// As [`stat`](Dev::stat), and what `tell` says.
    fn stat_to(&self, up: &Arc<Proc>, c: &Chan, tell: Teller<'_>) -> Result<()> {
        let dir = self.stat(up, c)?;
        tell(&dir.with_strings(dir.strings().map(|s| s.as_bytes())))
    }

    /// Opens `c` (mode bits OREAD..OEXEC, OTRUNC, OCEXEC, ORCLOSE) after checking permission.
    /// May give another channel in its place (`#d`, `#s`).
    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        dirtab::open(self, up, c, mode).map(OwnChan::share)
    }

    /// Is it sure that [`create`](Dev::create) in this directory fails when the name exists, so that nobody has to
    /// look?
    fn creates_exclusively(&self, _c: &Chan) -> bool {
        false
    }

    /// Creates `name` in the directory `c` and opens it. Fails when it exists.
    fn create(&self, _up: &Arc<Proc>, _c: OwnChan, _name: &str, _mode: u32, _perm: u32) -> Result<Arc<Chan>> {
        Err(error::EPERM.into())
    }

    /// The last use of `c` is over. Called from `Drop`, open or not, on whatever thread; must not fail.
    fn close(&self, _c: &mut Chan) {}

    /// Reads at `offset` (for a directory: whole stat records).
    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize>;

    /// Writes at `offset`.
    fn write(&self, _up: &Arc<Proc>, _c: &Chan, _src: &Src<'_>, _offset: u64) -> Result<usize> {
        Err(error::EPERM.into())
    }

    /// Removes the file.
    fn remove(&self, _up: &Arc<Proc>, _c: OwnChan) -> Result<()> {
        Err(error::EPERM.into())
    }

    /// Changes what `dir` does not leave [untouched](Dir::untouched).
    fn wstat(&self, _up: &Arc<Proc>, _c: &Chan, _dir: &Dir) -> Result<()> {
        Err(error::EPERM.into())
    }

    /// `seek` makes no sense on it (pipes and other streams).
    fn is_stream(&self, _c: &Chan) -> bool {
        false
    }

    /// The name under which `c` is posted, as `/srv/x`. Only `#s` knows any.
    fn posted_name(&self, _c: &Chan) -> Option<alloc::string::String> {
        None
    }

    /// The process with this pid has exited: whatever the device keeps for it can go.
    fn process_exited(&self, _pid: u32) {}

    /// Tells of everything that the device keeps, by name and number, for `/dev/pools`.
    fn pools(&self, _show: &mut dyn FnMut(&str, u64)) {}

    /// The machine is to be switched off: what was written is to be where it stays. Gives up when it has to `leave`, or
    /// when it fails, and tells of that.
    fn finish(&self, _kernel: &crate::kernel::Kernel, _leave: &dyn Fn() -> bool) {}

    /// A mount driver: `Some` of the trait by which `mount` reaches it.
    fn as_mount_driver(self: Arc<Self>) -> Option<Arc<dyn MountDriver>> {
        None
    }
}

/// A device that can attach to a 9P server behind a channel: `#M`, `#9`.
pub trait MountDriver: Send + Sync {
    /// Attaches to the tree `spec` of the server behind `server` (for `#9`: of the virtio device whose tag
    /// `spec` names, whatever `server` is) and gives its root, ready to be mounted. `keeps` says that contents of
    /// its files may be kept.
    ///
    /// # Errors
    /// What the server says; `bad attach specifier` for an unknown tag.
    fn attach_server(
        &self,
        up: &Arc<Proc>,
        server: Arc<Chan>,
        auth: Option<Arc<Chan>>,
        spec: &str,
        keeps: bool,
    ) -> Result<OwnChan>;

    /// `fversion`: agrees on version and message size with the server behind `server`.
    fn version(
        &self,
        up: &Arc<Proc>,
        server: &Arc<Chan>,
        msize: u32,
        version: &str,
    ) -> Result<alloc::string::String>;

    /// `fauth`: a channel for the authentication conversation.
    fn auth(&self, _up: &Arc<Proc>, _server: Arc<Chan>, _aname: &str) -> Result<Arc<Chan>> {
        Err(error::EPERM.into())
    }
}
