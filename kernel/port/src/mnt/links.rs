//! Walking, with the symbolic links that QEMU's server does not follow.
//!
//! The server stops at a link, so the walk goes on from there by itself: the link's target is walked to in its
//! place, from the link's directory or, when it is absolute, from the root of the share. `..` leads back the way
//! one came: from a link's target to the directory that the link is in, as the name of the file says. Therefore a
//! file knows the links on the way to it ([`Via`]), and they keep their fids.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{QTSYMLINK, Qid, error};
use machine::heap;
use ninep::translate::names;
use ninep::translate::stat::{fits, target};
use ninep::translate::walk::{Links, Walked, outcome};
use ninep::{Dialect, Names, Rmsg, Stat, Str, Tmsg};

use super::fid::Fid;
use super::file::MntFile;
use super::slot::MESSAGE;
use super::trail::Trail;
use super::{dotl, look};
use crate::error::{Error, Result};

/// Bytes of the names in one message, at most.
const WALK_MOST: usize = MESSAGE - 32;

/// A file at the server, and what it is.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its fid.
    pub(crate) fid: Arc<Fid>,
    /// Its qid.
    pub(crate) qid: Qid,
}

/// A symbolic link on the way to a file.
pub(crate) struct Via {
    /// The link itself.
    pub(crate) link: Arc<Fid>,
    /// How many names behind its target the file is.
    pub(crate) below: usize,
    /// The link on the way to the directory that this one is in.
    outer: Option<Arc<Via>>,
}

impl Drop for Via {
    fn drop(&mut self) {
        // One after the other: links within links must not become a deep stack.
        let mut outer = self.outer.take();
        while let Some(mut via) = outer.and_then(Arc::into_inner) {
            outer = via.outer.take();
        }
    }
}

/// The way to what is `names` below a file reached by `via`.
fn deeper(via: &Option<Arc<Via>>, names: usize) -> Option<Arc<Via>> {
    let v = via.as_ref()?;
    let below = v.below + names;
    Some(Arc::new(Via { link: v.link.clone(), below, outer: v.outer.clone() }))
}

