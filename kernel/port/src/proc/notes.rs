//! Notes: what Plan 9 has for signals (section 2, `notify`).
//!
//! A note is queued for a process and interrupts it: a sleep that can be interrupted ends with `interrupted`,
//! and user mode is left soon. On the way back to user mode the oldest note is delivered (`notify`). While a handler
//! runs, user notes wait; a note of the debug class kills.
//!
//! What was sent to a process reaches it whatever program it is by then: exec keeps it, and the new program, which has
//! no handler yet, dies of it.
//!
//! Ownership: `Proc::notes` is everything about a process's notes. Its lock is taken under no other `Lock`, and under
//! it the thread alone is told that it is interrupted or is not any more, for which the machine has a lock of its own.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::{ERRMAX, error};
use machine::types::FpuState;

use crate::error::{Result, clip};
use crate::proc::process::Proc;

/// Who a note is for, and how deadly it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteClass {
    /// Sent by a program or the console; waits while a handler runs.
    User,
    /// Ends the process quietly.
    Exit,
    /// A fault of the program itself.
    Debug,
}

/// A queued note.
#[derive(Clone, Debug)]
pub struct Note {
    /// At most 127 bytes. All that a group is told share it.
    pub text: Arc<str>,
    /// How it is treated.
    pub class: NoteClass,
    /// Which of the notes to groups it is, counted from 1; 0 for one to this process alone.
    pub(super) serial: u64,
}

/// A process's notes.
#[derive(Default)]
pub struct Notes {
    /// Oldest first, at most [`QUEUE`].
    pub queue: VecDeque<Note>,
    /// Address of the handler; 0 for none.
    pub handler: u64,
    /// The handler runs.
    pub(super) notified: bool,
    /// What it was told, in full: what the process dies of when the handler wants the default.
    pub(super) told: Option<Note>,
    /// Address of the saved registers on the user stack.
    pub(super) frame: u64,
    /// Floating point state to return to.
    pub(super) fpu: Option<Box<FpuState>>,
    /// The number of the last note to the group that came here.
    pub(super) last_group: u64,
    /// What `last_group` was when a note was last delivered: those up to it were told, or wait for the handler's end.
    pub(super) told_up_to: u64,
}

impl Notes {
    /// What a child inherits: the handler and nothing else. There is room for all notes that can wait, so that whoever
    /// tells thousands of processes needs no memory for it.
    pub(crate) fn with_handler(handler: u64) -> Self {
        Notes { handler, queue: VecDeque::with_capacity(QUEUE + 1), ..Notes::default() }
    }

    /// Where the note is that is due: the oldest, or while a handler runs the oldest that will not wait for it.
    pub(super) fn due(&self) -> Option<usize> {
        self.queue.iter().position(|n| !self.notified || n.class != NoteClass::User)
    }

    /// The handler that is to be told, 0 for none. A fault inside the handler leaves nobody to ask.
    pub(super) fn asked(&self) -> u64 {
        if self.notified { 0 } else { self.handler }
    }
}

/// How many notes wait before further ones are lost.
const QUEUE: usize = 5;

/// Queues a note and interrupts the process. False when its queue is full.
pub fn post(proc: &Proc, text: &str, class: NoteClass) -> bool {
    put(proc, Note { text: clip(text, ERRMAX - 1).into(), class, serial: 0 })
}

/// The same for a note that is there. One to a group that the process has had is not queued again.
pub(super) fn put(proc: &Proc, note: Note) -> bool {
    let (class, serial) = (note.class, note.serial);
    let mut notes = proc.notes.lock();
    if serial != 0 && serial <= notes.last_group {
        return true;
    }
    notes.last_group = notes.last_group.max(serial);
    // A fault must be seen now and whatever else waits: it goes to the front.
    if class == NoteClass::Debug {
        notes.queue.push_front(note);
        notes.queue.truncate(QUEUE);
    } else if notes.queue.len() < QUEUE {
        notes.queue.push_back(note);
    } else {
        return false;
    }
    // Under the lock: after the note was delivered the flag would interrupt a sleep for nothing.
    interrupt(proc);
    true
}

/// Is the process to die as soon as it is on its way to user mode? It may be dying already.
pub(crate) fn must_die(proc: &Proc) -> bool {
    if proc.exiting.load(Ordering::Relaxed) || proc.ctl.lock().kill {
        return true;
    }
    let notes = proc.notes.lock();
    let due = notes.due().and_then(|at| notes.queue.get(at));
    due.is_some_and(|note| note.class == NoteClass::Exit || notes.asked() == 0)
}

/// Interrupts a process that has notes.
pub(crate) fn interrupt_if_posted(proc: &Proc) {
    let notes = proc.notes.lock();
    if !notes.queue.is_empty() {
        interrupt(proc);
    }
}

/// Sees to it that the process looks at its notes.
pub(super) fn interrupt(proc: &Proc) {
    if let Some(thread) = proc.thread.get() {
        thread.interrupt();
    }
}

impl Proc {
    /// Does `f`, and does it again when a note interrupts it: for what has to be done whatever comes, as paging in. The
    /// note is seen afterwards. Only a process that is to die gives up, and who does it for another process, as a
    /// debugger that reads its memory: that one can be told of the note.
    ///
    /// # Errors
    /// What `f` says.
    pub(crate) fn despite_notes<R>(&self, mut f: impl FnMut() -> Result<R>) -> Result<R> {
        let me = machine::thread::current();
        if me.tag() != u64::from(self.pid) {
            return f();
        }
        let mut came = false;
        loop {
            match f() {
                // The same words may be a server's own.
                Err(e) if e.is(error::EINTR) && me.interrupted() && !must_die(self) => {
                    came = true;
                    me.clear_interrupt();
                }
                result => {
                    if came {
                        me.interrupt();
                    }
                    return result;
                }
            }
        }
    }
}

/// What exec does to notes: no handler, not in a handler, no faults of the program that was. What others sent stays.
pub(crate) fn exec_clears(up: &Proc) {
    let mut notes = up.notes.lock();
    let old = core::mem::take(&mut *notes);
    notes.last_group = old.last_group;
    notes.queue = old.queue;
    notes.queue.retain(|n| n.class != NoteClass::Debug);
    if let Some(thread) = up.thread.get() {
        if notes.queue.is_empty() {
            thread.clear_interrupt();
        } else {
            thread.interrupt();
        }
    }
}
