//! A file of a mount: opening, making, removing, and what it is like.
//!
//! The rest of a [`MntFile`] is where it is wanted: walking in [`links`], reading and writing in [`io`](super::io),
//! directories in [`dirread`](super::dirread).
//!
//! A symbolic link at the end of a path is two files: the target, which is opened and whose stat is shown, and the
//! link, which is what is removed or renamed.
//!
//! Ownership: a [`MntFile`] holds its fids and, while it is open, what the session keeps of an open file. Locks: `open`
//! is a leaf; `cursor` is a directory's, see [`dirread`](super::dirread).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{Dir, OEXEC, ORCLOSE, OTRUNC, QTSYMLINK, Qid, error};
use machine::lock::Lock;
use machine::sync::QLock;
use ninep::translate::errors::ENOTSUP;
use ninep::translate::stat::File;
use ninep::translate::{FileType, create, names, open, wstat};
use ninep::{Dialect, Rmsg, Tmsg};
use spin::Once;

use super::attributes::{Attributes, Open};
use super::dirread::Cursor;
use super::fid::Fid;
use super::kept::Kept;
use super::links::{Place, Via};
use super::rename::Rename;
use super::session::Session;
use super::stat::{may_remove, stat_of, stat_to_change};
use super::trail::Trail;
use super::{NO_NAMES, dotl};
use crate::error::{Error, Result};

/// A file of a mount.
pub(crate) struct MntFile {
    /// The file at the server.
    pub(crate) fid: Arc<Fid>,
    /// The root of the tree it was reached from.
    pub(super) root: Place,
    /// The last symbolic link on the way to it.
    pub(super) via: Option<Arc<Via>>,
    /// It is a link that leads nowhere, and this is what opening it says.
    pub(super) dangling: Option<Error>,
    /// Remove it when it is closed.
    remove_on_close: AtomicBool,
    /// Was opened to be written.
    written: AtomicBool,
    /// Is open and append-only: the server puts every write at the end.
    append: AtomicBool,
    /// Position of a directory read, once there has been one. In a box, since files are moved and few are read so.
    pub(crate) cursor: QLock<Option<Box<Cursor>>>,
    /// That it is open; when `fid` has been clunked, it is so no more.
    open: Lock<Option<Open>>,
    /// What is kept of its contents, when it is open.
    pub(super) kept: Once<Kept>,
    /// What the server has told when it was walked to: for the call that it was walked to for.
    pub(super) told: Lock<Option<File>>,
    /// What it was when it was opened to be executed, for who has opened it. In a box, since few are and all are
    /// moved.
    pub(super) opened_as: Lock<Option<Box<Dir>>>,
}

impl MntFile {
    /// The root of a tree.
    pub(crate) fn root(fid: Fid, qid: Qid) -> Self {
        let fid = Arc::new(fid);
        Self::new(fid.clone(), Place { fid, qid }, None)
    }

    pub(super) fn new(fid: Arc<Fid>, root: Place, via: Option<Arc<Via>>) -> Self {
        MntFile {
            fid,
            root,
            via,
            dangling: None,
            remove_on_close: AtomicBool::new(false),
            written: AtomicBool::new(false),
            append: AtomicBool::new(false),
            cursor: QLock::new(None),
            open: Lock::new(None),
            kept: Once::new(),
            told: Lock::new(None),
            opened_as: Lock::new(None),
        }
    }

    /// Is this the fid of the tree's root, which everybody shares?
    pub(crate) fn is_shared(&self) -> bool {
        Arc::ptr_eq(&self.fid, &self.root.fid)
    }

    /// What its name stands for: the symbolic link at the end of it, else the file.
    fn named(&self) -> &Arc<Fid> {
        match &self.via {
            Some(v) if v.below == 0 => &v.link,
            _ => &self.fid,
        }
    }

