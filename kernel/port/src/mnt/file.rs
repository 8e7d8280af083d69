//! A file of a mount: walking, opening, making, removing, and what it is like.
//!
//! QEMU's server stops at symbolic links, so a walk goes on from there by itself: the link's target is walked to
//! in its place. A link at the end of a path is two files: the target, which is opened and whose stat is shown,
//! and the link, which is what is removed or renamed.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{DMDIR, Dir, OEXEC, ORCLOSE, QTSYMLINK, Qid, error};
use machine::sync::QLock;
use ninep::translate::stat::File;
use ninep::translate::walk::{Links, Walked, outcome};
use ninep::translate::{FileType, create, names, open, wstat};
use ninep::{Dialect, Names, Rmsg, Stat, Str, Tmsg};

use super::dirread::Cursor;
use super::session::{Fid, Session};
use crate::error::{Error, Result};

/// A file of a mount.
pub struct MntFile {
    /// The file at the server.
    pub fid: Arc<Fid>,
    /// The root of the tree it was reached from.
    pub root: Arc<Fid>,
    /// The symbolic link at the end of the path by which it was reached.
    link: Option<Arc<Fid>>,
    /// It is a link that leads nowhere, and this is what opening it says.
    dangling: Option<Error>,
    /// Remove it when it is closed.
    remove_on_close: AtomicBool,
    /// Was opened to be written.
    written: AtomicBool,
    /// Is open and append-only: the server puts every write at the end.
    append: AtomicBool,
    /// Position of a directory read.
    pub cursor: QLock<Cursor>,
}

impl MntFile {
    /// The root of a tree.
    pub fn root(fid: Fid) -> Self {
        let fid = Arc::new(fid);
        Self::new(fid.clone(), fid)
    }

