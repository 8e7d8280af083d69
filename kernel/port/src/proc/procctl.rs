//! The messages of `/proc/n/ctl`, and being stopped.
//!
//! A process stops only on its way to user mode, into a system call or out of one, where its registers are all there.
//! It then stands in [`hold`] until somebody starts it. `Proc::ctl` says what is wanted and where it stands;
//! `Proc::ctl_changed` is signalled whenever that changes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// The priority that processes have, and the highest that one can have.
const NORMAL: u8 = 10;
const HIGHEST: u8 = 20;

/// How often somebody looks whether a process still runs whose registers are wanted, in ns, and how many times.
const LOOK_NS: u64 = 10_000_000;
const LOOKS: u32 = 500;

use abi::error;
use abi::ureg::Ureg;
use machine::thread::State;
use machine::user::UserContext;
use machine::{Wake, clock};

use crate::error::Result;
use crate::proc::broken;
use crate::proc::ctl::Ctl;
use crate::proc::edf;
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::Proc;

/// Carries out one message written to `/proc/n/ctl`.
///
/// # Errors
/// `bad process or channel control request`; `interrupted` while waiting for a process to stop; no memory for a
/// profile.
pub(crate) fn control(up: &Arc<Proc>, p: &Arc<Proc>, message: &str) -> Result<()> {
    let words = abi::quote::tokenize(message);
    let number = |i: usize| words.get(i).and_then(|w| w.parse::<i32>().ok()).ok_or(error::EBADCTL);
    match words.first().map(|w| w.as_str()) {
        Some("kill") => {
            if !broken::release(p) {
                kill(p);
            }
        }
        _ if p.ctl.lock().broken => return Err(error::EBADCTL.into()),
        Some("interrupt") => {
            notes::post(p, "interrupt", NoteClass::User);
        }
        Some("nointerrupt") => {
            let notes = p.notes.lock();
            match p.thread.get() {
                Some(t) if notes.queue.is_empty() => t.clear_interrupt(),
                _ => return Err(error::EINUSE.into()),
            }
        }
        Some("stop") => {
            change(p, |ctl| ctl.stop = true);
            if let Some(t) = p.thread.get() {
                t.kick();
            }
            return wait_stopped(up, p);
        }
        Some("waitstop") => return wait_stopped(up, p),
        Some("start") => start(p, |_| {})?,
        Some("startstop") => {
            start(p, |ctl| ctl.stop_at_note = true)?;
            return wait_stopped(up, p);
        }
        Some("startsyscall") => {
            start(p, |ctl| ctl.stop_at_call = true)?;
            return wait_stopped(up, p);
        }
        Some("hang") => p.ctl.lock().hang = true,
        Some("nohang") => p.ctl.lock().hang = false,
        Some("close") => p.fgrp().close(number(1)?)?,
        Some("closefiles") => p.fgrp().close_all(),
        Some(word @ ("pri" | "fixedpri")) => {
            let pri = u8::try_from(number(1)?).map_err(|_| error::EBADCTL)?;
            if let Some(t) = p.thread.get() {
                // Only the owner of the machine may put a process before others, and has to say that it is to stay so
                // when it computes.
                let most = if word == "fixedpri" && up.is_hostowner() { HIGHEST } else { NORMAL };
                t.set_priority(pri.min(most));
            }
        }
        Some("private") => p.private.store(true, Ordering::Relaxed),
        Some("profile") => p.mem.start_profile()?,
        Some("noswap") => p.noswap.store(true, Ordering::Relaxed),
        Some("wired") => {}
        _ => {
            let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
            return edf::control(up, p, &words).unwrap_or(Err(error::EBADCTL.into()));
        }
    }
    Ok(())
}

/// Ends a process quietly, whatever it does.
pub fn kill(p: &Proc) {
    change(p, |ctl| ctl.kill = true);
    if let Some(t) = p.thread.get() {
        t.interrupt();
    }
}

fn change(p: &Proc, f: impl FnOnce(&mut Ctl)) {
    f(&mut p.ctl.lock());
    p.ctl_changed.wakeup();
}

