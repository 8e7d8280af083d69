//! `Proc`: a process. It is a `machine` thread with Plan 9's life around it.
//!
//! Ownership: `Kernel::procs` holds one reference until the process has exited and nobody needs its `/proc`
//! directory; its thread holds another while it runs. Groups (`Pgrp` name space, `Fgrp` descriptors, `Egrp`
//! environment, `Rgrp` rendezvous) are shared by counted references; each field's `Lock` guards only the
//! reference. A parent owns its children's wait records; a child knows its parent weakly.
//!
//! Lock order: `regs` and `fpregs` may be held while `ctl` is looked at, `notes` while the thread is told of an
//! interrupt, and `name` while a line with it is printed. No other two locks of this structure are held together.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Bound;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use machine::ledger::Account;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread::ThreadRef;
use machine::types::FpuState;
use machine::user::Regs;
use spin::Once;

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::mem::Memory;
use crate::name::chan::Chan;
use crate::name::fgrp::Fgrp;
use crate::name::namespace::Pgrp;
use crate::pools::{Counted, PROCESSES};
use crate::proc::broken::Remains;
use crate::proc::ctl::CtlLock;
use crate::proc::egrp::Egrp;
use crate::proc::exit::WaitMsg;
use crate::proc::notes::Notes;
use crate::proc::rendezvous::Rgrp;
use crate::proc::trace::Traced;
use crate::proc::watch::Watched;

/// A process.
pub struct Proc {
    /// Its number.
    pub pid: u32,
    /// The kernel that it runs in.
    pub(crate) kernel: Arc<Kernel>,
    /// The pid of who forked it; 0 for the first.
    pub(crate) ppid: u32,
    /// Who gets its wait record: who forked it, unless that was with RFNOWAIT.
    pub parent: Lock<Weak<Proc>>,
    /// Its thread, once started.
    pub thread: Once<ThreadRef>,
    /// Root of absolute names.
    pub(crate) slash: Lock<Arc<Chan>>,
    /// Start of relative names.
    pub dot: Lock<Arc<Chan>>,
    /// Name space.
    pub pgrp: Lock<Arc<Pgrp>>,
    /// Descriptors. The group's own lock may be taken under this one.
    pub fgrp: Lock<Arc<Fgrp>>,
    /// Environment.
    pub egrp: Lock<Arc<Egrp>>,
    /// Rendezvous tags.
    pub(crate) rgrp: Lock<Arc<Rgrp>>,
    /// Note group.
    pub noteid: AtomicU32,
    /// Owner.
    pub user: Lock<Arc<str>>,
    /// Last element of the program's name.
    pub(crate) name: Lock<String>,
    /// What `/proc/n/args` shows: the arguments, or what was written there.
    pub(crate) args: Lock<String>,
    /// The program's file, which `/proc/n/text` is.
    pub(crate) text: Lock<Option<Arc<Chan>>>,
    /// Text of the last failed call.
    pub errstr: Lock<String>,
    /// Who pays for what it uses. None: the kernel.
    pub(crate) account: Option<Arc<Account>>,
    /// It has read a line of the console, or one had that it comes from.
    pub(crate) from_a_line: AtomicBool,
    /// Segments and page tables.
    pub mem: Arc<Memory>,
    /// Notes: queue, handler, the note being handled.
    pub notes: Lock<Notes>,
    /// Permissions of the files in `/proc/n` that have any.
    pub(crate) procmode: AtomicU32,
    /// The system call it is in, plus one; 0 in user mode.
    pub(crate) syscall: AtomicU64,
    /// When it started, `clock::now_ns`.
    pub start_ns: u64,
    /// Children: wait records and how many live.
    pub children: Lock<Children>,
    /// Signalled when a wait record arrives.
    pub(crate) child_exited: Rendez,
    /// When its alarm goes off, `clock::now_ns`; 0 when none is set.
    pub(crate) alarm_ns: AtomicU64,
    /// Stopped, broken, told to die: what `/proc/n/ctl` did to it.
    pub(crate) ctl: CtlLock,
    /// Signalled when `ctl` changes.
    pub(crate) ctl_changed: Rendez,
    /// Its registers, once it has any, for `/proc/n/regs`.
    pub(crate) frame: Once<Regs>,
    /// What they were when it stopped, or somebody wanted to see them while it computed.
    pub(crate) regs: Lock<Option<abi::ureg::Ureg>>,
    /// Floating point registers while it is stopped or Broken, for `/proc/n/fpregs`.
    pub(crate) fpregs: Lock<Option<Box<FpuState>>>,
    /// The system call at which it was last stopped, or its result: `/proc/n/syscall`.
    pub(crate) call_text: Lock<Option<Arc<String>>>,
    /// What of its memory is watched: `/proc/n/watchpt`.
    pub(crate) watched: Lock<Watched>,
    /// What it does is told in `/proc/trace`, or was.
    pub(crate) traced: Once<Arc<Traced>>,
    /// What it says of its time.
    pub(crate) edf: Lock<Option<crate::proc::edf::Edf>>,
    /// Nobody may look at its memory and registers: `private` in `/proc/n/ctl`.
    pub(crate) private: AtomicBool,
    /// If it is the owner's it does not go for others' memory: `noswap` in `/proc/n/ctl`.
    pub(crate) noswap: AtomicBool,
    /// What a Broken process had.
    pub(crate) remains: Lock<Option<Remains>>,
    /// Has left user mode for good.
    pub(crate) exiting: AtomicBool,
    pub(super) _counted: Counted<PROCESSES>,
}

