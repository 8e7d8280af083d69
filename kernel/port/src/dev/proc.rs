//! `#p`: processes as files (section 3, `proc`).
//!
//! The device has no state: a channel's qid says pid and file, and everything else is asked of the process when
//! it is read. A process that is gone gives `process exited`.
//!
//! Qids: the root is 0; `pid << 8` is a process's directory and `pid << 8 | file` a file of it, so a pid that is
//! used again is told apart by nothing, which is as good as pids that hardly ever are.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use abi::ureg::{UREG_SIZE, Ureg};
use abi::{AREAD, AWRITE, DMDIR, Dir, KNAMELEN, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE, Qid, error};
use machine::thread::State;
use machine::types::{FPU_SIZE, FpuState};

use crate::dev::dirtab;
use crate::dev::{Dev, Walk};
use crate::error::{Result, clip};
use crate::kernel::Kernel;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::name::path::Path;
use crate::proc::exit;
use crate::proc::notes::{self, NoteClass};
use crate::proc::procctl;
use crate::proc::process::Proc;

/// The device. It has no state.
pub struct ProcDev;

/// A file of a process: its place in [`FILES`], counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum File {
    Args,
    Ctl,
    Fd,
    Fpregs,
    Mem,
    Note,
    Noteid,
    Notepg,
    Ns,
    Ppid,
    Proc,
    Regs,
    Segment,
    Status,
    Text,
    Wait,
}

/// Name, permission; `MODE` stands for the process's own choice (`procmode`).
const FILES: &[(File, &str, u32)] = &[
    (File::Args, "args", 0o660),
    (File::Ctl, "ctl", MODE),
    (File::Fd, "fd", 0o444),
    (File::Fpregs, "fpregs", MODE),
    (File::Mem, "mem", MODE),
    (File::Note, "note", MODE),
    (File::Noteid, "noteid", 0o664),
    (File::Notepg, "notepg", MODE),
    (File::Ns, "ns", 0o444),
    (File::Ppid, "ppid", 0o444),
    (File::Proc, "proc", 0o400),
    (File::Regs, "regs", MODE),
    (File::Segment, "segment", 0o444),
    (File::Status, "status", 0o444),
    (File::Text, "text", MODE),
    (File::Wait, "wait", 0o400),
];

/// Marks files whose permission is the process's `procmode`.
const MODE: u32 = !0;

impl ProcDev {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(ProcDev)
    }
}

