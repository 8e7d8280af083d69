//! The file system calls, behind the fetching of arguments.
//!
//! Each function is one call of section 2 of the manual, with its checks in Plan 9's order: the mode before
//! the name, the descriptor before the buffer. The caller (`syscall`) has copied names in.
//!
//! Each enters its [`Call`] itself, too, for those who call it without a system call.
//!
//! No locks of its own. Reads and writes themselves are in `name::transfer`.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, error};
use machine::heap::{self, Call};

use crate::dev::Teller;
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::name::fgrp::fd_to_chan;
use crate::name::glance;
use crate::name::mhead::Origin;
use crate::name::namec::{self, Access, namec};
use crate::name::transfer;
use crate::name::walk::{MAXELEMENT, Name};
use crate::proc::process::Proc;

/// Checks the mode bits of `open`, and of `create` without `OEXCL`.
fn check_mode(mode: u32) -> Result<()> {
    if mode & !(3 | abi::OTRUNC | abi::OCEXEC | abi::ORCLOSE) != 0 {
        return Err(error::EBADARG.into());
    }
    Ok(())
}

/// `open`.
///
/// # Errors
/// As [`namec`]; `bad arg in system call` for unknown mode bits; `no free file descriptors`.
pub fn open(up: &Arc<Proc>, name: &str, mode: u32) -> Result<i32> {
    let _call = Call::enter("open");
    check_mode(mode)?;
    let c = namec(up, name, Access::Open(mode))?;
    up.fgrp().install(c, mode & abi::OCEXEC != 0)
}

/// `create`.
///
/// # Errors
/// As [`open`]; with `OEXCL` also `file already exists`.
pub fn create(up: &Arc<Proc>, name: &str, mode: u32, perm: u32) -> Result<i32> {
    let _call = Call::enter("create");
    check_mode(mode & !abi::OEXCL)?;
    let c = namec(up, name, Access::Create { mode, perm })?;
    up.fgrp().install(c, mode & abi::OCEXEC != 0)
}

/// `close`.
///
/// # Errors
/// `fd out of range or not open`.
pub fn close(up: &Arc<Proc>, fd: i32) -> Result<()> {
    let _call = Call::enter("close");
    up.fgrp().close(fd)
}

/// `dup`: `new` (or, if it is -1, the lowest free descriptor) becomes what `old` is.
///
/// # Errors
/// `fd out of range or not open`; `no free file descriptors`.
pub fn dup(up: &Arc<Proc>, old: i32, new: i32) -> Result<i32> {
    let _call = Call::enter("dup");
    let fgrp = up.fgrp();
    let c = fgrp.get(old)?;
    if new == -1 { fgrp.install(c, false) } else { fgrp.install_at(new, c) }
}

/// `pipe`: both ends, each open for reading and writing.
///
/// # Errors
/// `no free file descriptors`.
pub fn pipe(up: &Arc<Proc>) -> Result<[i32; 2]> {
    let _call = Call::enter("pipe");
    let root = Chan::attach(up, up.kernel.dev('|')?, "")?;
    let fgrp = up.fgrp();
    let first = fgrp.install(open_below(up, &root, "data")?, false)?;
    match open_below(up, &root, "data1").and_then(|c| fgrp.install(c, false)) {
        Ok(second) => Ok([first, second]),
        Err(e) => {
            fgrp.close(first)?;
            Err(e)
        }
    }
}

fn open_below(up: &Arc<Proc>, root: &Chan, name: &str) -> Result<Arc<Chan>> {
    let mut c = root.dev.walk(up, root, &[name])?.chan.ok_or(error::ENONEXIST)?;
    let mut path = root.path.to_buf()?;
    path.push(name)?;
    c.path = path.finish();
    root.dev.open(up, c, abi::ORDWR)
}

/// `pread`. An `offset` of -1 uses and advances the descriptor's.
///
/// # Errors
/// `inappropriate use of fd` when it is not open for reading; `negative i/o offset`; what the device says.
pub fn pread(up: &Arc<Proc>, fd: i32, dst: &mut Dst<'_>, offset: i64) -> Result<usize> {
    let _call = Call::enter("pread");
    let c = fd_to_chan(up, fd, Some(abi::OREAD))?;
    transfer::read(up, &c, dst, offset)
}