/// What a parent knows of its children.
#[derive(Default)]
pub struct Children {
    /// Records not yet awaited, in the order in which they came. `await` gives the last one first, as Plan 9's does.
    pub(crate) waiting: Vec<WaitMsg>,
    /// Children that run and will leave a record.
    pub live: u32,
    /// Times of all children that have exited, in ms: user, system, real.
    pub times_ms: [u64; 3],
}

/// The processes of a kernel, one after the other: there may be any number, so no list is made.
pub(crate) fn each(kernel: &Kernel) -> impl Iterator<Item = Arc<Proc>> {
    let mut last = 0;
    core::iter::from_fn(move || {
        let above = (Bound::Excluded(last), Bound::Unbounded);
        let next = kernel.procs.lock().range(above).next().map(|(_, p)| p.clone());
        last = next.as_ref().map_or(last, |p| p.pid);
        next
    })
}

impl Proc {
    /// The name space.
    pub fn pgrp(&self) -> Arc<Pgrp> {
        self.pgrp.lock().clone()
    }

    /// The descriptors.
    pub fn fgrp(&self) -> Arc<Fgrp> {
        self.fgrp.lock().clone()
    }

    /// The channel behind a descriptor.
    ///
    /// # Errors
    /// `fd out of range or not open`.
    #[inline]
    pub(crate) fn fd(&self, fd: i32) -> Result<Arc<Chan>> {
        let fgrp = self.fgrp.lock();
        fgrp.get_under(fd, &fgrp)
    }

    /// The environment.
    pub fn egrp(&self) -> Arc<Egrp> {
        self.egrp.lock().clone()
    }

    /// Where relative names start.
    pub fn dot(&self) -> Arc<Chan> {
        self.dot.lock().clone()
    }

    /// Where absolute names start.
    pub(crate) fn slash(&self) -> Arc<Chan> {
        self.slash.lock().clone()
    }

    /// The owner's name.
    pub fn user(&self) -> Arc<str> {
        self.user.lock().clone()
    }

    /// Is it the machine's owner?
    pub fn is_hostowner(&self) -> bool {
        let user = self.user();
        *user == **self.kernel.hostowner.lock()
    }

    /// Checks permission as simple devices do: `mode` has rwx bits for owner, group and others; `access` is a
    /// combination of `AREAD`, `AWRITE`, `AEXEC`. The group is taken to be the machine owner's.
    ///
    /// # Errors
    /// `permission denied`.
    pub(crate) fn check_perm(&self, owner: &str, mode: u32, access: u32) -> Result<()> {
        let user = self.user();
        let bits = if *user == *owner {
            mode >> 6
        } else if self.is_hostowner() {
            mode >> 3
        } else {
            mode
        };
        if bits & access == access { Ok(()) } else { Err(Error::new(abi::error::EPERM)) }
    }

    /// The call in progress may go on: no note waits.
    pub(crate) fn check_interrupt(&self) -> Result<()> {
        match self.thread.get() {
            Some(t) if t.interrupted() => Err(Error::new(abi::error::EINTR)),
            _ => Ok(()),
        }
    }

    /// Between two pieces of something long: whoever waits for the processor has it for a while, and a note that waits
    /// ends it here. No lock may be held.
    ///
    /// # Errors
    /// `interrupted`.
    pub(crate) fn pause(&self) -> Result<()> {
        self.let_others();
        self.check_interrupt()
    }

    /// Whoever waits for the processor has it for a while. No lock may be held.
    pub(crate) fn let_others(&self) {
        if machine::thread::need_resched() {
            machine::thread::yield_now();
        }
    }

    /// As [`Proc::pause`], when `done` bytes have been moved: a note ends the transfer, and what was moved counts.
    pub(crate) fn may_go_on(&self, done: usize) -> bool {
        done == 0 || self.pause().is_ok()
    }

    /// Note group.
    pub fn noteid(&self) -> u32 {
        self.noteid.load(Ordering::Relaxed)
    }

    /// The name of the system call that it is in, for `/proc/n/status`.
    pub(crate) fn current_call(&self) -> Option<&'static str> {
        self.syscall.load(Ordering::Relaxed).checked_sub(1).and_then(abi::syscall::name)
    }
}