    /// The session.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.fid.session
    }

    /// Is there a file, or only a link that leads nowhere?
    pub(super) fn here(&self) -> Result<()> {
        match &self.dangling {
            Some(e) => Err(e.clone()),
            None => Ok(()),
        }
    }

    /// The same file under a fid of its own.
    ///
    /// # Errors
    /// The server's.
    pub(crate) fn copy(&self) -> Result<Self> {
        let mut new = Self::new(Arc::new(self.fid.copy()?), self.root.clone(), self.via.clone());
        new.dangling = self.dangling.clone();
        Ok(new)
    }

    /// Opens the file; `open_mode` is Plan 9's. Gives its qid and iounit.
    ///
    /// # Errors
    /// `permission denied` for special files and programs that may not be executed, the server's.
    pub(crate) fn open(&self, qid: Qid, open_mode: u32) -> Result<(Qid, u32)> {
        self.here()?;
        let session = self.session();
        let what = FileType::from_qid(qid);
        open::permit(what, open_mode)?;
        let mut looked = None;
        if session.dialect != Dialect::P9 && open_mode & 3 == OEXEC && what == FileType::Plain {
            // The server would let root execute anything.
            let found = self.stat()?.dir;
            if found.mode & 0o111 == 0 {
                return Err(error::EPERM.into());
            }
            looked = Some(found).filter(|_| open_mode == OEXEC);
        }
        let translated = session.dialect != Dialect::P9;
        let (walked, since) = Trail::found(&self.fid);
        let mut open = if translated { Some(Attributes::open(&self.fid, walked, since)?) } else { None };
        if translated && Trail::is_gone(&self.fid) {
            return Err(error::ENONEXIST.into());
        }
        // Nothing is cut from a file that only grows.
        let append = open.as_ref().is_some_and(Open::is_append);
        let asked = if append { open_mode & !OTRUNC } else { open_mode };
        let request = open::request(session.dialect, self.fid.number, what, asked, append);
        if request.truncate_first {
            self.change(&wstat::Change::truncate())?;
        }
        let (qid, iounit) = session.call(&request.message, |reply| match reply {
            Rmsg::Open { qid, iounit } | Rmsg::Lopen { qid, iounit } => Ok((qid, iounit)),
            _ => Err(error::EMOUNTRPC.into()),
        })?;
        if translated && qid.path != walked {
            // Another file has taken its name meanwhile.
            open = Some(Attributes::open(&self.fid, qid.path, session.attributes.removals())?);
        }
        if asked & OTRUNC != 0 {
            session.attributes.changed(qid.path);
        }
        self.opened(qid, open_mode, open);
        let shown = self.shown(Qid { kind: qid.kind & !QTSYMLINK, ..qid });
        // It may have become another one since.
        *self.opened_as.lock() = looked.filter(|dir| dir.qid == shown).map(Box::new);
        Ok((shown, open::iounit(iounit, session.msize)))
    }

    /// Makes of qids what programs see.
    pub(super) fn show(&self, qids: &mut [Qid]) {
        if self.session().dialect != Dialect::P9 {
            self.session().attributes.show_qids(qids);
        }
    }

    fn shown(&self, qid: Qid) -> Qid {
        let mut qids = [qid];
        self.show(&mut qids);
        qids[0]
    }

    /// It was written, or may have been.
    pub(super) fn wrote(&self) {
        if let Some(open) = &*self.open.lock() {
            open.written();
        }
    }

    /// Does every write go to the end?
    pub(super) fn is_append(&self) -> bool {
        self.append.load(Ordering::Relaxed)
    }

    fn opened(&self, qid: Qid, open_mode: u32, open: Option<Open>) {
        self.fid.set_open(qid);
        self.append.store(open.as_ref().is_some_and(Open::is_append), Ordering::Relaxed);
        *self.open.lock() = open;
        self.written.store(open::writes(open_mode), Ordering::Relaxed);
        if open::writes(open_mode) || !self.session().is_device() {
            self.fid.set_waits();
        }
        let local = self.session().dialect != Dialect::P9;
        self.remove_on_close.store(local && open_mode & ORCLOSE != 0, Ordering::Relaxed);
    }

    /// Makes `name` in this directory and opens it; the fid is the new file's from then on.
    ///
    /// # Errors
    /// The server's; `file already exists`.
    pub(crate) fn create(&self, name: &str, open_mode: u32, perm: u32) -> Result<(Qid, u32)> {
        self.here()?;
        let session = self.session();
        let bytes = names::check(name)?;
        let perm = match session.dialect {
            Dialect::P9 => perm,
            _ => create::inherit(perm, self.stat()?.dir.mode),
        };
        let message = match create::request(session.dialect, self.fid.number, &bytes, perm, open_mode)? {
            create::Create::Open(message) | create::Create::Mkdir(message) => message,
        };
        let made = Attributes::make(&self.fid, name, perm);
        session.moves();
        let created = session.call(&message, |reply| match reply {
            Rmsg::Create { qid, iounit } | Rmsg::Lcreate { qid, iounit } => Ok((qid, iounit)),
            Rmsg::Mkdir { qid } => Ok((qid, 0)),
            _ => Err(error::EMOUNTRPC.into()),
        });
        session.moves();
        let (mut qid, mut iounit) = created?;
        if let Tmsg::Mkdir { .. } = message {
            (qid, iounit) = dotl::enter(&self.fid, &bytes)?;
        }
        Trail::follow(&self.fid, &self.fid, &[name], &[qid], session.attributes.removals());
        let open = if session.dialect == Dialect::P9 { None } else { Some(made.made(qid.path)) };
        self.opened(qid, open_mode, open);
        Ok((self.shown(qid), open::iounit(iounit, session.msize)))
    }

    /// Removes the file; of a symbolic link, the link.
    ///
    /// # Errors
    /// The server's.
    pub(crate) fn remove(&self) -> Result<()> {
        self.remove_on_close.store(false, Ordering::Relaxed);
        self.named().remove()
    }

    /// What the file is like.
    ///
    /// # Errors
    /// The server's; `file does not exist` for a link that leads nowhere.
    pub(crate) fn stat(&self) -> Result<File> {
        self.here()?;
        let told = self.told.lock().take();
        told.map_or_else(|| stat_of(&self.fid), Ok)
    }

    /// Changes what `want` does not leave untouched.
    ///
    /// # Errors
    /// See [`wstat::plan`]; `file already exists` for a rename onto another file; the server's.
    pub(crate) fn wstat(&self, want: &Dir) -> Result<()> {
        let session = self.session();
        let fid = self.fid.number;
        if session.dialect == Dialect::P9 {
            let record = wstat::plan9_record(want).map_err(|_| error::ETOOLONG)?;
            let message = Tmsg::Wstat { fid, stat: ninep::wire::Record(&record) };
            return session.call(&message, |_| Ok(()));
        }
        let record;
        let sync = match wstat::Sync::of(session.dialect, want, fid, self.written.load(Ordering::Relaxed)) {
            wstat::Sync::Done => return Ok(()),
            wstat::Sync::Fsync(message) => message,
            wstat::Sync::Wstat => {
                record = wstat::Change::default().record().map_err(|_| error::ETOOLONG)?;
                Tmsg::Wstat { fid, stat: ninep::wire::Record(&record) }
            }
            wstat::Sync::No => return self.wstat_fields(want),
        };
        session.call(&sync, |_| Ok(()))
    }

    fn wstat_fields(&self, want: &Dir) -> Result<()> {
        let session = self.session();
        // The name is the link's, all else the file's that it leads to.
        let named = self.named();
        let name_now = stat_to_change(&self.root, named)?;
        let new_name = Dir { name: want.name.clone(), ..Dir::untouched() };
        let new_name = wstat::plan(&new_name, &name_now, &NO_NAMES)?.name;
        let now = if Arc::ptr_eq(named, &self.fid) {
            name_now.clone()
        } else {
            stat_to_change(&self.root, &self.fid)?
        };
        let mut change = wstat::plan(&Dir { name: String::new(), ..want.clone() }, &now, &NO_NAMES)?;
        if !change.is_empty() || change.mode_bits.is_some() {
            self.here()?;
        }
        let rename = match new_name {
            None => None,
            Some(new) => Some(Rename::plan(&self.root, named, &name_now.dir.name, new)?),
        };
        if change.length.is_some() && change.mtime.is_some() {
            // The server sets the length last, and that sets the time.
            let length = change.length.take();
            self.change(&wstat::Change { length, ..wstat::Change::default() })?;
        }
        if !change.is_empty() {
            self.change(&change)?;
        }
        if want.length != !0 {
            session.attributes.changed(Trail::file(&self.fid));
        }
        if let Some(bits) = change.mode_bits {
            session.attributes.set(Trail::file(&self.fid), bits);
        }
        rename.map_or(Ok(()), Rename::carry_out)
    }

    fn change(&self, change: &wstat::Change) -> Result<()> {
        change_fid(&self.fid, change)
    }
}

