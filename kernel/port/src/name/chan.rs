//! `Chan`: a handle on a file of a device, open or not.
//!
//! Ownership: whoever walks owns an [`OwnChan`]; opening it gives an `Arc<Chan>`, which descriptors, mounts
//! and segments share. The last owner's drop calls the device's [`Dev::close`], which may talk to a server
//! and therefore sleep: **never drop a `Chan` while holding a `Lock`**. What it alone has held goes with it, in a
//! [loop](super::leftovers). A `Chan` does not change but for its offset, and its directory position under a lock.
//!
//! Lock order: `dir` before `seen`; none is held while another `Chan`'s is taken.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use abi::Qid;
use machine::lock::Lock;
use machine::sole::Sole;
use machine::sync::QLock;
use spin::Once;

use crate::dev::Dev;
use crate::error::Result;
use crate::name::leftovers::Leftovers;
use crate::name::mhead::Mhead;
use crate::name::path::Path;
use crate::pools::{CHANS, Counted};
use crate::proc::process::Proc;

/// A device's own state of a `Chan`, typed inside the device.
pub(crate) type Aux = Option<Arc<dyn Any + Send + Sync>>;

/// What a name is walked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Anything.
    Any,
    /// To be told what the file at its end is, and for nothing else.
    Look,
}

/// A `Chan` that is its walker's alone. It is where it will be when it is shared.
pub type OwnChan = Sole<Chan>;

/// A handle on a file. See the module comment for who owns it.
pub struct Chan {
    /// The device that serves it.
    pub(crate) dev: Arc<dyn Dev>,
    /// Instance of the device: which mount, which pipe.
    pub(crate) devno: u32,
    /// The file.
    pub qid: Qid,
    /// How it is open (`OREAD`, `OWRITE`, `ORDWR`, `OEXEC` and flags); `None` before `open`.
    pub mode: Option<u32>,
    /// The name by which it was reached, with the mounts crossed on the way.
    pub path: Path,
    /// The device's own.
    pub(crate) aux: Aux,
    /// Most bytes the server moves in one piece without cutting; 0 when it does not matter.
    pub(crate) iounit: u32,
    /// Set when this directory was reached through a mount point: its union. Only directories have it: a file that
    /// held what it is mounted on could be the server that is mounted there, and never be closed.
    pub(crate) umh: Option<Arc<Mhead>>,
    /// It was reached through a mount point.
    pub(crate) mounted: bool,
    /// The kernel has, or has had, a 9P session on it: what else is read or written there would get in between.
    pub(crate) has_session: AtomicBool,
    /// Whether its device says that it is a stream: what it says of an open channel stays so, and is asked once.
    stream: AtomicU8,
    /// Offset of the next read or write through a descriptor.
    pub(crate) offset: Offset,
    /// Position of a directory read, once there has been one.
    dir: Once<Box<QLock<DirPos>>>,
    /// How far a device has told of a directory that it has as a table.
    pub(crate) seen: Lock<Seen>,
    _counted: Counted<CHANS>,
}

/// In `Chan::stream`: nobody has asked yet. Else it is what was said, as a number.
const UNKNOWN: u8 = 2;

/// Where a descriptor's next read or write begins. It does not go beyond the last number there is.
#[derive(Default)]
pub(crate) struct Offset(AtomicU64);

impl Offset {
    /// Where that is.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves it there.
    #[inline]
    pub(crate) fn set(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }

    /// Moves it to where `to` says, from where it was; gives that. Nobody else moves it in between.
    ///
    /// # Errors
    /// What `to` says; it stays then.
    pub(crate) fn change(&self, to: impl Fn(u64) -> Result<u64>) -> Result<u64> {
        let mut at = self.get();
        loop {
            match self.0.compare_exchange_weak(at, to(at)?, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(at) => return Ok(at),
                Err(other) => at = other,
            }
        }
    }

    /// Moves it on by so many bytes; gives where it was.
    #[inline]
    pub(crate) fn advance(&self, by: u64) -> u64 {
        let mut at = self.get();
        while let Err(other) =
            self.0.compare_exchange_weak(at, at.saturating_add(by), Ordering::Relaxed, Ordering::Relaxed)
        {
            at = other;
        }
        at
    }

    /// Moves it back by so many bytes.
    pub(crate) fn retreat(&self, by: u64) {
        let mut at = self.get();
        while let Err(other) =
            self.0.compare_exchange_weak(at, at.saturating_sub(by), Ordering::Relaxed, Ordering::Relaxed)
        {
            at = other;
        }
    }
}

