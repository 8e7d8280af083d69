//! `namec`: from a name to a channel.
//!
//! A name starts at the process's root (`/x`), at a device (`#c/pid`) or at the current directory (`x`). The
//! walk goes forward up to sixteen elements in one [`Dev::walk`](crate::Dev::walk) and checks afterwards
//! whether one of the directories passed is mounted upon; if so it goes on from what is mounted there. `..`
//! is walked alone and undoes mounts by means of the [path](crate::path). In a union the elements are tried in
//! order, once per step.
//!
//! The last element is not crossed by the walk itself: whether it is depends on the [`Access`]. Names that
//! begin with `#` never look at the mount table.
//!
//! No lock is held here; lists of unions are immutable (see `namespace`).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};

use crate::chan::Chan;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::namespace::{Key, Mhead, Pgrp};
use crate::path::{Path, PathBuf};
use crate::proc::Proc;

/// Longest name, in bytes.
pub const MAXNAME: usize = 65535;
/// Most elements in one walk message (9P2000, `walk`).
const MAXWELEM: usize = 16;

/// What the name is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Open with these mode bits.
    Open(u32),
    /// `stat` and `wstat`.
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

/// A channel that the walk may use but does not own, or one that it made.
// It lives on the stack for one walk; a box would cost every name an allocation.
#[allow(clippy::large_enum_variant)]
pub enum At {
    /// Somebody's: the root, the current directory, an element of a union.
    Shared(Arc<Chan>),
    /// The walk's own.
    Own(Chan),
}

impl At {
    fn chan(&self) -> &Chan {
        match self {
            At::Shared(c) => c,
            At::Own(c) => c,
        }
    }
}

/// Where a name led.
pub struct Found {
    at: At,
    path: PathBuf,
    /// The union that was crossed to get here, if the last step was a crossing.
    pub union: Option<Arc<Mhead>>,
}

impl Found {
    /// The channel, which may not carry the right path: see [`Found::path`].
    pub fn chan(&self) -> &Chan {
        self.at.chan()
    }

    /// The name by which it was reached.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The last element of that name.
    pub fn last_name(&self) -> &str {
        self.path.last()
    }

    /// Finishes with a channel of one's own.
    ///
    /// # Errors
    /// What the server says to a walk of no elements.
    pub fn into_chan(self, up: &Arc<Proc>) -> Result<Chan> {
        let mut c = match self.at {
            At::Own(c) => c,
            At::Shared(shared) => clone_chan(up, &shared)?,
        };
        c.path = self.path.finish();
        c.umh = self.union;
        Ok(c)
    }

    /// Finishes with a channel that is only looked at: shared when its name fits.
    ///
    /// # Errors
    /// As [`Found::into_chan`].
    pub fn into_shared(self, up: &Arc<Proc>) -> Result<Arc<Chan>> {
        match &self.at {
            At::Shared(c) if self.union.is_none() && c.path.as_str() == self.path.as_str() => Ok(c.clone()),
            _ => Ok(Arc::new(self.into_chan(up)?)),
        }
    }
}

/// Another channel for the same file.
///
/// # Errors
/// What the server says.
pub fn clone_chan(up: &Arc<Proc>, c: &Chan) -> Result<Chan> {
    c.dev.walk(up, c, &[])?.chan.ok_or(Error::new(error::ENONEXIST))
}

/// From a name to a channel: open for `Open` and `Create`, else not.
///
/// # Errors
/// Plan 9's texts; those of the walk have the part of the name that failed in front.
pub fn namec(up: &Arc<Proc>, name: &str, access: Access) -> Result<Arc<Chan>> {
    match access {
        Access::Open(mode) => open(up, &Name::parse(name)?, mode),
        Access::Create { mode, perm } => create(up, &Name::parse(name)?, mode, perm),
        Access::Chdir | Access::Mount => find(up, name, access)?.into_shared(up),
        Access::Stat | Access::Remove | Access::Bind => Ok(Arc::new(find(up, name, access)?.into_chan(up)?)),
    }
}