impl Drop for MntFile {
    fn drop(&mut self) {
        // A server that is known to be silent is not waited for once more for each file. And its name may be another's.
        let wanted = *self.remove_on_close.get_mut() && !self.session().must_hurry();
        if wanted && may_remove(&self.root, &self.fid) {
            // ORCLOSE has nobody to tell a failure to.
            let _ = self.fid.remove_soon();
        }
    }
}

/// Carries out a change of a file, but for its name.
fn change_fid(fid: &Fid, change: &wstat::Change) -> Result<()> {
    if fid.session.dialect == Dialect::L {
        return match change.setattr(fid.number) {
            Some(message) => fid.session.call(&message, |_| Ok(())),
            None => Ok(()),
        };
    }
    let mut now = change.clone();
    let times = if fid.session.is_device() { now.take_late_times() } else { None };
    if times.is_none() || !now.is_empty() {
        wstat_fid(fid, &now)?;
    }
    // After all that sets the time of the change.
    match times {
        Some(times) => set_late_times(fid, times),
        None => Ok(()),
    }
}

/// Carries out a change by a record.
pub(super) fn wstat_fid(fid: &Fid, change: &wstat::Change) -> Result<()> {
    let record = change.record().map_err(|_| error::ETOOLONG)?;
    let message = Tmsg::Wstat { fid: fid.number, stat: ninep::wire::Record(&record) };
    fid.session.call(&message, |_| Ok(()))
}

/// Sets times that a 9P2000.u record cannot tell a device's server; where it knows no other message, the nearest.
fn set_late_times(fid: &Fid, times: wstat::Change) -> Result<()> {
    match times.setattr(fid.number).map(|message| fid.session.call(&message, |_| Ok(()))) {
        Some(Err(e)) if e.is(ENOTSUP) => wstat_fid(fid, &times.earlier()),
        Some(done) => done,
        None => Ok(()),
    }
}
