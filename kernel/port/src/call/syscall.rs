//! System calls: a number in, a result or an error text out.
//!
//! The number is in RBP, the arguments are on the user's stack ([`args`](super::args)). [`dispatch`] is the table of
//! the calls. What takes more of the program's memory than a name and a number is in `fileargs` and `procargs`, what
//! the calls do in `sysfile`, `sysproc` and `sysseg`.

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::error;
use abi::syscall as call;
use machine::heap::{Call, can_afford, is_granted, is_granted_beside};
use machine::ledger::for_long;
use machine::user::{self, UserContext};

use crate::call::args::{self, Args};
use crate::call::{fileargs, procargs, sysfile, sysproc, sysseg};
use crate::error::{Error, Result};
use crate::mem::{self, sema};
use crate::proc::notes::{self, NoteClass};
use crate::proc::notify::{self, After};
use crate::proc::process::Proc;
use crate::proc::{alarm, broken, rendezvous, scarce, starve};

/// Carries out the call that `ctx` asks for. The result is in its RAX afterwards, unless the process dies or its
/// registers were replaced (exec, noted).
#[inline(always)]
pub(crate) fn dispatch(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    machine::cpu::count_syscall();
    let number = ctx.regs.bp();
    let _call = Call::enter_as(|| call::name(number).unwrap_or("system call"));
    up.syscall.store(number.wrapping_add(1), Ordering::Relaxed);
    let result = match ctx.args() {
        _ if !call::has_arguments(number) => Ok(without_arguments(number)),
        Some(words) if has_room(number) => simple(&Args { up, words }, number),
        _ => return change(up, ctx, number),
    };
    up.syscall.store(0, Ordering::Relaxed);
    match result {
        Ok(value) => ctx.regs.set_ax(value),
        Err(e) => failed(up, ctx, number, e),
    }
    After::Continue
}

/// The same for the calls of a process that somebody looks at.
#[inline(never)]
pub(super) fn dispatch_told(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    dispatch(up, ctx)
}

/// The arguments of a call for which there is room.
fn words(up: &Arc<Proc>, ctx: &UserContext, number: u64) -> Result<[u64; 6]> {
    if is_in(number, KEEPS) && !find_room(up, number) {
        return Err(error::ENOMEM.into());
    }
    match ctx.args() {
        Some(words) => Ok(*words),
        None => args::fetch(up, ctx.regs.sp()),
    }
}

/// The calls that do more to the process than to give a result, and those whose arguments have to be fetched, or for
/// which room has to be found. One that makes a process or a program is tried again, as a read or a write is, when it
/// fails for want of memory: it has changed nothing, and what others have in a storm of short programs is gone soon.
#[inline(never)]
fn change(up: &Arc<Proc>, ctx: &mut UserContext, number: u64) -> After {
    let done = match changed(up, ctx, number) {
        Err(e) if is_in(number, MAKES) => scarce::again(up, e, || changed(up, ctx, number)),
        done => done,
    };
    up.syscall.store(0, Ordering::Relaxed);
    match done {
        Ok(Done::Value(v)) => ctx.regs.set_ax(v),
        Ok(Done::Registers) => {}
        Ok(Done::End(end)) => return end,
        Err(e) => failed(up, ctx, number, e),
    }
    After::Continue
}

fn changed(up: &Arc<Proc>, ctx: &mut UserContext, number: u64) -> Result<Done> {
    let words = words(up, ctx, number)?;
    let args = Args { up, words: &words };
    match number {
        call::EXITS => procargs::exits(&args).map(|text| Done::End(After::Die(text))),
        call::EXEC => procargs::exec(&args, ctx).map(|()| Done::Registers),
        call::NOTED => Ok(match notify::noted(up, ctx, args.int(0)) {
            After::Continue => Done::Registers,
            end => Done::End(end),
        }),
        call::RFORK => sysproc::rfork(up, ctx, args.uint(0)).map(|pid| Done::Value(u64::from(pid))),
        _ => simple(&args, number).map(Done::Value),
    }
}

enum Done {
    Value(u64),
    Registers,
    End(After),
}

/// Tries a read or a write again that has failed for want of memory, as long as that may come.
fn again(up: &Arc<Proc>, ctx: &UserContext, number: u64, e: Error) -> Result<u64> {
    if !is_in(number, MOVES) {
        return Err(e);
    }
    up.syscall.store(number.wrapping_add(1), Ordering::Relaxed);
    let result = scarce::again(up, e, || {
        let words = words(up, ctx, number)?;
        simple(&Args { up, words: &words }, number)
    });
    up.syscall.store(0, Ordering::Relaxed);
    result
}

