//! Listing a directory of a mount that has names kept: what all its files are called, and what they are like, as was
//! told lately.
//!
//! When a directory is opened to be read it is asked what it is like. If that is what it was when it was last read
//! whole, and not too new, then the same names are in it, and they are listed without a message; of a file of which
//! nothing is known any more, since it has been opened or changed meanwhile, the server is asked.
//!
//! Ownership: the names that are still to be given are the cursor's, which [`dirread`](super::dirread) guards.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
use machine::heap;

use super::dirread::is_of_the_session;
use super::file::MntFile;
use super::kept::{Kept, shown};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::mem::contents::{File, Version};
use crate::mem::names::Names;

/// What one has of a list that is kept, or may be.
#[derive(Default)]
pub(super) struct List {
    /// The names, when they were kept, and how many of them were given.
    known: Option<Vec<String>>,
    given: usize,
    /// When the server was asked first, and how many files it has told of since that are kept.
    first: u64,
    count: usize,
    /// Something was told that is not kept.
    is_part: bool,
}

/// What comes next of a list that is kept.
pub(super) enum Next {
    /// This record.
    Record(Vec<u8>),
    /// Nobody is told of a file of which the server says this.
    Late(Error),
    /// There is no more.
    End,
    /// It is not kept: the server is to be asked.
    Unknown,
}

impl List {
    /// A file was told of: is it kept, and when was it asked for?
    pub(super) fn came(&mut self, kept: bool, asked: u64) {
        if self.first == 0 {
            self.first = asked;
        }
        self.count += 1;
        self.is_part |= !kept;
    }
}

impl MntFile {
    /// What a list that begins now has of what is kept.
    pub(super) fn begin_list(&self) -> List {
        let known = || {
            let (kernel, dir, version) = self.list_kept()?;
            kernel.contents.names.list(dir, version)
        };
        List { known: known(), ..List::default() }
    }

    /// All files have been told of: the list may be kept.
    pub(super) fn end_list(&self, list: &List) {
        if !list.is_part
            && list.known.is_none()
            && let Some((kernel, dir, version)) = self.list_kept()
        {
            kernel.contents.names.listed(dir, version, list.first, list.count);
        }
    }

    /// The next file of a list that is kept, as of the mount with the number `dev`.
    ///
    /// # Errors
    /// Notes, and what the server says that is not of a single file.
    pub(super) fn next_known(&self, list: &mut List, dev: u32) -> Result<Next> {
        let List { known: Some(known), given, .. } = list else { return Ok(Next::Unknown) };
        let Some((kernel, dir, _)) = self.list_kept() else { return Err(error::EHUNGUP.into()) };
        while let Some(name) = known.get(*given) {
            let next = match self.record(&kernel.contents.names, dir, name, dev)? {
                Some(record) => Some(Next::Record(record)),
                None => match self.walk(Qid::dir(0), &[name]).and_then(|(_, file)| file?.stat()) {
                    Ok(file) => {
                        let told = file.dir.with_strings(file.dir.strings().map(|s| s.as_bytes()));
                        Some(Next::Record(record(&Dir { name: name.as_bytes(), ..shown(told, dev) })?))
                    }
                    Err(e) if e.is_note() || is_of_the_session(&e) => return Err(e),
                    // It has gone meanwhile.
                    Err(e) if e.is(error::ENONEXIST) => None,
                    Err(e) => Some(Next::Late(e.with_name(name))),
                },
            };
            *given += 1;
            if let Some(next) = next {
                return Ok(next);
            }
        }
        Ok(Next::End)
    }

    /// The record of a file, if that was told lately.
    fn record(&self, all: &Names, dir: File, name: &str, dev: u32) -> Result<Option<Vec<u8>>> {
        let mut told = None;
        all.glance(dir, &[name], &mut |_| true, |mut dir| {
            self.session().attributes.show(&mut dir);
            told = Some(record(&Dir { name: name.as_bytes(), ..shown(dir, dev) }));
            true
        });
        told.transpose()
    }

    /// Who keeps the list of this open directory, by which number, and the version that it has.
    fn list_kept(&self) -> Option<(Arc<Kernel>, File, Version)> {
        let Some(Kept::List(version)) = self.kept.get() else { return None };
        let dir = self.fid.open_file()?;
        Some((self.session().kernel.upgrade()?, (Arc::as_ptr(self.session()).addr(), dir), *version))
    }
}

/// The record of a file.
fn record(dir: &Dir<&[u8]>) -> Result<Vec<u8>> {
    let mut record = heap::try_vec(dir.record_size())?;
    dir.append_record(&mut record);
    Ok(record)
}
