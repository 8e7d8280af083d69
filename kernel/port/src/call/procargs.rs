//! What the calls about processes take from the program's memory and put into it: the arguments of `exec`, exit and
//! error texts, wait records new and old. What they do is in [`load`], in [`proc`](crate::proc) and in
//! [`sysproc`](super::sysproc).

use alloc::string::String;
use alloc::vec::Vec;

use abi::{ERRMAX, error};
use machine::user::UserContext;

use crate::call::args::Args;
use crate::call::syscall::{int, nothing};
use crate::error::{Error, Result, clip};
use crate::exec::argv::Argv;
use crate::exec::load;
use crate::mem::sema;
use crate::proc::{alarm, exit};

/// Longest wait record: four numbers, and a message of which every byte is a quote.
const RECORD_MAX: usize = 4 * 21 + 2 * ERRMAX;

/// The status that `exits` is given.
pub(super) fn exits(a: &Args<'_>) -> Result<String> {
    if a.long(0) == 0 {
        return Ok(String::new());
    }
    // A status that cannot be read is no reason to live on.
    let text = match a.up.mem.copy_in_string(a.long(0), ERRMAX - 1) {
        Ok(bytes) => bytes,
        Err(e) if e.is(error::ETOOLONG) => {
            let mut bytes = alloc::vec![0; ERRMAX - 1];
            a.up.mem.copy_in(a.long(0), &mut bytes)?;
            bytes
        }
        Err(_) => return Ok(String::from("invalid exit string")),
    };
    Ok(String::from(clip(&String::from_utf8_lossy(&text), ERRMAX - 1)))
}

/// `exec`, with as many [arguments](Argv) as half a stack holds. The registers are the new program's afterwards.
pub(super) fn exec(a: &Args<'_>, ctx: &mut UserContext) -> Result<()> {
    let name = a.string(0)?;
    let mut args = Argv::new();
    let mut at = a.long(1);
    loop {
        let mut word = [0u8; 8];
        a.up.mem.copy_in(at, &mut word)?;
        match u64::from_le_bytes(word) {
            0 => break,
            pointer => args.push_from(&a.up.mem, pointer).map_err(|e| match e.is(error::ETOOLONG) {
                true => error::EBADARG.into(),
                false => e,
            })?,
        }
        a.up.check_interrupt()?;
        at = at.checked_add(8).ok_or(Error::bad_address())?;
    }
    if args.count() == 0 {
        return Err(error::EBADARG.into());
    }
    ctx.regs.put(&load::exec(a.up, &name, args)?);
    ctx.fpu_reset();
    let mut ctl = a.up.ctl.lock();
    ctl.stop |= ctl.hang;
    Ok(())
}

/// `errstr`: the old text goes out, the caller's becomes the new one.
pub(super) fn errstr(a: &Args<'_>, len: usize) -> Result<u64> {
    let len = len.min(ERRMAX);
    if len == 0 {
        return Err(error::EBADARG.into());
    }
    let mut theirs = alloc::vec![0u8; len];
    a.up.mem.copy_in(a.long(0), &mut theirs)?;
    let end = theirs.iter().take(len - 1).position(|&b| b == 0).unwrap_or(len - 1);
    let new = String::from_utf8_lossy(theirs.get(..end).unwrap_or(&[])).into_owned();
    let old = core::mem::replace(&mut *a.up.errstr.lock(), String::from(clip(&new, ERRMAX - 1)));
    let mut out = Vec::from(clip(&old, len - 1));
    out.push(0);
    a.up.mem.copy_out(a.long(0), &out)?;
    Ok(0)
}

pub(super) fn await_call(a: &Args<'_>) -> Result<u64> {
    // A record that cannot be delivered would be lost: there must be room for the longest before it is taken.
    let len = (a.uint(1) as usize).min(RECORD_MAX);
    a.up.mem.pin(a.long(0), len, true)?;
    let text = exit::await_child(a.up)?.text();
    let text = clip(&text, len);
    a.up.mem.copy_out(a.long(0), text.as_bytes())?;
    Ok(text.len() as u64)
}

/// The obsolete wait: fixed fields of `pid[12] times[3*12] msg[64]`.
pub(super) fn old_wait(a: &Args<'_>) -> Result<u64> {
    if a.long(0) != 0 {
        a.up.mem.pin(a.long(0), 4 * abi::NUMSIZE + 64, true)?;
    }
    let record = exit::await_child(a.up)?;
    if a.long(0) != 0 {
        let mut out = Vec::new();
        for n in core::iter::once(u64::from(record.pid)).chain(record.times_ms) {
            out.extend(alloc::format!("{n:11} ").bytes().take(abi::NUMSIZE));
        }
        let mut msg = Vec::from(clip(&record.msg, 63));
        msg.resize(64, 0);
        out.extend(msg);
        a.up.mem.copy_out(a.long(0), &out)?;
    }
    Ok(u64::from(record.pid))
}

/// `semacquire`.
#[inline(never)]
pub(super) fn semacquire(a: &Args<'_>) -> Result<u64> {
    let deadline = if a.int(1) == 0 { None } else { Some(u64::MAX) };
    sema::acquire(&a.up.mem, a.long(0), deadline).map(u64::from)
}

/// `semrelease`.
#[inline(never)]
pub(super) fn semrelease(a: &Args<'_>) -> Result<u64> {
    sema::release(&a.up.mem, a.long(0), a.int(1)).map(int)
}

/// `sleep`.
#[inline(never)]
pub(super) fn sleep(a: &Args<'_>) -> Result<u64> {
    alarm::sleep(a.up, a.int(0)).map(nothing)
}
