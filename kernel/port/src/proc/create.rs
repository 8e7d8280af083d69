//! How a process is made: the first one, those of the kernel's own, and the child of an `rfork`.
//!
//! Ownership: see [`process`](crate::proc::process). Whoever makes a process puts it into `Kernel::procs`, if it is to
//! be found there, and starts its thread.
//!
//! Lock order: fields of the parent are copied one after the other; no two of their locks are held together.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use abi::Rfork;
use machine::clock;
use machine::ledger::{self, Account};
use machine::lock::Lock;
use machine::sync::Rendez;
use spin::Once;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::mem::Memory;
use crate::name::chan::Chan;
use crate::name::fgrp::Fgrp;
use crate::name::namespace::Pgrp;
use crate::pools::Counted;
use crate::proc::bill;
use crate::proc::ctl::{Ctl, CtlLock};
use crate::proc::egrp::Egrp;
use crate::proc::notes::Notes;
use crate::proc::process::{Children, Proc};
use crate::proc::rendezvous::Rgrp;
use crate::proc::watch::Watched;

/// What a new process has of somebody else, or is given. All other fields begin in the same way in every process.
struct Start {
    pid: u32,
    ppid: u32,
    parent: Weak<Proc>,
    slash: Arc<Chan>,
    dot: Arc<Chan>,
    pgrp: Arc<Pgrp>,
    fgrp: Arc<Fgrp>,
    egrp: Arc<Egrp>,
    rgrp: Arc<Rgrp>,
    noteid: u32,
    user: Arc<str>,
    name: String,
    text: Option<Arc<Chan>>,
    account: Option<Arc<Account>>,
    from_a_line: bool,
    mem: Arc<Memory>,
    /// Address of the note handler.
    handler: u64,
    procmode: u32,
    private: bool,
    noswap: bool,
    hang: bool,
}

/// Makes the first process: hostowner's, with a name space of `#/` alone, an environment of the command line.
///
/// # Errors
/// No memory, no `#/`.
pub fn first_process(kernel: &Arc<Kernel>) -> Result<Arc<Proc>> {
    let account = bill::first_account(kernel);
    let up = bill::pays(account.as_ref(), || {
        bare(kernel, kernel.new_pid(), "init", account.clone(), kernel.boot_env.copy()?)
    })?;
    ledger::as_kernel(|| kernel.procs.lock().insert(up.pid, up.clone()));
    Ok(up)
}

/// A process of the kernel's own, on whose behalf kernel threads use devices. It is not in `/proc`, and has
/// neither program nor thread.
///
/// # Errors
/// As [`first_process`].
pub(crate) fn kernel_process(kernel: &Arc<Kernel>, name: &str) -> Result<Arc<Proc>> {
    ledger::as_kernel(|| bare(kernel, 0, name, None, Egrp::new()))
}

fn bare(
    kernel: &Arc<Kernel>,
    pid: u32,
    name: &str,
    account: Option<Arc<Account>>,
    egrp: Arc<Egrp>,
) -> Result<Arc<Proc>> {
    let root = crate::name::namec::root(kernel)?;
    let user: Arc<str> = kernel.hostowner.lock().as_str().into();
    let start = Start {
        pid,
        ppid: 0,
        parent: Weak::new(),
        slash: root.clone(),
        dot: root,
        pgrp: Pgrp::new(),
        fgrp: Fgrp::new(),
        egrp,
        rgrp: Arc::new(Rgrp::default()),
        noteid: kernel.new_noteid(),
        user,
        name: String::from(name),
        text: None,
        account,
        from_a_line: false,
        mem: Memory::new()?,
        handler: 0,
        procmode: 0o640,
        private: false,
        noswap: false,
        hang: false,
    };
    Ok(new(kernel, start))
}

/// The child of `up` after an `rfork` with these flags, with its account, its memory `mem` and `up`'s own groups. It is
/// not started.
pub(crate) fn child(
    up: &Arc<Proc>,
    account: Option<Arc<Account>>,
    mem: Arc<Memory>,
    flags: Rfork,
) -> Arc<Proc> {
    let parent = if flags.contains(Rfork::NOWAIT) { Weak::new() } else { Arc::downgrade(up) };
    let rgrp = up.rgrp.lock().clone();
    let name = up.name.lock().clone();
    let text = up.text.lock().clone();
    let handler = up.notes.lock().handler;
    let hang = up.ctl.lock().hang;
    let start = Start {
        pid: up.kernel.new_pid(),
        ppid: up.pid,
        parent,
        slash: up.slash(),
        dot: up.dot(),
        pgrp: up.pgrp(),
        fgrp: up.fgrp(),
        egrp: up.egrp(),
        rgrp,
        noteid: up.noteid(),
        user: up.user(),
        name,
        text,
        account,
        from_a_line: up.from_a_line.load(Ordering::Relaxed),
        mem,
        handler,
        procmode: up.procmode.load(Ordering::Relaxed),
        private: up.private.load(Ordering::Relaxed),
        noswap: up.noswap.load(Ordering::Relaxed),
        hang,
    };
    new(&up.kernel, start)
}

fn new(kernel: &Arc<Kernel>, start: Start) -> Arc<Proc> {
    let proc = Arc::new(Proc {
        pid: start.pid,
        kernel: kernel.clone(),
        ppid: start.ppid,
        parent: Lock::new(start.parent),
        thread: Once::new(),
        slash: Lock::new(start.slash),
        dot: Lock::new(start.dot),
        pgrp: Lock::new(start.pgrp),
        fgrp: Lock::new(start.fgrp),
        egrp: Lock::new(start.egrp),
        rgrp: Lock::new(start.rgrp),
        noteid: AtomicU32::new(start.noteid),
        user: Lock::new(start.user),
        name: Lock::new(start.name),
        args: Lock::new(String::new()),
        text: Lock::new(start.text),
        errstr: Lock::new(String::new()),
        account: start.account,
        from_a_line: AtomicBool::new(start.from_a_line),
        mem: start.mem,
        notes: Lock::new(Notes::with_handler(start.handler)),
        procmode: AtomicU32::new(start.procmode),
        traced: Once::new(),
        edf: Lock::new(None),
        private: AtomicBool::new(start.private),
        noswap: AtomicBool::new(start.noswap),
        fpregs: Lock::new(None),
        frame: Once::new(),
        call_text: Lock::new(None),
        watched: Lock::new(Watched::default()),
        remains: Lock::new(None),
        syscall: AtomicU64::new(0),
        start_ns: clock::now_ns(),
        children: Lock::new(Children::default()),
        child_exited: Rendez::new(),
        alarm_ns: AtomicU64::new(0),
        ctl: CtlLock::new(Ctl { hang: start.hang, ..Ctl::default() }),
        ctl_changed: Rendez::new(),
        regs: Lock::new(None),
        exiting: AtomicBool::new(false),
        _counted: Counted::new(),
    });
    proc.mem.set_owner(&proc);
    proc
}
