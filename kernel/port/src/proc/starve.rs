//! Who goes when memory is out.
//!
//! A process has faulted, and there is no page for it: memory is used up, or its user has all that it may. Whoever is
//! kept for a debugger has gone already. Now one of its own user's processes goes: never the first process, and never
//! another user's. It is the youngest of those that have at least half as much on their bills as the one with the
//! largest; where nobody has much, because there are so many of them, it is the youngest of all. So a shell that was
//! there before what has eaten the memory stays.
//!
//! When that is the process itself, it gets a note first, which Go's runtime for one turns into a trace and an exit.
//! Else it waits until the other has gone, and tries again.
//!
//! Nothing is allocated here that grows with the number of processes. No locks are held, but for that of
//! `Kernel::procs` while one is taken out of it, `Proc::ctl` for a moment, and `Proc::name` while a line with it is
//! logged.

use alloc::format;
use alloc::sync::Arc;
use core::ops::Bound;

use machine::mem;

use crate::proc::exit::FIRST_PID;
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::Proc;
use crate::proc::{alarm, bill, procctl};

/// A bill is much when it is this part of memory...
const MUCH_PART: u64 = 16;
/// ...and so many bytes.
const MUCH_MIN: u64 = 1 << 20;
/// Bytes of the dead that are worth a search for who has them.
const LEFT_PART: u64 = 8;
/// How long the end of a process is waited for: so often, so many ms.
const LOOKS: u32 = 200;
const LOOK_MS: i32 = 10;

/// Makes room for `up`, which could not have the page at `addr`.
pub(crate) fn starve(up: &Arc<Proc>, addr: u64) {
    // Somebody is on the way out already: its memory comes.
    let going = candidates(up).find(|p| p.ctl.lock().kill && !p.mem.shares_with(&up.mem));
    if going.is_some_and(|p| gone(up, &p)) {
        return;
    }
    match victim(up) {
        Some(victim) if !victim.mem.shares_with(&up.mem) => {
            tell(&victim, "killed: out of memory");
            kill(&victim);
            gone(up, &victim);
        }
        _ => own(up, addr),
    }
}

/// It is `up` that has to go. One that comes here again has no use for notes, and dies with all that share its memory:
/// else it would not become free.
fn own(up: &Arc<Proc>, addr: u64) {
    if !core::mem::replace(&mut up.ctl.lock().starved, true) {
        tell(up, "out of memory");
        notes::post(up, &format!("sys: trap: out of memory addr={addr:#x}"), NoteClass::Debug);
        return;
    }
    tell(up, "killed: out of memory");
    kill(up);
}

fn tell(p: &Proc, what: &str) {
    p.kernel.kmesg.print(format_args!("{} {}: {what}\n", *p.name.lock(), p.pid));
}

/// Kills all that share the memory of `p`.
fn kill(p: &Arc<Proc>) {
    all(p).filter(|q| q.mem.shares_with(&p.mem)).for_each(|q| procctl::kill(&q));
}

/// Waits until a process that is to die has given its memory up, unless that takes too long or `up` has a note. Whether
/// it has.
fn gone(up: &Arc<Proc>, p: &Arc<Proc>) -> bool {
    let is_gone = || up.kernel.proc(p.pid).is_err();
    (0..LOOKS).any(|_| is_gone() || alarm::sleep(up, LOOK_MS).is_err())
}

/// The processes of the kernel of `up`, one after the other.
fn all(up: &Proc) -> impl Iterator<Item = Arc<Proc>> {
    let mut last = 0;
    core::iter::from_fn(move || {
        let above = (Bound::Excluded(last), Bound::Unbounded);
        let next = up.kernel.procs.lock().range(above).next().map(|(_, p)| p.clone());
        last = next.as_ref().map_or(last, |p| p.pid);
        next
    })
}

/// Those that may have to go for `up`.
fn candidates(up: &Proc) -> impl Iterator<Item = Arc<Proc>> {
    let user = up.user();
    all(up).filter(move |p| p.pid != FIRST_PID && *p.user() == *user)
}

/// The one that has to go; one that is going does not count any more.
fn victim(up: &Arc<Proc>) -> Option<Arc<Proc>> {
    let of_living: u64 = candidates(up).map(|p| p.bill()).sum();
    let left = bill::of_user(up).saturating_sub(of_living) > mem::total_bytes() / LEFT_PART;
    // What a parent made and left to its children is on nobody's bill any more: then they are looked through.
    let bill = |p: &Proc| p.bill() + if left { p.mem.left_by_the_dead() } else { 0 };
    let living = || candidates(up).filter(|p| !p.ctl.lock().kill).map(|p| (bill(&p), p));
    let largest = living().map(|(bytes, _)| bytes).max()?;
    let much = largest >= (mem::total_bytes() / MUCH_PART).max(MUCH_MIN);
    let enough = if much { largest / 2 } else { 0 };
    let has_enough = living().filter(|(bytes, _)| *bytes >= enough);
    has_enough.map(|(_, p)| p).max_by_key(|p| (p.start_ns, p.pid))
}