/// Opens a program for execution.
///
/// # Errors
/// As [`namec`]; `cannot exec directory`.
pub fn open_exec(up: &Arc<Proc>, name: &str) -> Result<Arc<Chan>> {
    namec(up, name, Access::Open(abi::OEXEC))
}

/// From a name to the file, not opened.
///
/// # Errors
/// As [`namec`]. `is a mount point` for `Remove` of one.
pub fn find(up: &Arc<Proc>, name: &str, access: Access) -> Result<Found> {
    let name = Name::parse(name)?;
    let mut w = Walker::start(up, &name)?;
    w.forward(&name, name.elements.len())?;
    match access {
        Access::Chdir | Access::Mount => {}
        Access::Remove => {
            if w.find_mount(w.at.chan().key()).is_some() {
                return Err(name.error(name.elements.len(), error::EISMTPT.into()));
            }
        }
        _ => w.cross(),
    }
    let must_be_dir = name.must_be_dir || access == Access::Chdir;
    if must_be_dir && !w.at.chan().qid.is_dir() {
        return Err(name.error(name.elements.len(), error::ENOTDIR.into()));
    }
    Ok(w.done())
}

fn open(up: &Arc<Proc>, name: &Name<'_>, mode: u32) -> Result<Arc<Chan>> {
    let all = name.elements.len();
    let mut w = Walker::start(up, name)?;
    w.forward(name, all)?;
    w.cross();
    let qid = w.at.chan().qid;
    if name.must_be_dir && !qid.is_dir() {
        return Err(name.error(all, error::ENOTDIR.into()));
    }
    if mode & 3 == abi::OEXEC && qid.is_dir() {
        return Err(name.error(all, error::EEXECDIR.into()));
    }
    open_found(up, w.done(), mode).map_err(|e| name.error(all, e))
}

fn open_found(up: &Arc<Proc>, found: Found, mode: u32) -> Result<Arc<Chan>> {
    let c = found.into_chan(up)?;
    let dev = c.dev.clone();
    dev.open(up, c, mode & !abi::OCEXEC)
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
        // It may be there: then it is truncated.
        let mut w = Walker::start(up, name)?;
        match w.forward(name, all) {
            Ok(()) => {
                w.cross();
                return open_existing(up, w.done(), mode, perm, excl).map_err(|e| name.error(all, e));
            }
            // A directory on the way is missing. (Servers word the absence of the last element differently.)
            Err(e) if w.walked + 1 < all || *last == ".." => return Err(lost.unwrap_or(e)),
            Err(_) => {}
        }
        if let Some(e) = lost {
            return Err(e);
        }
        let mut w = Walker::start(up, name)?;
        w.forward(name, all - 1)?;
        w.cross();
        if !w.at.chan().qid.is_dir() {
            return Err(name.error(all - 1, error::ENOTDIR.into()));
        }
        match create_in(up, w.done(), last, mode, perm) {
            Ok(c) => return Ok(c),
            // Somebody may have created it meanwhile: then opening it is what was asked for. Once.
            Err(e) if excl || e.is(error::ENOCREATE) => return Err(name.error(all, e)),
            Err(e) => lost = Some(name.error(all, e)),
        }
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
    let mut path = found.path.clone();
    path.push(last);
    let mut c = match &found.union {
        Some(u) => {
            let list = u.list();
            let Some(m) = list.iter().find(|m| m.flags & abi::MCREATE != 0) else {
                return Err(error::ENOCREATE.into());
            };
            clone_chan(up, &m.to)?
        }
        None => found.into_chan(up)?,
    };
    c.path = path.finish();
    c.umh = None;
    let dev = c.dev.clone();
    dev.create(up, c, last, mode & !abi::OCEXEC, perm)
}

/// Where a name starts.
enum Start<'a> {
    Root,
    Dot,
    Device(char, &'a str),
}

