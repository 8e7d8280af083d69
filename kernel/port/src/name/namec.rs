//! `namec`: from a name to a channel.
//!
//! What a name is wanted for ([`Access`]) decides whether the last element is crossed when something is mounted
//! there, and what is done with it; the way to it is in `walk`. In a union a file is created in the first
//! element that allows it.
//!
//! No lock is held here; lists of unions are immutable (see `namespace`).

use alloc::sync::Arc;

use abi::{Qid, error};

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::name::chan::{Aim, Chan, OwnChan};
use crate::name::mhead::Mhead;
use crate::name::path::{Path, PathBuf};
use crate::name::walk::{At, Name, Walker};
use crate::proc::process::Proc;

/// What the name is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Open with these mode bits.
    Open(u32),
    /// `stat`: to be looked at, and for nothing else.
    Look,
    /// `wstat`.
    Stat,
    /// `remove`.
    Remove,
    /// The new current directory: mounts on it are crossed later, each time it is used.
    Chdir,
    /// What is mounted upon: not crossed.
    Mount,
    /// What is to be bound: crossed, and a union comes as a whole.
    Bind,
    /// Create with this mode and permission.
    Create {
        /// Mode bits, `OEXCL` among them.
        mode: u32,
        /// Permission and `DM` bits.
        perm: u32,
    },
}

/// Where a name led.
pub(crate) struct Found {
    at: At,
    path: PathBuf,
    /// The union that was crossed to get here, if the last step was a crossing.
    pub(crate) union: Option<Arc<Mhead>>,
}

impl From<Walker<'_>> for Found {
    #[inline]
    fn from(w: Walker<'_>) -> Self {
        Found { at: w.at, path: w.path, union: w.union }
    }
}

impl Found {
    /// The channel. It may be somebody else's, with another path than that by which the file was reached.
    pub(crate) fn chan(&self) -> &Chan {
        self.at.chan()
    }

    /// The last element of the name by which it was reached.
    pub(crate) fn last_name(&self) -> &str {
        self.path.last()
    }

    /// Finishes with a channel of one's own.
    ///
    /// # Errors
    /// What the server says to a walk of no elements.
    #[inline]
    pub(crate) fn into_chan(self, up: &Arc<Proc>) -> Result<OwnChan> {
        let mut c = own(up, self.at)?;
        c.path = self.path.finish();
        c.mounted = self.union.is_some();
        c.umh = self.union.filter(|_| c.qid.is_dir());
        Ok(c)
    }

    /// Finishes with a channel that is only looked at: shared when its name fits.
    ///
    /// # Errors
    /// As [`Found::into_chan`].
    pub(crate) fn into_shared(self, up: &Arc<Proc>) -> Result<Arc<Chan>> {
        match &self.at {
            At::Shared(c) if self.union.is_none() && c.path.as_str() == self.path.as_str() => Ok(c.clone()),
            _ => Ok(self.into_chan(up)?.share()),
        }
    }
}

fn own(up: &Arc<Proc>, at: At) -> Result<OwnChan> {
    match at {
        At::Own(c) => Ok(c),
        At::Shared(shared) => clone_chan(up, &shared),
    }
}

/// Another channel for the same file.
///
/// # Errors
/// What the server says.
pub(crate) fn clone_chan(up: &Arc<Proc>, c: &Chan) -> Result<OwnChan> {
    c.dev.walk(up, c, &[])?.chan.ok_or(Error::new(error::ENONEXIST))
}

/// From a name to a channel: open for `Open` and `Create`, else not.
///
/// # Errors
/// Plan 9's texts; those of the walk have the part of the name that failed in front.
pub(crate) fn namec(up: &Arc<Proc>, name: &str, access: Access) -> Result<Arc<Chan>> {
    match access {
        Access::Open(mode) => open(up, &Name::parse(name)?, mode),
        Access::Create { mode, perm } => create(up, &Name::parse(name)?, mode, perm),
        Access::Chdir | Access::Mount => find(up, name, access)?.into_shared(up),
        Access::Look | Access::Stat | Access::Remove | Access::Bind => {
            Ok(find(up, name, access)?.into_chan(up)?.share())
        }
    }
}