/// The call has failed, unless it does not when it is tried [`again`]: its result is -1, and the text is for who asks.
#[inline(never)]
fn failed(up: &Arc<Proc>, ctx: &mut UserContext, number: u64, e: Error) {
    let e = match again(up, ctx, number, e) {
        Ok(value) => return ctx.regs.set_ax(value),
        Err(e) => e,
    };
    ctx.regs.set_ax(u64::MAX);
    let text = String::from(e.text());
    let old = core::mem::replace(&mut *up.errstr.lock(), text);
    drop(old);
    if e.is_fault() {
        notes::post(up, "sys: bad address in syscall", NoteClass::Debug);
    }
}

/// A bit for each call that keeps something in the kernel.
const KEEPS: u64 = bits(&[
    call::RFORK,
    call::EXEC,
    call::OPEN,
    call::CREATE,
    call::PIPE,
    call::DUP,
    call::BIND,
    call::MOUNT,
    call::MOUNT_OLD,
    call::MOUNTDEV,
    call::SEGATTACH,
    call::PWRITE,
    call::WRITE_OLD,
    call::FAUTH,
    call::FVERSION,
    call::CHDIR,
    call::WSTAT,
    call::FWSTAT,
]);
/// And for those of them that may take so much or keep it for so long that more is asked than whether the grants are
/// whole.
const MUCH: u64 = bits(&[call::RFORK, call::EXEC, call::BIND, call::MOUNT, call::MOUNT_OLD, call::MOUNTDEV]);

/// A bit for each call that passes something on, and waits for memory.
const MOVES: u64 = bits(&[call::PREAD, call::READ_OLD, call::PWRITE, call::WRITE_OLD]);

/// And for those that make a process or a program, and wait for memory, too.
const MAKES: u64 = bits(&[call::RFORK, call::EXEC]);

/// The calls that do more to the process than to give a result.
const CHANGES: u64 = bits(&[call::EXITS, call::EXEC, call::NOTED, call::RFORK]);

/// What is to be seen before a call that does no more than to give a result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Nothing,
    /// Whether there is room for what it keeps.
    Room,
    /// More, or it does more: see [`change`].
    More,
}

/// That of each call.
const BEFORE: [Before; 64] = {
    let mut table = [Before::Nothing; 64];
    let mut number = 0;
    while number < 64 {
        if is_in(number, CHANGES | MUCH) {
            table[number as usize] = Before::More;
        } else if is_in(number, KEEPS) {
            table[number as usize] = Before::Room;
        }
        number += 1;
    }
    table
};

/// Whether a call has its bit there.
#[inline]
const fn is_in(number: u64, bits: u64) -> bool {
    number < 64 && bits >> number & 1 != 0
}

const fn bits(mut calls: &[u64]) -> u64 {
    let mut bits = 0;
    while let [first, rest @ ..] = calls {
        bits |= 1 << *first;
        calls = rest;
    }
    bits
}

/// Whether a call does no more than to give a result, and there is room for it without a further look.
#[inline]
fn has_room(number: u64) -> bool {
    match usize::try_from(number).ok().and_then(|number| BEFORE.get(number)) {
        None | Some(Before::Nothing) => true,
        Some(Before::Room) => is_granted_beside(starve::ROOM as usize),
        Some(Before::More) => false,
    }
}

/// Refuses calls that keep something in the kernel, before they have changed anything, while not all that is set aside
/// is there, or the process's user has all that it may: a program that asks for things without end gets an error, and
/// the machine goes on. The others keep nothing, or no more than a process can have once (an alarm, a rendezvous). For
/// what somebody at the console waits for, room is made, and for a new process or program more of it than to begin.
///
/// Before that, what is kept of files goes, while there is still some room: a call does not ask for it in its midst. A
/// write that is refused is tried [`again`], and so is what makes a process or a program.
#[inline(never)]
fn find_room(up: &Arc<Proc>, number: u64) -> bool {
    if !is_granted_beside(starve::ROOM as usize) {
        mem::give_up_kept(up);
    }
    let granted = match number {
        // A name space may be there for longer than who changes it.
        call::BIND | call::MOUNT | call::MOUNT_OLD | call::MOUNTDEV => for_long(is_granted),
        _ => is_granted(),
    };
    let room = if is_in(number, MAKES) { starve::ROOM } else { 0 };
    if granted && (room == 0 || can_afford(room)) {
        return true;
    }
    let made = (broken::release_all(&up.kernel) && is_granted()) || starve::make_room(up, room);
    // Else there is enough for the call, and what it makes is as likely to get what it asks for then as others.
    made || granted
}

/// An int as a result: sign-extended.
pub(super) fn int(v: i32) -> u64 {
    i64::from(v) as u64
}

pub(super) fn nothing(_: ()) -> u64 {
    0
}

