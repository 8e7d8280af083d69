//! Page faults and processor exceptions of programs: they are mended, or become notes.
//!
//! No locks are held here.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use machine::user::UserContext;

use crate::mem::{FaultAccess, FaultError, give_up_kept};
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::Proc;
use crate::proc::{broken, starve, watch};

/// `rep stosq`: how programs clear memory, Go's runtime its whole heap before the first use.
const REP_STOSQ: [u8; 3] = [0xf3, 0x48, 0xab];
/// The direction flag: string instructions go down.
const DOWNWARDS: u64 = 1 << 10;

/// Zeros stored over memory that nobody has touched leave it as it is. So the instruction that faulted goes on
/// behind all of it, as it may after any interrupt, and no page is spent on zeros. False when it is not that, or when
/// somebody watches what is written.
pub(crate) fn pass_over_zeros(up: &Arc<Proc>, ctx: &mut UserContext, addr: u64) -> bool {
    let regs = &ctx.regs;
    let mut code = [0; REP_STOSQ.len()];
    if regs.di() != addr || regs.ax() != 0 || regs.flags() & DOWNWARDS != 0 || regs.cx() < 2 {
        return false;
    }
    if up.mem.copy_in(regs.pc(), &mut code).is_err() || code != REP_STOSQ {
        return false;
    }
    if watch::count(up) > 0 {
        return false;
    }
    let words = regs.cx().min(up.mem.untouched(addr) / 8);
    regs.set_di(regs.di() + words * 8);
    regs.set_cx(regs.cx() - words);
    words > 0
}

/// Brings in the page that was missing; when that cannot be done, the process gets a note of it.
pub(crate) fn page_fault(up: &Arc<Proc>, addr: u64, access: FaultAccess) {
    let mut kept = true;
    let e = loop {
        match up.mem.fault(up, addr, access) {
            Ok(()) => return,
            // There was a page, if need be from what is kept of files, but none to note where it is.
            Err(FaultError::NoMemory) if core::mem::take(&mut kept) && give_up_kept(up) => {}
            // What is kept for a debugger is not worth a life.
            Err(FaultError::NoMemory) if broken::release_all(&up.kernel) => {}
            Err(e) => break e,
        }
    };
    let text = match e {
        FaultError::NoAccess => {
            let kind = if access == FaultAccess::Write { "write" } else { "read" };
            format!("sys: trap: fault {kind} addr={addr:#x}")
        }
        // The note that it dies of is there already.
        FaultError::Load(_, e) if e.is(abi::error::EINTR) && notes::must_die(up) => return,
        FaultError::Load(path, e) => format!("sys: i/o error in demand load accessing {path}: {e}"),
        FaultError::NoMemory => return starve::starve(up, addr),
    };
    notes::post(up, &text, NoteClass::Debug);
}

/// A processor exception in user mode becomes a note.
pub(crate) fn trap(up: &Arc<Proc>, ctx: &mut UserContext, vector: u8, error: u64) {
    let name = match vector {
        0 => "divide error",
        1 => "debug exception",
        2 => "nonmaskable interrupt",
        4 => "overflow",
        5 => "bounds check",
        6 => "invalid opcode",
        7 => "coprocessor not available",
        8 => "double fault",
        9 => "coprocessor segment overrun",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack exception",
        13 => "general protection violation",
        14 => "page fault",
        17 => "alignment check",
        18 => "machine check",
        _ => "",
    };
    ctx.regs.set_kind(u64::from(vector));
    ctx.regs.set_error(error);
    let text = match vector {
        3 => {
            ctx.regs.set_pc(ctx.regs.pc().wrapping_sub(1));
            String::from("sys: breakpoint")
        }
        16 | 19 => {
            let (what, pc, status) = fp_error(ctx, vector);
            format!("sys: fp: {what} fppc={pc:#x} status={status:#x}")
        }
        1 if error != 0 => watch::note(error),
        _ if name.is_empty() => format!("sys: trap: unknown trap {vector}"),
        _ => format!("sys: trap: {name}"),
    };
    notes::post(up, &text, NoteClass::Debug);
}

/// What a floating point exception was about: the x87 unit's (vector 16) or SSE's (19).
fn fp_error(ctx: &mut UserContext, vector: u8) -> (&'static str, u64, u32) {
    let state = ctx.fpu_save();
    let bytes = state.as_bytes();
    let half = |at: usize| bytes.get(at..at + 2).map_or(0, |b| u32::from(b[0]) | u32::from(b[1]) << 8);
    // FXSAVE: x87 control and status words at 0 and 2, instruction pointer at 8; MXCSR at 24.
    let (status, pending, pc) = if vector == 16 {
        let fip = bytes.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        (half(2), half(2) & !half(0), fip)
    } else {
        (half(24), half(24) & !(half(24) >> 7), ctx.regs.pc())
    };
    let what = match pending & 0x3f {
        b if b & 1 != 0 && vector == 16 && status & 0x240 == 0x240 => "stack overflow",
        b if b & 1 != 0 && vector == 16 && status & 0x40 != 0 => "stack underflow",
        b if b & 1 != 0 => "invalid operation",
        b if b & 2 != 0 => "denormalized operand",
        b if b & 4 != 0 => "division by zero",
        b if b & 8 != 0 => "numeric overflow",
        b if b & 16 != 0 => "numeric underflow",
        b if b & 32 != 0 => "precision loss",
        _ => "unknown",
    };
    (what, pc, status)
}
