//! `#d`: the caller's descriptors as files. `#d/N` is what descriptor N is; `#d/Nctl` tells about it.
//!
//! Opening `N` gives the same channel, so name and offset are shared with it. No state, no locks.

use alloc::format;
use alloc::sync::Arc;

use abi::Qid;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Put};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::name::chan::{Chan, OwnChan};
use crate::name::fgrp::{self, fd_to_chan};
use crate::proc::process::Proc;

/// The device.
pub struct Dup;

impl Dup {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(Dup)
    }
}

/// Qid paths: twice the descriptor plus 1, for its `ctl` plus 2.
fn fd_of(qid: Qid) -> (i32, bool) {
    let n = qid.path.saturating_sub(1);
    (i32::try_from(n / 2).unwrap_or(-1), n % 2 == 1)
}

fn path_of(fd: i32) -> u64 {
    fd as u64 * 2 + 1
}

/// The file with this qid, as long as its descriptor is open.
fn entry(up: &Arc<Proc>, qid: Qid) -> Result<Entry> {
    let (fd, is_ctl) = fd_of(qid);
    let chan = up.fgrp().get(fd).map_err(|_| abi::error::ENONEXIST)?;
    let (name, perm) = match chan.mode.map(|m| m & 3) {
        _ if is_ctl => (format!("{fd}ctl"), 0o400),
        Some(abi::OWRITE) => (format!("{fd}"), 0o200),
        Some(abi::ORDWR) => (format!("{fd}"), 0o600),
        _ => (format!("{fd}"), 0o400),
    };
    Ok(Entry { owner: Some(up.user()), ..Entry::named(name, qid.path, perm) })
}

impl Dev for Dup {
    fn letter(&self) -> char {
        'd'
    }

    fn name(&self) -> &'static str {
        "dup"
    }

    fn each(&self, up: &Arc<Proc>, _c: &Chan, _dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        let (fgrp, mut key) = (up.fgrp(), after + 1);
        // A descriptor and its ctl have one key after the other.
        while let Some(fd) = fgrp.next_open(fd_of(Qid::file(key)).0) {
            key = key.max(path_of(fd));
            if let Ok(entry) = entry(up, Qid::file(key))
                && !put(key, entry)
            {
                break;
            }
            key += 1;
        }
        Ok(())
    }

    fn lookup(&self, up: &Arc<Proc>, _c: &Chan, _dir: Qid, name: &str) -> Result<Option<Qid>> {
        let (digits, extra) = match name.strip_suffix("ctl") {
            Some(digits) => (digits, 2),
            None => (name, 1),
        };
        // Only the one way to write a number is a name.
        let fd = digits.parse::<i32>().ok().filter(|n| *n >= 0 && format!("{n}") == digits);
        let open = fd.filter(|&fd| up.fgrp().get(fd).is_ok());
        Ok(open.map(|fd| Qid::file(fd as u64 * 2 + extra)))
    }

    fn entry(&self, up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        if c.qid.path == 0 { Ok(self.root_entry()) } else { entry(up, c.qid) }
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let (fd, is_ctl) = fd_of(c.qid);
        if c.qid.is_dir() || is_ctl {
            return dirtab::open(self, up, c, mode).map(OwnChan::share);
        }
        if mode & abi::ORCLOSE != 0 {
            return Err(abi::error::EPERM.into());
        }
        fd_to_chan(up, fd, Some(mode & 3))
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let (fd, _) = fd_of(c.qid);
        let text = fgrp::line(fd, &*up.fgrp().get(fd)?)?;
        dst.put_from(text.as_bytes(), offset)
    }
}