/// A place in a directory that is a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes of records up to here.
    pub(crate) offset: u64,
    /// The device's key of the last file told of; 0 at the beginning.
    pub(crate) after: u64,
}

/// Where a directory read stands.
#[derive(Default)]
pub(crate) struct DirPos {
    /// Which element of the union is being read.
    pub(crate) element: usize,
    /// The element's open channel while it is being read.
    pub(crate) open: Option<Arc<Chan>>,
    /// The offset that the element's server is to be asked for next.
    pub(crate) offset: u64,
    /// Whole records that were read and did not fit into the last buffer.
    pub(crate) unread: alloc::vec::Vec<u8>,
}

impl Chan {
    /// A new, unopened channel at the root of the tree of `dev` that `spec` chooses.
    ///
    /// # Errors
    /// What the device says: `bad attach specifier`.
    pub fn attach(up: &Arc<Proc>, dev: Arc<dyn Dev>, spec: &str) -> Result<OwnChan> {
        let root = dev.attach(up, spec)?;
        let path = Path::of_device(dev.letter(), spec);
        Ok(Sole::new(Chan::new(dev, root.devno, root.qid, path, root.aux)))
    }

    /// A new, unopened channel on a file of a device.
    pub(crate) fn new(dev: Arc<dyn Dev>, devno: u32, qid: Qid, path: Path, aux: Aux) -> Self {
        Chan {
            dev,
            devno,
            qid,
            mode: None,
            path,
            aux,
            iounit: 0,
            umh: None,
            mounted: false,
            has_session: AtomicBool::new(false),
            stream: AtomicU8::new(UNKNOWN),
            offset: Offset::default(),
            dir: Once::new(),
            seen: Lock::new(Seen::default()),
            _counted: Counted::new(),
        }
    }

    /// A new, unopened channel of the same device, for another file of it. The path is the caller's to advance.
    pub fn derive(&self, qid: Qid, aux: Aux) -> OwnChan {
        Sole::new(Chan::new(self.dev.clone(), self.devno, qid, self.path.clone(), aux))
    }

    /// The device's own state, when it is of type `T`.
    ///
    /// # Errors
    /// `i/o on hungup channel` when it is not: the channel belongs to another kind of device.
    pub(crate) fn aux<T: Any + Send + Sync>(&self) -> Result<&T> {
        match self.aux.as_ref().and_then(|a| a.downcast_ref::<T>()) {
            Some(t) => Ok(t),
            None => Err(abi::error::EHUNGUP.into()),
        }
    }

    /// Shared access to the device's own state.
    pub(crate) fn aux_arc<T: Any + Send + Sync>(&self) -> Result<Arc<T>> {
        match self.aux.clone().and_then(|a| a.downcast::<T>().ok()) {
            Some(t) => Ok(t),
            None => Err(abi::error::EHUNGUP.into()),
        }
    }

    /// Makes `seek` no sense on it, which is open ([`Dev::is_stream`])?
    #[inline]
    pub(crate) fn is_stream(&self) -> bool {
        match self.stream.load(Ordering::Relaxed) {
            UNKNOWN => self.ask_for_stream(),
            known => known != 0,
        }
    }

    #[inline(never)]
    fn ask_for_stream(&self) -> bool {
        let is_stream = self.dev.is_stream(self);
        if self.mode.is_some() {
            self.stream.store(u8::from(is_stream), Ordering::Relaxed);
        }
        is_stream
    }

    /// Where a directory read stands.
    pub(crate) fn dir(&self) -> &QLock<DirPos> {
        self.dir.call_once(|| Box::new(QLock::new(DirPos::default())))
    }

    /// The same for its only owner; none when there has been no read.
    pub(super) fn dir_mut(&mut self) -> Option<&mut DirPos> {
        self.dir.get_mut().map(|dir| dir.get_mut())
    }

    /// Do both name the same file? (Version and position do not matter.)
    pub(crate) fn same_file(&self, other: &Chan) -> bool {
        self.key() == other.key()
    }

    /// What identifies the file: device letter, instance, qid path.
    pub(crate) fn key(&self) -> (char, u32, u64) {
        (self.dev.letter(), self.devno, self.qid.path)
    }
}

impl Drop for Chan {
    fn drop(&mut self) {
        let dev = self.dev.clone();
        dev.close(self);
        let mut rest = Leftovers::default();
        rest.take_from(self);
        rest.let_go();
    }
}