    fn new(fid: Arc<Fid>, root: Arc<Fid>) -> Self {
        MntFile {
            fid,
            root,
            link: None,
            dangling: None,
            remove_on_close: AtomicBool::new(false),
            written: AtomicBool::new(false),
            append: AtomicBool::new(false),
            cursor: QLock::new(Cursor::default()),
        }
    }

    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.fid.session
    }

    fn here(&self) -> Result<()> {
        match &self.dangling {
            Some(e) => Err(e.clone()),
            None => Ok(()),
        }
    }

    /// The same file under a fid of its own.
    ///
    /// # Errors
    /// The server's.
    pub fn copy(&self) -> Result<Self> {
        let mut new = Self::new(Arc::new(self.fid.copy()?), self.root.clone());
        new.link = self.link.clone();
        new.dangling = self.dangling.clone();
        Ok(new)
    }

    /// Walks over `elements`. As many qids as elements were found, and the file when all were.
    ///
    /// # Errors
    /// When the first element is not there.
    pub fn walk(&self, start: Qid, elements: &[&str]) -> Result<(Vec<Qid>, Option<Self>)> {
        if elements.is_empty() {
            return Ok((Vec::new(), Some(self.copy()?)));
        }
        self.here()?;
        let mut links = Links::default();
        let mut qids = Vec::new();
        let mut at = self.fid.clone();
        let mut at_qid = start;
        let mut rest = elements;
        loop {
            let missing = |qids: Vec<Qid>, e: Error| if qids.is_empty() { Err(e) } else { Ok((qids, None)) };
            let step = match walk_once(&at, at_qid, rest) {
                Ok(step) => step,
                Err(e) => return missing(qids, e),
            };
            let link_at = match step.outcome {
                Walked::Done(_) => {
                    qids.extend(step.qids);
                    let fid = step.fid.ok_or(error::EMOUNTRPC)?;
                    return Ok((qids, Some(Self::new(Arc::new(fid), self.root.clone()))));
                }
                Walked::Missing { text, .. } => {
                    qids.extend(step.qids);
                    return missing(qids, text.into());
                }
                Walked::Link { at, .. } => at,
            };
            let link_qid = step.qids.last().copied().unwrap_or_default();
            qids.extend(step.qids.iter().take(link_at));
            let (front, after) = rest.split_at((link_at + 1).min(rest.len()));
            match self.follow(&at, at_qid, front, &mut links) {
                Ok((fid, qid)) => {
                    qids.push(qid);
                    at = Arc::new(fid);
                    at_qid = qid;
                }
                Err(e) if after.is_empty() => {
                    // Nothing at its end, but the link itself can be removed.
                    let Some(fid) = step.fid else { return missing(qids, e) };
                    qids.push(Qid { kind: link_qid.kind & !QTSYMLINK, ..link_qid });
                    let mut file = Self::new(Arc::new(fid), self.root.clone());
                    file.dangling = Some(e);
                    return Ok((qids, Some(file)));
                }
                Err(e) => return missing(qids, e),
            }
            if after.is_empty() {
                let mut file = Self::new(at, self.root.clone());
                file.link = step.fid.map(Arc::new);
                return Ok((qids, Some(file)));
            }
            rest = after;
        }
    }

    /// Goes to the end of the links in `path`, whose last element is one.
    fn follow(&self, from: &Arc<Fid>, from_qid: Qid, path: &[&str], links: &mut Links) -> Result<(Fid, Qid)> {
        let mut from = from.clone();
        let mut from_qid = from_qid;
        let mut path: Vec<String> = path.iter().map(|&e| String::from(e)).collect();
        loop {
            let elements: Vec<&str> = path.iter().map(String::as_str).collect();
            let step = walk_long(&from, from_qid, &elements)?;
            match step.outcome {
                Walked::Done(qid) => return Ok((step.fid.ok_or(error::EMOUNTRPC)?, qid)),
                Walked::Missing { .. } => return Err(error::ENONEXIST.into()),
                Walked::Link { at, .. } => {
                    let target = match &step.fid {
                        Some(link) => read_link(link)?,
                        None => {
                            let front = elements.get(..=at).unwrap_or(&elements);
                            let link = walk_long(&from, from_qid, front)?;
                            read_link(&link.fid.ok_or(error::ENONEXIST)?)?
                        }
                    };
                    let target = ninep::unescape(&target).into_owned();
                    let next = links.follow(&path, at, Str(&target))?;
                    if next.from_root {
                        from = self.root.clone();
                        from_qid = Qid::dir(0);
                    }
                    path = next.names;
                }
            }
        }
    }

    /// Opens the file; `open_mode` is Plan 9's. Gives its qid and iounit.
    ///
    /// # Errors
    /// `permission denied` for special files and programs that may not be executed, the server's.
    pub fn open(&self, qid: Qid, open_mode: u32) -> Result<(Qid, u32)> {
        self.here()?;
        let session = self.session();
        let kept = session.kept.lock().get(qid.path);
        let what = FileType::from_qid(qid);
        open::permit(what, open_mode)?;
        if session.dialect != Dialect::P9 && open_mode & 3 == OEXEC && what == FileType::Plain {
            // The server would let root execute anything.
            if self.stat()?.dir.mode & 0o111 == 0 {
                return Err(error::EPERM.into());
            }
        }
        let append = kept & abi::DMAPPEND != 0;
        let request = open::request(session.dialect, self.fid.number, what, open_mode, append);
        if request.truncate_first {
            self.change(&wstat::Change::truncate())?;
        }
        let (qid, iounit) = session.call(&request.message, |reply| match reply {
            Rmsg::Open { qid, iounit } | Rmsg::Lopen { qid, iounit } => Ok((qid, iounit)),
            _ => Err(error::EMOUNTRPC.into()),
        })?;
        self.opened(open_mode, append);
        Ok((Qid { kind: qid.kind & !QTSYMLINK, ..qid }, open::iounit(iounit, session.msize)))
    }

    /// Does every write go to the end?
    pub(super) fn is_append(&self) -> bool {
        self.append.load(Ordering::Relaxed)
    }

    fn opened(&self, open_mode: u32, append: bool) {
        self.append.store(append, Ordering::Relaxed);
        self.written.store(open::writes(open_mode), Ordering::Relaxed);
        let local = self.session().dialect != Dialect::P9;
        self.remove_on_close.store(local && open_mode & ORCLOSE != 0, Ordering::Relaxed);
    }

    /// Makes `name` in this directory and opens it; the fid is the new file's from then on.
    ///
    /// # Errors
    /// The server's; `file already exists`.
    pub fn create(&self, name: &str, open_mode: u32, perm: u32) -> Result<(Qid, u32)> {
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
        let (qid, iounit) = session.call(&message, |reply| match reply {
            Rmsg::Create { qid, iounit } | Rmsg::Lcreate { qid, iounit } => Ok((qid, iounit)),
            _ => Err(error::EMOUNTRPC.into()),
        })?;
        if session.dialect != Dialect::P9 {
            session.kept.lock().set(qid.path, perm & !DMDIR);
        }
        self.opened(open_mode, perm & abi::DMAPPEND != 0);
        Ok((qid, open::iounit(iounit, session.msize)))
    }

    /// Removes the file; of a symbolic link, the link.
    ///
    /// # Errors
    /// The server's.
    pub fn remove(&self, qid: Qid) -> Result<()> {
        self.remove_on_close.store(false, Ordering::Relaxed);
        self.link.as_ref().unwrap_or(&self.fid).remove()?;
        self.session().kept.lock().forget(qid.path);
        Ok(())
    }

    /// What the file is like.
    ///
    /// # Errors
    /// The server's; `file does not exist` for a link that leads nowhere.
    pub fn stat(&self) -> Result<File> {
        self.here()?;
        stat_of(&self.fid)
    }

    /// Changes what `want` does not leave untouched.
    ///
    /// # Errors
    /// See [`wstat::plan`]; `file already exists` for a rename onto another file; the server's.
    pub fn wstat(&self, want: &Dir) -> Result<()> {
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
        let renamed = self.link.as_ref().unwrap_or(&self.fid);
        let now = stat_of(if want.name.is_empty() { &self.fid } else { renamed })?;
        let mut change = wstat::plan(want, &now, &session.ids)?;
        // A new name must be free: the server would replace what has it.
        let rename = match change.name.take() {
            None => None,
            Some(new) => {
                if self.exists_beside(renamed, &new)? {
                    return Err(error::EEXIST.into());
                }
                Some(wstat::Change { name: Some(new), ..wstat::Change::default() })
            }
        };
        if !change.is_empty() {
            self.here()?;
            self.change(&change)?;
        }
        if let Some(bits) = change.kept {
            session.kept.lock().set(now.dir.qid.path, bits);
        }
        match rename {
            Some(rename) => change_fid(renamed, &rename),
            None => Ok(()),
        }
    }

    fn change(&self, change: &wstat::Change) -> Result<()> {
        change_fid(&self.fid, change)
    }

    /// Is there a file of this name in the directory that `fid` is in?
    fn exists_beside(&self, fid: &Arc<Fid>, name: &[u8]) -> Result<bool> {
        let new = Fid::reserve(&fid.session);
        let elements = [Str(b".."), Str(name)];
        let walk = Tmsg::Walk { fid: fid.number, newfid: new.number, names: Names::new(&elements) };
        match fid.session.call(&walk, |reply| Ok(matches!(reply, Rmsg::Walk { qids } if qids.len() == 2))) {
            Ok(true) => {
                drop(new.born());
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(e) if e.is(error::ENONEXIST) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Drop for MntFile {
    fn drop(&mut self) {
        if *self.remove_on_close.get_mut() {
            // ORCLOSE has nobody to tell a failure to.
            let _ = self.fid.remove();
        }
    }
}

/// What a Twalk came to.
struct Step {
    outcome: Walked,
    qids: Vec<Qid>,
    /// The new file, when all elements were found.
    fid: Option<Fid>,
}

/// One Twalk, of at most 16 elements.
fn walk_once(from: &Fid, from_qid: Qid, elements: &[&str]) -> Result<Step> {
    let bytes = elements.iter().map(|e| names::element(e)).collect::<core::result::Result<Vec<_>, _>>()?;
    let strs: Vec<Str<'_>> = bytes.iter().map(|b| Str(b)).collect();
    let new = Fid::reserve(&from.session);
    let walk = Tmsg::Walk { fid: from.number, newfid: new.number, names: Names::new(&strs) };
    let (outcome, qids) = from.session.call(&walk, |reply| match reply {
        Rmsg::Walk { qids } => Ok((outcome(strs.len(), qids, from_qid)?, qids.iter().collect::<Vec<Qid>>())),
        _ => Err(error::EMOUNTRPC.into()),
    })?;
    let fid = if qids.len() == elements.len() { Some(new.born()) } else { None };
    Ok(Step { outcome, qids, fid })
}

/// As [`walk_once`], for any number of elements.
fn walk_long(from: &Arc<Fid>, from_qid: Qid, elements: &[&str]) -> Result<Step> {
    let mut walked = 0;
    let mut at: Option<(Fid, Qid)> = None;
    loop {
        let (front, rest) = elements.split_at(elements.len().min(walked + ninep::MAXWELEM));
        let part = front.get(walked..).unwrap_or(&[]);
        let (fid, qid) = at.as_ref().map_or((&**from, from_qid), |(f, q)| (f, *q));
        let step = walk_once(fid, qid, part)?;
        match step.outcome {
            Walked::Done(qid) if !rest.is_empty() => {
                walked += part.len();
                at = Some((step.fid.ok_or(error::EMOUNTRPC)?, qid));
            }
            Walked::Link { at: place, made } => {
                let made = made && rest.is_empty();
                let outcome = Walked::Link { at: walked + place, made };
                return Ok(Step { outcome, fid: step.fid.filter(|_| made), qids: step.qids });
            }
            _ => return Ok(step),
        }
    }
}

/// Where the symbolic link behind a fid leads.
fn read_link(link: &Fid) -> Result<String> {
    Ok(stat_of(link)?.target)
}

fn stat_of(fid: &Fid) -> Result<File> {
    let session = &fid.session;
    let mut file = session.call(&Tmsg::Stat { fid: fid.number }, |reply| match reply {
        Rmsg::Stat { stat } => {
            let (stat, _) = Stat::parse(session.dialect, stat.0).map_err(|_| error::EBADSTAT)?;
            Ok(File::from_stat(session.dialect, &stat, &session.ids))
        }
        _ => Err(error::EMOUNTRPC.into()),
    })?;
    if session.dialect != Dialect::P9 {
        session.kept.lock().show(&mut file.dir);
    }
    Ok(file)
}

fn change_fid(fid: &Fid, change: &wstat::Change) -> Result<()> {
    let record = change.record().map_err(|_| error::ETOOLONG)?;
    let message = Tmsg::Wstat { fid: fid.number, stat: ninep::wire::Record(&record) };
    fid.session.call(&message, |_| Ok(()))
}
