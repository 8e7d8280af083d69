//! How processes come and go: the first one, rfork, exits, await.
//!
//! Ownership: see `proc`. A process ends in [`exit`]: it gives up its groups and memory, leaves its wait record
//! with its parent, and is taken out of `Kernel::procs`; only then does its thread return.
//!
//! Lock order: `Proc::children` of the parent is taken alone.

use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use abi::{Rfork, error};
use machine::clock;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::user::UserContext;
use spin::Once;

use crate::dev::env::Egrp;
use crate::error::{Result, clip};
use crate::kernel::Kernel;
use crate::mem::Memory;
use crate::name::fgrp::Fgrp;
use crate::name::namespace::Pgrp;
use crate::proc::alarm::set_alarm;
use crate::proc::notes::{self, Notes};
use crate::proc::process::{Children, Ctl, Proc};
use crate::proc::rendezvous::Rgrp;
use crate::proc::{broken, life};

/// What a child leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitMsg {
    /// Its pid.
    pub pid: u32,
    /// User and system time, its children's included, and real time in ms.
    pub times_ms: [u64; 3],
    /// Empty for success, else `NAME PID: STRING`.
    pub msg: String,
}

/// The process that all others come from.
const FIRST_PID: u32 = 1;
/// Wait records kept for a parent that does not ask.
const WAIT_MAX: usize = 128;
/// Live processes at once.
const PROC_MAX: usize = 4000;

impl WaitMsg {
    /// The record as `await` returns it.
    pub fn text(&self) -> String {
        let [user, sys, real] = self.times_ms;
        format!("{} {user} {sys} {real} {}", self.pid, abi::quote::quote(&self.msg))
    }
}

/// Makes the first process: hostowner's, with a name space of `#/` alone, an environment of the command line.
///
/// # Errors
/// No memory, no `#/`.
pub fn first_process(kernel: &Arc<Kernel>) -> Result<Arc<Proc>> {
    let up = bare(kernel, kernel.new_pid(), "init")?;
    kernel.procs.lock().insert(up.pid, up.clone());
    Ok(up)
}

/// A process of the kernel's own, on whose behalf kernel threads use devices. It is not in `/proc`, and has
/// neither program nor thread.
///
/// # Errors
/// As [`first_process`].
pub fn kernel_process(kernel: &Arc<Kernel>, name: &str) -> Result<Arc<Proc>> {
    bare(kernel, 0, name)
}

fn bare(kernel: &Arc<Kernel>, pid: u32, name: &str) -> Result<Arc<Proc>> {
    let user: Arc<str> = kernel.hostowner.lock().as_str().into();
    let root = crate::name::namec::root(kernel)?;
    let up = Arc::new(Proc {
        pid,
        kernel: kernel.clone(),
        ppid: 0,
        parent: Lock::new(Weak::new()),
        thread: Once::new(),
        slash: Lock::new(root.clone()),
        dot: Lock::new(root),
        pgrp: Lock::new(Pgrp::new()),
        fgrp: Lock::new(Fgrp::new()),
        egrp: Lock::new(Egrp::from_config(&kernel.config)),
        rgrp: Lock::new(Arc::new(Rgrp::default())),
        noteid: AtomicU32::new(kernel.new_id()),
        user: Lock::new(user),
        name: Lock::new(String::from(name)),
        args: Lock::new(String::new()),
        text: Lock::new(None),
        errstr: Lock::new(String::new()),
        mem: Memory::new()?,
        notes: Lock::new(Notes::default()),
        procmode: AtomicU32::new(0o640),
        private: AtomicBool::new(false),
        fpregs: Lock::new(None),
        remains: Lock::new(None),
        syscall: AtomicU64::new(0),
        start_ns: clock::now_ns(),
        children: Lock::new(Children::default()),
        child_exited: Rendez::new(),
        alarm_ns: AtomicU64::new(0),
        ctl: Lock::new(Ctl::default()),
        ctl_changed: Rendez::new(),
        regs: Lock::new(None),
        exiting: AtomicBool::new(false),
    });
    up.mem.set_owner(&up);
    Ok(up)
}

