//! What the files of a process say: the columns and lines of `proc(3)`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt::Write;

use abi::{KNAMELEN, error};
use machine::heap;
use machine::sync::QLock;
use machine::thread::State;

use super::tree::File;
use crate::error::{Result, clip};
use crate::mem::iobuf::Dst;
use crate::proc::exit;
use crate::proc::process::Proc;
use crate::proc::watch;

/// A text of which each read gives one line, or what is left of it: `/proc/n/ns`, whose readers take what they get for
/// one. It is made at the beginning, for the lines are many and change.
#[derive(Default)]
pub(super) struct Lines(QLock<String>);

impl Lines {
    /// Reads at `offset`. `text` makes the text.
    ///
    /// # Errors
    /// A bad user address; what `text` says.
    pub(super) fn read(
        &self,
        dst: &mut Dst<'_>,
        offset: u64,
        text: impl FnOnce() -> Result<String>,
    ) -> Result<usize> {
        let line = {
            let mut kept = self.0.lock();
            if offset == 0 {
                *kept = text()?;
            }
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = kept.as_bytes().get(at..).unwrap_or_default();
            heap::try_copy(rest.split_inclusive(|&b| b == b'\n').next().unwrap_or_default())?
        };
        // Not under the lock: the page may come from a silent server.
        dst.put_from(&line, 0)
    }
}

/// The whole text of `file`; empty for one that has none.
///
/// # Errors
/// `kernel allocate failed`.
pub(super) fn text_of(up: &Arc<Proc>, p: &Arc<Proc>, file: File) -> Result<String> {
    Ok(match file {
        File::Args => p.args.lock().clone(),
        File::Ctl => p.pid.to_string(),
        File::Fd => {
            let was = p.remains.lock().as_ref().map(|r| r.fd.clone());
            match was {
                Some(fd) => heap::try_string(&fd)?,
                None => p.fgrp().text(p.dot().path.as_str())?,
            }
        }
        File::Noteid => format!("{:11} ", p.noteid()),
        File::Ns => {
            let was = p.remains.lock().as_ref().map(|r| r.ns.clone());
            match was {
                Some(ns) => heap::try_string(&ns)?,
                None => p.pgrp().text(p.dot().path.as_str())?,
            }
        }
        File::Ppid => format!("{:11} ", p.ppid),
        File::Segment => segments(p)?,
        File::Status => status(up, p)?,
        File::Watchpt => watch::text(p),
        _ => String::new(),
    })
}

fn segments(p: &Proc) -> Result<String> {
    let mut out = heap::Text::new();
    for seg in p.mem.segments()? {
        let read_only = if seg.is_writable() { ' ' } else { 'R' };
        let profiled = if seg.profile().is_some() { 'P' } else { ' ' };
        writeln!(
            out,
            "{:<6} {read_only}{profiled} {:8x} {:8x} {:4}",
            seg.kind.name(),
            seg.base,
            seg.top(),
            seg.users()
        )
        .map_err(|_| error::ENOMEM)?;
    }
    Ok(out.finish()?)
}

/// The 176 bytes of `/proc/n/status`.
fn status(up: &Arc<Proc>, p: &Proc) -> Result<String> {
    let name = p.name.lock().clone();
    let user = p.user();
    let [user_ms, sys_ms, real_ms] = exit::times_ms(p);
    let [cuser, csys, creal] = p.children.lock().times_ms;
    let kb = p.bill().div_ceil(1024);
    let priority = p.thread.get().map_or(0, |t| t.priority()).into();
    let mut out = column(&name, KNAMELEN - 1);
    out += &column(&user, KNAMELEN - 1);
    out += &column(&state_of(up.pid, p), 11);
    for n in [user_ms, sys_ms, real_ms, cuser, csys, creal, kb, priority, priority] {
        out += &format!("{n:11} ");
    }
    Ok(out)
}

/// `text` in a column of `width` bytes, and a blank.
fn column(text: &str, width: usize) -> String {
    let mut out = String::from(clip(text, width));
    out.extend(core::iter::repeat_n(' ', width + 1 - out.len()));
    out
}

/// What `p` does, in a word, for the process with the pid `me`.
pub(crate) fn state_of(me: u32, p: &Proc) -> String {
    let ctl = *p.ctl.lock();
    if ctl.broken {
        return "Broken".to_string();
    }
    if ctl.is_stopped() {
        return "Stopped".to_string();
    }
    match p.thread.get().map(|t| t.state()) {
        _ if p.pid == me => "Running".to_string(),
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