/// Opens a program for execution.
///
/// # Errors
/// As [`namec`]; `cannot exec directory`.
pub(crate) fn open_exec(up: &Arc<Proc>, name: &str) -> Result<Arc<Chan>> {
    namec(up, name, Access::Open(abi::OEXEC))
}

/// From a name to the file, not opened.
///
/// # Errors
/// As [`namec`]. `is a mount point` for `Remove` of one.
pub(crate) fn find(up: &Arc<Proc>, name: &str, access: Access) -> Result<Found> {
    find_parsed(up, &Name::parse(name)?, access)
}

/// As [`find`].
///
/// # Errors
/// As [`find`].
pub(crate) fn find_parsed(up: &Arc<Proc>, name: &Name<'_>, access: Access) -> Result<Found> {
    let mut w = Walker::start(up, name)?;
    if access == Access::Look {
        w.aim = Aim::Look;
    }
    w.forward(name, name.elements.len())?;
    match access {
        Access::Chdir | Access::Mount => {}
        Access::Remove => {
            if w.find_mount(w.at.chan().key()).is_some() {
                return Err(name.error(name.elements.len(), error::EISMTPT.into()));
            }
        }
        _ => w.cross().map_err(|e| name.error(name.elements.len(), e))?,
    }
    let must_be_dir = name.must_be_dir || access == Access::Chdir;
    if must_be_dir && !w.at.chan().qid.is_dir() {
        return Err(name.error(name.elements.len(), error::ENOTDIR.into()));
    }
    Ok(Found::from(w))
}

fn open(up: &Arc<Proc>, name: &Name<'_>, mode: u32) -> Result<Arc<Chan>> {
    let all = name.elements.len();
    let mut w = Walker::start(up, name)?;
    w.forward(name, all)?;
    w.cross().map_err(|e| name.error(all, e))?;
    let qid = w.at.chan().qid;
    if name.must_be_dir && !qid.is_dir() {
        return Err(name.error(all, error::ENOTDIR.into()));
    }
    if mode & 3 == abi::OEXEC && qid.is_dir() {
        return Err(name.error(all, error::EEXECDIR.into()));
    }
    open_found(up, Found::from(w), mode).map_err(|e| name.error(all, e))
}

fn open_found(up: &Arc<Proc>, found: Found, mode: u32) -> Result<Arc<Chan>> {
    let mode = mode & !abi::OCEXEC;
    match &found.union {
        Some(union) if found.chan().qid.is_dir() => {
            let union = union.clone();
            open_union(up, found, &union, mode)
        }
        _ => {
            let c = found.into_chan(up)?;
            c.dev.clone().open(up, c, mode)
        }
    }
}

/// Opens the first directory of a union whose server has not gone: such a one hides nothing that is behind it.
fn open_union(up: &Arc<Proc>, found: Found, union: &Arc<Mhead>, mode: u32) -> Result<Arc<Chan>> {
    let Found { at, path, .. } = found;
    let path = path.finish();
    let open = |c: Result<OwnChan>| {
        let mut c = c?;
        (c.path, c.mounted, c.umh) = (path.clone(), true, Some(union.clone()));
        c.dev.clone().open(up, c, mode)
    };
    let first = open(own(up, at));
    let has_gone = |opened: &Result<Arc<Chan>>| opened.as_ref().is_err_and(|e| e.is(error::EHUNGUP));
    if !has_gone(&first) {
        return first;
    }
    let list = union.list();
    let mut others = list.iter().skip(1).map(|m| open(clone_chan(up, &m.to)));
    others.find(|opened| !has_gone(opened)).unwrap_or(first)
}

