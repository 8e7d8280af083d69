//! The messages of `/proc/n/ctl`, and being stopped.
//!
//! A process stops only on its way to user mode or into a system call, where its registers are all there. It
//! then stands in [`hold`] until somebody starts it. `Proc::ctl` says what is wanted and where it stands;
//! `Proc::ctl_changed` is signalled whenever that changes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::error;
use machine::user::UserContext;

use crate::error::Result;
use crate::proc::broken;
use crate::proc::ctl::Ctl;
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::Proc;

/// Carries out one message written to `/proc/n/ctl`.
///
/// # Errors
/// `bad process or channel control request`; `interrupted` while waiting for a process to stop.
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
        Some("pri") | Some("fixedpri") => {
            let pri = u8::try_from(number(1)?).map_err(|_| error::EBADCTL)?;
            if let Some(t) = p.thread.get() {
                // Only the owner of the machine may put a process before others.
                let most = if up.is_hostowner() { 20 } else { 10 };
                t.set_priority(pri.min(most));
            }
        }
        Some("private") => p.private.store(true, Ordering::Relaxed),
        Some("noswap" | "profile" | "wired") => {}
        _ => return Err(error::EBADCTL.into()),
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

/// Before a system call: stops if somebody wants to see it.
#[inline]
pub(crate) fn at_call(up: &Proc, ctx: &mut UserContext) {
    if up.ctl.asks() {
        stop_at_call(up, ctx);
    }
}

#[cold]
fn stop_at_call(up: &Proc, ctx: &mut UserContext) {
    let stop = {
        let mut ctl = up.ctl.lock();
        let wanted = ctl.stop_at_call;
        ctl.stop |= wanted;
        ctl.stop_at_call = false;
        wanted
    };
    if stop {
        hold(up, ctx);
    }
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
fn hold(up: &Proc, ctx: &mut UserContext) {
    *up.regs.lock() = Some(ctx.regs);
    *up.fpregs.lock() = Some(Box::new(ctx.fpu_save()));
    change(up, |ctl| ctl.held = true);
    up.ctl_changed.sleep(|| {
        let ctl = up.ctl.lock();
        !ctl.stop || ctl.kill
    });
    change(up, |ctl| ctl.held = false);
    if let Some(regs) = *up.regs.lock() {
        ctx.regs = regs;
    }
    if let Some(state) = up.fpregs.lock().take() {
        ctx.fpu_load(&state);
    }
}