/// What a qid stands for.
enum Place {
    Root,
    Dir(Arc<Proc>),
    File(Arc<Proc>, File, &'static str, u32),
}

fn place(kernel: &Kernel, qid: Qid) -> Result<Place> {
    if qid.path == 0 {
        return Ok(Place::Root);
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

fn perm_of(proc: &Proc, perm: u32) -> u32 {
    if perm == MODE { proc.procmode.load(Ordering::Relaxed) } else { perm }
}

fn stat_of(qid: Qid, name: &str, owner: &str, mode: u32) -> Dir {
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

/// The entries of a directory.
fn entries(kernel: &Kernel, place: &Place) -> Vec<Dir> {
    match place {
        Place::Root => {
            let procs: Vec<_> = kernel.procs.lock().values().cloned().collect();
            procs.iter().map(|p| stat_of(dir_qid(p.pid), &p.pid.to_string(), &p.user(), 0o555)).collect()
        }
        Place::Dir(p) => {
            let user = p.user();
            let file = |(i, &(_, name, perm)): (usize, &(File, &str, u32))| {
                stat_of(file_qid(p.pid, i), name, &user, perm_of(p, perm))
            };
            FILES.iter().enumerate().map(file).collect()
        }
        Place::File(..) => Vec::new(),
    }
}

/// One step of a walk.
fn step(kernel: &Kernel, from: Qid, name: &str) -> Result<Qid> {
    match (place(kernel, from)?, name) {
        (Place::Root, "..") | (Place::Dir(_), "..") => Ok(Qid::dir(0)),
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
        (Place::File(..), _) => Err(error::ENOTDIR.into()),
    }
}

impl Dev for ProcDev {
    fn letter(&self) -> char {
        'p'
    }

    fn name(&self) -> &'static str {
        "proc"
    }

    fn attach(self: Arc<Self>, _up: &Arc<Proc>, spec: &str) -> Result<Chan> {
        if !spec.is_empty() {
            return Err(error::EBADSPEC.into());
        }
        Ok(Chan::attach(self, 0, Qid::dir(0), Path::root("#p"), None))
    }

    fn walk(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        let mut qids = Vec::with_capacity(names.len());
        let mut at = c.qid;
        for name in names {
            match step(&up.kernel, at, name) {
                Ok(qid) => at = qid,
                Err(e) if qids.is_empty() => return Err(e),
                Err(_) => return Ok(Walk { qids, chan: None }),
            }
            qids.push(at);
        }
        Ok(Walk { qids, chan: Some(c.derive(at, None)) })
    }

    fn stat(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        Ok(match place(&up.kernel, c.qid)? {
            Place::Root => stat_of(c.qid, "#p", &up.kernel.hostowner.lock(), 0o555),
            Place::Dir(p) => stat_of(c.qid, &p.pid.to_string(), &p.user(), 0o555),
            Place::File(p, _, name, perm) => stat_of(c.qid, name, &p.user(), perm_of(&p, perm)),
        })
    }

    fn open(&self, up: &Arc<Proc>, mut c: Chan, mode: u32) -> Result<Arc<Chan>> {
        match place(&up.kernel, c.qid)? {
            Place::Root | Place::Dir(_) => {
                if mode & 0x1f != OREAD && mode & 0x1f != OEXEC {
                    return Err(error::EISDIR.into());
                }
            }
            Place::File(p, file, _, perm) => {
                let access = match mode & 3 {
                    OWRITE => AWRITE,
                    ORDWR => AREAD | AWRITE,
                    _ => AREAD,
                } | if mode & OTRUNC != 0 { AWRITE } else { 0 };
                may_open(up, &p, file, perm_of(&p, perm), access)?;
                if file == File::Text {
                    if access & AWRITE != 0 {
                        return Err(error::EPERM.into());
                    }
                    return open_text(up, &p);
                }
            }
        }
        c.mode = Some(mode);
        Ok(Arc::new(c))
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        let place = place(&up.kernel, c.qid)?;
        let Place::File(p, file, ..) = place else {
            return dirtab::put_dirs(entries(&up.kernel, &place).into_iter(), dst, offset);
        };
        match file {
            File::Mem => read_mem(&p, dst, offset),
            File::Regs => {
                let regs = p.regs.lock().ok_or(error::ENOREG)?;
                dst.put_from(&regs.to_bytes(), offset)
            }
            File::Fpregs => {
                let state = *p.fpregs.lock().as_deref().ok_or(error::ENOREG)?;
                dst.put_from(state.as_bytes(), offset)
            }
            File::Proc => Err(error::ENOREG.into()),
            File::Note => {
                let note = p.notes.lock().queue.pop_front();
                let text = note.map(|n| n.text).unwrap_or_default();
                dst.put_from(clip(&text, dst.len()).as_bytes(), 0)
            }
            File::Notepg => Err(error::EBADUSEFD.into()),
            File::Wait => {
                let text = exit::await_child(&p)?.text();
                dst.put_from(clip(&text, dst.len()).as_bytes(), 0)
            }
            _ => dst.put_from(text_of(up, &p, file).as_bytes(), offset),
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let Place::File(p, file, ..) = place(&up.kernel, c.qid)? else {
            return Err(error::EISDIR.into());
        };
        match file {
            File::Args => {
                let new = line(src, 127)?; // the program's memory, so no lock may be held
                let text = format!("{} [{new}]", *p.name.lock());
                *p.args.lock() = text;
            }
            File::Ctl => procctl::control(up, &p, &line(src, 127)?)?,
            File::Mem => return write_mem(&p, src, offset),
            File::Note => {
                if src.len() >= abi::ERRMAX {
                    return Err(error::ETOOBIG.into());
                }
                if p.ctl.lock().broken {
                    return Err(error::EPROCDIED.into());
                }
                let text = src.to_vec(abi::ERRMAX)?;
                if !notes::post(&p, &String::from_utf8_lossy(&text), NoteClass::User) {
                    return Err("note not posted".into());
                }
            }
            File::Notepg => {
                if src.len() >= abi::ERRMAX {
                    return Err(error::ETOOBIG.into());
                }
                let text = src.to_vec(abi::ERRMAX)?;
                let text = String::from_utf8_lossy(&text);
                notes::post_group(&up.kernel, p.noteid(), &text, NoteClass::User, Some(up.pid));
            }
            File::Noteid => {
                let id: u32 = line(src, 12)?.trim().parse().map_err(|_| error::EBADARG)?;
                let procs: Vec<_> = up.kernel.procs.lock().values().cloned().collect();
                // One may join the group of another process of one's own, or become a group of its own.
                if id != p.pid && !procs.iter().any(|q| q.noteid() == id && *q.user() == *p.user()) {
                    return Err(error::EBADARG.into());
                }
                p.noteid.store(id, Ordering::Relaxed);
            }
            File::Regs => {
                let new = src.to_vec(UREG_SIZE)?;
                let mut regs = p.regs.lock();
                let old = (*regs).filter(|_| p.ctl.lock().is_stopped()).ok_or(error::ENOREG)?;
                let mut bytes: [u8; UREG_SIZE] = old.to_bytes();
                patch(&mut bytes, &new, offset)?;
                let new = Ureg::from_bytes(&bytes);
                *regs = Some(Ureg { cs: old.cs, ss: old.ss, ..new });
            }
            File::Fpregs => {
                let new = src.to_vec(FPU_SIZE)?;
                let mut state = p.fpregs.lock();
                let old = state.as_mut().filter(|_| p.ctl.lock().is_stopped()).ok_or(error::ENOREG)?;
                let mut bytes = *old.as_bytes();
                patch(&mut bytes, &new, offset)?;
                **old = FpuState::from_bytes(&bytes);
            }
            _ => return Err(error::EPERM.into()),
        }
        Ok(src.len())
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        let Place::File(p, _, _, perm) = place(&up.kernel, c.qid)? else {
            return Err(error::EPERM.into());
        };
        let same = Dir { mode: !0, ..dir.clone() };
        if same != Dir::untouched() || (!up.is_hostowner() && *up.user() != *p.user()) {
            return Err(error::EPERM.into());
        }
        if dir.mode != !0 {
            if perm != MODE {
                return Err(error::EPERM.into());
            }
            p.procmode.store(dir.mode & 0o777, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// May `up` open this file of `p`?
///
/// The machine's owner may look at all but what was made private; the user none has nothing to do with others, even of
/// its own name: who runs as nobody is protected from everybody else who does.
fn may_open(up: &Arc<Proc>, p: &Arc<Proc>, file: File, perm: u32, access: u32) -> Result<()> {
    let public = matches!(file, File::Fd | File::Ns | File::Ppid | File::Segment | File::Status);
    let of_none = *up.user() == *"none" && !up.is_hostowner();
    if of_none && !Arc::ptr_eq(up, p) && !(public || (file == File::Args && access == AREAD)) {
        return Err(error::EPERM.into());
    }
    let secret = matches!(file, File::Mem | File::Regs | File::Fpregs | File::Proc);
    if secret && p.private.load(Ordering::Relaxed) {
        return Err(error::EPERM.into());
    }
    if up.is_hostowner() { Ok(()) } else { up.check_perm(&p.user(), perm, access) }
}

/// Puts what was written at `offset` into `bytes`.
fn patch(bytes: &mut [u8], new: &[u8], offset: u64) -> Result<()> {
    let at = usize::try_from(offset).map_err(|_| error::EBADARG)?;
    let end = at.checked_add(new.len()).ok_or(error::EBADARG)?;
    bytes.get_mut(at..end).ok_or(error::EBADARG)?.copy_from_slice(new);
    Ok(())
}

/// A fresh channel on the program's file, so that its offset is the reader's own; where the server will not
/// give one from an open file, the process's.
fn open_text(up: &Arc<Proc>, p: &Proc) -> Result<Arc<Chan>> {
    let text = p.text.lock().clone().ok_or(error::ENONEXIST)?;
    let walked = text.dev.walk(up, &text, &[]).ok().and_then(|w| w.chan);
    match walked.map(|c| text.dev.open(up, c, OREAD)) {
        Some(Ok(c)) => Ok(c),
        _ => Ok(text),
    }
}

/// Memory of another process, at its addresses; as much as is there.
fn read_mem(p: &Proc, dst: &mut Dst<'_>, va: u64) -> Result<usize> {
    let len = dst.len().min(1 << 20);
    let mut done = 0;
    while done < len {
        let at = va.checked_add(done as u64).ok_or(error::EBADARG)?;
        let mut piece = [0u8; 4096];
        let n = (len - done).min(4096 - (at % 4096) as usize);
        let piece = piece.get_mut(..n).unwrap_or(&mut []);
        match p.mem.copy_in(at, piece) {
            Ok(()) => dst.put(done, piece)?,
            Err(_) if done > 0 => break,
            Err(_) => return Err(error::EBADARG.into()),
        }
        done += n;
    }
    Ok(done)
}

fn write_mem(p: &Proc, src: &Src<'_>, va: u64) -> Result<usize> {
    let bytes = src.to_vec(1 << 20)?;
    p.mem.copy_out(va, &bytes).map_err(|_| error::EBADARG)?;
    Ok(bytes.len())
}

/// A short text that was written, without its final newline.
fn line(src: &Src<'_>, max: usize) -> Result<String> {
    let bytes = src.to_vec(max)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\n', '\0']).to_string())
}

fn text_of(up: &Arc<Proc>, p: &Arc<Proc>, file: File) -> String {
    match file {
        File::Args => p.args.lock().clone(),
        File::Ctl => p.pid.to_string(),
        File::Fd => {
            let was = p.remains.lock().as_ref().map(|r| r.fd.clone());
            was.unwrap_or_else(|| p.fgrp().text(p.dot().path.as_str()))
        }
        File::Noteid => format!("{:11} ", p.noteid()),
        File::Ns => {
            let was = p.remains.lock().as_ref().map(|r| r.ns.clone());
            was.unwrap_or_else(|| p.pgrp().text(p.dot().path.as_str()))
        }
        File::Ppid => format!("{:11} ", p.ppid),
        File::Segment => segments(p),
        File::Status => status(up, p),
        _ => String::new(),
    }
}

fn segments(p: &Proc) -> String {
    let mut out = String::new();
    for seg in p.mem.segments() {
        let read_only = if seg.is_writable() { ' ' } else { 'R' };
        out += &format!(
            "{:<6} {read_only}  {:8x} {:8x} {:4}\n",
            seg.kind.name(),
            seg.base,
            seg.top(),
            seg.users()
        );
    }
    out
}

/// The 176 bytes of `/proc/n/status`.
fn status(up: &Arc<Proc>, p: &Proc) -> String {
    let name = p.name.lock().clone();
    let user = p.user();
    let [user_ms, sys_ms, real_ms] = exit::times_ms(p);
    let [cuser, csys, creal] = p.children.lock().times_ms;
    let kb: u64 = p.mem.segments().iter().map(|s| s.resident() * 4).sum();
    let mut out = column(&name, KNAMELEN - 1);
    out += &column(&user, KNAMELEN - 1);
    out += &column(&state(up, p), 11);
    for n in [user_ms, sys_ms, real_ms, cuser, csys, creal, kb, 10, 10] {
        out += &format!("{n:11} ");
    }
    out
}

/// `text` in a column of `width` bytes, and a blank.
fn column(text: &str, width: usize) -> String {
    let mut out = String::from(clip(text, width));
    out.extend(core::iter::repeat_n(' ', width + 1 - out.len()));
    out
}

fn state(up: &Arc<Proc>, p: &Proc) -> String {
    let ctl = *p.ctl.lock();
    if ctl.broken {
        return "Broken".to_string();
    }
    if ctl.is_stopped() {
        return "Stopped".to_string();
    }
    match p.thread.get().map(|t| t.state()) {
        _ if p.pid == up.pid => "Running".to_string(),
        None => "New".to_string(),
        Some(State::Running) => "Running".to_string(),
        Some(State::Ready) => "Ready".to_string(),
        Some(State::Dead) => "Moribund".to_string(),
        Some(State::Parked) => match p.current_call() {
            Some(name) => {
                let lower = name.to_lowercase();
                let (first, rest) = lower.split_at(1.min(lower.len()));
                first.to_uppercase() + rest
            }
            None => "Fault".to_string(),
        },
    }
}