/// `pwrite`. An `offset` of -1 uses and advances the descriptor's.
///
/// # Errors
/// `inappropriate use of fd` when it is not open for writing; `file is a directory`; what the device says.
pub fn pwrite(up: &Arc<Proc>, fd: i32, src: &Src<'_>, offset: i64) -> Result<usize> {
    let _call = Call::enter("pwrite");
    let c = fd_to_chan(up, fd, Some(abi::OWRITE))?;
    transfer::write(up, &c, src, offset)
}

/// `seek`; gives the new offset.
///
/// # Errors
/// `seek on a stream`; `file is a directory` for anything but a rewind; `negative i/o offset`.
pub fn seek(up: &Arc<Proc>, fd: i32, offset: i64, whence: i32) -> Result<i64> {
    let _call = Call::enter("seek");
    let c = fd_to_chan(up, fd, None)?;
    seek_chan(up, &c, offset, whence)
}

/// As [`seek`], on the channel of the descriptor.
///
/// # Errors
/// As [`seek`].
pub(crate) fn seek_chan(up: &Arc<Proc>, c: &Chan, offset: i64, whence: i32) -> Result<i64> {
    if c.is_stream() {
        return Err(error::EISSTREAM.into());
    }
    if c.qid.is_dir() && (whence != 0 || offset != 0) {
        return Err(error::EISDIR.into());
    }
    let length = match whence {
        2 => i64::try_from(c.dev.stat(up, c)?.length).unwrap_or(i64::MAX),
        _ => 0,
    };
    let to = |at: u64| {
        let base = match whence {
            0 => 0,
            1 => i64::try_from(at).unwrap_or(i64::MAX),
            2 => length,
            _ => return Err(Error::new(error::EBADARG)),
        };
        let new = base.checked_add(offset).ok_or(error::ENEGOFF)?;
        Ok(u64::try_from(new).map_err(|_| error::ENEGOFF)?)
    };
    to(c.offset.change(to)?).map(|new| new as i64)
}

/// `stat`: the encoded record.
///
/// # Errors
/// As [`namec`].
pub fn stat(up: &Arc<Proc>, name: &str) -> Result<Vec<u8>> {
    encoded(|tell| stat_to(up, name, tell))
}

/// `stat`: what the file is.
///
/// # Errors
/// As [`namec`], and what `tell` says.
pub(crate) fn stat_to(up: &Arc<Proc>, name: &str, tell: Teller<'_>) -> Result<()> {
    let _call = Call::enter("stat");
    let parsed = Name::parse(name)?;
    if glance::told(up, &parsed, tell) {
        return Ok(());
    }
    let found = namec::find_parsed(up, &parsed, Access::Look)?;
    let name = found.last_name();
    let mut of = |c: &Chan| c.dev.stat_to(up, c, &mut |dir| tell(&Dir { name: name.as_bytes(), ..*dir }));
    let c = found.chan();
    let first = of(c);
    match &found.union {
        Some(union) if has_gone(&first) && c.qid.is_dir() => {
            // As when it is opened: who has gone hides nothing.
            let list = union.list();
            let mut others = list.iter().skip(1).map(|m| of(&m.to));
            others.find(|told| !has_gone(told)).unwrap_or(first)
        }
        _ => first,
    }
}

fn has_gone<T>(answer: &Result<T>) -> bool {
    answer.as_ref().is_err_and(|e| e.is(error::EHUNGUP))
}

/// `fstat`: the encoded record.
///
/// # Errors
/// `fd out of range or not open`; what the device says.
pub fn fstat(up: &Arc<Proc>, fd: i32) -> Result<Vec<u8>> {
    encoded(|tell| fstat_to(up, fd, tell))
}

/// `fstat`: what the file is.
///
/// # Errors
/// As [`fstat`], and what `tell` says.
pub(crate) fn fstat_to(up: &Arc<Proc>, fd: i32, tell: Teller<'_>) -> Result<()> {
    let _call = Call::enter("fstat");
    let c = fd_to_chan(up, fd, None)?;
    // The name is the file's own: it may have another one than that by which it was opened.
    c.dev.stat_to(up, &c, tell)
}

