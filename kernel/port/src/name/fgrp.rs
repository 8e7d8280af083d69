//! `Fgrp`: a table of file descriptors, shared by the processes of a group or copied by `RFFDG`.
//!
//! The lowest free number is always the next one. The table is short at first and grows by [`DELTAFD`] entries up
//! to [`MAXFD`]; a number beyond the next growth is out of range.
//!
//! Locks: `table` guards the entries and is a leaf. Channels that leave the table are dropped after it is
//! released.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::Ordering;

use abi::error;
use machine::heap::{self, Text};
use machine::lock::{Lock, LockGuard};

use crate::error::Result;
use crate::name::chan::Chan;
use crate::pools::{Counted, FD_GROUPS};
use crate::proc::process::Proc;

/// Entries that the table has at first and by which it grows.
pub(crate) const DELTAFD: usize = 20;
/// Most descriptors of a group.
pub const MAXFD: usize = 5000;

/// An open descriptor.
#[derive(Clone)]
pub struct Fd {
    /// What it stands for.
    pub(crate) chan: Arc<Chan>,
    /// Exec closes it.
    pub close_on_exec: bool,
}

/// A table of descriptors. See the module comment.
pub struct Fgrp {
    table: Lock<Vec<Option<Fd>>>,
    _counted: Counted<FD_GROUPS>,
}

impl Fgrp {
    /// An empty table.
    pub fn new() -> Arc<Self> {
        Arc::new(Fgrp { table: Lock::new(alloc::vec![None; DELTAFD]), _counted: Counted::new() })
    }

    /// Another table with the same descriptors; they share channels and so offsets.
    ///
    /// # Errors
    /// No memory.
    pub fn copy(&self) -> Result<Arc<Self>> {
        let mut copy = Vec::new();
        loop {
            let len = self.table.lock().len();
            heap::try_reserve_exact(&mut copy, len)?;
            let table = self.table.lock();
            // It may have grown meanwhile.
            if table.len() <= copy.capacity() {
                copy.extend(table.iter().cloned());
                break;
            }
        }
        Ok(Arc::new(Fgrp { table: Lock::new(copy), _counted: Counted::new() }))
    }

    /// The channel behind `fd`.
    ///
    /// # Errors
    /// `fd out of range or not open`.
    pub(crate) fn get(&self, fd: i32) -> Result<Arc<Chan>> {
        let fd = usize::try_from(fd).map_err(|_| error::EBADFD)?;
        found(&self.table.lock(), fd)
    }

    /// The same for who has found the group under a lock.
    ///
    /// # Errors
    /// `fd out of range or not open`.
    #[inline]
    pub(crate) fn get_under<T>(&self, fd: i32, outer: &LockGuard<'_, T>) -> Result<Arc<Chan>> {
        let fd = usize::try_from(fd).map_err(|_| error::EBADFD)?;
        found(&self.table.lock_under(outer), fd)
    }

    /// The lowest free descriptor becomes `chan`.
    ///
    /// # Errors
    /// `no free file descriptors`; no memory. The channel is closed then.
    pub(crate) fn install(&self, chan: Arc<Chan>, close_on_exec: bool) -> Result<i32> {
        let mut fd = Some(Fd { chan, close_on_exec });
        let mut table = self.table.lock();
        let n = lowest(&mut table)?;
        if let Some(entry) = table.get_mut(n) {
            *entry = fd.take();
        }
        drop(table);
        Ok(n as i32)
    }

    /// The descriptor `fd` becomes `chan`; what it was before is closed.
    ///
    /// # Errors
    /// `fd out of range or not open` when `fd` is beyond what the table may grow to now; no memory.
    pub(crate) fn install_at(&self, fd: i32, chan: Arc<Chan>) -> Result<i32> {
        let n = usize::try_from(fd).map_err(|_| error::EBADFD)?;
        let old = {
            let mut table = self.table.lock();
            if n >= (table.len() + DELTAFD).min(MAXFD) {
                return Err(error::EBADFD.into());
            }
            if n >= table.len() {
                grow(&mut table)?;
            }
            table.get_mut(n).and_then(|entry| entry.replace(Fd { chan, close_on_exec: false }))
        };
        drop(old);
        Ok(fd)
    }

    /// Closes `fd`.
    ///
    /// # Errors
    /// `fd out of range or not open`.
    pub(crate) fn close(&self, fd: i32) -> Result<()> {
        let n = usize::try_from(fd).map_err(|_| error::EBADFD)?;
        let old = self.table.lock().get_mut(n).and_then(Option::take);
        old.map(drop).ok_or(error::EBADFD.into())
    }

    /// Closes every descriptor that is to be closed on exec.
    pub fn close_on_exec(&self) {
        let mut n = 0;
        loop {
            let closing = {
                let mut table = self.table.lock();
                let mut rest = table.iter_mut().enumerate().skip(n);
                let next = rest.find(|(_, s)| s.as_ref().is_some_and(|f| f.close_on_exec));
                next.map(|(at, s)| (at, s.take()))
            };
            let Some((at, closed)) = closing else { return };
            n = at + 1;
            drop(closed);
        }
    }

    /// Closes everything: `closefiles` in `/proc/n/ctl`.
    pub(crate) fn close_all(&self) {
        let table = core::mem::take(&mut *self.table.lock());
        drop(table);
    }

