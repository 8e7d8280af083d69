//! What is peculiar to 9P2000.L: a file's attributes have no name in them, a directory read brings names and nothing
//! else, and some of 9P2000's messages are several.
//!
//! A directory is listed by walking to each of its names and asking what is there; a slot has several requests, so as
//! many names are asked for together as it has. The messages for one name go out one after the other all the same,
//! because QEMU keeps no order between them. Nobody waits for its fid to be forgotten.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::heap;
use ninep::attr::getattr;
use ninep::translate::list::{self, Entry};
use ninep::translate::names;
use ninep::translate::stat::{File, TARGET_MOST};
use ninep::{Names, Rmsg, Str, Tmsg};

use super::NO_NAMES;
use super::dirread::is_of_the_session;
use super::fid::Fid;
use super::rpc::Job;
use super::session::Session;
use super::slot::PIECES;
use super::trail::Trail;
use crate::error::{Error, Result};

/// Bytes of a directory that one message brings: its reply has to fit into a slot's request.
const LISTED: u32 = 8192 - READDIRHDR;
/// Bytes before the data of an Rreaddir.
const READDIRHDR: u32 = 11;
/// Bytes of a directory in which a name of usual length fits, and in which any does.
const ONE: u32 = 48;
const SURELY: u32 = 2048;
/// How often a read of a directory is tried again when the server says that something does not exist. More often than
/// luck can have it: it may be the directory itself, and then the program is told.
const TRIES: u32 = 100;

/// What the file behind a fid is like.
pub(super) fn stat_of(fid: &Fid) -> Result<File> {
    let name = Trail::name(fid);
    let ask = Tmsg::Getattr { fid: fid.number, mask: getattr::BASIC };
    fid.session.call(&ask, |reply| attributes(&name, &reply))
}

fn attributes(name: &str, reply: &Rmsg<'_>) -> Result<File> {
    match reply {
        Rmsg::Getattr { attr } => Ok(File::from_attr(attr, name, &NO_NAMES)),
        _ => Err(error::EMOUNTRPC.into()),
    }
}

/// Where a symbolic link leads.
pub(super) fn read_link(link: &Fid) -> Result<Vec<u8>> {
    link.session.call(&Tmsg::Readlink { fid: link.number }, |reply| match reply {
        Rmsg::Readlink { target } if target.bytes().len() <= TARGET_MOST => {
            Ok(heap::try_copy(target.bytes())?)
        }
        _ => Err(error::EMOUNTRPC.into()),
    })
}

/// Goes to the directory `name` that a Tmkdir has made in the one behind `fid`, and opens it.
pub(super) fn enter(fid: &Fid, name: &[u8]) -> Result<(Qid, u32)> {
    let session = &fid.session;
    let element = [Str(name)];
    let walk = Tmsg::Walk { fid: fid.number, newfid: fid.number, names: Names::new(&element) };
    let found = session.call(&walk, |reply| Ok(matches!(reply, Rmsg::Walk { qids } if qids.len() == 1)))?;
    if !found {
        // Somebody has removed it meanwhile.
        return Err(error::ENONEXIST.into());
    }
    let open = Tmsg::Lopen { fid: fid.number, flags: ninep::attr::lopen::DIRECTORY };
    session.call(&open, |reply| match reply {
        Rmsg::Lopen { qid, iounit } => Ok((qid, iounit)),
        _ => Err(error::EMOUNTRPC.into()),
    })
}

/// What the server says from its position `cookie` in an open directory on; nothing at the end.
///
/// With `multidevs=remap` QEMU looks at each of the names, and the whole read fails when one has gone meanwhile. The
/// next read does not name it, but another one may go: so there are many tries, with fewer names each. A read of few
/// bytes that brings nothing may have been for too few. `asked` is how many bytes were asked for the last time.
pub(super) fn read_names(dir: &Fid, cookie: u64, asked: &mut u32) -> Result<Vec<u8>> {
    let session = &dir.session;
    let most = LISTED.min(session.msize.saturating_sub(READDIRHDR));
    let more = |count: u32| if count == 0 { most } else { count.saturating_mul(2).min(most) };
    let (mut count, mut tries) = (more(*asked), TRIES);
    loop {
        let ask = Tmsg::Readdir { fid: dir.number, offset: cookie, count };
        let names = session.call(&ask, |reply| match reply {
            Rmsg::Readdir { data } => Ok(heap::try_copy(data.0)?),
            _ => Err(error::EMOUNTRPC.into()),
        });
        match names {
            Err(e) if e.is(error::ENONEXIST) && tries > 0 => count = (count / 4).max(ONE).min(most),
            Ok(data) if data.is_empty() && count < SURELY.min(most) => count = more(count),
            names => {
                *asked = count;
                return names;
            }
        }
        tries = tries.saturating_sub(1);
    }
}