/// The record of what is told.
fn encoded(told: impl FnOnce(Teller<'_>) -> Result<()>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    told(&mut |dir| {
        out.clear();
        heap::try_reserve_exact(&mut out, dir.record_size())?;
        dir.append_record(&mut out);
        Ok(())
    })?;
    Ok(out)
}

fn parse_stat(bytes: &[u8]) -> Result<Dir> {
    // Of a file whose names are sensible the record is that short; the copies that are made of it are bounded by this.
    if bytes.len() > abi::STATFIXLEN + 4 * MAXELEMENT {
        return Err(error::ETOOLONG.into());
    }
    let (dir, n) = Dir::parse(bytes)?;
    if dir.strings().iter().any(|s| s.len() > MAXELEMENT) {
        return Err(error::ETOOLONG.into());
    }
    if n != bytes.len() { Err(error::EBADSTAT.into()) } else { Ok(dir) }
}

fn wstat_chan(up: &Arc<Proc>, c: &Chan, mounted: bool, dir: &Dir) -> Result<()> {
    if !dir.name.is_empty() {
        if mounted {
            return Err(Error::new(error::EISMTPT).with_name(c.path.as_str()));
        }
        check_element(&dir.name)?;
    }
    c.dev.wstat(up, c, dir)
}

/// A new name for a file must be one element.
fn check_element(name: &str) -> Result<()> {
    if name == "." || name == ".." || name.bytes().any(|b| b < b' ' || b == 0x7f || b == b'/') {
        return Err(error::EBADCHAR.into());
    }
    Ok(())
}

/// `wstat`.
///
/// # Errors
/// `malformed stat buffer`; `is a mount point` when one is to be renamed; what the device says.
pub fn wstat(up: &Arc<Proc>, name: &str, bytes: &[u8]) -> Result<()> {
    let _call = Call::enter("wstat");
    let dir = parse_stat(bytes)?;
    let found = namec::find(up, name, Access::Stat)?;
    let mounted = found.union.is_some();
    let c = found.into_chan(up)?;
    wstat_chan(up, &c, mounted, &dir)
}

/// `fwstat`.
///
/// # Errors
/// As [`wstat`]; `fd out of range or not open`.
pub fn fwstat(up: &Arc<Proc>, fd: i32, bytes: &[u8]) -> Result<()> {
    let _call = Call::enter("fwstat");
    let dir = parse_stat(bytes)?;
    let c = fd_to_chan(up, fd, None)?;
    wstat_chan(up, &c, c.mounted, &dir)
}

/// `remove`.
///
/// # Errors
/// As [`namec`]; `is a mount point`; what the device says.
pub fn remove(up: &Arc<Proc>, name: &str) -> Result<()> {
    let _call = Call::enter("remove");
    let c = namec::find(up, name, Access::Remove)?.into_chan(up)?;
    let dev = c.dev.clone();
    dev.remove(up, c)
}

/// `chdir`.
///
/// # Errors
/// As [`namec`]; `not a directory`.
pub fn chdir(up: &Arc<Proc>, name: &str) -> Result<()> {
    let _call = Call::enter("chdir");
    let c = namec(up, name, Access::Chdir)?;
    let old = core::mem::replace(&mut *up.dot.lock(), c);
    drop(old);
    Ok(())
}

fn check_mount_flags(flag: u32) -> Result<()> {
    if flag & !abi::MMASK != 0 || flag & abi::MORDER == abi::MORDER {
        return Err(error::EBADARG.into());
    }
    Ok(())
}

/// `bind`; gives the id of the mount.
///
/// # Errors
/// `bad arg in system call` for wrong flags; `inconsistent mount`; as [`namec`] for both names.
pub fn bind(up: &Arc<Proc>, new: &str, old: &str, flag: u32) -> Result<i32> {
    let _call = Call::enter("bind");
    check_mount_flags(flag)?;
    let new = namec::find(up, new, Access::Bind)?.into_chan(up)?;
    let old = namec(up, old, Access::Mount)?;
    up.pgrp().mount(up.kernel.new_id(), new, old, flag, Origin::default()).map(|id| id as i32)
}