impl MntFile {
    /// Walks over `elements`. As many qids as elements were found, and the file when all were, else why the next one
    /// was not.
    ///
    /// # Errors
    /// When the first element is not there.
    pub(crate) fn walk(&self, start: Qid, elements: &[&str]) -> Result<(Vec<Qid>, Result<Self>)> {
        if elements.is_empty() {
            return Ok((Vec::new(), Ok(self.copy()?)));
        }
        self.here()?;
        if elements.first() != Some(&"..") && Trail::is_gone(&self.fid) {
            return Err(error::ENONEXIST.into());
        }
        let mut links = Links::default();
        let mut qids = Vec::new();
        let mut at = Place { fid: self.fid.clone(), qid: start };
        let mut via = self.via.clone();
        let mut rest = elements;
        loop {
            let missing =
                |qids: Vec<Qid>, e: Error| if qids.is_empty() { Err(e) } else { Ok((qids, Err(e))) };
            if rest.len() < elements.len()
                && let Err(e) = may_go_on()
            {
                return missing(qids, e);
            }
            let n = match rest.first() {
                Some(&"..") => 1,
                _ => rest.iter().take_while(|e| **e != "..").count(),
            };
            let (now, later) = rest.split_at(n.min(rest.len()));
            let mut way = deeper(&via, n);
            if now.first() == Some(&"..") {
                (at, way) = back(at, via.take());
            }
            let step = match walk_once(&at, now) {
                Ok(step) => step,
                // What `..` starts from is a link, and this server minds; or it has been removed.
                Err(e) if now.first() == Some(&"..") && leads_from_root(&at.fid, &e) => {
                    match above(&self.root, &at.fid) {
                        Ok(dir) => {
                            qids.push(dir.qid);
                            (at, via) = (dir, way);
                            if later.is_empty() {
                                return Ok((qids, Ok(Self::new(at.fid, self.root.clone(), via))));
                            }
                            rest = later;
                            continue;
                        }
                        Err(e) => return missing(qids, e),
                    }
                }
                Err(e) => return missing(qids, e),
            };
            let link_at = match step.outcome {
                Walked::Done(qid) => {
                    qids.extend(step.qids);
                    at = Place { fid: Arc::new(step.fid.ok_or(error::EMOUNTRPC)?), qid };
                    via = way;
                    if later.is_empty() {
                        return Ok((qids, Ok(Self::new(at.fid, self.root.clone(), via))));
                    }
                    rest = later;
                    continue;
                }
                Walked::Missing { at: found, text } => {
                    // The server has not said why. It says so of a first element: the way goes on from the last.
                    let (front, after) = rest.split_at(found.min(rest.len()));
                    let last = match found == 0 || text == error::ENOTDIR {
                        true => Err(text.into()),
                        false => look::walk_again(&at, front, &step.qids),
                    };
                    qids.extend(step.qids);
                    match last {
                        Ok(last) => at = last,
                        Err(e) => return missing(qids, e),
                    }
                    via = deeper(&via, found);
                    rest = after;
                    continue;
                }
                Walked::Link { at, .. } => at,
            };
            let link_qid = step.qids.get(link_at).copied().unwrap_or_default();
            qids.extend(step.qids.iter().take(link_at));
            let (front, after) = rest.split_at((link_at + 1).min(rest.len()));
            let link = match step.fid.filter(|_| front.len() == now.len()) {
                Some(link) => Arc::new(link),
                None => match walk_once(&at, front).and_then(|step| step.whole(&at, front)) {
                    Ok(link) => Arc::new(link),
                    Err(e) => return missing(qids, e),
                },
            };
            match self.follow(&at, front, &link, &mut links) {
                Ok(end) => {
                    qids.push(end.qid);
                    at = end;
                    via = Some(Arc::new(Via { link, below: 0, outer: deeper(&via, link_at) }));
                }
                Err(e) if after.is_empty() => {
                    // Nothing at its end, but the link itself can be removed.
                    qids.push(Qid { kind: link_qid.kind & !QTSYMLINK, ..link_qid });
                    let mut file = Self::new(link, self.root.clone(), None);
                    file.dangling = Some(e);
                    return Ok((qids, Ok(file)));
                }
                Err(e) => return missing(qids, e),
            }
            if after.is_empty() {
                return Ok((qids, Ok(Self::new(at.fid, self.root.clone(), via))));
            }
            rest = after;
        }
    }

    /// Goes to the end of the links in `path`, whose last element is `link`.
    fn follow(&self, from: &Place, path: &[&str], link: &Fid, links: &mut Links) -> Result<Place> {
        let mut from = from.clone();
        let elements = path;
        let mut path = heap::try_vec(elements.len())?;
        for element in elements {
            path.push(heap::try_string(element)?);
        }
        let mut place = path.len().saturating_sub(1);
        let mut target = read_link(link)?;
        loop {
            may_go_on()?;
            let next = links.follow_with(&path, place, Str(&target), add_name)?;
            if next.from_root {
                from = self.root.clone();
            }
            path = next.names;
            let elements = heap::try_collect(path.iter().map(String::as_str))?;
            let step = walk_long(&from, &elements)?;
            match step.outcome {
                Walked::Done(qid) => {
                    return Ok(Place { fid: Arc::new(step.fid.ok_or(error::EMOUNTRPC)?), qid });
                }
                // Not given by walk_long.
                Walked::Missing { text, .. } => return Err(text.into()),
                Walked::Link { at, .. } => {
                    target = match &step.fid {
                        Some(link) => read_link(link)?,
                        None => {
                            let link = walk_long(&from, elements.get(..=at).unwrap_or(&elements))?;
                            read_link(&link.fid.ok_or(error::ENONEXIST)?)?
                        }
                    };
                    place = at;
                }
            }
        }
    }
}

