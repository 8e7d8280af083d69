//! What a file is like.
//!
//! QEMU looks at the path of a fid. There may be no file of that path any more, or another one, when the file was
//! removed, or renamed by the host. Only Tgetattr looks at an open file itself, and it is answered in a session of
//! 9P2000.u as well. So there it is asked of an open file when Tstat told of none, or of another one. Changes are made
//! by the path; therefore one looks before a change whether the path is the open file's still.

use abi::{Qid, error};
use ninep::translate::names;
use ninep::translate::stat::{File, fits};
use ninep::{Dialect, Names, Rmsg, Stat, Str, Tmsg};

use super::fid::Fid;
use super::links::{self, Place};
use super::trail::Trail;
use super::{NO_NAMES, dotl};
use crate::error::Result;

/// What the file behind a fid is like.
///
/// # Errors
/// The server's; `file does not exist` also for what has another's name.
pub(super) fn stat_of(fid: &Fid) -> Result<File> {
    let session = &fid.session;
    let mut found = by_fid(fid, true);
    if session.dialect == Dialect::U && session.is_device() && is_lost(fid, &found) {
        found = attributes(fid);
    }
    let mut file = own(fid, found?)?;
    if session.dialect != Dialect::P9 {
        session.attributes.show(&mut file.dir);
    }
    Ok(file)
}

/// The same of a fid that is not open; beside it the qid as the server says.
///
/// # Errors
/// The server's.
pub(super) fn look_at(fid: &Fid) -> Result<(Qid, File)> {
    let mut file = by_fid(fid, true)?;
    let qid = file.dir.qid;
    fid.session.attributes.show(&mut file.dir);
    Ok((qid, file))
}

/// The same for a change, which the server makes by the name.
///
/// # Errors
/// As [`stat_of`]; `file does not exist` when the name is not the file's any more.
pub(super) fn stat_to_change(root: &Place, fid: &Fid) -> Result<File> {
    let session = &fid.session;
    let mut file = own(fid, by_fid(fid, true)?)?;
    if !has_its_name(root, fid, true)? {
        return Err(error::ENONEXIST.into());
    }
    if session.dialect != Dialect::P9 {
        session.attributes.show(&mut file.dir);
    }
    Ok(file)
}

/// May an open file that is being closed be removed by its name? So it may when that cannot be found out.
pub(super) fn may_remove(root: &Place, fid: &Fid) -> bool {
    let found = match fid.session.dialect {
        Dialect::L => has_its_name(root, fid, false),
        _ => by_fid(fid, false).and_then(|file| own(fid, file)).map(|_| true),
    };
    match found {
        Ok(is_its) => is_its,
        Err(e) => !e.is(error::ENONEXIST),
    }
}

/// Was this said of no file, or of another one than that which is open?
fn is_lost(fid: &Fid, found: &Result<File>) -> bool {
    match (found, fid.open_file()) {
        (_, None) => false,
        (Ok(file), Some(open)) => file.dir.qid.path != open,
        (Err(e), _) => e.is(error::ENONEXIST),
    }
}

/// The file, unless it is another one than that which is open.
fn own(fid: &Fid, file: File) -> Result<File> {
    match fid.open_file() {
        Some(open) if file.dir.qid.path != open => Err(error::ENONEXIST.into()),
        _ => Ok(file),
    }
}

/// What the server says of a fid.
fn by_fid(fid: &Fid, interruptible: bool) -> Result<File> {
    let session = &fid.session;
    if session.dialect == Dialect::L {
        return attributes(fid);
    }
    if Trail::is_gone(fid) {
        return Err(error::ENONEXIST.into());
    }
    let ask = Tmsg::Stat { fid: fid.number };
    let take = |reply: Rmsg<'_>| match reply {
        Rmsg::Stat { stat } => {
            let (stat, _) = Stat::parse(session.dialect, stat.0).map_err(|_| error::EBADSTAT)?;
            if !fits(&stat) {
                return Err(error::EBADSTAT.into());
            }
            Ok(File::from_stat(session.dialect, &stat, &NO_NAMES))
        }
        _ => Err(error::EMOUNTRPC.into()),
    };
    if interruptible { session.call(&ask, take) } else { session.call_soon(&ask, take) }
}

/// What 9P2000.L's message says of a fid: of the file itself when it is open.
fn attributes(fid: &Fid) -> Result<File> {
    if fid.open_file().is_none() && Trail::is_gone(fid) {
        return Err(error::ENONEXIST.into());
    }
    dotl::stat_of(fid)
}

/// Has an open file still the name by which its server would change it? That of 9P2000.u tells with its stat.
fn has_its_name(root: &Place, fid: &Fid, interruptible: bool) -> Result<bool> {
    let (Some(open), Dialect::L) = (fid.open_file(), fid.session.dialect) else { return Ok(true) };
    let name = Trail::name(fid);
    if name.is_empty() {
        return Ok(true);
    }
    if Trail::is_gone(fid) {
        return Ok(false);
    }
    let name = names::element(&name)?;
    let found = match look(fid, &[Str(b".."), Str(&name)], interruptible) {
        // This server goes up from directories alone.
        Err(e) if e.is(error::ENOTDIR) => look(&links::above(root, fid)?.fid, &[Str(&name)], interruptible)?,
        Err(e) if e.is(error::ENONEXIST) => None,
        found => found?,
    };
    Ok(found == Some(open))
}

/// The qid path of what these names lead to, if they lead to something.
fn look(from: &Fid, elements: &[Str<'_>], interruptible: bool) -> Result<Option<u64>> {
    let session = &from.session;
    let new = Fid::reserve(session)?;
    let walk = Tmsg::Walk { fid: from.number, newfid: new.number, names: Names::new(elements) };
    let take = |reply: Rmsg<'_>| match reply {
        Rmsg::Walk { qids } if qids.len() == elements.len() => Ok(qids.last().map(|qid| qid.path)),
        Rmsg::Walk { .. } => Ok(None),
        _ => Err(error::EMOUNTRPC.into()),
    };
    let found = if interruptible { session.call(&walk, take) } else { session.call_soon(&walk, take) }?;
    if found.is_some() {
        drop(new.born());
    }
    Ok(found)
}
