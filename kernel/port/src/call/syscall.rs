//! System calls: numbers and arguments in, results and error texts out.
//!
//! The number is in RBP, argument `i` at `RSP + 8 + 8*i`. The upper halves of 32-bit arguments are garbage and
//! are cut off here, in one place ([`Args`]). Everything else is in `sysfile` (names and files) and `sysproc`.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use abi::syscall as call;
use abi::{DMDIR, ERRMAX, error};
use machine::user::UserContext;

use crate::call::{sysfile, sysproc};
use crate::error::{Error, Result, clip};
use crate::exec;
use crate::kernel::Kernel;
use crate::mem::iobuf::{Dst, Src, UserBuf};
use crate::mem::{Kind, Segment, sema};
use crate::name::{fgrp, transfer};
use crate::proc::notes::{self, After, NoteClass};
use crate::proc::process::Proc;
use crate::proc::rendezvous;
use crate::proc::{alarm, broken, exit};

/// Longest file name, in bytes.
const NAME_MAX: usize = 65535;
/// Longest single argument of a program and most of them.
const ARG_MAX: usize = 1 << 20;

/// Longest wait record: four numbers, and a message of which every byte is a quote.
const RECORD_MAX: usize = 4 * 21 + 2 * ERRMAX;

/// The words on the user stack that are the arguments of a call.
struct Args<'a> {
    up: &'a Arc<Proc>,
    words: [u64; 6],
}

impl<'a> Args<'a> {
    fn fetch(up: &'a Arc<Proc>, sp: u64) -> Result<Self> {
        let mut bytes = [0u8; 48];
        up.mem.copy_in(sp.wrapping_add(8), &mut bytes)?;
        let mut words = [0u64; 6];
        for (word, b) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(b.try_into().unwrap_or_default());
        }
        Ok(Args { up, words })
    }

    /// A pointer or a vlong.
    fn long(&self, i: usize) -> u64 {
        self.words.get(i).copied().unwrap_or(0)
    }

    /// An int.
    fn int(&self, i: usize) -> i32 {
        self.long(i) as i32
    }

    /// A uint or ulong.
    fn uint(&self, i: usize) -> u32 {
        self.long(i) as u32
    }

    /// A count of bytes.
    fn count(&self, i: usize) -> Result<usize> {
        usize::try_from(self.int(i)).map_err(|_| Error::new(error::EBADARG))
    }

    /// A file name or another short string.
    fn string(&self, i: usize) -> Result<String> {
        let bytes = self.up.mem.copy_in_string(self.long(i), NAME_MAX)?;
        String::from_utf8(bytes).map_err(|_| Error::new(error::EBADCHAR))
    }

    fn buf(&self, i: usize, len: usize) -> UserBuf<'a> {
        UserBuf { mem: &self.up.mem, va: self.long(i), len }
    }
}