/// Binds `/boot` on `/` for the first process of a machine whose root is to be another tree: until it has mounted that,
/// it has everything where it is otherwise. An emptied name space, as that tree's own programs make one, is without it.
///
/// # Errors
/// As [`bind`].
pub fn boot_as_root(up: &Arc<Proc>) -> Result<()> {
    bind(up, "/boot", "/", abi::MREPL).map(drop)
}

/// Gives the first process a `/dev` with the console in it, and says what that is called: programs tell by the name
/// whether they read what somebody types. A root that has no `/dev` has it by the device's own name.
pub fn console(up: &Arc<Proc>) -> &'static str {
    if bind(up, "#c", "/dev", abi::MREPL).is_ok() { "/dev/cons" } else { "#c/cons" }
}

/// `mount`: the tree `spec` of the server behind `fd`, attached to by mount driver `letter`. On success `fd` is
/// closed and the id of the mount returned.
///
/// # Errors
/// `mount/attach disallowed` after `RFNOMNT`; `bad arg in system call` for wrong flags or no such driver;
/// what the server says; otherwise as [`bind`].
pub fn mount(
    up: &Arc<Proc>,
    fd: i32,
    afd: i32,
    old: &str,
    flag: u32,
    spec: &str,
    letter: char,
) -> Result<i32> {
    let _call = Call::enter("mount");
    check_mount_flags(flag)?;
    let pgrp = up.pgrp();
    if pgrp.no_mount() {
        return Err(error::ENOATTACH.into());
    }
    let auth = if afd < 0 { None } else { Some(fd_to_chan(up, afd, Some(abi::ORDWR))?) };
    let server = fd_to_chan(up, fd, Some(abi::ORDWR))?;
    let driver = up.kernel.mount_driver(letter)?;
    let old = namec(up, old, Access::Mount)?;
    let root = driver.attach_server(up, server.clone(), auth, spec, flag & abi::MCACHE != 0)?;
    let posted = up.kernel.devs().iter().find_map(|d| d.posted_name(&server));
    let server_name = match posted {
        Some(name) => name,
        None => heap::try_string(server.path.as_str())?,
    };
    let origin = Origin { server_name, server: Some(server), spec: heap::try_string(spec)? };
    let id = pgrp.mount(up.kernel.new_id(), root, old, flag, origin)?;
    // Another process of the group may have closed it meanwhile.
    let _ = up.fgrp().close(fd);
    Ok(id as i32)
}

/// `unmount` of `name`, or of everything, from `old`.
///
/// # Errors
/// `not mounted`; `not in union`; as [`namec`].
pub fn unmount(up: &Arc<Proc>, name: Option<&str>, old: &str) -> Result<()> {
    let _call = Call::enter("unmount");
    let old = namec(up, old, Access::Mount)?;
    // Opening is the only way to what is behind `/srv/x` or `/fd/0`.
    let what = name.map(|n| namec(up, n, Access::Open(abi::OREAD))).transpose()?;
    up.pgrp().unmount(what.as_deref(), &old)
}

/// `fd2path`.
///
/// # Errors
/// `fd out of range or not open`.
pub fn fd2path(up: &Arc<Proc>, fd: i32) -> Result<String> {
    let _call = Call::enter("fd2path");
    Ok(heap::try_string(fd_to_chan(up, fd, None)?.path.as_str())?)
}

/// `fversion`: agrees on a 9P version with the server behind `fd`; gives the version.
///
/// # Errors
/// What the server says.
pub fn fversion(up: &Arc<Proc>, fd: i32, msize: u32, version: &str) -> Result<String> {
    let _call = Call::enter("fversion");
    let c = fd_to_chan(up, fd, Some(abi::ORDWR))?;
    up.kernel.mount_driver('M')?.version(up, &c, msize, version)
}

/// `fauth`: a descriptor for the authentication conversation with the server behind `fd`.
///
/// # Errors
/// What the server says.
pub fn fauth(up: &Arc<Proc>, fd: i32, aname: &str) -> Result<i32> {
    let _call = Call::enter("fauth");
    let c = fd_to_chan(up, fd, Some(abi::ORDWR))?;
    let auth = up.kernel.mount_driver('M')?.auth(up, c, aname)?;
    up.fgrp().install(auth, true)
}
