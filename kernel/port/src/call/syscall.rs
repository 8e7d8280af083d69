//! System calls: a number in, a result or an error text out.
//!
//! The number is in RBP, the arguments are on the user's stack ([`args`](super::args)). [`dispatch`] is the table of
//! the calls. What takes more of the program's memory than a name and a number is in `fileargs` and `procargs`, what
//! the calls do in `sysfile`, `sysproc` and `sysseg`.

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::syscall as call;
use abi::{error, ureg};
use machine::heap::{Call, can_afford, is_granted};
use machine::ledger::for_long;
use machine::user::UserContext;

use crate::call::args::Args;
use crate::call::{fileargs, procargs, sysfile, sysproc, sysseg};
use crate::error::Result;
use crate::mem::sema;
use crate::proc::notes::{self, NoteClass};
use crate::proc::notify::{self, After};
use crate::proc::process::Proc;
use crate::proc::{alarm, broken, rendezvous, starve};

/// Carries out the call that `ctx` asks for. The result is in its RAX afterwards, unless the process dies or its
/// registers were replaced (exec, noted).
#[inline]
pub(crate) fn dispatch(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    machine::cpu::count_syscall();
    ctx.regs.kind = ureg::SYSCALL;
    let number = ctx.regs.bp;
    let _call = Call::enter_as(|| call::name(number).unwrap_or("system call"));
    up.syscall.store(number.wrapping_add(1), Ordering::Relaxed);
    up.keep_regs(&ctx.regs);
    let result =
        room_for(up, number).and_then(|()| Args::fetch(up, ctx.regs.sp)).and_then(|args| match number {
            call::EXITS => procargs::exits(&args).map(|text| Done::End(After::Die(text))),
            call::EXEC => procargs::exec(&args, ctx).map(|()| Done::Registers),
            call::NOTED => Ok(match notify::noted(up, ctx, args.int(0)) {
                After::Continue => Done::Registers,
                end => Done::End(end),
            }),
            call::RFORK => sysproc::rfork(up, ctx, args.uint(0)).map(|pid| Done::Value(u64::from(pid))),
            _ => simple(&args, number).map(Done::Value),
        });
    up.syscall.store(0, Ordering::Relaxed);
    match result {
        Ok(Done::Value(v)) => ctx.regs.ax = v,
        Ok(Done::Registers) => {}
        Ok(Done::End(end)) => return end,
        Err(e) => {
            ctx.regs.ax = u64::MAX;
            *up.errstr.lock() = String::from(e.text());
            if e.is_fault() {
                notes::post(up, "sys: bad address in syscall", NoteClass::Debug);
            }
        }
    }
    After::Continue
}

/// Refuses calls that keep something in the kernel, before they have changed anything, while not all that is set aside
/// is there, or the process's user has all that it may: a program that asks for things without end gets an error, and
/// the machine goes on. The others keep nothing, or no more than a process can have once (an alarm, a rendezvous). For
/// what somebody at the console waits for, room is made, and for a new process or program more of it than to begin.
fn room_for(up: &Arc<Proc>, number: u64) -> Result<()> {
    let makes = matches!(
        number,
        call::RFORK
            | call::EXEC
            | call::OPEN
            | call::CREATE
            | call::PIPE
            | call::DUP
            | call::BIND
            | call::MOUNT
            | call::MOUNT_OLD
            | call::MOUNTDEV
            | call::SEGATTACH
            | call::PWRITE
            | call::WRITE_OLD
            | call::FAUTH
            | call::FVERSION
            | call::CHDIR
            | call::WSTAT
            | call::FWSTAT
    );
    if !makes {
        return Ok(());
    }
    let granted = match number {
        // A name space may be there for longer than who changes it.
        call::BIND | call::MOUNT | call::MOUNT_OLD | call::MOUNTDEV => for_long(is_granted),
        _ => is_granted(),
    };
    let room = if matches!(number, call::RFORK | call::EXEC) { starve::ROOM } else { 0 };
    if granted && (room == 0 || can_afford(room)) {
        return Ok(());
    }
    let made = (broken::release_all(&up.kernel) && is_granted()) || starve::make_room(up, room);
    // Else there is enough for the call, and what it makes is as likely to get what it asks for then as others.
    if made || granted { Ok(()) } else { Err(error::ENOMEM.into()) }
}

enum Done {
    Value(u64),
    Registers,
    End(After),
}

/// An int as a result: sign-extended.
fn int(v: i32) -> u64 {
    i64::from(v) as u64
}