/// Carries out the call that `ctx` asks for. The result is in its RAX afterwards, unless the process dies or its
/// registers were replaced (exec, noted).
pub(crate) fn dispatch(up: &Arc<Proc>, ctx: &mut UserContext) -> After {
    machine::cpu::count_syscall();
    ctx.regs.kind = 64;
    let number = ctx.regs.bp;
    up.syscall.store(number.wrapping_add(1), Ordering::Relaxed);
    *up.regs.lock() = Some(ctx.regs);
    let result =
        room_for(&up.kernel, number).and_then(|()| Args::fetch(up, ctx.regs.sp)).and_then(
            |args| match number {
                call::EXITS => exits(&args).map(|text| Done::End(After::Die(text))),
                call::EXEC => exec_call(&args, ctx).map(|()| Done::Registers),
                call::NOTED => Ok(match notes::noted(up, ctx, args.int(0)) {
                    After::Continue => Done::Registers,
                    end => Done::End(end),
                }),
                call::RFORK => sysproc::rfork(up, ctx, args.uint(0)).map(|pid| Done::Value(u64::from(pid))),
                _ => simple(&args, number).map(Done::Value),
            },
        );
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

/// Refuses calls that make something in the kernel while the kernel's own reserve of memory is being used up:
/// a program that asks for things without end gets an error, and the machine goes on.
fn room_for(kernel: &Kernel, number: u64) -> Result<()> {
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
    );
    if !makes || !crate::mem::is_scarce() || broken::release_all(kernel) {
        return Ok(());
    }
    Err(error::ENOMEM.into())
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

fn simple(a: &Args<'_>, number: u64) -> Result<u64> {
    let up = a.up;
    match number {
        call::SYSR1 => Ok(0),
        call::FSESSION => {
            up.mem.copy_out(a.long(1), &[0])?;
            Ok(0)
        }
        call::ERRSTR_OLD => errstr(a, 64),
        call::ERRSTR => errstr(a, a.uint(1) as usize),
        call::BIND => sysfile::bind(up, &a.string(0)?, &a.string(1)?, a.uint(2)).map(int),
        call::CHDIR => sysfile::chdir(up, &a.string(0)?).map(nothing),
        call::CLOSE => sysfile::close(up, a.int(0)).map(nothing),
        call::DUP => sysfile::dup(up, a.int(0), a.int(1)).map(int),
        call::ALARM => Ok(u64::from(alarm::alarm(up, a.uint(0)))),
        call::FAUTH => sysfile::fauth(up, a.int(0), &a.string(1)?).map(int),
        call::OPEN => sysfile::open(up, &a.string(0)?, a.uint(1)).map(int),
        call::CREATE => sysfile::create(up, &a.string(0)?, a.uint(1), a.uint(2)).map(int),
        call::READ_OLD => read(a, -1),
        call::WRITE_OLD => write(a, -1),
        call::PREAD => read(a, a.long(3) as i64),
        call::PWRITE => write(a, a.long(3) as i64),
        call::OSEEK => sysfile::seek(up, a.int(0), i64::from(a.int(1)), a.int(2)).map(|o| int(o as i32)),
        call::SEEK => {
            let c = up.fgrp().get(a.int(1))?;
            up.mem.check(a.long(0), 8, true)?;
            let offset = sysfile::seek_chan(up, &c, a.long(2) as i64, a.int(3))?;
            up.mem.copy_out(a.long(0), &offset.to_le_bytes())?;
            Ok(0)
        }
        call::SLEEP => alarm::sleep(up, a.int(0)).map(nothing),
        call::PIPE => pipe(a),
        call::FD2PATH => fd2path(a),
        call::REMOVE => sysfile::remove(up, &a.string(0)?).map(nothing),
        call::WSTAT_OLD | call::FWSTAT_OLD => Err(error::EOLDWSTAT.into()),
        call::NOTIFY => notes::notify(up, a.long(0)).map(nothing),
        call::RENDEZVOUS => rendezvous::rendezvous(up, a.long(0), a.long(1)),
        call::UNMOUNT => {
            let name = if a.long(0) == 0 { None } else { Some(a.string(0)?) };
            sysfile::unmount(up, name.as_deref(), &a.string(1)?).map(nothing)
        }
        call::STAT_OLD => old_stat(a, sysfile::stat(up, &a.string(0)?)?),
        call::FSTAT_OLD => old_stat(a, sysfile::fstat(up, a.int(0))?),
        call::STAT => stat_out(a, sysfile::stat(up, &a.string(0)?)?),
        call::FSTAT => stat_out(a, sysfile::fstat(up, a.int(0))?),
        call::WSTAT => {
            let name = a.string(0)?;
            wstat_in(a).and_then(|b| sysfile::wstat(up, &name, &b).map(|()| b.len() as u64))
        }
        call::FWSTAT => wstat_in(a).and_then(|b| sysfile::fwstat(up, a.int(0), &b).map(|()| b.len() as u64)),
        call::MOUNT => mount(a, a.int(1), 2, 'M'),
        call::MOUNT_OLD => mount(a, -1, 1, 'M'),
        call::MOUNTDEV => {
            let letter = char::from_u32(a.uint(5)).ok_or(error::EBADARG)?;
            mount(a, a.int(1), 2, letter)
        }
        call::FVERSION => fversion(a),
        call::AWAIT => await_call(a),
        call::WAIT_OLD => old_wait(a),
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
        call::SEGBRK => {
            let seg = up.mem.find_whole(a.long(0))?;
            if !matches!(seg.kind, Kind::Shared | Kind::Memory) {
                return Err(error::EBADARG.into());
            }
            up.mem.resize(&seg, a.long(1)).map(nothing)
        }
        call::SEGATTACH => segattach(a),
        call::SEGDETACH => {
            let seg = up.mem.find_whole(a.long(0))?;
            if seg.kind == Kind::Stack {
                return Err(error::EBADARG.into());
            }
            up.mem.remove(&seg);
            Ok(0)
        }
        call::SEGFREE => {
            let (from, len) = (a.long(0), u64::from(a.uint(1)));
            let seg = up.mem.find_whole(from)?;
            let to = from.checked_add(len).filter(|&to| to <= seg.top()).ok_or(error::EBADARG)?;
            seg.free_range(from, to);
            Ok(0)
        }
        call::SEGFLUSH => Ok(0),
        call::NSEC => Ok(machine::clock::wall_ns() as u64),
        _ => {
            notes::post(up, "sys: bad sys call", NoteClass::Debug);
            Err(error::EBADARG.into())
        }
    }
}

fn exits(a: &Args<'_>) -> Result<String> {
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

fn exec_call(a: &Args<'_>, ctx: &mut UserContext) -> Result<()> {
    let name = a.string(0)?;
    let mut args = Vec::new();
    let mut total = 0;
    let mut at = a.long(1);
    loop {
        let mut word = [0u8; 8];
        a.up.mem.copy_in(at, &mut word)?;
        match u64::from_le_bytes(word) {
            0 => break,
            pointer => {
                let arg = a.up.mem.copy_in_string(pointer, ARG_MAX)?;
                total += arg.len() + 9;
                args.push(arg);
            }
        }
        if total as u64 > abi::layout::USTKSIZE / 2 {
            return Err(error::EBADARG.into());
        }
        at = at.checked_add(8).ok_or(Error::bad_address())?;
    }
    if args.is_empty() {
        return Err(error::EBADARG.into());
    }
    ctx.regs = exec::load::exec(a.up, &name, args)?;
    ctx.fpu_reset();
    let mut ctl = a.up.ctl.lock();
    ctl.stop |= ctl.hang;
    Ok(())
}

/// `errstr`: the old text goes out, the caller's becomes the new one.
fn errstr(a: &Args<'_>, len: usize) -> Result<u64> {
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

fn read(a: &Args<'_>, offset: i64) -> Result<u64> {
    // The descriptor is judged before the count, and its mode last.
    let c = a.up.fgrp().get(a.int(0))?;
    let len = a.count(2)?;
    a.up.mem.check(a.long(1), len, true)?;
    fgrp::check_use(&c, abi::OREAD)?;
    transfer::read(a.up, &c, &mut Dst::User(a.buf(1, len)), offset).map(|n| n as u64)
}

fn write(a: &Args<'_>, offset: i64) -> Result<u64> {
    let c = a.up.fgrp().get(a.int(0))?;
    let len = a.count(2)?;
    a.up.mem.check(a.long(1), len, false)?;
    fgrp::check_use(&c, abi::OWRITE)?;
    transfer::write(a.up, &c, &Src::User(a.buf(1, len)), offset).map(|n| n as u64)
}

fn pipe(a: &Args<'_>) -> Result<u64> {
    a.up.mem.pin(a.long(0), 8, true)?;
    let [r, w] = sysfile::pipe(a.up)?;
    let mut bytes = [0u8; 8];
    let (first, second) = bytes.split_at_mut(4);
    first.copy_from_slice(&r.to_le_bytes());
    second.copy_from_slice(&w.to_le_bytes());
    a.up.mem.copy_out(a.long(0), &bytes)?;
    Ok(0)
}

fn fd2path(a: &Args<'_>) -> Result<u64> {
    let path = sysfile::fd2path(a.up, a.int(0))?;
    let len = a.uint(2) as usize;
    if len == 0 {
        return Err(error::EBADARG.into());
    }
    let mut out = Vec::from(clip(&path, len - 1));
    out.push(0);
    a.up.mem.copy_out(a.long(1), &out)?;
    Ok(0)
}

/// The short-buffer rule of `stat`: too small for the record, it holds the record's size and the call gives 2.
fn stat_out(a: &Args<'_>, record: Vec<u8>) -> Result<u64> {
    let len = a.uint(2) as usize;
    if len < 2 {
        return Err(error::ESHORTSTAT.into());
    }
    let out = if record.len() > len { record.get(..2).unwrap_or(&[]) } else { &record };
    a.up.mem.copy_out(a.long(1), out)?;
    Ok(out.len() as u64)
}

/// The 116-byte record of the obsolete stat calls: fixed 28-byte names.
fn old_stat(a: &Args<'_>, record: Vec<u8>) -> Result<u64> {
    let (dir, _) = abi::Dir::parse(&record)?;
    let mut out = Vec::with_capacity(116);
    for name in [&dir.name, &dir.uid, &dir.gid] {
        let mut field = [0u8; abi::KNAMELEN];
        for (to, from) in field.iter_mut().take(abi::KNAMELEN - 1).zip(name.bytes()) {
            *to = from;
        }
        out.extend(field);
    }
    let path = dir.qid.path as u32 & !DMDIR | if dir.is_dir() { DMDIR } else { 0 };
    for word in [path, dir.qid.vers, dir.mode, dir.atime, dir.mtime] {
        out.extend(word.to_le_bytes());
    }
    out.extend(dir.length.to_le_bytes());
    out.extend(dir.kind.to_le_bytes());
    out.extend((dir.dev as u16).to_le_bytes());
    a.up.mem.copy_out(a.long(1), &out)?;
    Ok(0)
}

fn wstat_in(a: &Args<'_>) -> Result<Vec<u8>> {
    let len = a.uint(2) as usize;
    if len > abi::STATMAX {
        return Err(error::EBADSTAT.into());
    }
    let mut bytes = alloc::vec![0; len];
    a.up.mem.copy_in(a.long(1), &mut bytes)?;
    Ok(bytes)
}

fn mount(a: &Args<'_>, afd: i32, old: usize, letter: char) -> Result<u64> {
    let spec = if a.long(old + 2) == 0 { String::new() } else { a.string(old + 2)? };
    sysfile::mount(a.up, a.int(0), afd, &a.string(old)?, a.uint(old + 1), &spec, letter).map(int)
}

fn fversion(a: &Args<'_>) -> Result<u64> {
    let room = a.uint(3) as usize;
    let version = if a.long(2) == 0 { String::new() } else { a.string(2)? };
    let agreed = sysfile::fversion(a.up, a.int(0), a.uint(1), &version)?;
    if agreed.len() >= room {
        return Err(error::EBADARG.into());
    }
    let mut out = Vec::from(agreed.as_str());
    out.push(0);
    a.up.mem.copy_out(a.long(2), &out)?;
    Ok(agreed.len() as u64)
}

fn await_call(a: &Args<'_>) -> Result<u64> {
    // A record that cannot be delivered would be lost: there must be room for the longest before it is taken.
    let len = (a.uint(1) as usize).min(RECORD_MAX);
    a.up.mem.pin(a.long(0), len, true)?;
    let text = exit::await_child(a.up)?.text();
    let text = clip(&text, len);
    a.up.mem.copy_out(a.long(0), text.as_bytes())?;
    Ok(text.len() as u64)
}

/// The obsolete wait: fixed fields of `pid[12] times[3*12] msg[64]`.
fn old_wait(a: &Args<'_>) -> Result<u64> {
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

/// `segattach`: memory of a class, at an address of the caller's or the kernel's choice.
fn segattach(a: &Args<'_>) -> Result<u64> {
    const PAGE: u64 = abi::layout::PAGE;
    let attr = a.uint(0);
    let class = a.string(1)?;
    let kind = match class.as_str() {
        "shared" => Kind::Shared,
        "memory" => Kind::Memory,
        _ => return Err(error::EBADARG.into()),
    };
    if attr & !(abi::SG_RONLY | abi::SG_CEXEC) != 0 || a.uint(3) == 0 {
        return Err(error::EBADARG.into());
    }
    let len = u64::from(a.uint(3)).next_multiple_of(PAGE);
    let mem = &a.up.mem;
    let base = match a.long(2) & !(PAGE - 1) {
        0 => {
            // Downwards from the stack, below whatever is there already.
            let mut top = abi::layout::USTKTOP - abi::layout::USTKSIZE;
            for seg in mem.segments().iter().rev().filter(|s| s.kind != Kind::Stack) {
                let end = seg.top();
                if top >= len && end <= top - len {
                    break;
                }
                top = seg.base;
            }
            top.checked_sub(len).filter(|&b| b > abi::layout::UTZERO).ok_or(error::ENOVMEM)?
        }
        // Whatever is below the text stays a trap for null pointers.
        va if va < abi::layout::UTZERO => return Err(error::EBADARG.into()),
        va => va,
    };
    let top = base.checked_add(len).ok_or(error::EBADARG)?;
    let write = attr & abi::SG_RONLY == 0;
    let seg = Segment::attached(kind, base, top, write, attr & abi::SG_CEXEC != 0);
    mem.add(seg)?;
    Ok(base)
}
