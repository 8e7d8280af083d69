//! Notes: what Plan 9 has for signals (section 2, `notify`).
//!
//! A note is queued for a process and interrupts it: a sleep that can be interrupted ends with `interrupted`,
//! and user mode is left soon. On the way back to user mode the oldest note is delivered: the registers go to
//! the user stack and the handler runs. While it runs, user notes wait; a note of the debug class kills.
//!
//! Ownership: `Proc::notes` is everything about a process's notes. Its lock is taken under no other and none is
//! taken under it; the frame is written to user memory without it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use abi::ureg::{UREG_SIZE, Ureg};
use abi::{ERRMAX, NCONT, NDFLT, NRSTR, NSAVE};
use machine::types::FpuState;
use machine::user::UserContext;

use crate::error::{Result, clip};
use crate::kernel::Kernel;
use crate::proc::Proc;

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
    /// At most 127 bytes.
    pub text: String,
    /// How it is treated.
    pub class: NoteClass,
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
    /// Address of the saved registers on the user stack.
    frame: u64,
    /// Floating point state to return to.
    fpu: Option<Box<FpuState>>,
}

impl Notes {
    /// What a child inherits: the handler and nothing else.
    pub fn with_handler(handler: u64) -> Self {
        Notes { handler, ..Notes::default() }
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
}

/// Queues a note and interrupts the process. False when its queue is full.
pub fn post(proc: &Proc, text: &str, class: NoteClass) -> bool {
    let note = Note { text: String::from(clip(text, ERRMAX - 1)), class };
    {
        let mut notes = proc.notes.lock();
        // A fault must be seen now and whatever else waits: it goes to the front.
        if class == NoteClass::Debug {
            notes.queue.push_front(note);
            notes.queue.truncate(QUEUE);
        } else if notes.queue.len() < QUEUE {
            notes.queue.push_back(note);
        } else {
            return false;
        }
    }
    if let Some(thread) = proc.thread.get() {
        thread.interrupt();
    }
    true
}

/// Posts to every process of a note group but the one with pid `except`.
pub fn post_group(kernel: &Arc<Kernel>, noteid: u32, text: &str, class: NoteClass, except: Option<u32>) {
    let procs: alloc::vec::Vec<_> = kernel.procs.lock().values().cloned().collect();
    for p in procs {
        if p.noteid() == noteid && Some(p.pid) != except {
            post(&p, text, class);
        }
    }
}

/// What exec does to notes: no handler, nothing pending, not in a handler.
pub fn exec_clears(up: &Proc) {
    *up.notes.lock() = Notes::default();
    if let Some(thread) = up.thread.get() {
        thread.clear_interrupt();
    }
}

/// Looks at the queue on the way to user mode and changes `ctx` so that the handler runs, if one is due.
pub fn deliver(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    let (note, handler) = {
        let mut notes = up.notes.lock();
        if let Some(thread) = up.thread.get() {
            thread.clear_interrupt();
        }
        let Some(first) = notes.queue.front() else { return After::Continue };
        if notes.notified {
            if first.class == NoteClass::User {
                return After::Continue;
            }
            // A fault inside the handler: nobody is left to ask.
            let note = notes.queue.pop_front();
            return After::Die(note.map(|n| died_of(up, ctx, &n)).unwrap_or_default());
        }
        let handler = notes.handler;
        match notes.queue.pop_front() {
            Some(note) => (note, handler),
            None => return After::Continue,
        }
    };
    if note.class == NoteClass::Exit || handler == 0 {
        return After::Die(died_of(up, ctx, &note));
    }
    let text = with_pc(&note.text, ctx.regs.pc);
    match push_frame(up, ctx, &text, handler) {
        Ok(()) => After::Continue,
        Err(_) => {
            complain(up, "bad address in notify");
            After::Die(String::from("Suicide"))
        }
    }
}

/// The exit string of a process that a note kills; faults are also told on its standard error.
fn died_of(up: &Arc<Proc>, ctx: &UserContext, note: &Note) -> String {
    let text = with_pc(&note.text, ctx.regs.pc);
    if note.class == NoteClass::Debug {
        complain(up, &text);
    }
    text
}

/// `NAME PID: suicide: TEXT` on descriptor 2, or on the console when that is not open.
fn complain(up: &Arc<Proc>, text: &str) {
    let line = format!("{} {}: suicide: {text}\n", *up.name.lock(), up.pid);
    if crate::sysfile::pwrite(up, 2, &crate::iobuf::Src::Kernel(line.as_bytes()), -1).is_err() {
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

/// Writes the frame of section 3.2 of the facts below the user's stack pointer and points `ctx` at the handler.
fn push_frame(up: &Arc<Proc>, ctx: &mut UserContext, text: &str, handler: u64) -> Result<()> {
    let old = up.notes.lock().frame;
    let ureg = ctx.regs.sp.wrapping_sub(GAP + UREG_SIZE as u64);
    let base = ureg.wrapping_sub(160);
    let mut bytes = [0u8; 160 + UREG_SIZE];
    let mut put = |at: usize, data: &[u8]| {
        if let Some(slot) = bytes.get_mut(at..at + data.len()) {
            slot.copy_from_slice(data);
        }
    };
    put(8, &ureg.to_le_bytes());
    put(16, &ureg.wrapping_sub(136).to_le_bytes());
    put(24, clip(text, ERRMAX - 1).as_bytes());
    put(152, &old.to_le_bytes());
    put(160, &ctx.regs.to_bytes());
    up.mem.copy_out(base, &bytes)?;
    let fpu = Box::new(ctx.fpu_save());
    let mut notes = up.notes.lock();
    notes.notified = true;
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
pub fn notify(up: &Arc<Proc>, handler: u64) -> Result<()> {
    if handler != 0 {
        up.mem.copy_in(handler, &mut [0; 1])?;
    }
    up.notes.lock().handler = handler;
    Ok(())
}

/// `noted`: ends the handler. The registers are those in the frame, which the handler may have changed; all of
/// them come back exactly.
pub fn noted(up: &Arc<Proc>, ctx: &mut UserContext, how: i32) -> After {
    let suicide = || After::Die(String::from("Suicide"));
    let (notified, frame) = {
        let notes = up.notes.lock();
        (notes.notified, notes.frame)
    };
    if !notified && how != NRSTR {
        complain(up, "call to noted() when not notified");
        return suicide();
    }
    let mut bytes = [0u8; UREG_SIZE];
    let mut link = [0u8; 8];
    let read = up.mem.copy_in(frame, &mut bytes).and_then(|()| up.mem.copy_in(frame.wrapping_sub(8), &mut link));
    if frame == 0 || read.is_err() {
        complain(up, "bad ureg in noted");
        return suicide();
    }
    let saved = Ureg::from_bytes(&bytes);
    match how {
        NCONT | NRSTR => {
            let fpu = {
                let mut notes = up.notes.lock();
                notes.notified = false;
                notes.frame = u64::from_le_bytes(link);
                notes.fpu.take()
            };
            if let Some(fpu) = fpu {
                ctx.fpu_load(&fpu);
            }
            // Only the flags that a program may set itself; the machine layer forces the rest and the selectors.
            let flags = (ctx.regs.flags & !0xcd5) | (saved.flags & 0xcd5);
            ctx.regs = Ureg { flags, cs: ctx.regs.cs, ss: ctx.regs.ss, ..saved };
            After::Continue
        }
        NSAVE => {
            up.notes.lock().notified = false;
            ctx.regs.pc = saved.pc;
            ctx.regs.sp = frame.wrapping_sub(160);
            ctx.regs.bp = frame;
            After::Continue
        }
        NDFLT => {
            let text = read_text(up, frame);
            let class = if text.starts_with("sys:") { NoteClass::Debug } else { NoteClass::User };
            if class == NoteClass::Debug {
                complain(up, &text);
            }
            After::Die(text)
        }
        _ => {
            complain(up, "unknown noted argument");
            suicide()
        }
    }
}

/// The note's text in a frame.
fn read_text(up: &Arc<Proc>, frame: u64) -> String {
    let bytes = up.mem.copy_in_string(frame.wrapping_sub(136), ERRMAX).unwrap_or_default();
    String::from(clip(&String::from_utf8_lossy(&bytes), ERRMAX - 1))
}