/// A name, cut into elements.
struct Name<'a> {
    text: &'a str,
    start: Start<'a>,
    elements: Vec<&'a str>,
    /// A slash or `/.` at the end, or nothing but dots: it has to be a directory.
    must_be_dir: bool,
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        if text.is_empty() {
            return Err(error::ENONAME.into());
        }
        if text.len() > MAXNAME {
            return Err(error::ETOOLONG.into());
        }
        if text.bytes().any(|b| b < b' ' || b == 0x7f) {
            return Err(error::EBADCHAR.into());
        }
        let (start, rest) = match text.strip_prefix('#') {
            Some(device) => {
                let letter = device.chars().next().ok_or(error::EBADSHARP)?;
                // The letter may be a slash itself.
                let after = device.get(letter.len_utf8()..).unwrap_or("");
                let end = after.find('/').unwrap_or(after.len());
                let (spec, rest) = after.split_at(end);
                (Start::Device(letter, spec), rest)
            }
            None if text.starts_with('/') => (Start::Root, text),
            None => (Start::Dot, text),
        };
        let last = rest.rsplit('/').next().unwrap_or("");
        let must_be_dir = !rest.is_empty() && (last.is_empty() || last == ".");
        let elements = rest.split('/').filter(|e| !e.is_empty() && *e != ".").collect();
        Ok(Name { text, start, elements, must_be_dir })
    }

    /// The failure with the name up to element `n` (exclusive) in front; without when nothing was walked.
    fn error(&self, n: usize, e: Error) -> Error {
        if n >= self.elements.len() {
            return e.with_name(self.text);
        }
        let Some(last) = n.checked_sub(1).and_then(|i| self.elements.get(i)) else {
            return e;
        };
        // Elements are parts of the text: the end of one is an offset in it.
        let end = last.as_ptr() as usize - self.text.as_ptr() as usize + last.len();
        e.with_name(self.text.get(..end).unwrap_or(self.text))
    }
}

/// A walk under way.
struct Walker<'u> {
    up: &'u Arc<Proc>,
    pgrp: Arc<Pgrp>,
    at: At,
    path: PathBuf,
    /// The union crossed to get to `at`; further steps may try its other elements.
    union: Option<Arc<Mhead>>,
    /// `at` has been crossed, or must not be.
    crossed: bool,
    /// Names beginning with `#` ignore mounts.
    no_mounts: bool,
    /// Elements that were walked.
    walked: usize,
}

impl<'u> Walker<'u> {
    fn start(up: &'u Arc<Proc>, name: &Name<'_>) -> Result<Self> {
        let pgrp = up.pgrp();
        let (at, path) = match name.start {
            Start::Root => {
                let slash = up.slash();
                let path = slash.path.to_buf();
                (At::Shared(slash), path)
            }
            Start::Dot => {
                let dot = up.dot();
                let path = dot.path.to_buf();
                (At::Shared(dot), path)
            }
            Start::Device(letter, spec) => {
                if pgrp.no_mount() && !"|decp".contains(letter) {
                    return Err(error::ENOATTACH.into());
                }
                let c = up.kernel.dev(letter)?.attach(up, spec)?;
                let path = c.path.to_buf();
                (At::Own(c), path)
            }
        };
        let no_mounts = matches!(name.start, Start::Device(..));
        Ok(Walker { up, pgrp, at, path, union: None, crossed: false, no_mounts, walked: 0 })
    }

    fn done(self) -> Found {
        Found { at: self.at, path: self.path, union: self.union }
    }

    /// What is mounted on this file: the union and its first element.
    fn find_mount(&self, key: Key) -> Option<(Arc<Mhead>, Arc<Chan>)> {
        if self.no_mounts {
            return None;
        }
        let head = self.pgrp.find(key)?;
        // It may have been unmounted this moment.
        let first = head.list().first()?.to.clone();
        Some((head, first))
    }

    /// Goes over to what is mounted here, if anything is.
    fn cross(&mut self) {
        if !self.crossed
            && let Some(mounted) = self.find_mount(self.at.chan().key())
        {
            self.enter(mounted);
        }
        self.crossed = true;
    }

    fn enter(&mut self, (head, first): (Arc<Mhead>, Arc<Chan>)) {
        self.path.cross(head.from.clone());
        self.at = At::Shared(first);
        self.union = Some(head);
        self.crossed = true;
    }

