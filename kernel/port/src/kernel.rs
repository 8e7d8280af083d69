//! `Kernel`: everything that exists once. One value, shared by reference; there are no statics in this crate,
//! so that tests run several kernels side by side.
//!
//! Lock order: `group_notes`, which sleeps, comes before `procs` and a process's notes; `procs` before a process's
//! `user`; `hostowner`, `sysname`, `first_told` and `zero` are leaves. No device is called under any of them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use machine::ledger;
use machine::lock::Lock;
use machine::page::Page;
use machine::sync::QLock;
use spin::Once;

use crate::dev::{Dev, MountDriver};
use crate::error::Result;
use crate::kmesg::Kmesg;
use crate::mem::ImageCache;
use crate::mem::contents::Contents;
use crate::mem::unpacked::Unpacked;
use crate::proc::egrp::Egrp;
use crate::proc::process::Proc;

/// See [`Kernel::first_ended`].
pub(crate) type FirstEnded = Box<dyn Fn(&str) + Send + Sync>;

/// What the kernel is made of.
pub struct Kernel {
    /// The devices, as the table in `pc64/config.rs` lists them.
    devs: Vec<Arc<dyn Dev>>,
    /// Every process that has not been reaped, by pid.
    pub procs: Lock<BTreeMap<u32, Arc<Proc>>>,
    /// Text and data of executables, shared by all who run them.
    pub images: ImageCache,
    /// Contents of files, of mounts that have them kept.
    pub(crate) contents: Contents,
    /// The root's compressed files.
    pub(crate) unpacked: Unpacked,
    /// Everything printed so far, and where the next line goes.
    pub kmesg: Arc<Kmesg>,
    /// The command line's `name=value` words, in order; a name may repeat.
    pub config: Vec<(String, String)>,
    /// The same as the environment of the first process begins, made once: a command line may be long.
    pub(crate) boot_env: Arc<Egrp>,
    /// Who owns the machine: the user of the first process and of all devices.
    pub(crate) hostowner: Lock<String>,
    /// `/dev/sysname`.
    pub(crate) sysname: Lock<String>,
    /// How many notes to groups there have been; held while one is posted. Nothing else is taken before it.
    pub(crate) group_notes: QLock<u64>,
    /// Alarms to go off.
    pub(crate) alarms: crate::proc::alarm::Alarms,
    /// What happens when the first process has ended, for this reason. Nothing, unless the machine says so.
    pub first_ended: Once<FirstEnded>,
    /// Who told the first process something that it may end of.
    pub(crate) first_told: Lock<Option<String>>,
    /// The power button, and the end in order that it asks for.
    pub ending: Arc<crate::proc::ending::Ending>,
    /// Processes kept for a debugger.
    pub(crate) broken: crate::proc::broken::Broken,
    /// What traced processes do.
    pub(crate) trace: Arc<crate::proc::trace::Trace>,
    /// Who goes when memory is out.
    pub(crate) starving: crate::proc::starve::Starving,
    /// Who pays for memory.
    pub(crate) users: crate::proc::bill::Users,
    zero: Lock<Option<Page>>,
    next_pid: AtomicU32,
    next_group: AtomicU32,
    next_id: AtomicU32,
}

/// The number of the first note group. Process ids are below it, so that nobody can have a stranger's group for its own
/// by being given that number.
const NOTE_GROUPS: u32 = 1 << 30;

/// Can this be the name of a user? One word, no longer than a name in a stat record of old.
pub(crate) fn is_user_name(name: &str) -> bool {
    !name.is_empty() && name.len() < abi::KNAMELEN && name.bytes().all(|b| b > b' ' && b != 0x7f && b != b'/')
}

impl Kernel {
    /// A kernel with these devices and command line words, of which `user` says who owns the machine.
    pub fn new(devs: Vec<Arc<dyn Dev>>, config: Vec<(String, String)>, kmesg: Arc<Kmesg>) -> Arc<Self> {
        let named = config.iter().rev().find(|(n, v)| n == "user" && is_user_name(v));
        let owner = named.map_or("glenda", |(_, v)| v.as_str());
        let hostowner = Lock::new(String::from(owner));
        Arc::new(Kernel {
            devs,
            procs: Lock::new(BTreeMap::new()),
            images: ImageCache::new(),
            contents: Contents::new(),
            unpacked: Unpacked::new(),
            kmesg,
            boot_env: Egrp::from_config(&config),
            config,
            hostowner,
            sysname: Lock::new(String::from("elwood")),
            group_notes: QLock::new(0),
            alarms: crate::proc::alarm::Alarms::new(),
            first_ended: Once::new(),
            first_told: Lock::new(None),
            ending: Arc::default(),
            broken: crate::proc::broken::Broken::default(),
            trace: Arc::default(),
            starving: crate::proc::starve::Starving::default(),
            users: crate::proc::bill::Users::new(),
            zero: Lock::new(None),
            next_pid: AtomicU32::new(1),
            next_group: AtomicU32::new(1),
            next_id: AtomicU32::new(2), // 0 and 1 are instances of the root and of #R
        })
    }

