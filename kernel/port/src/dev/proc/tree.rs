//! The files of a process: their names, permissions and qids, and who may open them.
//!
//! Qids: the root is 0; `pid << 8` is a process's directory and `pid << 8 | file` a file of it, so a pid that is
//! used again is told apart by nothing, which is as good as pids that hardly ever are. 1 is `trace`.

use alloc::string::ToString;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::{AREAD, DMDIR, Dir, Qid, error};

use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::process::Proc;
use crate::proc::watch;

/// A file of a process: its place in [`FILES`], counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum File {
    Args,
    Ctl,
    Fd,
    Fpregs,
    Kregs,
    Mem,
    Note,
    Noteid,
    Notepg,
    Ns,
    Ppid,
    Proc,
    Profile,
    Regs,
    Segment,
    Status,
    Syscall,
    Text,
    Wait,
    Watchpt,
}

/// Name, permission; `MODE` stands for the process's own choice (`procmode`).
const FILES: &[(File, &str, u32)] = &[
    (File::Args, "args", 0o660),
    (File::Ctl, "ctl", MODE),
    (File::Fd, "fd", 0o444),
    (File::Fpregs, "fpregs", MODE),
    (File::Kregs, "kregs", 0o400),
    (File::Mem, "mem", MODE),
    (File::Note, "note", MODE),
    (File::Noteid, "noteid", 0o664),
    (File::Notepg, "notepg", MODE),
    (File::Ns, "ns", 0o444),
    (File::Ppid, "ppid", 0o444),
    (File::Proc, "proc", 0o400),
    (File::Profile, "profile", 0o400),
    (File::Regs, "regs", MODE),
    (File::Segment, "segment", 0o444),
    (File::Status, "status", 0o444),
    (File::Syscall, "syscall", 0o400),
    (File::Text, "text", MODE),
    (File::Wait, "wait", 0o400),
    (File::Watchpt, "watchpt", 0o600),
];

/// Marks files whose permission is the process's `procmode`.
pub(super) const MODE: u32 = !0;

/// The qid's path of `trace`: there is no process 0.
pub(super) const TRACE: u64 = 1;

/// What `trace` is.
pub(super) fn trace(kernel: &Kernel) -> Dir {
    stat_of(Qid::file(TRACE), "trace", &kernel.hostowner.lock(), 0o400)
}

