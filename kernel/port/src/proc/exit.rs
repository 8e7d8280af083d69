//! How a process ends, and what its parent learns of it.
//!
//! A process ends in [`exit`]: it gives up its groups and memory, leaves its wait record with its parent, and is
//! taken out of `Kernel::procs`; only then does its thread return.
//!
//! Lock order: `Proc::children`, the parent's or one's own, is taken alone.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::error;
use machine::clock;
use machine::lock::Lock;
use machine::user::UserContext;

use crate::error::{Result, clip};
use crate::name::fgrp::Fgrp;
use crate::name::namespace::Pgrp;
use crate::proc::alarm::set_alarm;
use crate::proc::broken;
use crate::proc::egrp::Egrp;
use crate::proc::ending;
use crate::proc::process::Proc;
use crate::proc::trace::{self, Event};

/// The process that all others come from.
pub(crate) const FIRST_PID: u32 = 1;
/// Wait records kept for a parent that does not ask.
const WAIT_MAX: usize = 128;

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

impl WaitMsg {
    /// The record as `await` returns it.
    pub(crate) fn text(&self) -> String {
        let [user, sys, real] = self.times_ms;
        format!("{} {user} {sys} {real} {}", self.pid, abi::quote::quote(&self.msg))
    }
}

/// Ends the calling process. `status` is empty for success.
pub fn exit(up: &Arc<Proc>, status: &str) {
    leave(up, status, false);
}

/// Ends the calling process and [keeps](broken) what a debugger may want to see.
pub(crate) fn exit_broken(up: &Arc<Proc>, status: &str, ctx: &mut UserContext) {
    broken::prepare(up, ctx);
    leave(up, status, true);
}

fn leave(up: &Arc<Proc>, status: &str, keep: bool) {
    up.exiting.store(true, Ordering::Relaxed);
    trace::add(up, Event::Dead);
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
        // The record is the parent's: it is there until the parent asks for it.
        let times_ms = [user + cuser, sys + csys, real];
        let msg = parent.pays(|| msg.as_str().into());
        let record = WaitMsg { pid: up.pid, times_ms, msg };
        let mut children = parent.children.lock();
        for (sum, ms) in children.times_ms.iter_mut().zip(record.times_ms) {
            *sum += ms;
        }
        children.live = children.live.saturating_sub(1);
        if children.waiting.len() < WAIT_MAX {
            parent.pays(|| children.waiting.push(record));
        }
        drop(children);
        parent.child_exited.wakeup();
    }
    // When the machine ends anyway, whoever ends it sees to the rest.
    if up.pid == FIRST_PID
        && !up.kernel.ending.has_begun()
        && let Some(then) = up.kernel.first_ended.get()
    {
        ending::finish_within(&up.kernel, ending::DEVICES_NS);
        let told = up.kernel.first_told.lock().take();
        match told {
            Some(who) => then(&format!("{status} ({who})")),
            None => then(status),
        }
    }
}

/// Remembers that `up` is about to send `what` to `p`, if that is the first process: with it the machine ends, and
/// whoever looks for the reason is to be told who that was.
pub(crate) fn first_is_told(up: &Arc<Proc>, p: &Arc<Proc>, what: &str) {
    if p.pid != FIRST_PID || up.pid == FIRST_PID {
        return;
    }
    let name = String::from(&*up.name.lock());
    let what = clip(what, abi::ERRMAX - 1);
    let who = format!("{what:?} came from process {} ({name}) of {}", up.pid, up.user());
    let old = up.kernel.first_told.lock().replace(who);
    drop(old);
}

/// [`first_is_told`], if it is in this note group.
pub(crate) fn first_is_told_with(up: &Arc<Proc>, noteid: u32, what: &str) {
    let first = up.kernel.procs.lock().get(&FIRST_PID).cloned();
    if let Some(first) = first.filter(|first| first.noteid() == noteid) {
        first_is_told(up, &first, what);
    }
}

/// Exchanges a group, and drops the old one when the lock is free again: that may close files.
pub(crate) fn replace<T>(group: &Lock<Arc<T>>, new: Arc<T>) {
    let old = core::mem::replace(&mut *group.lock(), new);
    drop(old);
}

/// User, system and real time of a process in ms.
pub(crate) fn times_ms(proc: &Proc) -> [u64; 3] {
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
