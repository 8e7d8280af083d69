//! The messages of `/proc/n/ctl`.

use alloc::sync::Arc;

use abi::error;

use crate::error::Result;
use crate::note::{self, NoteClass};
use crate::proc::Proc;

/// Carries out one message written to `/proc/n/ctl`.
///
/// # Errors
/// `bad process or channel control request`; `interrupted` while waiting for a process to stop.
pub fn control(up: &Arc<Proc>, p: &Arc<Proc>, message: &str) -> Result<()> {
    let words = abi::quote::tokenize(message);
    let number = |i: usize| words.get(i).and_then(|w| w.parse::<i32>().ok()).ok_or(error::EBADCTL);
    match words.first().map(|w| w.as_str()) {
        Some("kill") => kill(p),
        Some("interrupt") => {
            note::post(p, "interrupt", NoteClass::User);
        }
        Some("nointerrupt") => {
            if let Some(t) = p.thread.get() {
                t.clear_interrupt();
            }
        }
        Some("stop") => {
            ask_to_stop(p);
            return wait_stopped(p);
        }
        Some("waitstop") => return wait_stopped(p),
        Some("start") => start(p),
        Some("startstop") | Some("startsyscall") => {
            start(p);
            ask_to_stop(p);
            return wait_stopped(p);
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
        Some("private") => p.procmode.store(0, core::sync::atomic::Ordering::Relaxed),
        Some("noswap" | "profile" | "wired") => {}
        _ => return Err(error::EBADCTL.into()),
    }
    Ok(())
}

/// Ends a process quietly, whatever it does.
pub fn kill(p: &Proc) {
    {
        let mut ctl = p.ctl.lock();
        ctl.kill = true;
        ctl.stop = false;
    }
    p.ctl_changed.wakeup();
    if let Some(t) = p.thread.get() {
        t.interrupt();
    }
}

fn ask_to_stop(p: &Proc) {
    p.ctl.lock().stop = true;
    if let Some(t) = p.thread.get() {
        t.kick();
    }
}

fn start(p: &Proc) {
    p.ctl.lock().stop = false;
    p.ctl_changed.wakeup();
}

fn wait_stopped(p: &Proc) -> Result<()> {
    use core::sync::atomic::Ordering;
    p.ctl_changed.sleep_intr(|| p.ctl.lock().stopped || p.exiting.load(Ordering::Relaxed))?;
    if p.exiting.load(Ordering::Relaxed) { Err(error::EPROCDIED.into()) } else { Ok(()) }
}
