//! A note reaches its program: `notify` and `noted` (section 2, `notify`).
//!
//! On the way to user mode the oldest note is delivered: the registers go to the user stack, and the handler runs. When
//! it calls `noted`, what is on the stack then is what the program goes on with. A program without a handler dies.
//!
//! Lock: `Proc::notes`, never held while the frame is written to user memory or read from it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use abi::ureg::{UREG_SIZE, Ureg};
use abi::{ERRMAX, NCONT, NDFLT, NRSTR, NSAVE, error};
use machine::user::UserContext;

use crate::error::{Result, clip};
use crate::mem::FaultAccess;
use crate::mem::iobuf::Src;
use crate::name::{fgrp, transfer};
use crate::proc::fault;
use crate::proc::notes::{Note, NoteClass, interrupt};
use crate::proc::process::Proc;

/// Bytes of a frame before its registers.
const FRAME_HEAD: u64 = 160;
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
        return died_of(up, with_pc(&note.text, ctx.regs.pc()), note.class);
    }
    let note = Note { text: with_pc(&note.text, ctx.regs.pc()).into(), ..note };
    loop {
        match push_frame(up, ctx, &note, handler) {
            Ok(()) => return After::Continue,
            // As when the program itself touches its stack: others may have to go, or it.
            Err(e) if e.is(error::ENOVMEM) || e.is(error::ENOMEM) => {
                // The frame may lie in two pages, of which either may be missing.
                for at in [frame_base(ctx), ctx.regs.sp().wrapping_sub(GAP + 1)] {
                    fault::page_fault(up, at, FaultAccess::Write);
                }
                up.let_others();
                if up.ctl.lock().kill {
                    return After::Die(String::from("sys: killed"));
                }
            }
            Err(_) => return suicide(up, "bad address in notify"),
        }
    }
}

/// Where the frame of a note begins.
fn frame_base(ctx: &UserContext) -> u64 {
    ctx.regs.sp().wrapping_sub(GAP + UREG_SIZE as u64 + FRAME_HEAD)
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
fn push_frame(up: &Arc<Proc>, ctx: &mut UserContext, note: &Note, handler: u64) -> Result<()> {
    let old = up.notes.lock().frame;
    let base = frame_base(ctx);
    let ureg = base.wrapping_add(FRAME_HEAD);
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
    put(160, &ctx.regs.get().to_bytes());
    up.mem.copy_out(base, &bytes)?;
    let fpu = Box::new(ctx.fpu_save());
    let mut notes = up.notes.lock();
    notes.notified = true;
    notes.told = Some(note.clone());
    notes.frame = ureg;
    notes.fpu = Some(fpu);
    drop(notes);
    ctx.regs.set_sp(base);
    ctx.regs.set_bp(ureg);
    ctx.regs.set_pc(handler);
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
    // Only the flags that a program may set itself, and that of resumption, with which it gets past an instruction that
    // is watched; the machine layer forces the rest and the selectors.
    let flags = (ctx.regs.flags() & !0x1_0cd5) | (saved.flags & 0x1_0cd5);
    let back = Ureg { flags, cs: ctx.regs.cs(), ss: ctx.regs.ss(), ..saved };
    match how {
        NCONT | NRSTR => {
            ctx.regs.put(&back);
            After::Continue
        }
        // The frame stays in use, for a later NRSTR.
        NSAVE => {
            ctx.regs.put(&Ureg { sp: frame.wrapping_sub(160), bp: frame, ..back });
            After::Continue
        }
        NDFLT => {
            let note = told.unwrap_or(Note { text: "".into(), class: NoteClass::User, serial: 0 });
            died_of(up, String::from(&*note.text), note.class)
        }
        _ => suicide(up, "unknown noted argument"),
    }
}
