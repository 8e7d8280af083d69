//! Who goes when memory is out.
//!
//! A process has faulted, and there is no page for it: memory is used up, or its user has all that it may. Whoever is
//! kept for a debugger has gone already. Now one of its own user's processes goes: never the first process, and never
//! another user's. It is the youngest of those that have at least half as much on their bills as the one with the
//! largest; where nobody has much, because there are so many of them, it is the youngest of all. So a shell that was
//! there before what has eaten the memory stays. What somebody at the console waits for ([preferred](bill)) goes for
//! nobody but itself, and there only when it is large itself, all of it together; for its calls, too, others go
//! ([`make_room`]), so that there is always room to look around and kill. But who has far more than those others can
//! give goes itself: a list of all files that fill memory is no reason to end a server that has a few pages. Nor do
//! those go for it that began with the machine and not by a line that was typed, unless they have much.
//!
//! When it is the process itself, it gets a note first, which Go's runtime for one turns into a trace and an exit.
//! Else it waits until the other has gone, and tries again.
//!
//! A search is through all processes, and all of them may want memory at once. So one searches at a time, and who comes
//! meanwhile waits for the one that it finds.
//!
//! Nothing is allocated here that grows with the number of processes. The lock of [`Starving`] is held during a search,
//! and under it that of `Kernel::procs` while one is taken out of it, `Proc::ctl` for a moment, and `Proc::name` while
//! a line with it is logged; nothing is waited for.

use alloc::format;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::Ordering;
use machine::clock;
use machine::heap::can_afford;
use machine::mem;
use machine::sync::QLock;

use crate::proc::exit::FIRST_PID;
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::{Proc, each};
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
/// What all preferred processes together may have so that others go for them: this part of memory...
const FEW_PART: u64 = 16;
/// ...or so many bytes.
const FEW_MIN: u64 = 2 << 20;
/// Who has less than this part of what the one has that asks is not worth while.
const WORTH_PART: u64 = 4;
/// How long somebody at the console waits for room, in ns.
const PATIENCE_NS: u64 = 10_000_000_000;
/// A thread that is to give memory back has this priority from then on.
const LAST_PRIORITY: u8 = 14;
/// Bytes that a new process or program should find: its stack, its tables, and what it touches first.
pub(crate) const ROOM: u64 = 256 << 10;

/// The search for who has to go, and whom the last one found.
#[derive(Default)]
pub(crate) struct Starving(QLock<Weak<Proc>>);

/// Makes room for `up`, which could not have the page at `addr`.
pub(crate) fn starve(up: &Arc<Proc>, addr: u64) {
    // Somebody is on the way out already: its memory comes.
    let first = search(up, None, going);
    if first.as_ref().is_some_and(|p| gone(up, p)) {
        return;
    }
    match search(up, first.as_ref(), new_victim) {
        Some(victim) => _ = gone(up, &victim),
        None if is_going(up) => {}
        None => own(up, addr),
    }
}

/// One whose end `up` may wait for, and not `in_vain`: whom the last search has found, or `find` does. Nobody when `up`
/// has to go itself: there may be a thousand that share one memory and die together, and none of them is to look at all
/// the others first.
fn search(
    up: &Arc<Proc>,
    in_vain: Option<&Arc<Proc>>,
    find: fn(&Arc<Proc>, bool) -> Option<Arc<Proc>>,
) -> Option<Arc<Proc>> {
    let mut found = up.kernel.starving.0.lock();
    if is_going(up) {
        return None;
    }
    let spared = is_spared(up);
    let is_new = |p: &Arc<Proc>| in_vain.is_none_or(|old| !Arc::ptr_eq(old, p));
    let serves = |p: &Arc<Proc>| may_go(&up.user(), p, spared) && !p.mem.shares_with(&up.mem);
    let last = found.upgrade().filter(|p| is_new(p) && is_going(p) && is_there(p) && serves(p));
    let next = last.or_else(|| find(up, spared))?;
    *found = Arc::downgrade(&next);
    Some(next)
}

/// One that has to go from now on.
fn new_victim(up: &Arc<Proc>, spared: bool) -> Option<Arc<Proc>> {
    let victim = victim(up, spared).filter(|p| is_worth(up, p) && !p.mem.shares_with(&up.mem))?;
    condemn(&victim);
    Some(victim)
}

/// Whether it is on the way out.
fn is_going(p: &Proc) -> bool {
    let ctl = p.ctl.lock();
    ctl.kill || ctl.condemned
}

/// Whether it has not gone yet.
fn is_there(p: &Proc) -> bool {
    p.kernel.proc(p.pid).is_ok()
}

/// Lets others go until `up`, for which somebody at the console waits, can have so many bytes. False when that did not
/// help, or it is not such a process.
#[cold]
pub(crate) fn make_room(up: &Arc<Proc>, bytes: u64) -> bool {
    let deadline = clock::now_ns().saturating_add(PATIENCE_NS);
    while up.is_preferred() && is_spared(up) && clock::now_ns() < deadline {
        // As many at a time as are likely to be enough: each has to wait for the processor to go.
        let mut coming: u64 = candidates(up, true).filter(|p| is_going(p)).map(|p| p.bill()).sum();
        while coming < ROOM
            && let Some(p) = victim(up, true).filter(|p| is_worth(up, p))
        {
            coming = coming.saturating_add(p.bill().max(1));
            condemn(&p);
        }
        let first = going(up, true);
        if first.is_none() && coming == 0 {
            return false;
        }
        // Who was told may have gone before one looks.
        let has_gone = first.is_none_or(|first| gone(up, &first));
        if can_afford(bytes) {
            return true;
        }
        if !has_gone && up.check_interrupt().is_err() {
            return false;
        }
    }
    false
}