/// Between two messages of a walk: a note ends it, though the server has answered the last one. There may be thousands,
/// as many as a server likes that has links to links.
fn may_go_on() -> Result<()> {
    if machine::thread::is_interrupted() { Err(error::EINTR.into()) } else { Ok(()) }
}

/// Appends a name, if there is memory for it.
fn add_name(names: &mut Vec<String>, name: &str) -> bool {
    heap::try_string(name).and_then(|name| heap::try_push(names, name)).is_ok()
}

/// What a Twalk came to.
struct Step {
    outcome: Walked,
    qids: Vec<Qid>,
    /// The new file, when all elements were found.
    fid: Option<Fid>,
}

impl Step {
    /// The new file of a walk from `from` over these elements, or why there is none.
    fn whole(self, from: &Place, elements: &[&str]) -> Result<Fid> {
        match self.fid {
            Some(fid) => Ok(fid),
            None => Err(why(from, elements, &self.outcome)),
        }
    }
}

/// Why a walk from `from` has stopped before the end of these elements: the server says it only of a first element.
fn why(from: &Place, elements: &[&str], outcome: &Walked) -> Error {
    let (found, text) = match *outcome {
        Walked::Missing { at, text } => (at, text),
        // It had become a link just then, or was none any more.
        Walked::Done(_) | Walked::Link { .. } => return error::ENONEXIST.into(),
    };
    let (front, after) = elements.split_at(found.min(elements.len()));
    let next = after.get(..1).unwrap_or(&[]);
    if text == error::ENOTDIR || front.is_empty() || next.is_empty() {
        return text.into();
    }
    match walk_to(from, front).and_then(|last| walk_once(&last, next)) {
        Err(e) => e,
        // It has come meanwhile.
        Ok(_) => text.into(),
    }
}

/// The file at the end of elements that were there a moment ago, none of them a link.
pub(super) fn walk_to(from: &Place, elements: &[&str]) -> Result<Place> {
    let step = walk_once(from, elements)?;
    match (step.outcome, step.fid) {
        (Walked::Done(qid), Some(fid)) => Ok(Place { fid: Arc::new(fid), qid }),
        _ => Err(error::ENONEXIST.into()),
    }
}

/// Where `..` starts from: for the target of a link that is the link. Also the way to where it leads.
fn back(at: Place, via: Option<Arc<Via>>) -> (Place, Option<Arc<Via>>) {
    match via.as_deref() {
        None => (at, None),
        Some(v) if v.below == 0 => (Place { fid: v.link.clone(), qid: at.qid }, v.outer.clone()),
        Some(v) => {
            let via = Via { link: v.link.clone(), below: v.below - 1, outer: v.outer.clone() };
            (at, Some(Arc::new(via)))
        }
    }
}

/// One Twalk, of at most 16 elements.
fn walk_once(from: &Place, elements: &[&str]) -> Result<Step> {
    let bytes = elements.iter().map(|e| names::element(e)).collect::<core::result::Result<Vec<_>, _>>()?;
    // They would not fit into a message, and building it is not asked for.
    if bytes.iter().map(|b| b.len() + 2).sum::<usize>() > WALK_MOST {
        return Err(error::ETOOLONG.into());
    }
    let strs: Vec<Str<'_>> = bytes.iter().map(|b| Str(b)).collect();
    let session = &from.fid.session;
    let new = Fid::reserve(session)?;
    let walk = Tmsg::Walk { fid: from.fid.number, newfid: new.number, names: Names::new(&strs) };
    let since = session.attributes.removals();
    let (outcome, qids) = session.call(&walk, |reply| match reply {
        Rmsg::Walk { qids } => match outcome(strs.len(), qids, from.qid) {
            Ok(outcome) => Ok((outcome, qids.iter().collect::<Vec<Qid>>())),
            Err(_) => Err(session.protocol_error()),
        },
        _ => Err(error::EMOUNTRPC.into()),
    })?;
    let fid = if qids.len() == elements.len() {
        Trail::follow(&new, &from.fid, elements, &qids, since);
        Some(new.born())
    } else {
        None
    };
    Ok(Step { outcome, qids, fid })
}

