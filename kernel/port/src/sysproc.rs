//! The process system calls: rfork, exits, await, sleep, alarm, rendezvous, and the loop that a process lives in.
//!
//! Ownership: see `proc`. A process ends in [`exit`]: it gives up its groups and memory, leaves its wait record
//! with its parent, and is taken out of `Kernel::procs`; only then does its thread return.
//!
//! Lock order: `Proc::children` of the parent is taken alone; `Rgrp::waiting` and `Alarms::list` are leaves.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use abi::{Rfork, error};
use machine::clock;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;
use machine::user::{self, UserContext};
use spin::Once;

use crate::devices::env::Egrp;
use crate::error::{Result, clip};
use crate::fgrp::Fgrp;
use crate::kernel::Kernel;
use crate::mem::{FaultAccess, FaultError, Memory};
use crate::namespace::Pgrp;
use crate::note::{self, After, NoteClass, Notes};
use crate::proc::{Children, Ctl, Proc};
use crate::procctl;

/// What a child leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitMsg {
    /// Its pid.
    pub pid: u32,
    /// User, system, real time in ms.
    pub times_ms: [u64; 3],
    /// Empty for success, else `NAME PID: STRING`.
    pub msg: String,
}

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

/// Processes that meet by `rendezvous`.
#[derive(Default)]
pub struct Rgrp {
    waiting: Lock<BTreeMap<u64, Arc<Meeting>>>,
}

struct Meeting {
    first: u64,
    second: Lock<Option<u64>>,
    rendez: Rendez,
}

