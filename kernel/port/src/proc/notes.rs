//! Notes: what Plan 9 has for signals (section 2, `notify`).
//!
//! A note is queued for a process and interrupts it: a sleep that can be interrupted ends with `interrupted`,
//! and user mode is left soon. On the way back to user mode the oldest note is delivered: the registers go to
//! the user stack and the handler runs. While it runs, user notes wait; a note of the debug class kills.
//!
//! A note to a group reaches every member, those too that are just being made: see [`post_group`]. And what was sent to
//! a process reaches it whatever program it is by then: exec keeps it, and the new program, which has no handler yet,
//! dies of it.
//!
//! Ownership: `Proc::notes` is everything about a process's notes. Its lock is taken under no other `Lock`, and under
//! it the thread alone is told that it is interrupted or is not any more, for which the machine has a lock of its own.
//! The frame is written to user memory without it. A note to a group is posted while `Kernel::group_notes` is held.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::ureg::{UREG_SIZE, Ureg};
use abi::{ERRMAX, NCONT, NDFLT, NRSTR, NSAVE, error};
use machine::types::FpuState;
use machine::user::UserContext;

use crate::error::{Result, clip};
use crate::kernel::Kernel;
use crate::mem::iobuf::Src;
use crate::name::{fgrp, transfer};
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
    serial: u64,
}

/// A process's notes.
#[derive(Default)]
pub struct Notes {
    /// Oldest first, at most [`QUEUE`].
    pub queue: VecDeque<Note>,
    /// Address of the handler; 0 for none.
    pub handler: u64,
    /// The handler runs.
    notified: bool,
    /// What it was told, in full: what the process dies of when the handler wants the default.
    told: Option<Note>,
    /// Address of the saved registers on the user stack.
    frame: u64,
    /// Floating point state to return to.
    fpu: Option<Box<FpuState>>,
    /// The number of the last note to the group that came here.
    last_group: u64,
    /// What `last_group` was when a note was last delivered: those up to it were told, or wait for the handler's end.
    told_up_to: u64,
}

impl Notes {
    /// What a child inherits: the handler and nothing else. There is room for all notes that can wait, so that whoever
    /// tells thousands of processes needs no memory for it.
    pub(crate) fn with_handler(handler: u64) -> Self {
        Notes { handler, queue: VecDeque::with_capacity(QUEUE + 1), ..Notes::default() }
    }

    /// Where the note is that is due: the oldest, or while a handler runs the oldest that will not wait for it.
    fn due(&self) -> Option<usize> {
        self.queue.iter().position(|n| !self.notified || n.class != NoteClass::User)
    }

    /// The handler that is to be told, 0 for none. A fault inside the handler leaves nobody to ask.
    fn asked(&self) -> u64 {
        if self.notified { 0 } else { self.handler }
    }
}

/// How many notes wait before further ones are lost.
const QUEUE: usize = 5;
/// Bytes left alone below the interrupted stack pointer.
const GAP: u64 = 256;

/// Where a process goes after its notes were looked at.
pub enum After {
    /// On in user mode.
    Continue,
    /// It dies with this exit string.
    Die(String),
    /// It dies with this exit string and is kept for a debugger.
    Break(String),
}

/// Queues a note and interrupts the process. False when its queue is full.
pub fn post(proc: &Proc, text: &str, class: NoteClass) -> bool {
    put(proc, Note { text: clip(text, ERRMAX - 1).into(), class, serial: 0 })
}