/// Files of a directory.
pub(super) struct Looked {
    pub(super) files: Vec<File>,
    /// Bytes that were not looked at.
    pub(super) left: usize,
    /// The server's position behind the files; `None` when there were none.
    pub(super) cookie: Option<u64>,
    /// The first thing that the server has said of one that is there but could not be looked at.
    pub(super) late: Option<Error>,
}

/// Names that are looked at in one round: more than a slot has requests, of which all are under way as long as there is
/// something to ask. There may be hundreds, and what a round takes is about what is granted.
const ROUND: usize = PIECES + PIECES / 2;

/// Looks at the first files in what [`read_names`] gave, so many as a round has.
/// Those that cannot be looked at are left out; what has gone meanwhile is no failure.
pub(super) fn look_at_some(dir: &Fid, data: &[u8]) -> Result<Looked> {
    // What one round takes is about what is granted.
    if !heap::is_granted() {
        return Err(error::ENOMEM.into());
    }
    let mut names = list::Names::new(data);
    let entries = names.by_ref().take(ROUND).collect::<core::result::Result<Vec<Entry>, _>>()?;
    let mut files = Vec::with_capacity(entries.len());
    let late = look(dir, &entries, &mut files)?;
    Ok(Looked { files, left: names.left(), cookie: names.cookie(), late })
}

/// What is being found out about a name of a directory.
struct Look<'a> {
    session: &'a Arc<Session>,
    dir: u32,
    name: &'a str,
    element: [Str<'a>; 1],
    /// What is asked next: a walk, or what is there.
    asks: Asks,
    fid: Option<Fid>,
    found: Result<Option<File>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Walk,
    Attributes,
    Nothing,
}

impl Job for Look<'_> {
    fn ask(&self) -> Option<Tmsg<'_>> {
        let fid = self.fid.as_ref()?.number;
        match self.asks {
            Asks::Walk => Some(Tmsg::Walk { fid: self.dir, newfid: fid, names: Names::new(&self.element) }),
            Asks::Attributes => Some(Tmsg::Getattr { fid, mask: getattr::BASIC }),
            Asks::Nothing => None,
        }
    }

    fn told(&mut self, answer: Result<Rmsg<'_>>) {
        let walks = core::mem::replace(&mut self.asks, Asks::Nothing) == Asks::Walk;
        match answer {
            Err(e) => self.found = Err(e),
            Ok(Rmsg::Walk { qids }) if walks && qids.len() == 1 => {
                self.fid = self.fid.take().map(Fid::born);
                self.asks = Asks::Attributes;
            }
            Ok(_) if walks => self.found = Err(self.session.protocol_error()),
            Ok(reply) => self.found = attributes(self.name, &reply).map(Some),
        }
    }
}

/// Looks at some files of a directory together. Gives the first thing that the server says of one that has not gone.
fn look(dir: &Fid, entries: &[Entry], files: &mut Vec<File>) -> Result<Option<Error>> {
    let session = &dir.session;
    let mut known = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Ok(bytes) = names::element(&entry.name) {
            known.push((entry.name.as_str(), bytes));
        }
    }
    let mut looks = Vec::with_capacity(known.len());
    for (name, bytes) in &known {
        looks.push(Look {
            session,
            dir: dir.number,
            name,
            element: [Str(bytes)],
            asks: Asks::Walk,
            fid: Some(Fid::reserve(session)?),
            found: Ok(None),
        });
    }
    session.call_jobs(&mut looks)?;
    // What the server says of one file does not keep the others from being listed, but a note or a hangup ends it all.
    let (mut over, mut late) = (Ok(()), None);
    for Look { name, found, .. } in looks {
        match found {
            Ok(Some(file)) => files.push(file),
            Ok(None) => over = Err(error::EINTR.into()),
            Err(e) if is_of_the_session(&e) => over = Err(e),
            Err(e) if late.is_none() && !e.is(error::ENONEXIST) => late = Some(e.with_name(name)),
            Err(_) => {}
        }
    }
    over.map(|()| late)
}
