//! `sleep` and `alarm`.
//!
//! Ownership: [`Alarms`] knows each alarm by its time and its process's pid; the process has its own time in
//! `Proc::alarm_ns`. One kernel thread, begun with the first alarm, sleeps until the next is due.
//!
//! Lock order: `Alarms::list` is a leaf; `Proc::alarm_ns` changes under it when an alarm is set.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::error;
use machine::clock;
use machine::heap::Call;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::Proc;

/// Alarms of all processes, kept by a kernel process that sleeps until the next is due.
pub(crate) struct Alarms {
    list: Lock<BTreeSet<(u64, u32)>>,
    changed: Arc<Rendez>,
    version: Arc<AtomicU64>,
    started: AtomicBool,
}

/// `sleep`: 0 or less gives way to others.
///
/// # Errors
/// `interrupted`.
pub(crate) fn sleep(up: &Arc<Proc>, ms: i32) -> Result<()> {
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

/// `alarm`: posts the note `alarm` in `ms`; 0 cancels. Gives the ms that were left of the previous one.
pub(crate) fn alarm(up: &Arc<Proc>, ms: u32) -> u32 {
    let now = clock::now_ns();
    let deadline = if ms == 0 { 0 } else { now + u64::from(ms) * 1_000_000 };
    let old = set_alarm(up, deadline);
    old.saturating_sub(now).div_ceil(1_000_000).min(u64::from(u32::MAX)) as u32
}

/// Sets the alarm of `up` to this time, 0 for none; gives the time it had.
pub(crate) fn set_alarm(up: &Arc<Proc>, deadline_ns: u64) -> u64 {
    let alarms = &up.kernel.alarms;
    let old = {
        let mut list = alarms.list.lock();
        let old = up.alarm_ns.swap(deadline_ns, Ordering::Relaxed);
        if old != 0 {
            list.remove(&(old, up.pid));
        }
        if deadline_ns != 0 {
            as_kernel(|| list.insert((deadline_ns, up.pid)));
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
    pub(crate) fn new() -> Self {
        Alarms {
            list: Lock::new(BTreeSet::new()),
            changed: Arc::new(Rendez::new()),
            version: Arc::new(AtomicU64::new(0)),
            started: AtomicBool::new(false),
        }
    }

    /// How many are set.
    pub(crate) fn count(&self) -> u64 {
        self.list.lock().len() as u64
    }

    fn ensure_started(&self, kernel: &Arc<Kernel>) {
        if self.started.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(kernel);
        let (changed, version) = (self.changed.clone(), self.version.clone());
        let body = move || {
            loop {
                let _call = Call::enter("alarms");
                let before = version.load(Ordering::Acquire);
                let Some(kernel) = weak.upgrade() else { return };
                let next = kernel.ring_alarms();
                drop(kernel);
                let _ = changed.sleep_until(next, || version.load(Ordering::Acquire) != before);
            }
        };
        // It is there for good, whoever is the first to want it.
        if as_kernel(|| thread::spawn("alarm", 0, Box::new(body))).is_err() {
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
                notes::post(&proc, "alarm", NoteClass::User);
            }
        }
    }
}