fn nothing(_: ()) -> u64 {
    0
}

/// The calls that do no more to the process than to give a result.
fn simple(a: &Args<'_>, number: u64) -> Result<u64> {
    let up = a.up;
    match number {
        call::SYSR1 => Ok(0),
        call::FSESSION => {
            up.mem.copy_out(a.long(1), &[0])?;
            Ok(0)
        }
        call::ERRSTR_OLD => procargs::errstr(a, 64),
        call::ERRSTR => procargs::errstr(a, a.uint(1) as usize),
        call::BIND => sysfile::bind(up, &a.string(0)?, &a.string(1)?, a.uint(2)).map(int),
        call::CHDIR => sysfile::chdir(up, &a.string(0)?).map(nothing),
        call::CLOSE => sysfile::close(up, a.int(0)).map(nothing),
        call::DUP => sysfile::dup(up, a.int(0), a.int(1)).map(int),
        call::ALARM => Ok(u64::from(alarm::alarm(up, a.uint(0)))),
        call::FAUTH => sysfile::fauth(up, a.int(0), &a.string(1)?).map(int),
        call::OPEN => sysfile::open(up, &a.string(0)?, a.uint(1)).map(int),
        call::CREATE => sysfile::create(up, &a.string(0)?, a.uint(1), a.uint(2)).map(int),
        call::READ_OLD => fileargs::read(a, -1),
        call::WRITE_OLD => fileargs::write(a, -1),
        call::PREAD => fileargs::read(a, a.long(3) as i64),
        call::PWRITE => fileargs::write(a, a.long(3) as i64),
        call::OSEEK => sysfile::seek(up, a.int(0), i64::from(a.int(1)), a.int(2)).map(|o| int(o as i32)),
        call::SEEK => fileargs::seek(a),
        call::SLEEP => alarm::sleep(up, a.int(0)).map(nothing),
        call::PIPE => fileargs::pipe(a),
        call::FD2PATH => fileargs::fd2path(a),
        call::REMOVE => sysfile::remove(up, &a.string(0)?).map(nothing),
        call::WSTAT_OLD | call::FWSTAT_OLD => Err(error::EOLDWSTAT.into()),
        call::NOTIFY => notify::notify(up, a.long(0)).map(nothing),
        call::RENDEZVOUS => rendezvous::rendezvous(up, a.long(0), a.long(1)),
        call::UNMOUNT => {
            let name = if a.long(0) == 0 { None } else { Some(a.string(0)?) };
            sysfile::unmount(up, name.as_deref(), &a.string(1)?).map(nothing)
        }
        call::STAT_OLD => fileargs::old_stat(a, sysfile::stat(up, &a.string(0)?)?),
        call::FSTAT_OLD => fileargs::old_stat(a, sysfile::fstat(up, a.int(0))?),
        call::STAT => fileargs::stat_out(a, sysfile::stat(up, &a.string(0)?)?),
        call::FSTAT => fileargs::stat_out(a, sysfile::fstat(up, a.int(0))?),
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
        call::SEMACQUIRE => {
            let deadline = if a.int(1) == 0 { None } else { Some(u64::MAX) };
            sema::acquire(&up.mem, a.long(0), deadline).map(u64::from)
        }
        call::TSEMACQUIRE => {
            let deadline = machine::clock::now_ns().saturating_add(u64::from(a.uint(1)) * 1_000_000);
            sema::acquire(&up.mem, a.long(0), Some(deadline)).map(u64::from)
        }
        call::SEMRELEASE => sema::release(&up.mem, a.long(0), a.int(1)).map(int),
        call::BRK => up.mem.brk(a.long(0)),
        call::SEGBRK => sysseg::segbrk(up, a.long(0), a.long(1)).map(nothing),
        call::SEGATTACH => sysseg::segattach(up, a.uint(0), &a.string(1)?, a.long(2), a.uint(3)),
        call::SEGDETACH => sysseg::segdetach(up, a.long(0)).map(nothing),
        call::SEGFREE => sysseg::segfree(up, a.long(0), a.uint(1)).map(nothing),
        call::SEGFLUSH => sysseg::segflush(up, a.long(0), a.uint(1)).map(nothing),
        call::NSEC => Ok(machine::clock::wall_ns() as u64),
        _ => {
            notes::post(up, "sys: bad sys call", NoteClass::Debug);
            Err(error::EBADARG.into())
        }
    }
}