/// Alarms of all processes, kept by a kernel process that sleeps until the next is due.
pub struct Alarms {
    list: Lock<BTreeSet<(u64, u32)>>,
    changed: Arc<Rendez>,
    version: Arc<AtomicU64>,
    started: AtomicBool,
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
    let root = crate::namec::root(kernel)?;
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

/// Starts the thread of `up`, which calls `begin` and then lives in user mode.
///
/// # Errors
/// No memory for a kernel stack.
pub fn start(
    up: &Arc<Proc>,
    begin: impl FnOnce(&Arc<Proc>, &mut UserContext) -> Result<()> + Send + 'static,
) -> Result<()> {
    let proc = up.clone();
    // The thread may run before `spawn` returns, and asks for itself.
    let body = move || {
        proc.thread.call_once(thread::current);
        // What was posted before could interrupt nobody.
        note::interrupt_if_posted(&proc);
        let mut ctx = UserContext::new();
        match begin(&proc, &mut ctx) {
            Ok(()) => live(&proc, &mut ctx),
            Err(e) => exit(&proc, e.text()),
        }
    };
    let thread = thread::spawn(&up.name.lock(), u64::from(up.pid), Box::new(body))?;
    up.thread.call_once(|| thread);
    Ok(())
}

/// A process's life: user mode, and whatever made it leave user mode, until it exits.
fn live(up: &Arc<Proc>, ctx: &mut UserContext) {
    loop {
        if let After::Die(text) = before_user(up, ctx) {
            return exit(up, &text);
        }
        let after = match user::run(ctx, &up.mem.space) {
            user::Event::Syscall => {
                procctl::at_call(up, ctx);
                crate::syscall::dispatch(up, ctx)
            }
            user::Event::PageFault { addr, write, exec } => {
                machine::cpu::count_fault();
                let access = match (write, exec) {
                    (true, _) => FaultAccess::Write,
                    (_, true) => FaultAccess::Exec,
                    _ => FaultAccess::Read,
                };
                page_fault(up, addr, access);
                After::Continue
            }
            user::Event::Trap { vector, error } => {
                trap(up, ctx, vector, error);
                After::Continue
            }
            user::Event::Interrupt => After::Continue,
        };
        if let After::Die(text) = after {
            return exit(up, &text);
        }
    }
}

/// What happens before every return to user mode: giving way to others, being stopped or killed, notes.
fn before_user(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    if thread::need_resched() {
        thread::yield_now();
    }
    loop {
        let ctl = *up.ctl.lock();
        if ctl.kill {
            return After::Die(String::from("sys: killed"));
        }
        let interrupted = up.thread.get().is_some_and(|t| t.interrupted());
        if !procctl::stops(up, ctx, interrupted) {
            return if interrupted { note::deliver(up, ctx) } else { After::Continue };
        }
    }
}

fn page_fault(up: &Arc<Proc>, addr: u64, access: FaultAccess) {
    let Err(e) = up.mem.fault(up, addr, access) else { return };
    let text = match e {
        FaultError::NoAccess => {
            let kind = if access == FaultAccess::Write { "write" } else { "read" };
            format!("sys: trap: fault {kind} addr={addr:#x}")
        }
        FaultError::Load(path, e) => format!("sys: i/o error in demand load accessing {path}: {e}"),
        FaultError::NoMemory => {
            up.kernel.kmesg.print(format_args!("{} {}: killed: out of memory\n", *up.name.lock(), up.pid));
            up.ctl.lock().kill = true;
            return;
        }
    };
    note::post(up, &text, NoteClass::Debug);
}

/// A processor exception in user mode becomes a note.
fn trap(up: &Arc<Proc>, ctx: &mut UserContext, vector: u8, error: u64) {
    let name = match vector {
        0 => "divide error",
        1 => "debug exception",
        2 => "nonmaskable interrupt",
        4 => "overflow",
        5 => "bounds check",
        6 => "invalid opcode",
        7 => "coprocessor not available",
        8 => "double fault",
        9 => "coprocessor segment overrun",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack exception",
        13 => "general protection violation",
        14 => "page fault",
        17 => "alignment check",
        18 => "machine check",
        _ => "",
    };
    ctx.regs.kind = u64::from(vector);
    ctx.regs.error = error;
    let text = match vector {
        3 => {
            ctx.regs.pc = ctx.regs.pc.wrapping_sub(1);
            String::from("sys: breakpoint")
        }
        16 | 19 => {
            let (what, pc, status) = fp_error(ctx, vector);
            format!("sys: fp: {what} fppc={pc:#x} status={status:#x}")
        }
        _ if name.is_empty() => format!("sys: trap: unknown trap {vector}"),
        _ => format!("sys: trap: {name}"),
    };
    note::post(up, &text, NoteClass::Debug);
}

/// What a floating point exception was about: the x87 unit's (vector 16) or SSE's (19).
fn fp_error(ctx: &mut UserContext, vector: u8) -> (&'static str, u64, u32) {
    let state = ctx.fpu_save();
    let bytes = state.as_bytes();
    let half = |at: usize| bytes.get(at..at + 2).map_or(0, |b| u32::from(b[0]) | u32::from(b[1]) << 8);
    // FXSAVE: x87 control and status words at 0 and 2, instruction pointer at 8; MXCSR at 24.
    let (status, pending, pc) = if vector == 16 {
        let fip = bytes.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        (half(2), half(2) & !half(0), fip)
    } else {
        (half(24), half(24) & !(half(24) >> 7), ctx.regs.pc)
    };
    let what = match pending & 0x3f {
        b if b & 1 != 0 && vector == 16 && status & 0x240 == 0x240 => "stack overflow",
        b if b & 1 != 0 && vector == 16 && status & 0x40 != 0 => "stack underflow",
        b if b & 1 != 0 => "invalid operation",
        b if b & 2 != 0 => "denormalized operand",
        b if b & 4 != 0 => "division by zero",
        b if b & 8 != 0 => "numeric overflow",
        b if b & 16 != 0 => "numeric underflow",
        b if b & 32 != 0 => "precision loss",
        _ => "unknown",
    };
    (what, pc, status)
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
    let begun = start(&child, move |_, ctx| {
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
        args: Lock::new(up.args.lock().clone()),
        text: Lock::new(up.text.lock().clone()),
        errstr: Lock::new(String::new()),
        mem,
        notes: Lock::new(Notes::with_handler(handler)),
        procmode: AtomicU32::new(up.procmode.load(Ordering::Relaxed)),
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
    let text = up.text.lock().take();
    drop(text);
    up.mem.clear();
    replace(&up.egrp, Egrp::new());
    replace(&up.pgrp, Pgrp::new());
    let root = up.slash();
    replace(&up.dot, root);
    // Nothing is sent to a server from here on.
    for dev in up.kernel.devs() {
        dev.process_exited(up.pid);
    }
    up.kernel.procs.lock().remove(&up.pid);
    let parent = core::mem::take(&mut *up.parent.lock());
    if let Some(parent) = parent.upgrade() {
        let record = WaitMsg { pid: up.pid, times_ms: times_ms(up), msg };
        let mut children = parent.children.lock();
        children.live = children.live.saturating_sub(1);
        if children.waiting.len() < WAIT_MAX {
            children.waiting.push(record);
        }
        drop(children);
        parent.child_exited.wakeup();
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
                for (sum, ms) in children.times_ms.iter_mut().zip(record.times_ms) {
                    *sum += ms;
                }
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

/// `sleep`: 0 or less gives way to others.
///
/// # Errors
/// `interrupted`.
pub fn sleep(up: &Arc<Proc>, ms: i32) -> Result<()> {
    if ms <= 0 {
        thread::yield_now();
        return Ok(());
    }
    let deadline = clock::now_ns().saturating_add(ms as u64 * 1_000_000);
    match Rendez::new().sleep_until(deadline, || false) {
        Err(machine::Wake::Interrupted) => Err(error::EINTR.into()),
        _ => up.check_interrupt(),
    }
}

/// `rendezvous`: gives `value` to the process of the group that comes with the same tag, and gets its value.
///
/// # Errors
/// `interrupted`.
pub fn rendezvous(up: &Arc<Proc>, tag: u64, value: u64) -> Result<u64> {
    let group = up.rgrp.lock().clone();
    let meeting = {
        let mut waiting = group.waiting.lock();
        if let Some(meeting) = waiting.remove(&tag) {
            *meeting.second.lock() = Some(value);
            drop(waiting);
            meeting.rendez.wakeup();
            return Ok(meeting.first);
        }
        let meeting = Arc::new(Meeting { first: value, second: Lock::new(None), rendez: Rendez::new() });
        waiting.insert(tag, meeting.clone());
        meeting
    };
    let slept = meeting.rendez.sleep_intr(|| meeting.second.lock().is_some());
    if slept.is_err() {
        let mut waiting = group.waiting.lock();
        // The partner may have come in the meantime: then the meeting took place.
        if meeting.second.lock().is_none() {
            waiting.remove(&tag);
            return Err(error::EINTR.into());
        }
    }
    let value = *meeting.second.lock();
    value.ok_or(error::EINTR.into())
}

/// `alarm`: posts the note `alarm` in `ms`; 0 cancels. Gives the ms that were left of the previous one.
pub fn alarm(up: &Arc<Proc>, ms: u32) -> u32 {
    let now = clock::now_ns();
    let deadline = if ms == 0 { 0 } else { now + u64::from(ms) * 1_000_000 };
    let old = set_alarm(up, deadline);
    old.saturating_sub(now).div_ceil(1_000_000).min(u64::from(u32::MAX)) as u32
}

fn set_alarm(up: &Arc<Proc>, deadline_ns: u64) -> u64 {
    let alarms = &up.kernel.alarms;
    let old = {
        let mut list = alarms.list.lock();
        let old = up.alarm_ns.swap(deadline_ns, Ordering::Relaxed);
        if old != 0 {
            list.remove(&(old, up.pid));
        }
        if deadline_ns != 0 {
            list.insert((deadline_ns, up.pid));
        }
        old
    };
    if deadline_ns != 0 {
        alarms.version.fetch_add(1, Ordering::Release);
        alarms.ensure_started(&up.kernel);
        alarms.changed.wakeup();
    }
    old
}

impl Alarms {
    /// None set.
    pub fn new() -> Self {
        Alarms {
            list: Lock::new(BTreeSet::new()),
            changed: Arc::new(Rendez::new()),
            version: Arc::new(AtomicU64::new(0)),
            started: AtomicBool::new(false),
        }
    }

    fn ensure_started(&self, kernel: &Arc<Kernel>) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(kernel);
        let (changed, version) = (self.changed.clone(), self.version.clone());
        let body = move || {
            loop {
                let seen = version.load(Ordering::Acquire);
                let Some(kernel) = weak.upgrade() else { return };
                let next = kernel.ring_alarms();
                drop(kernel);
                let _ = changed.sleep_until(next, || version.load(Ordering::Acquire) != seen);
            }
        };
        if thread::spawn("alarm", 0, Box::new(body)).is_err() {
            self.started.store(false, Ordering::Release);
        }
    }
}

impl Default for Alarms {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.version.fetch_add(1, Ordering::Release);
        self.changed.wakeup();
    }
}

impl Kernel {
    /// Posts the alarms that are due; tells when the next is.
    fn ring_alarms(&self) -> u64 {
        loop {
            let (at, pid) = {
                let mut list = self.alarms.list.lock();
                match list.pop_first() {
                    None => return u64::MAX,
                    Some((at, pid)) if at > clock::now_ns() => {
                        list.insert((at, pid));
                        return at;
                    }
                    Some(due) => due,
                }
            };
            if let Ok(proc) = self.proc(pid) {
                // Unless it has set another meanwhile.
                let _ = proc.alarm_ns.compare_exchange(at, 0, Ordering::Relaxed, Ordering::Relaxed);
                note::post(&proc, "alarm", NoteClass::User);
            }
        }
    }
}