/// The registers of `p`: those with which it stopped, or has left user mode. One that computes has to leave it first.
///
/// # Errors
/// `process has no saved registers`: it has not begun yet.
pub(crate) fn registers(up: &Proc, p: &Proc) -> Result<Ureg> {
    let frame = p.frame.get().ok_or(error::ENOREG)?;
    let stands = || {
        let ctl = *p.ctl.lock();
        if ctl.held || ctl.broken { *p.regs.lock() } else { None }
    };
    // It may be in user mode again before one has looked.
    for _ in 0..LOOKS {
        let looked = if look(up, p) { *p.regs.lock() } else { stands() };
        if let Some(regs) = looked.or_else(|| frame.seen()) {
            return Ok(regs);
        }
        if up.check_interrupt().is_err() {
            break;
        }
    }
    Ok(frame.get())
}

/// Has the registers of `p` kept as they are now, if it computes in user mode on a processor of its own, where nothing
/// else may interrupt it for long, and says whether they were. That it has gone to wait in the kernel instead, nobody
/// tells: it is looked at again every [`LOOK_NS`]. A note for the reader ends the waiting, too.
fn look(up: &Proc, p: &Proc) -> bool {
    let Some(thread) = p.thread.get() else { return false };
    let computes = || thread.state() == State::Running && p.current_call().is_none();
    if p.pid == up.pid || !computes() {
        return false;
    }
    p.ctl.lock().look = true;
    thread.kick();
    for _ in 0..LOOKS {
        let seen = || !p.ctl.lock().look || !computes();
        match p.ctl_changed.sleep_until(clock::now_ns().saturating_add(LOOK_NS), seen) {
            Err(Wake::TimedOut) => {}
            Ok(()) => return !p.ctl.lock().look,
            Err(Wake::Interrupted) => return false,
        }
    }
    false
}

/// `up` has been interrupted: who waits to see its registers is told.
pub(crate) fn looked_at(up: &Proc, ctx: &UserContext) {
    if up.ctl.lock().look {
        *up.regs.lock() = Some(ctx.regs.get());
        change(up, |ctl| ctl.look = false);
    }
}

/// Lets a stopped process go on, until what `f` asks for.
fn start(p: &Proc, f: impl FnOnce(&mut Ctl)) -> Result<()> {
    {
        let mut ctl = p.ctl.lock();
        if !ctl.is_stopped() {
            return Err(error::EBADCTL.into());
        }
        ctl.stop = false;
        f(&mut ctl);
    }
    p.ctl_changed.wakeup();
    Ok(())
}

/// Waits until `p` has stopped. One's own stop comes when the call is over.
fn wait_stopped(up: &Arc<Proc>, p: &Arc<Proc>) -> Result<()> {
    if Arc::ptr_eq(up, p) {
        return Ok(());
    }
    p.ctl_changed.sleep_intr(|| p.ctl.lock().is_stopped() || p.exiting.load(Ordering::Relaxed))?;
    if p.exiting.load(Ordering::Relaxed) { Err(error::EPROCDIED.into()) } else { Ok(()) }
}

/// Whether the process is to stop at this end of a system call: before it, or behind it. It is asked once.
pub(crate) fn stops_at_call(up: &Proc) -> bool {
    let mut ctl = up.ctl.lock();
    let wanted = ctl.stop_at_call;
    ctl.stop |= wanted;
    ctl.stop_at_call = false;
    wanted
}

/// On the way to user mode: stops if that is wanted, and says whether it was.
pub(crate) fn stops(up: &Proc, ctx: &mut UserContext, interrupted: bool) -> bool {
    let stop = {
        let noted = interrupted && !up.notes.lock().queue.is_empty();
        let mut ctl = up.ctl.lock();
        if noted && ctl.stop_at_note {
            ctl.stop = true;
            ctl.stop_at_note = false;
        }
        ctl.stop
    };
    if stop {
        hold(up, ctx);
    }
    stop
}

/// Stands still until started or killed. The registers are in `Proc::regs` meanwhile, and may be changed there.
pub(crate) fn hold(up: &Proc, ctx: &mut UserContext) {
    *up.regs.lock() = Some(ctx.regs.get());
    *up.fpregs.lock() = Some(Box::new(ctx.fpu_save()));
    change(up, |ctl| ctl.held = true);
    up.ctl_changed.sleep(|| {
        let ctl = up.ctl.lock();
        !ctl.stop || ctl.kill
    });
    change(up, |ctl| ctl.held = false);
    if let Some(regs) = *up.regs.lock() {
        ctx.regs.put(&regs);
    }
    if let Some(state) = up.fpregs.lock().take() {
        ctx.fpu_load(&state);
    }
}