/// `rfork`. In the parent: the child's pid, or 0 when no process was asked for.
///
/// # Errors
/// `bad arg in system call` for contradicting flags, `no procs`, no memory.
pub fn rfork(up: &Arc<Proc>, ctx: &mut UserContext, flags: u32) -> Result<u32> {
    let flags = Rfork::from_bits(flags).ok_or(error::EBADARG)?;
    for pair in [Rfork::FDG | Rfork::CFDG, Rfork::NAMEG | Rfork::CNAMEG, Rfork::ENVG | Rfork::CENVG] {
        if flags.contains(pair) {
            return Err(error::EBADARG.into());
        }
    }
    if !flags.contains(Rfork::PROC) {
        if flags.intersects(Rfork::MEM | Rfork::NOWAIT) {
            return Err(error::EBADARG.into());
        }
        regroup(up, up, flags)?;
        return Ok(0);
    }
    if up.kernel.procs.lock().len() >= PROC_MAX {
        return Err(error::ENOPROC.into());
    }
    let mem = up.mem.fork(up, flags.contains(Rfork::MEM))?;
    let child = Arc::new(child_of(up, mem, flags));
    child.mem.set_owner(&child);
    regroup(up, &child, flags)?;
    let mut child_ctx = UserContext::new();
    child_ctx.regs = ctx.regs;
    child_ctx.regs.ax = 0;
    child_ctx.fpu_load(&ctx.fpu_save());
    write_tos_pid(&child);
    if !flags.contains(Rfork::NOWAIT) {
        up.children.lock().live += 1;
    }
    up.kernel.procs.lock().insert(child.pid, child.clone());
    if !flags.contains(Rfork::NOTEG) {
        notes::pass_on(up, &child);
    }
    let begun = life::start(&child, move |_, ctx| {
        *ctx = child_ctx;
        Ok(())
    });
    if let Err(e) = begun {
        up.kernel.procs.lock().remove(&child.pid);
        if !flags.contains(Rfork::NOWAIT) {
            up.children.lock().live -= 1;
        }
        child.mem.clear();
        return Err(e);
    }
    Ok(child.pid)
}

fn child_of(up: &Arc<Proc>, mem: Arc<Memory>, flags: Rfork) -> Proc {
    let parent = if flags.contains(Rfork::NOWAIT) { Weak::new() } else { Arc::downgrade(up) };
    let handler = up.notes.lock().handler;
    Proc {
        pid: up.kernel.new_pid(),
        kernel: up.kernel.clone(),
        ppid: up.pid,
        parent: Lock::new(parent),
        thread: Once::new(),
        slash: Lock::new(up.slash()),
        dot: Lock::new(up.dot()),
        pgrp: Lock::new(up.pgrp()),
        fgrp: Lock::new(up.fgrp()),
        egrp: Lock::new(up.egrp()),
        rgrp: Lock::new(up.rgrp.lock().clone()),
        noteid: AtomicU32::new(up.noteid()),
        user: Lock::new(up.user()),
        name: Lock::new(up.name.lock().clone()),
        args: Lock::new(String::new()),
        text: Lock::new(up.text.lock().clone()),
        errstr: Lock::new(String::new()),
        mem,
        notes: Lock::new(Notes::with_handler(handler)),
        procmode: AtomicU32::new(up.procmode.load(Ordering::Relaxed)),
        private: AtomicBool::new(up.private.load(Ordering::Relaxed)),
        fpregs: Lock::new(None),
        remains: Lock::new(None),
        syscall: AtomicU64::new(0),
        start_ns: clock::now_ns(),
        children: Lock::new(Children::default()),
        child_exited: Rendez::new(),
        alarm_ns: AtomicU64::new(0),
        ctl: Lock::new(Ctl { hang: up.ctl.lock().hang, ..Ctl::default() }),
        ctl_changed: Rendez::new(),
        regs: Lock::new(None),
        exiting: AtomicBool::new(false),
    }
}

/// Gives `to` (the child, or the caller itself) the groups that `flags` ask for, made from `up`'s.
fn regroup(up: &Arc<Proc>, to: &Arc<Proc>, flags: Rfork) -> Result<()> {
    // Replaced groups are dropped outside the locks: that closes files.
    if flags.contains(Rfork::FDG) {
        replace(&to.fgrp, Fgrp::copy(&up.fgrp()));
    } else if flags.contains(Rfork::CFDG) {
        replace(&to.fgrp, Fgrp::new());
    }
    if flags.contains(Rfork::NAMEG) {
        replace(&to.pgrp, Pgrp::copy(&up.pgrp()));
    } else if flags.contains(Rfork::CNAMEG) {
        replace(&to.pgrp, up.pgrp().emptied());
    }
    if flags.contains(Rfork::NOMNT) {
        to.pgrp().forbid_mounts();
    }
    if flags.contains(Rfork::ENVG) {
        replace(&to.egrp, Egrp::copy(&up.egrp()));
    } else if flags.contains(Rfork::CENVG) {
        replace(&to.egrp, Egrp::new());
    }
    if flags.contains(Rfork::REND) {
        replace(&to.rgrp, Arc::new(Rgrp::default()));
    }
    if flags.contains(Rfork::NOTEG) {
        to.noteid.store(up.kernel.new_id(), Ordering::Relaxed);
    }
    Ok(())
}