/// As [`walk_once`], for any number of elements. What is missing is an error.
fn walk_long(from: &Place, elements: &[&str]) -> Result<Step> {
    let mut walked = 0;
    let mut at = from.clone();
    loop {
        // A long way leaves something of each step.
        if walked != 0 && !heap::is_granted() {
            return Err(error::ENOMEM.into());
        }
        if walked != 0 {
            may_go_on()?;
        }
        let (front, rest) = elements.split_at(elements.len().min(walked + ninep::MAXWELEM));
        let part = front.get(walked..).unwrap_or(&[]);
        let step = walk_once(&at, part)?;
        match step.outcome {
            Walked::Done(qid) if !rest.is_empty() => {
                walked += part.len();
                at = Place { fid: Arc::new(step.fid.ok_or(error::EMOUNTRPC)?), qid };
            }
            Walked::Link { at: place, made } => {
                let made = made && rest.is_empty() && place + 1 == part.len();
                let outcome = Walked::Link { at: walked + place, made };
                return Ok(Step { outcome, fid: step.fid.filter(|_| made), qids: step.qids });
            }
            Walked::Missing { .. } => return Err(why(&at, part, &step.outcome)),
            Walked::Done(_) => return Ok(step),
        }
    }
}

/// Is this what a server says that goes up from directories alone, and from those that are there? Then the names on
/// the way lead to the directory above, in the dialects for which they are known.
fn leads_from_root(file: &Fid, e: &Error) -> bool {
    file.session.dialect != Dialect::P9 && (e.is(error::ENOTDIR) || e.is(error::ENONEXIST))
}

/// The directory that a file in the tree of `root` is in. QEMU's server goes up from a file, a link or whatever that is
/// still there; where the server does not, the way leads down again from the root.
///
/// # Errors
/// The server's; `file does not exist` when it is there no more.
pub(super) fn above(root: &Place, file: &Fid) -> Result<Place> {
    let dir = Fid::reserve(&file.session)?;
    let dotdot = [Str(b"..")];
    let walk = Tmsg::Walk { fid: file.number, newfid: dir.number, names: Names::new(&dotdot) };
    let up = file.session.call(&walk, |reply| match reply {
        Rmsg::Walk { qids } => qids.iter().next().ok_or(error::EMOUNTRPC.into()),
        _ => Err(error::EMOUNTRPC.into()),
    });
    match up {
        Ok(qid) => {
            Trail::follow(&dir, file, &[".."], &[], 0);
            return Ok(Place { fid: Arc::new(dir.born()), qid });
        }
        Err(e) if leads_from_root(file, &e) => {}
        Err(e) => return Err(e),
    }
    let names = Trail::above(file)?;
    if names.is_empty() {
        return Ok(root.clone());
    }
    let elements = heap::try_collect(names.iter().map(String::as_str))?;
    let step = walk_long(root, &elements)?;
    match (step.outcome, step.fid) {
        (Walked::Done(qid), Some(fid)) => Ok(Place { fid: Arc::new(fid), qid }),
        _ => Err(error::ENONEXIST.into()),
    }
}

/// Where the symbolic link behind a fid leads.
fn read_link(link: &Fid) -> Result<Vec<u8>> {
    let session = &link.session;
    if session.dialect == Dialect::L {
        return dotl::read_link(link);
    }
    session.call(&Tmsg::Stat { fid: link.number }, |reply| match reply {
        Rmsg::Stat { stat } => {
            let (stat, _) = Stat::parse(session.dialect, stat.0).map_err(|_| error::EBADSTAT)?;
            if !fits(&stat) {
                return Err(error::EBADSTAT.into());
            }
            Ok(heap::try_copy(target(&stat).bytes())?)
        }
        _ => Err(error::EMOUNTRPC.into()),
    })
}
