//! Notes to a group: everybody in it has each once, those too that are just being made.
//!
//! A group's notes are numbered, so that a process knows which of them it has had: see [`post_group`].
//!
//! Locks: a note is posted to all while `Kernel::group_notes` is held, so that a later one is not taken for an earlier;
//! then `Kernel::procs` and each process's `notes`, never together. [`join`] looks at users with the table locked.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::{ERRMAX, error};

use crate::error::{Result, clip};
use crate::kernel::Kernel;
use crate::proc::notes::{Note, NoteClass, put};
use crate::proc::process::Proc;

/// Posts to every process of a note group, once to each. A process that posts, `by`, is not told itself, nor are those
/// of other users, who may be in its group after one of it has become another user; but the machine's owner tells all.
///
/// A process that is being made while this goes on gets the note as well: either it is in the table of processes when
/// that is gone through for the second time, or its parent has had the note before it came there, and [passes it
/// on](pass_on).
pub fn post_group(kernel: &Arc<Kernel>, noteid: u32, text: &str, class: NoteClass, by: Option<&Arc<Proc>>) {
    // One after the other, so that a later one is not taken for an earlier.
    let mut last = kernel.group_notes.lock();
    *last += 1;
    let note = Note { text: clip(text, ERRMAX - 1).into(), class, serial: *last };
    for _ in 0..2 {
        let mut pid = 0;
        while let Some(p) = next_member(kernel, noteid, pid) {
            pid = p.pid;
            if !p.exiting.load(Ordering::Relaxed) && by.is_none_or(|by| may_tell(by, &p)) {
                put(&p, note.clone());
            }
        }
    }
}

/// The process of a note group that comes after process `pid`.
fn next_member(kernel: &Kernel, noteid: u32, pid: u32) -> Option<Arc<Proc>> {
    let procs = kernel.procs.lock();
    procs.range(pid + 1..).map(|(_, p)| p).find(|p| p.noteid() == noteid).cloned()
}

fn may_tell(by: &Arc<Proc>, p: &Arc<Proc>) -> bool {
    !Arc::ptr_eq(by, p) && (*by.user() == *p.user() || by.is_hostowner())
}

/// Puts `p` into the note group `id`: one that has its own number, or another of its owner's. Nobody joins a group with
/// a stranger in it.
///
/// # Errors
/// `permission denied` when there is a stranger; `bad arg in system call` when there is no such group.
pub(crate) fn join(p: &Arc<Proc>, id: u32) -> Result<()> {
    let user = p.user();
    let mut known = id == p.pid || id == p.noteid();
    // With the table locked, so that the group does not change hands meanwhile.
    let procs = p.kernel.procs.lock();
    for q in procs.values().filter(|q| q.noteid() == id && !Arc::ptr_eq(p, q)) {
        if *q.user() != *user {
            return Err(error::EPERM.into());
        }
        known = true;
    }
    if !known {
        return Err(error::EBADARG.into());
    }
    p.noteid.store(id, Ordering::Relaxed);
    Ok(())
}

/// Gives a child that has just come into the table of processes what its group was told while it was being made, or so
/// shortly before that the program did not hear of it any more: what came after the parent had last looked.
pub fn pass_on(up: &Proc, child: &Proc) {
    let new: alloc::vec::Vec<Note> = {
        let notes = up.notes.lock();
        notes.queue.iter().filter(|n| n.serial > notes.told_up_to).cloned().collect()
    };
    for note in new {
        put(child, note);
    }
}