    /// The first open descriptor from `fd` on.
    pub(crate) fn next_open(&self, fd: i32) -> Option<i32> {
        let from = usize::try_from(fd).ok()?;
        let table = self.table.lock();
        table.iter().enumerate().skip(from).find(|(_, f)| f.is_some()).map(|(n, _)| n as i32)
    }

    /// The first open descriptor from `fd` on, and what it stands for.
    pub(crate) fn next(&self, fd: i32) -> Option<(i32, Fd)> {
        let table = self.table.lock();
        let mut rest = table.iter().enumerate().skip(usize::try_from(fd).unwrap_or(0));
        rest.find_map(|(n, s)| Some((n as i32, s.clone()?)))
    }

    /// All open descriptors, ascending. One that is opened or closed meanwhile is there or not.
    pub fn list(&self) -> impl Iterator<Item = (i32, Fd)> {
        let mut from = 0;
        core::iter::from_fn(move || {
            let found = self.next(from)?;
            from = found.0 + 1;
            Some(found)
        })
    }

    /// `/proc/n/fd`: the current directory, then a line for each descriptor.
    ///
    /// # Errors
    /// No memory.
    pub fn text(&self, dot: &str) -> Result<String> {
        let mut out = Text::new();
        let _ = writeln!(out, "{dot}");
        for (n, fd) in self.list() {
            let _ = write_line(&mut out, n, &fd.chan);
        }
        Ok(out.finish()?)
    }
}

/// The channel of a descriptor.
#[inline]
fn found(table: &[Option<Fd>], fd: usize) -> Result<Arc<Chan>> {
    match table.get(fd) {
        Some(Some(f)) => Ok(f.chan.clone()),
        _ => Err(error::EBADFD.into()),
    }
}

/// Is a channel that is open like `have` good for `want` (`OREAD`, `OWRITE`, `ORDWR`, `OEXEC`)?
fn mode_allows(have: Option<u32>, want: u32) -> bool {
    match have.map(|m| m & 3) {
        None => false,
        Some(abi::ORDWR) => true,
        Some(abi::OWRITE) => want == abi::OWRITE,
        // OREAD and OEXEC.
        Some(_) => want == abi::OREAD || want == abi::OEXEC,
    }
}

/// Is `c` open so that it is good for `want` (`OREAD`, `OWRITE`, `ORDWR`, `OEXEC`)?
///
/// # Errors
/// `inappropriate use of fd` when it is not.
pub(crate) fn check_use(c: &Chan, want: u32) -> Result<()> {
    if mode_allows(c.mode, want) { Ok(()) } else { Err(error::EBADUSEFD.into()) }
}

/// [`check_use`] for who is to read or write bytes there: not once the kernel has spoken 9P on it, since who takes one
/// of its server's replies, or writes between two messages, breaks what others have mounted.
///
/// # Errors
/// `inappropriate use of fd`.
pub(crate) fn check_transfer(c: &Chan, want: u32) -> Result<()> {
    match c.has_session.load(Ordering::Relaxed) {
        false => check_use(c, want),
        true => Err(error::EBADUSEFD.into()),
    }
}

/// The channel behind `fd`, which must allow `want` when that is given.
///
/// # Errors
/// `fd out of range or not open`; `inappropriate use of fd`.
pub(crate) fn fd_to_chan(up: &Arc<Proc>, fd: i32, want: Option<u32>) -> Result<Arc<Chan>> {
    let c = up.fd(fd)?;
    if let Some(want) = want {
        check_use(&c, want)?;
    }
    Ok(c)
}

/// The lowest free entry, after growing the table if need be.
fn lowest(table: &mut Vec<Option<Fd>>) -> Result<usize> {
    if let Some(n) = table.iter().position(Option::is_none) {
        return Ok(n);
    }
    let n = table.len();
    if n >= MAXFD {
        return Err(error::ENOFD.into());
    }
    grow(table)?;
    Ok(n)
}

/// Adds [`DELTAFD`] entries, at most up to [`MAXFD`].
fn grow(table: &mut Vec<Option<Fd>>) -> Result<()> {
    let len = (table.len() + DELTAFD).min(MAXFD);
    let more = len.saturating_sub(table.len());
    heap::try_reserve(table, more)?;
    table.resize(len.max(table.len()), None);
    Ok(())
}

/// One descriptor as `/proc/n/fd` and `#d/Nctl` show it: number, direction, device letter and instance, qid
/// (path, version, kind), most bytes in one piece, offset, path.
///
/// # Errors
/// No memory.
pub(crate) fn line(fd: i32, c: &Chan) -> Result<String> {
    let mut out = Text::new();
    let _ = write_line(&mut out, fd, c);
    Ok(out.finish()?)
}

fn write_line(out: &mut Text, fd: i32, c: &Chan) -> fmt::Result {
    let rw = match c.mode.map(|m| m & 3) {
        Some(abi::OWRITE) => "w ",
        Some(abi::ORDWR) => "rw",
        _ => "r ",
    };
    let offset = c.offset.get();
    writeln!(
        out,
        "{fd:3} {rw} {} {:4} ({:016x} {} {:02x}) {:5} {offset:8} {}",
        c.dev.letter(),
        c.devno,
        c.qid.path,
        c.qid.vers,
        c.qid.kind,
        c.iounit,
        c.path.as_str(),
    )
}
