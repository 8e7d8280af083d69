//! `#p`: processes as files (section 3, `proc`).
//!
//! The device has no state: a channel's qid says pid and file ([`tree`]), and everything else is asked of the process
//! when it is read. A process that is gone gives `process exited`. What the files say is in [`text`]; memory and
//! registers, which debuggers read and write, are in [`image`].

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::Ordering;

use abi::{AREAD, AWRITE, Dir, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE, error};

use crate::dev::dirtab;
use crate::dev::kprof::read_counts;
use crate::dev::{Dev, Qids, Walk};
use crate::error::{Result, clip};
use crate::kernel::Kernel;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::exit;
use crate::proc::notegroup;
use crate::proc::notes::{self, NoteClass};
use crate::proc::procctl;
use crate::proc::process::Proc;
use crate::proc::watch;

mod image;
mod text;
mod tree;

use text::{Lines, text_of};
use tree::{File, MODE, Place, each, length_of, may_open, perm_of, place, stat_of, step};

pub(crate) use text::state_of;

/// The device. It has no state.
pub struct ProcDev;

impl ProcDev {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(ProcDev)
    }
}

impl Dev for ProcDev {
    fn letter(&self) -> char {
        'p'
    }

    fn name(&self) -> &'static str {
        "proc"
    }

    fn walk(&self, up: &Arc<Proc>, c: &Chan, names: &[&str]) -> Result<Walk> {
        let mut qids = Qids::new();
        let mut at = c.qid;
        for name in names {
            match step(&up.kernel, at, name) {
                Ok(qid) => at = qid,
                Err(e) if qids.is_empty() => return Err(e),
                Err(e) => return Ok(Walk { qids, chan: None, why: Some(e) }),
            }
            qids.push(at);
        }
        Ok(Walk { qids, chan: Some(c.derive(at, None)), why: None })
    }

    fn stat(&self, up: &Arc<Proc>, c: &Chan) -> Result<Dir> {
        Ok(match place(&up.kernel, c.qid)? {
            Place::Root => stat_of(c.qid, "#p", &up.kernel.hostowner.lock(), 0o555),
            Place::Trace => tree::trace(&up.kernel),
            Place::Dir(p) => stat_of(c.qid, &p.pid.to_string(), &p.user(), 0o555),
            Place::File(p, file, name, perm) => {
                let dir = stat_of(c.qid, name, &p.user(), perm_of(&p, perm));
                Dir { length: length_of(&p, file), ..dir }
            }
        })
    }

    fn open(&self, up: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        match place(&up.kernel, c.qid)? {
            Place::Root | Place::Dir(_) => {
                if mode & 0x1f != OREAD && mode & 0x1f != OEXEC {
                    return Err(error::EISDIR.into());
                }
            }
            Place::Trace => {
                if mode != OREAD || !up.is_hostowner() {
                    return Err(error::EPERM.into());
                }
                up.kernel.trace.open()?;
                c.aux = Some(Arc::new(Tracer(Arc::downgrade(&up.kernel))));
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
                if file == File::Watchpt && mode & OTRUNC != 0 {
                    watch::clear(&p);
                }
                if file == File::Ns {
                    c.aux = Some(Arc::new(Lines::default()));
                }
            }
        }
        c.mode = Some(mode);
        Ok(c.share())
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        let place = place(&up.kernel, c.qid)?;
        if let Place::Trace = place {
            let events = up.kernel.trace.take(dst.len())?;
            dst.put(0, &events)?;
            return Ok(events.len());
        }
        let Place::File(p, file, ..) = place else {
            return dirtab::put_each(c, dst, offset, |after, put| {
                each(&up.kernel, &place, after, put);
                Ok(())
            });
        };
        match file {
            File::Mem => image::read_mem(up, &p, dst, offset),
            File::Regs => image::read_regs(up, &p, dst, offset),
            File::Fpregs => image::read_fpregs(&p, dst, offset),
            File::Kregs => image::read_kregs(&p, dst, offset),
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
            File::Profile => {
                let profile = p.mem.profile().ok_or("profile is off")?;
                let counts = profile.counts();
                read_counts(up, dst, offset, counts, counts.len(), u32::to_le_bytes)
            }
            File::Syscall => {
                let text = p.call_text.lock().clone();
                text.map_or(Ok(0), |text| dst.put_from(text.as_bytes(), offset))
            }
            File::Ns => c.aux::<Lines>()?.read(dst, offset, || text_of(up, &p, file)),
            _ => dst.put_from(text_of(up, &p, file)?.as_bytes(), offset),
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let Place::File(p, file, ..) = place(&up.kernel, c.qid)? else {
            return Err(if c.qid.is_dir() { error::EISDIR } else { error::EPERM }.into());
        };
        match file {
            File::Args => {
                let new = line(src, 127)?; // the program's memory, so no lock may be held
                let text = format!("{} [{new}]", *p.name.lock());
                *p.args.lock() = text;
            }
            File::Ctl => {
                let message = line(src, 127)?;
                if message.trim() == "kill" {
                    exit::first_is_told(up, &p, "kill");
                }
                procctl::control(up, &p, &message)?;
            }
            File::Mem => return image::write_mem(&p, src, offset),
            File::Note => {
                if src.len() >= abi::ERRMAX {
                    return Err(error::ETOOBIG.into());
                }
                if p.ctl.lock().broken {
                    return Err(error::EPROCDIED.into());
                }
                let text = src.to_vec(abi::ERRMAX)?;
                let text = String::from_utf8_lossy(&text);
                exit::first_is_told(up, &p, &text);
                if !notes::post(&p, &text, NoteClass::User) {
                    return Err("note not posted".into());
                }
            }
            File::Notepg => {
                if src.len() >= abi::ERRMAX {
                    return Err(error::ETOOBIG.into());
                }
                let text = src.to_vec(abi::ERRMAX)?;
                let text = String::from_utf8_lossy(&text);
                exit::first_is_told_with(up, p.noteid(), &text);
                notegroup::post_group(&up.kernel, p.noteid(), &text, NoteClass::User, Some(up));
            }
            File::Noteid => {
                let id: u32 = line(src, 12)?.trim().parse().map_err(|_| error::EBADARG)?;
                notegroup::join(&p, id)?;
            }
            File::Watchpt => {
                let bytes = src.to_vec(4096)?;
                let text = core::str::from_utf8(&bytes).map_err(|_| error::EBADARG)?;
                // What follows the last newline was not a line yet.
                let end = text.rfind('\n').map_or(0, |at| at + 1);
                watch::write(&p, text.get(..end).unwrap_or(""), offset != 0)?;
                return Ok(end);
            }
            File::Regs => image::write_regs(&p, src, offset)?,
            File::Fpregs => image::write_fpregs(&p, src, offset)?,
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

/// Who has `trace` open. What happens is remembered as long as it is there.
struct Tracer(Weak<Kernel>);

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some(kernel) = self.0.upgrade() {
            kernel.trace.close();
        }
    }
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

/// A short text that was written, without its final newline.
fn line(src: &Src<'_>, max: usize) -> Result<String> {
    let bytes = src.to_vec(max)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\n', '\0']).to_string())
}