    fn stand(&mut self, at: At) {
        self.at = at;
        self.union = None;
        self.crossed = false;
    }

    /// Walks the first `upto` elements of `name`. Afterwards `at` is not crossed; on failure `walked` says
    /// how many elements there are.
    fn forward(&mut self, name: &Name<'_>, upto: usize) -> Result<()> {
        while self.walked < upto {
            if !self.at.chan().qid.is_dir() {
                return Err(name.error(self.walked, error::ENOTDIR.into()));
            }
            let rest = name.elements.get(self.walked..upto).unwrap_or(&[]);
            if rest.first() == Some(&"..") {
                self.dotdot().map_err(|e| name.error(self.walked + 1, e))?;
                self.walked += 1;
                continue;
            }
            let n = rest.iter().take(MAXWELEM).take_while(|e| **e != "..").count();
            self.step(name, rest.get(..n).unwrap_or(&[]))?;
        }
        Ok(())
    }

    fn dotdot(&mut self) -> Result<()> {
        let c = self.at.chan();
        let up_one = c.dev.walk(self.up, c, &[".."])?.chan.ok_or(error::ENONEXIST)?;
        let at = match self.path.pop() {
            Some(mounted_upon) => At::Shared(mounted_upon),
            None => At::Own(up_one),
        };
        self.stand(at);
        Ok(())
    }

    /// Walks some elements, none of them `..`, as far as the first that is mounted upon.
    fn step(&mut self, name: &Name<'_>, names: &[&str]) -> Result<()> {
        self.cross();
        let c = self.at.chan();
        let mut result = c.dev.walk(self.up, c, names);
        let (mut letter, mut devno) = (c.dev.letter(), c.devno);
        if let (Err(first), Some(union)) = (&result, &self.union) {
            // Not in the first element of the union: try the others. The most telling failure is reported.
            let mut telling = first.clone();
            for m in union.list().iter().skip(1) {
                let to = &m.to;
                match to.dev.walk(self.up, to, names) {
                    Ok(w) => {
                        (letter, devno) = (to.dev.letter(), to.devno);
                        result = Ok(w);
                        break;
                    }
                    Err(e) if telling.is(error::ENONEXIST) => telling = e,
                    Err(_) => {}
                }
            }
            if result.is_err() {
                result = Err(telling);
            }
        }
        let walk = result.map_err(|e| name.error(self.walked + 1, e))?;

        // Is something mounted on one of the directories passed?
        let passed = walk.qids.len().min(names.len().saturating_sub(1));
        for (i, qid) in walk.qids.iter().take(passed).enumerate() {
            if let Some(mounted) = self.find_mount((letter, devno, qid.path)) {
                for e in names.iter().take(i + 1) {
                    self.path.push(e);
                }
                self.walked += i + 1;
                drop(walk.chan);
                self.enter(mounted);
                return Ok(());
            }
        }
        let Some(chan) = walk.chan else {
            return Err(self.missing(name, &walk.qids));
        };
        for e in names {
            self.path.push(e);
        }
        self.walked += names.len();
        self.stand(At::Own(chan));
        Ok(())
    }

    /// The walk ended after these: the next element is missing, or the last one is a file.
    fn missing(&mut self, name: &Name<'_>, qids: &[Qid]) -> Error {
        self.walked += qids.len();
        match qids.last() {
            Some(q) if !q.is_dir() => name.error(self.walked, error::ENOTDIR.into()),
            _ => name.error(self.walked + 1, error::ENONEXIST.into()),
        }
    }
}

/// The text that a channel at the root of device `letter` gets as its path.
pub fn device_path(letter: char, spec: &str) -> Path {
    let mut text = String::from("#");
    text.push(letter);
    text.push_str(spec);
    Path::root(&text)
}

/// The root of `#/` under the name `/`, where the first process starts.
///
/// # Errors
/// `unknown device in # filename` when the kernel has no `#/`.
pub fn root(kernel: &Kernel) -> Result<Arc<Chan>> {
    let dev = kernel.dev('/')?;
    Ok(Arc::new(Chan::attach(dev, 0, Qid::dir(0), Path::root("/"), None)))
}