fn replace<T>(slot: &Lock<Arc<T>>, new: Arc<T>) {
    let old = core::mem::replace(&mut *slot.lock(), new);
    drop(old);
}

/// Puts the pid where programs look for it, at the top of their stack.
pub fn write_tos_pid(proc: &Arc<Proc>) {
    let at = abi::layout::TOS + abi::layout::TOS_PID;
    // A program that unmapped its stack's top has no pid there; that is its affair.
    let _ = proc.mem.copy_out(at, &proc.pid.to_le_bytes());
}

/// Ends the calling process. `status` is empty for success.
pub fn exit(up: &Arc<Proc>, status: &str) {
    leave(up, status, false);
}

/// Ends the calling process and [keeps](broken) what a debugger may want to see.
pub fn exit_broken(up: &Arc<Proc>, status: &str, ctx: &mut UserContext) {
    broken::prepare(up, ctx);
    leave(up, status, true);
}

fn leave(up: &Arc<Proc>, status: &str, keep: bool) {
    up.exiting.store(true, Ordering::Relaxed);
    up.ctl_changed.wakeup();
    set_alarm(up, 0);
    let msg = if status.is_empty() {
        String::new()
    } else {
        let text = format!("{} {}: {status}", *up.name.lock(), up.pid);
        String::from(clip(&text, abi::ERRMAX - 1))
    };
    // Everything that may close a file or sleep goes first, while the process still counts as one.
    replace(&up.fgrp, Fgrp::new());
    if !keep {
        let text = up.text.lock().take();
        drop(text);
        up.mem.clear();
    }
    replace(&up.egrp, Egrp::new());
    replace(&up.pgrp, Pgrp::new());
    let root = up.slash();
    replace(&up.dot, root);
    // Nothing is sent to a server from here on.
    for dev in up.kernel.devs() {
        dev.process_exited(up.pid);
    }
    if keep {
        broken::keep(up);
    } else {
        up.kernel.procs.lock().remove(&up.pid);
    }
    let parent = core::mem::take(&mut *up.parent.lock());
    if let Some(parent) = parent.upgrade() {
        let [user, sys, real] = times_ms(up);
        let [cuser, csys, _] = up.children.lock().times_ms;
        let record = WaitMsg { pid: up.pid, times_ms: [user + cuser, sys + csys, real], msg };
        let mut children = parent.children.lock();
        for (sum, ms) in children.times_ms.iter_mut().zip(record.times_ms) {
            *sum += ms;
        }
        children.live = children.live.saturating_sub(1);
        if children.waiting.len() < WAIT_MAX {
            children.waiting.push(record);
        }
        drop(children);
        parent.child_exited.wakeup();
    }
    if up.pid == FIRST_PID
        && let Some(then) = up.kernel.first_ended.get()
    {
        then(status);
    }
}

/// User, system and real time of a process in ms.
pub fn times_ms(proc: &Proc) -> [u64; 3] {
    let t = proc.thread.get().map(|t| t.times()).unwrap_or_default();
    let real = clock::now_ns().saturating_sub(proc.start_ns);
    [t.user_ns / 1_000_000, t.sys_ns / 1_000_000, real / 1_000_000]
}

/// `await`: the record of a child that has exited, as soon as there is one.
///
/// # Errors
/// `no living children`, `interrupted`.
pub fn await_child(up: &Arc<Proc>) -> Result<WaitMsg> {
    loop {
        {
            let mut children = up.children.lock();
            if let Some(record) = children.waiting.pop() {
                return Ok(record);
            }
            if children.live == 0 {
                return Err(error::ENOCHILD.into());
            }
        }
        up.child_exited.sleep_intr(|| {
            let children = up.children.lock();
            !children.waiting.is_empty() || children.live == 0
        })?;
    }
}
