//! A process's life: its thread goes to user mode, and sees to whatever made it leave user mode, until it exits.
//! System calls go to [`syscall`], page faults and traps to [`fault`](crate::proc::fault).
//!
//! Ownership: the [`UserContext`] belongs to the thread alone. No locks are held on the way to user mode or back.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use machine::heap::Call;
use machine::thread;
use machine::user::{self, UserContext};

use crate::call::{syscall, trace};
use crate::error::Result;
use crate::mem::FaultAccess;
use crate::proc::bill;
use crate::proc::exit::{exit, exit_broken};
use crate::proc::fault::{page_fault, pass_over_zeros, trap};
use crate::proc::notes;
use crate::proc::notify::{self, After};
use crate::proc::procctl;
use crate::proc::process::Proc;
use crate::proc::watch;

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
    let life = move || {
        proc.thread.call_once(thread::current);
        // What was posted before could interrupt nobody.
        notes::interrupt_if_posted(&proc);
        let mut ctx = UserContext::new();
        let begun = {
            let _call = Call::enter("beginning of a process");
            begin(&proc, &mut ctx)
        };
        match begun {
            Ok(()) => {
                proc.frame.call_once(|| ctx.regs.clone());
                live(&proc, &mut ctx);
            }
            Err(e) => {
                let _call = Call::enter("end of a process");
                exit(&proc, e.text());
            }
        }
    };
    let account = up.account.clone();
    let body = move || bill::pays(account.as_ref(), life);
    let name = up.name.lock().clone();
    // Whoever pays for its stack is whom a thread works for: the first process, which nobody has forked, is no thread
    // of the kernel, and does not go before all others.
    let spawn = || thread::spawn(&name, u64::from(up.pid), Box::new(body));
    let thread = bill::pays(up.account.as_ref(), spawn)?;
    up.thread.call_once(|| thread);
    Ok(())
}

/// A process's life: user mode, and whatever made it leave user mode, until it exits.
fn live(up: &Arc<Proc>, ctx: &mut UserContext) {
    loop {
        match before_user(up, ctx) {
            After::Continue => {}
            end => return end_of(up, ctx, end),
        }
        let after = match user::run(ctx, &up.mem.space) {
            user::Event::Syscall => {
                if up.ctl.asks() {
                    told(up, ctx)
                } else {
                    syscall::dispatch(up, ctx)
                }
            }
            event => {
                interrupted(up, ctx, event);
                After::Continue
            }
        };
        match after {
            After::Continue => {}
            end => return end_of(up, ctx, end),
        }
    }
}

/// A system call of a process that somebody looks at.
#[cold]
fn told(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    let seen = trace::before(up, ctx);
    // It may be other ones by now, on another stack.
    ctx.forget_args();
    let after = syscall::dispatch_told(up, ctx);
    match seen {
        Some(seen) => trace::behind(up, ctx, *seen, after),
        None => after,
    }
}

/// What made a program leave user mode, when it was no call of its own.
#[inline(never)] // so that calls, of which there are more, have short ways
fn interrupted(up: &Arc<Proc>, ctx: &mut UserContext, event: user::Event) {
    match event {
        user::Event::Syscall => {}
        user::Event::PageFault { addr, write, exec } => {
            let _call = Call::enter("page fault");
            machine::cpu::count_fault();
            let access = match (write, exec) {
                (true, _) => FaultAccess::Write,
                (_, true) => FaultAccess::Exec,
                _ => FaultAccess::Read,
            };
            if access != FaultAccess::Write || !pass_over_zeros(up, ctx, addr) {
                page_fault(up, addr, access);
            }
        }
        user::Event::Trap { vector, error } => {
            let _call = Call::enter("trap");
            trap(up, ctx, vector, error);
        }
        user::Event::Interrupt => {
            procctl::looked_at(up, ctx);
            count_ticks(up, ctx);
            if thread::need_resched() {
                thread::yield_now();
            }
        }
    }
}

/// Counts the ticks that have met the program where it was interrupted, if somebody wants to know.
fn count_ticks(up: &Arc<Proc>, ctx: &UserContext) {
    let ticks = up.thread.get().map_or(0, |t| t.take_ticks());
    if ticks != 0
        && let Some(profile) = up.mem.profile()
    {
        profile.count(ctx.regs.pc(), ticks);
    }
}

fn end_of(up: &Arc<Proc>, ctx: &mut UserContext, how: After) {
    let _call = Call::enter("end of a process");
    match how {
        After::Continue => {}
        After::Die(text) => exit(up, &text),
        // What it had is what everybody else needs.
        After::Break(text) if up.ctl.lock().starved => exit(up, &text),
        After::Break(text) => exit_broken(up, &text, ctx),
    }
}

/// What happens before every return to user mode: being stopped or killed, notes. Others who go first are given way to
/// when `run` says so.
#[inline]
fn before_user(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    let _call = Call::enter("way to user mode");
    let interrupted = up.thread.get().is_some_and(|t| t.interrupted());
    if interrupted || up.ctl.asks() { seen_to(up, ctx) } else { After::Continue }
}

/// The same when there is something.
#[inline(never)]
fn seen_to(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    loop {
        let interrupted = up.thread.get().is_some_and(|t| t.interrupted());
        if !up.ctl.asks() {
            return if interrupted { notify::deliver(up, ctx) } else { After::Continue };
        }
        let ctl = *up.ctl.lock();
        if ctl.watch {
            watch::load(up);
        }
        if ctl.kill {
            return After::Die(String::from("sys: killed"));
        }
        if !procctl::stops(up, ctx, interrupted) {
            return if interrupted { notify::deliver(up, ctx) } else { After::Continue };
        }
    }
}