fn create(up: &Arc<Proc>, name: &Name<'_>, mode: u32, perm: u32) -> Result<Arc<Chan>> {
    let all = name.elements.len();
    if name.must_be_dir && perm & abi::DMDIR == 0 {
        return Err(name.error(all, error::ENOTDMDIR.into()));
    }
    let Some((last, _)) = name.elements.split_last() else {
        return Err(name.error(all, error::EEXIST.into()));
    };
    let excl = mode & abi::OEXCL != 0;
    let mode = mode & !abi::OEXCL;
    let mut lost: Option<Error> = None;
    loop {
        // It may be there: then it is truncated. The last element is walked alone, so that one who creates files that
        // are not there is not asked why.
        let mut w = Walker::start(up, name)?;
        if let Err(e) = w.forward(name, all - 1) {
            return Err(lost.unwrap_or(e));
        }
        let is_sure = excl && *last != ".." && creates_exclusively(&mut w);
        w.quiet = *last != "..";
        match if is_sure { Err(error::ENONEXIST.into()) } else { w.forward(name, all) } {
            Ok(()) => {
                w.cross().map_err(|e| name.error(all, e))?;
                let opened = open_existing(up, Found::from(w), mode, perm, excl);
                // It has been made by this call, perhaps, which then failed.
                return opened.map_err(|e| lost.unwrap_or_else(|| name.error(all, e)));
            }
            // (Servers word the absence of the last element differently.)
            Err(e) if *last == ".." => return Err(lost.unwrap_or(e)),
            Err(e) if e.is_note() => return Err(lost.unwrap_or_else(|| name.error(all, e))),
            Err(_) => {}
        }
        if let Some(e) = lost {
            return Err(e);
        }
        w.cross().map_err(|e| name.error(all - 1, e))?;
        if !w.at.chan().qid.is_dir() {
            return Err(name.error(all - 1, error::ENOTDIR.into()));
        }
        match create_in(up, Found::from(w), last, mode, perm) {
            Ok(c) => return Ok(c),
            // Somebody may have created it meanwhile: then opening it is what was asked for. Once.
            Err(e) if excl || e.is(error::ENOCREATE) => return Err(name.error(all, e)),
            Err(e) => lost = Some(name.error(all, e)),
        }
    }
}

/// Is it enough to create a file in the directory at which a walk stands, to find out whether there was one?
fn creates_exclusively(w: &mut Walker<'_>) -> bool {
    w.cross().is_ok() && w.union.as_ref().is_none_or(|union| union.list().len() == 1) && {
        let c = w.at.chan();
        c.qid.is_dir() && c.dev.creates_exclusively(c)
    }
}

fn open_existing(up: &Arc<Proc>, found: Found, mode: u32, perm: u32, excl: bool) -> Result<Arc<Chan>> {
    if excl {
        return Err(error::EEXIST.into());
    }
    if found.chan().qid.is_dir() {
        let text = if perm & abi::DMDIR != 0 { error::EEXIST } else { error::EISDIR };
        return Err(text.into());
    }
    open_found(up, found, mode | abi::OTRUNC)
}

/// Creates `last` in the directory, in a union in its first element that allows it.
fn create_in(up: &Arc<Proc>, found: Found, last: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
    let Found { at, mut path, union } = found;
    path.push(last)?;
    let mut c = match &union {
        Some(u) => {
            let list = u.list();
            let Some(m) = list.iter().find(|m| m.flags & abi::MCREATE != 0) else {
                return Err(error::ENOCREATE.into());
            };
            clone_chan(up, &m.to)?
        }
        None => own(up, at)?,
    };
    c.path = path.finish();
    let dev = c.dev.clone();
    dev.create(up, c, last, mode & !abi::OCEXEC, perm)
}

/// The root of `#/` under the name `/`, where the first process starts.
///
/// # Errors
/// `unknown device in # filename` when the kernel has no `#/`.
pub(crate) fn root(kernel: &Kernel) -> Result<Arc<Chan>> {
    let dev = kernel.dev('/')?;
    Ok(Arc::new(Chan::new(dev, 0, Qid::dir(0), Path::root("/".into()), None)))
}