/// Whether those that somebody at the console waits for are spared: by others always, and by one of their own as long
/// as it cannot be they that have taken the memory.
fn is_spared(up: &Arc<Proc>) -> bool {
    if !up.is_preferred() {
        return true;
    }
    let few = (mem::total_bytes() / FEW_PART).max(FEW_MIN);
    let left = is_much_left(up);
    each(&up.kernel).filter(|p| p.is_preferred()).map(|p| has(&p, left)).sum::<u64>() <= few
}

/// Whether `p` has so much that it may go for `up`, for which somebody at the console waits.
fn is_worth(up: &Arc<Proc>, p: &Proc) -> bool {
    !up.is_preferred() || has(p, is_much_left(up)) >= up.bill() / WORTH_PART
}

/// One that is on the way out already.
fn going(up: &Arc<Proc>, spared: bool) -> Option<Arc<Proc>> {
    candidates(up, spared).find(|p| is_going(p) && !p.mem.shares_with(&up.mem))
}

/// Kills `victim` with all that share its memory, unless somebody else has been faster. They are told of once.
fn condemn(victim: &Arc<Proc>) {
    let begins = |p: &Proc| !core::mem::replace(&mut p.ctl.lock().condemned, true);
    if !victim.ctl.lock().kill && begins(victim) {
        each(&victim.kernel).filter(|p| p.mem.shares_with(&victim.mem)).for_each(|p| _ = begins(&p));
        tell(victim, "killed: out of memory");
        kill(victim);
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
    condemn(up);
}

fn tell(p: &Proc, what: &str) {
    // Not under the lock: who cannot wait for the console breaks into others' lines.
    let name = p.name.lock().clone();
    p.kernel.kmesg.print(format_args!("{name} {}: {what}\n", p.pid));
}

/// Kills all that share the memory of `p`.
fn kill(p: &Arc<Proc>) {
    for q in each(&p.kernel).filter(|q| q.mem.shares_with(&p.mem)) {
        // Others run for ever.
        if let Some(thread) = q.thread.get() {
            thread.set_priority(LAST_PRIORITY);
        }
        procctl::kill(&q);
    }
}

/// Waits until a process that is to die has given its memory up, unless that takes too long or `up` has a note. Whether
/// it has.
fn gone(up: &Arc<Proc>, p: &Arc<Proc>) -> bool {
    (0..LOOKS).any(|_| !is_there(p) || alarm::sleep(up, LOOK_MS).is_err())
}

/// Those that may have to go for `up`; those that are `spared` are not among them.
fn candidates(up: &Proc, spared: bool) -> impl Iterator<Item = Arc<Proc>> {
    let user = up.user();
    each(&up.kernel).filter(move |p| may_go(&user, p, spared))
}

/// Whether it is one of those that may have to go for this user.
fn may_go(user: &str, p: &Proc, spared: bool) -> bool {
    p.pid != FIRST_PID && *p.user() == *user && !(spared && p.is_preferred()) && !is_kept(p)
}

/// Whether the owner of the machine has said of one of his that it is not to go.
fn is_kept(p: &Proc) -> bool {
    p.noswap.load(Ordering::Relaxed) && p.is_hostowner()
}

/// Bytes that are much on a bill.
fn much() -> u64 {
    (mem::total_bytes() / MUCH_PART).max(MUCH_MIN)
}

/// Whether `up` has much of the memory itself.
pub(crate) fn has_much(up: &Proc) -> bool {
    up.bill() >= much()
}

/// Whether much of what the user of `up` has is on the bills of the dead.
fn is_much_left(up: &Arc<Proc>) -> bool {
    let user = up.user();
    let of_living: u64 = each(&up.kernel).filter(|p| *p.user() == *user).map(|p| p.bill()).sum();
    bill::of_user(up).saturating_sub(of_living) > mem::total_bytes() / LEFT_PART
}

/// What a process has. What a parent made and `left` to its children is on nobody's bill any more: they are looked
/// through for it.
fn has(p: &Proc, left: bool) -> u64 {
    p.bill() + if left { p.mem.left_by_the_dead() } else { 0 }
}

/// The one that has to go; one that is going does not count any more.
fn victim(up: &Arc<Proc>, spared: bool) -> Option<Arc<Proc>> {
    let left = is_much_left(up);
    let much = much();
    let for_a_line = spared && up.is_preferred();
    let is_innocent = |bytes: u64, p: &Proc| for_a_line && bytes < much && p.began_with_the_machine();
    let all = || candidates(up, spared).filter(|p| !is_going(p)).map(|p| (has(&p, left), p));
    let living = || all().filter(|(bytes, p)| !is_innocent(*bytes, p));
    let largest = living().map(|(bytes, _)| bytes).max()?;
    let enough = if largest >= much { largest / 2 } else { 0 };
    let has_enough = living().filter(|(bytes, _)| *bytes >= enough);
    has_enough.map(|(_, p)| p).max_by_key(|p| (p.start_ns, p.pid))
}