/// What a qid stands for.
pub(super) enum Place {
    Root,
    /// `/proc/trace`.
    Trace,
    Dir(Arc<Proc>),
    File(Arc<Proc>, File, &'static str, u32),
}

pub(super) fn place(kernel: &Kernel, qid: Qid) -> Result<Place> {
    if qid.path == 0 {
        return Ok(Place::Root);
    }
    if qid.path == TRACE {
        return Ok(Place::Trace);
    }
    let proc = kernel.proc((qid.path >> 8) as u32)?;
    match (qid.path & 0xff) as usize {
        0 => Ok(Place::Dir(proc)),
        n => {
            let &(file, name, perm) = FILES.get(n - 1).ok_or(error::ENONEXIST)?;
            Ok(Place::File(proc, file, name, perm))
        }
    }
}

fn dir_qid(pid: u32) -> Qid {
    Qid::dir(u64::from(pid) << 8)
}

fn file_qid(pid: u32, index: usize) -> Qid {
    Qid::file(u64::from(pid) << 8 | (index as u64 + 1))
}

pub(super) fn perm_of(proc: &Proc, perm: u32) -> u32 {
    if perm == MODE { proc.procmode.load(Ordering::Relaxed) } else { perm }
}

/// Its length, for those who ask before they read.
pub(super) fn length_of(p: &Proc, file: File) -> u64 {
    match file {
        File::Profile => p.mem.profile().map_or(0, |profile| 4 * profile.counts().len() as u64),
        File::Watchpt => (watch::count(p) * watch::LINE) as u64,
        _ => 0,
    }
}

pub(super) fn stat_of(qid: Qid, name: &str, owner: &str, mode: u32) -> Dir {
    let mode = if qid.is_dir() { mode | DMDIR } else { mode };
    let now = (machine::clock::wall_ns() / 1_000_000_000) as u32;
    Dir {
        kind: 'p' as u16,
        qid,
        mode,
        atime: now,
        mtime: now,
        name: name.to_string(),
        uid: owner.to_string(),
        gid: owner.to_string(),
        muid: owner.to_string(),
        ..Dir::default()
    }
}

/// Hands over the files of a directory behind the one with the key `after`, as a [table](crate::dev::dirtab) does: pids
/// and 1 are the keys of processes, and a process's files have their places.
pub(super) fn each(kernel: &Kernel, place: &Place, after: u64, put: &mut dyn FnMut(u64, Dir) -> bool) {
    match place {
        Place::Root => {
            // The key of a process is its pid and 1.
            if after == 0 && !put(1, trace(kernel)) {
                return;
            }
            let mut pid = u32::try_from(after.saturating_sub(1)).unwrap_or(u32::MAX);
            while let Some(next) = pid.checked_add(1) {
                let found = kernel.procs.lock().range(next..).next().map(|(_, p)| p.clone());
                let Some(p) = found else { return };
                pid = p.pid;
                if !put(u64::from(pid) + 1, stat_of(dir_qid(pid), &pid.to_string(), &p.user(), 0o555)) {
                    return;
                }
            }
        }
        Place::Dir(p) => {
            let user = p.user();
            let after = usize::try_from(after).unwrap_or(usize::MAX);
            for (i, &(file, name, perm)) in FILES.iter().enumerate().skip(after) {
                let mut dir = stat_of(file_qid(p.pid, i), name, &user, perm_of(p, perm));
                dir.length = length_of(p, file);
                if !put(i as u64 + 1, dir) {
                    return;
                }
            }
        }
        Place::Trace | Place::File(..) => {}
    }
}

/// One step of a walk.
pub(super) fn step(kernel: &Kernel, from: Qid, name: &str) -> Result<Qid> {
    match (place(kernel, from)?, name) {
        (Place::Root, "..") | (Place::Dir(_), "..") => Ok(Qid::dir(0)),
        (Place::Root, "trace") => Ok(Qid::file(TRACE)),
        (Place::Root, name) => {
            let pid: u32 = name.parse().map_err(|_| error::ENONEXIST)?;
            // Only the plain decimal: no sign, no leading zeros.
            if pid.to_string() != name {
                return Err(error::ENONEXIST.into());
            }
            kernel.proc(pid).map(|p| dir_qid(p.pid)).map_err(|_| error::ENONEXIST.into())
        }
        (Place::Dir(p), name) => match FILES.iter().position(|&(_, n, _)| n == name) {
            Some(i) => Ok(file_qid(p.pid, i)),
            None => Err(error::ENONEXIST.into()),
        },
        (Place::Trace | Place::File(..), _) => Err(error::ENOTDIR.into()),
    }
}

/// May `up` open this file of `p`?
///
/// The machine's owner may look at all but what was made private; the user none has nothing to do with others, even of
/// its own name: who runs as nobody is protected from everybody else who does.
pub(super) fn may_open(up: &Arc<Proc>, p: &Arc<Proc>, file: File, perm: u32, access: u32) -> Result<()> {
    let public = matches!(file, File::Fd | File::Ns | File::Ppid | File::Segment | File::Status);
    let of_none = *up.user() == *"none" && !up.is_hostowner();
    if of_none && !Arc::ptr_eq(up, p) && !(public || (file == File::Args && access == AREAD)) {
        return Err(error::EPERM.into());
    }
    let state = matches!(file, File::Mem | File::Regs | File::Fpregs | File::Kregs | File::Proc);
    let secret = state || matches!(file, File::Profile | File::Syscall | File::Watchpt);
    if secret && p.private.load(Ordering::Relaxed) {
        return Err(error::EPERM.into());
    }
    if up.is_hostowner() { Ok(()) } else { up.check_perm(&p.user(), perm, access) }
}