    /// The devices in table order.
    pub(crate) fn devs(&self) -> &[Arc<dyn Dev>] {
        &self.devs
    }

    /// The device with this letter.
    ///
    /// # Errors
    /// `unknown device in # filename`.
    pub(crate) fn dev(&self, letter: char) -> Result<Arc<dyn Dev>> {
        match self.devs.iter().find(|d| d.letter() == letter) {
            Some(d) => Ok(d.clone()),
            None => Err(abi::error::EBADSHARP.into()),
        }
    }

    /// The mount driver with this letter.
    ///
    /// # Errors
    /// `bad arg in system call` when there is none.
    pub(crate) fn mount_driver(&self, letter: char) -> Result<Arc<dyn MountDriver>> {
        let dev = self.dev(letter).map_err(|_| abi::error::EBADARG)?;
        dev.as_mount_driver().ok_or(abi::error::EBADARG.into())
    }

    /// The page of zeros that everybody shares until they write.
    ///
    /// # Errors
    /// `virtual memory allocation failed`, at the first use only.
    pub(crate) fn zero_page(&self) -> Result<Page> {
        if let Some(page) = &*self.zero.lock() {
            return Ok(page.clone());
        }
        let page = ledger::as_kernel(Page::new_zeroed).map_err(|_| abi::error::ENOVMEM)?;
        Ok(self.zero.lock().get_or_insert(page).clone())
    }

    /// The next process id, from 1. They rise, and are used again after 2^30 of them if nobody has them.
    pub(crate) fn new_pid(&self) -> u32 {
        loop {
            let next = self.next_pid.fetch_add(1, Ordering::Relaxed);
            let pid = next % NOTE_GROUPS;
            // A process may have begun a group that has its number, and others may be left in it.
            let taken = || self.procs.lock().values().any(|p| p.pid == pid || p.noteid() == pid);
            if pid != 0 && (next < NOTE_GROUPS || !taken()) {
                return pid;
            }
        }
    }

    /// The number of a new note group: 2^30 or more, which no process id is.
    pub(crate) fn new_noteid(&self) -> u32 {
        NOTE_GROUPS + self.next_group.fetch_add(1, Ordering::Relaxed) % NOTE_GROUPS
    }

    /// A number used once: instance of a mount or a pipe, id of a mount.
    pub(crate) fn new_id(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Every process that has not been reaped, by pid. One that begins or ends meanwhile is there or not: none is held
    /// back, and nothing is made for all of them.
    pub(crate) fn processes(&self) -> impl Iterator<Item = Arc<Proc>> {
        let mut from = 0;
        core::iter::from_fn(move || {
            let found = self.procs.lock().range(from..).next().map(|(_, p)| p.clone())?;
            from = found.pid.saturating_add(1);
            Some(found)
        })
    }

    /// Tells of the process with this pid, for a panic: what runs in it, and the system call that it is in. Waits for
    /// no lock.
    pub fn tell_of(&self, pid: u64, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "process {pid}")?;
        let Some(procs) = self.procs.try_lock() else { return Ok(()) };
        let Some(p) = u32::try_from(pid).ok().and_then(|pid| procs.get(&pid)) else { return Ok(()) };
        if let Some(name) = p.name.try_lock() {
            write!(out, " ({})", *name)?;
        }
        match p.current_call() {
            Some(call) => write!(out, ", in the system call {call}"),
            None => out.write_str(", in no system call"),
        }
    }

    /// The live process with this pid.
    ///
    /// # Errors
    /// `process exited`.
    pub(crate) fn proc(&self, pid: u32) -> Result<Arc<Proc>> {
        match self.procs.lock().get(&pid) {
            Some(p) => Ok(p.clone()),
            None => Err(abi::error::EPROCDIED.into()),
        }
    }
}