/// The calls that do no more to the process than to give a result. Those that programs make all the time are functions
/// of their own, so that none of them needs what another one does.
fn simple(a: &Args<'_>, number: u64) -> Result<u64> {
    match number {
        call::PREAD => fileargs::read(a, a.long(3) as i64),
        call::PWRITE => fileargs::write(a, a.long(3) as i64),
        call::OPEN => fileargs::open(a),
        call::CREATE => fileargs::create(a),
        call::CLOSE => fileargs::close(a),
        call::STAT => fileargs::stat(a),
        call::REMOVE => fileargs::remove(a),
        call::SEMACQUIRE => procargs::semacquire(a),
        call::SEMRELEASE => procargs::semrelease(a),
        call::SLEEP => procargs::sleep(a),
        _ => other(a, number),
    }
}

/// The calls that have no arguments: the time of day, and nothing.
#[inline]
fn without_arguments(number: u64) -> u64 {
    if number == call::NSEC { user::wall_ns() as u64 } else { 0 }
}

#[inline(never)]
fn other(a: &Args<'_>, number: u64) -> Result<u64> {
    let up = a.up;
    match number {
        call::FSESSION => {
            up.mem.copy_out(a.long(1), &[0])?;
            Ok(0)
        }
        call::ERRSTR_OLD => procargs::errstr(a, 64),
        call::ERRSTR => procargs::errstr(a, a.uint(1) as usize),
        call::BIND => sysfile::bind(up, &a.string(0)?, &a.string(1)?, a.uint(2)).map(int),
        call::CHDIR => sysfile::chdir(up, &a.string(0)?).map(nothing),
        call::DUP => sysfile::dup(up, a.int(0), a.int(1)).map(int),
        call::ALARM => Ok(u64::from(alarm::alarm(up, a.uint(0)))),
        call::FAUTH => sysfile::fauth(up, a.int(0), &a.string(1)?).map(int),
        call::READ_OLD => fileargs::read(a, -1),
        call::WRITE_OLD => fileargs::write(a, -1),
        call::OSEEK => sysfile::seek(up, a.int(0), i64::from(a.int(1)), a.int(2)).map(|o| int(o as i32)),
        call::SEEK => fileargs::seek(a),
        call::PIPE => fileargs::pipe(a),
        call::FD2PATH => fileargs::fd2path(a),
        call::WSTAT_OLD | call::FWSTAT_OLD => Err(error::EOLDWSTAT.into()),
        call::NOTIFY => notify::notify(up, a.long(0)).map(nothing),
        call::RENDEZVOUS => rendezvous::rendezvous(up, a.long(0), a.long(1)),
        call::UNMOUNT => {
            let name = if a.long(0) == 0 { None } else { Some(a.string(0)?) };
            sysfile::unmount(up, name.as_deref(), &a.string(1)?).map(nothing)
        }
        call::STAT_OLD => fileargs::old_stat(a, sysfile::stat(up, &a.string(0)?)?),
        call::FSTAT_OLD => fileargs::old_stat(a, sysfile::fstat(up, a.int(0))?),
        call::FSTAT => fileargs::fstat(a),
        call::WSTAT => {
            let name = a.string(0)?;
            fileargs::wstat_in(a).and_then(|b| sysfile::wstat(up, &name, &b).map(|()| b.len() as u64))
        }
        call::FWSTAT => {
            fileargs::wstat_in(a).and_then(|b| sysfile::fwstat(up, a.int(0), &b).map(|()| b.len() as u64))
        }
        call::MOUNT => fileargs::mount(a, a.int(1), 2, 'M').map(int),
        call::MOUNT_OLD => fileargs::mount(a, -1, 1, 'M').map(int),
        call::MOUNTDEV => {
            let letter = char::from_u32(a.uint(5)).ok_or(error::EBADARG)?;
            fileargs::mount(a, a.int(1), 2, letter).map(int)
        }
        call::FVERSION => fileargs::fversion(a),
        call::AWAIT => procargs::await_call(a),
        call::WAIT_OLD => procargs::old_wait(a),
        call::TSEMACQUIRE => {
            let deadline = machine::clock::now_ns().saturating_add(u64::from(a.uint(1)) * 1_000_000);
            sema::acquire(&up.mem, a.long(0), Some(deadline)).map(u64::from)
        }
        call::BRK => up.mem.brk(a.long(0)),
        call::SEGBRK => sysseg::segbrk(up, a.long(0), a.long(1)).map(nothing),
        call::SEGATTACH => sysseg::segattach(up, a.uint(0), &a.string(1)?, a.long(2), a.uint(3)),
        call::SEGDETACH => sysseg::segdetach(up, a.long(0)).map(nothing),
        call::SEGFREE => sysseg::segfree(up, a.long(0), a.uint(1)).map(nothing),
        call::SEGFLUSH => sysseg::segflush(up, a.long(0), a.uint(1)).map(nothing),
        _ => {
            notes::post(up, "sys: bad sys call", NoteClass::Debug);
            Err(error::EBADARG.into())
        }
    }
}
