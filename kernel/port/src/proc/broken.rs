//! Broken processes: those that a fault has ended, kept for a debugger.
//!
//! Such a process has left its wait record and given up its descriptors, its name space and its thread, so that nobody
//! waits for it; its `/proc` directory, registers and memory stay as they were at the fault, and what its descriptors
//! and its name space were is kept as text. The four that broke last are kept; `kill` in `/proc/n/ctl` lets one go, and
//! all go when memory is short.
//!
//! Ownership: [`Broken`] and `Kernel::procs` hold a reference each; who takes a process out of the former
//! [buries](bury) it.
//!
//! Lock order: `Broken::list` is a leaf. Burying takes the locks of segments: it must not be done under one.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::user::UserContext;

use crate::kernel::Kernel;
use crate::proc::process::Proc;

/// How many are kept.
pub const KEPT: usize = 4;

/// Those that are kept, oldest first.
#[derive(Default)]
pub(crate) struct Broken {
    list: Lock<VecDeque<Arc<Proc>>>,
}

/// What `/proc/n/fd` and `/proc/n/ns` say of a process that has neither any more.
pub(crate) struct Remains {
    /// `fd`.
    pub(crate) fd: Arc<String>,
    /// `ns`.
    pub(crate) ns: Arc<String>,
}

/// Writes down what will be gone when `up` has exited.
pub(crate) fn prepare(up: &Arc<Proc>, ctx: &mut UserContext) {
    let dot = up.dot();
    // Without memory for it nobody is told.
    let fd = Arc::new(up.fgrp().text(dot.path.as_str()).unwrap_or_default());
    let ns = Arc::new(up.pgrp().text(dot.path.as_str()).unwrap_or_default());
    let remains = Remains { fd, ns };
    *up.regs.lock() = Some(ctx.regs.get());
    *up.fpregs.lock() = Some(Box::new(ctx.fpu_save()));
    *up.remains.lock() = Some(remains);
}

/// Keeps `up`, which has exited but for its memory; the oldest goes when there are too many.
pub(crate) fn keep(up: &Arc<Proc>) {
    up.ctl.lock().broken = true;
    let oldest = {
        let mut list = up.kernel.broken.list.lock();
        as_kernel(|| list.push_back(up.clone()));
        if list.len() > KEPT { list.pop_front() } else { None }
    };
    if let Some(p) = oldest {
        bury(&p);
    }
}

/// Lets a Broken process go. False when it is none.
pub fn release(p: &Arc<Proc>) -> bool {
    let found = {
        let mut list = p.kernel.broken.list.lock();
        list.iter().position(|q| Arc::ptr_eq(p, q)).and_then(|at| list.remove(at))
    };
    found.inspect(bury).is_some()
}

/// Lets all of them go, for their memory. True when there were any.
pub fn release_all(kernel: &Kernel) -> bool {
    let all: Vec<_> = kernel.broken.list.lock().drain(..).collect();
    all.iter().for_each(bury);
    !all.is_empty()
}

/// The end of `p`, which nobody needs any more.
pub(crate) fn bury(p: &Arc<Proc>) {
    let text = p.text.lock().take();
    drop(text);
    p.mem.clear();
    // A debugger's reading may have paged something in on its behalf.
    for dev in p.kernel.devs() {
        dev.process_exited(p.pid);
    }
    p.kernel.procs.lock().remove(&p.pid);
}