fn put(proc: &Proc, note: Note) -> bool {
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

fn interrupt(proc: &Proc) {
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

/// Looks at the queue on the way to user mode and changes `ctx` so that the handler runs, if one is due.
pub fn deliver(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    let (note, handler) = {
        let mut notes = up.notes.lock();
        if let Some(thread) = up.thread.get() {
            thread.clear_interrupt();
        }
        let handler = notes.asked();
        notes.told_up_to = notes.last_group;
        match notes.due().and_then(|at| notes.queue.remove(at)) {
            Some(note) => (note, handler),
            None => return After::Continue,
        }
    };
    if note.class == NoteClass::Exit || handler == 0 {
        return died_of(up, with_pc(&note.text, ctx.regs.pc), note.class);
    }
    let note = Note { text: with_pc(&note.text, ctx.regs.pc).into(), ..note };
    match push_frame(up, ctx, note, handler) {
        Ok(()) => After::Continue,
        Err(_) => suicide(up, "bad address in notify"),
    }
}

/// The end of a process that a note kills; faults are also told on its standard error, and worth a look.
fn died_of(up: &Arc<Proc>, text: String, class: NoteClass) -> After {
    if class != NoteClass::Debug {
        return After::Die(text);
    }
    complain(up, &text);
    After::Break(text)
}

/// The end of a process that has spoilt what notes need.
fn suicide(up: &Arc<Proc>, why: &str) -> After {
    complain(up, why);
    After::Break(String::from("Suicide"))
}

/// `NAME PID: suicide: TEXT` on descriptor 2, or on the console when that is not open.
fn complain(up: &Arc<Proc>, text: &str) {
    let line = format!("{} {}: suicide: {text}\n", *up.name.lock(), up.pid);
    let told = fgrp::fd_to_chan(up, 2, Some(abi::OWRITE))
        .and_then(|c| transfer::write(up, &c, &Src::Kernel(line.as_bytes()), -1));
    if told.is_err() {
        up.kernel.kmesg.print(format_args!("{line}"));
    }
}

fn with_pc(text: &str, pc: u64) -> String {
    if !text.starts_with("sys:") {
        return String::from(text);
    }
    let pc = format!(" pc={pc:#x}");
    format!("{}{pc}", clip(text, ERRMAX - 1 - pc.len()))
}

/// Writes the frame of docs/facts/plan9-abi.md section 3.2 below the user's stack pointer and points `ctx` at the
/// handler.
fn push_frame(up: &Arc<Proc>, ctx: &mut UserContext, note: Note, handler: u64) -> Result<()> {
    let old = up.notes.lock().frame;
    let ureg = ctx.regs.sp.wrapping_sub(GAP + UREG_SIZE as u64);
    let base = ureg.wrapping_sub(160);
    let mut bytes = [0u8; 160 + UREG_SIZE];
    let mut put = |at: usize, data: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + data.len()) {
            place.copy_from_slice(data);
        }
    };
    put(8, &ureg.to_le_bytes());
    put(16, &ureg.wrapping_sub(136).to_le_bytes());
    put(24, note.text.as_bytes());
    put(152, &old.to_le_bytes());
    put(160, &ctx.regs.to_bytes());
    up.mem.copy_out(base, &bytes)?;
    let fpu = Box::new(ctx.fpu_save());
    let mut notes = up.notes.lock();
    notes.notified = true;
    notes.told = Some(note);
    notes.frame = ureg;
    notes.fpu = Some(fpu);
    drop(notes);
    ctx.regs.sp = base;
    ctx.regs.bp = ureg;
    ctx.regs.pc = handler;
    Ok(())
}

/// `notify`: sets the handler.
///
/// # Errors
/// A bad address.
pub(crate) fn notify(up: &Arc<Proc>, handler: u64) -> Result<()> {
    if handler != 0 {
        up.mem.copy_in(handler, &mut [0; 1])?;
    }
    up.notes.lock().handler = handler;
    Ok(())
}

/// `noted`: ends the handler. The registers are those in the frame, which the handler may have changed; all of
/// them come back exactly.
pub(crate) fn noted(up: &Arc<Proc>, ctx: &mut UserContext, how: i32) -> After {
    let (notified, frame) = {
        let notes = up.notes.lock();
        (notes.notified, notes.frame)
    };
    if !notified && how != NRSTR {
        return suicide(up, "call to noted() when not notified");
    }
    let mut bytes = [0u8; UREG_SIZE];
    let mut link = [0u8; 8];
    let read =
        up.mem.copy_in(frame, &mut bytes).and_then(|()| up.mem.copy_in(frame.wrapping_sub(8), &mut link));
    if frame == 0 || read.is_err() {
        return suicide(up, "bad ureg in noted");
    }
    let saved = Ureg::from_bytes(&bytes);
    let (fpu, told) = {
        let mut notes = up.notes.lock();
        if how != NDFLT {
            notes.notified = false;
            // What waited for the handler's end is due now.
            if !notes.queue.is_empty() {
                interrupt(up);
            }
        }
        if matches!(how, NCONT | NRSTR) {
            notes.frame = u64::from_le_bytes(link);
        }
        (notes.fpu.take(), notes.told.take())
    };
    if let Some(fpu) = fpu {
        ctx.fpu_load(&fpu);
    }
    // Only the flags that a program may set itself; the machine layer forces the rest and the selectors.
    let flags = (ctx.regs.flags & !0xcd5) | (saved.flags & 0xcd5);
    let back = Ureg { flags, cs: ctx.regs.cs, ss: ctx.regs.ss, ..saved };
    match how {
        NCONT | NRSTR => {
            ctx.regs = back;
            After::Continue
        }
        // The frame stays in use, for a later NRSTR.
        NSAVE => {
            ctx.regs = Ureg { sp: frame.wrapping_sub(160), bp: frame, ..back };
            After::Continue
        }
        NDFLT => {
            let note = told.unwrap_or(Note { text: "".into(), class: NoteClass::User, serial: 0 });
            died_of(up, String::from(&*note.text), note.class)
        }
        _ => suicide(up, "unknown noted argument"),
    }
}
