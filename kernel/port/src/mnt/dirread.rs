//! Reading directories.
//!
//! The server's records have another length than ours, and QEMU's server only goes on from where it stopped. So
//! an open directory has a cursor: where the server is, where the program is, and the files in between. Reading from 0
//! begins anew. A note ends a read before its next message, of which a symbolic link takes some; nothing is lost.
//!
//! What goes while the directory is read is left out, and what stays is listed: in 9P2000.u by reading again
//! ([`passes`](super::passes)), in 9P2000.L from the last good place ([`dotl::read_names`]). An error that the server
//! gives for the directory comes when it has given it. What it says of a single file, which is listed by its name,
//! comes at the end: the others are told first.
//!
//! Lock: `MntFile::cursor`, which sleeps, is held over the messages of a read. It comes after `Chan::dir`, and a note
//! ends the waiting for it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
use machine::heap;
use ninep::Dialect;
use ninep::translate::FileType;
use ninep::translate::errors::ELOOP;
use ninep::translate::list::Listing;
use ninep::translate::stat::File;

use super::file::MntFile;
use super::kept::shown;
use super::kept_list::{List, Next};
use super::passes::{End, Passes};
use super::stat::stat_to_change;
use super::{NO_NAMES, dotl};
use crate::error::{Error, Result};
use crate::mem::iobuf::Dst;

/// Bytes that the server is asked for at once, at most.
const ASK: usize = 64 << 10;

/// Reads of a directory that may fail one after the other since an entry has gone. QEMU's server takes up to 32 KiB of
/// names from the host at once, and when all of them go it says so for each.
const DEVICE_FAILURES: u32 = 2048;
/// The same for other servers, which stay where they are.
const FAILURES: u32 = 256;

/// Position of a directory read.
#[derive(Default)]
pub(crate) struct Cursor {
    /// What the program has read so far, in our bytes.
    ours: u64,
    /// When the server was asked for what it has given last.
    asked: u64,
    /// What the server has given so far, in its bytes, or its own mark of that place (9P2000.L).
    theirs: u64,
    /// 9P2000.L: how many bytes to ask for; 0 for as many as there can be.
    ask: u32,
    /// The server's last data, of which the first `used` bytes were looked at.
    data: Vec<u8>,
    used: usize,
    /// Files were shown of that data; what was wrong with others.
    shown: bool,
    bad: Option<&'static str>,
    /// Looked at, and not yet given out. They are few.
    files: VecDeque<File>,
    /// The record of the file before those, which is to be given out next.
    record: Option<Vec<u8>>,
    /// 9P2000.u: what was listed, and where something is missing.
    passes: Passes,
    /// The first thing that the server has said of a single file, to be told at the end.
    late: Option<Error>,
    /// What is kept of all that.
    list: List,
    /// What the server has said when there were records to be given out first.
    failed: Option<Error>,
}

impl Cursor {
    /// What was not looked at.
    fn rest(&self) -> &[u8] {
        self.data.get(self.used..).unwrap_or(&[])
    }

    /// These are the server's next data.
    fn take(&mut self, data: Vec<u8>) {
        (self.data, self.used, self.shown, self.bad) = (data, 0, false, None);
    }
}

impl MntFile {
    /// Reads whole records of this open directory at `offset`. `dev` is the mount's.
    ///
    /// # Errors
    /// `seek in directory`, `i/o count too small`, the server's, `interrupted` before there is any record.
    pub(crate) fn read_dir(&self, dst: &mut Dst<'_>, offset: u64, dev: u32) -> Result<usize> {
        let mut cursor = self.cursor.lock_intr()?;
        let cursor = &mut **cursor.get_or_insert_default();
        if offset == 0 {
            *cursor = Cursor { list: self.begin_list(), ..Cursor::default() };
        } else if offset != cursor.ours {
            return Err(error::EDIRSEEK.into());
        }
        if let Some(e) = cursor.failed.take() {
            return Err(e);
        }
        let mut done = 0;
        loop {
            let record = match self.next(cursor, dev) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                // What there is comes first; the error comes next, or the note is seen.
                Err(e) if done > 0 => {
                    cursor.failed = Some(e).filter(|e| !e.is_note());
                    break;
                }
                Err(e) => return Err(e),
            };
            if done + record.len() > dst.len() {
                cursor.record = Some(record);
                if done == 0 {
                    return Err(error::ESHORT.into());
                }
                break;
            }
            if let Err(e) = dst.put(done, &record) {
                // It is the next one still.
                cursor.record = Some(record);
                return Err(e);
            }
            done += record.len();
            if machine::thread::is_interrupted() {
                break;
            }
        }
        cursor.ours += done as u64;
        Ok(done)
    }

    /// Takes the next record; `None` at the end of the directory.
    fn next(&self, cursor: &mut Cursor, dev: u32) -> Result<Option<Vec<u8>>> {
        if let Some(record) = cursor.record.take() {
            return Ok(Some(record));
        }
        loop {
            match self.next_known(&mut cursor.list, dev)? {
                Next::Record(record) => return Ok(Some(record)),
                Next::Late(e) => cursor.late = cursor.late.take().or(Some(e)),
                Next::End => return cursor.late.take().map_or(Ok(None), Err),
                Next::Unknown => break,
            }
        }
        if cursor.files.is_empty() && !self.fill(cursor)? {
            if let Some(e) = cursor.late.take() {
                return Err(e);
            }
            self.end_list(&cursor.list);
            return Ok(None);
        }
        let Some(file) = cursor.files.front() else { return Ok(None) };
        cursor.list.came(self.keep_told(file, cursor.asked), cursor.asked);
        let (dir, late) = self.entry(file, dev)?;
        cursor.late = cursor.late.take().or(late);
        let mut record = heap::try_vec(dir.size())?;
        dir.append_to(&mut record);
        cursor.files.pop_front();
        Ok(Some(record))
    }

    /// Asks for more files; false at the end of the directory.
    fn fill(&self, cursor: &mut Cursor) -> Result<bool> {
        let session = self.session();
        // Of what was read before, some may be left: the time is that of the first of it.
        if cursor.rest().is_empty()
            && self.keeps()
            && let Some(kernel) = session.kernel.upgrade()
        {
            cursor.asked = kernel.contents.names.asking();
        }
        if session.dialect == Dialect::L {
            return self.fill_by_name(cursor);
        }
        while cursor.files.is_empty() {
            if cursor.rest().is_empty() {
                // It is no failure that something could not be shown, when something else could.
                if let Some(e) = cursor.bad.take().filter(|_| !cursor.shown) {
                    return Err(e.into());
                }
                match self.read_records(cursor)? {
                    Some(bytes) => cursor.take(bytes),
                    None => return Ok(false),
                }
            }
            // One at a time: there may be a thousand.
            let size =
                cursor.rest().first_chunk().map_or(usize::MAX, |n| usize::from(u16::from_le_bytes(*n)) + 2);
            let one = cursor.rest().get(..size).unwrap_or(cursor.rest());
            let (len, file) = (one.len(), Listing::new(session.dialect, one, &NO_NAMES).next());
            match file {
                Some(Ok(file)) => {
                    cursor.shown = true;
                    if session.dialect != Dialect::U
                        || cursor.passes.note(&file.dir.name, file.dir.qid.path)?
                    {
                        cursor.files.push_back(file);
                    }
                }
                Some(Err(e)) => cursor.bad = Some(e),
                None => {}
            }
            cursor.used += len;
        }
        Ok(true)
    }

    /// The server's next records; `None` at the end of the directory.
    fn read_records(&self, cursor: &mut Cursor) -> Result<Option<Vec<u8>>> {
        let session = self.session();
        let most = ASK.min((session.msize as usize).saturating_sub(ninep::IOHDRSZ as usize));
        let passes = &mut cursor.passes;
        loop {
            let asked = passes.ask(most);
            let mut bytes = heap::try_bytes(asked)?;
            let read = match passes.has_passed_gaps() {
                true => Ok(0),
                false => self.read_piece(&mut Dst::Kernel(&mut bytes), cursor.theirs),
            };
            match read {
                Ok(0) if session.dialect != Dialect::U => return Ok(None),
                Ok(0) => {
                    let passed = passes.has_passed_gaps();
                    if !passed && !passes.is_end(asked, most) {
                        continue;
                    }
                    match passes.end(!passed)? {
                        End::Again => cursor.theirs = 0,
                        End::Whole => return Ok(None),
                        End::Failed(e) => return Err(e),
                    }
                }
                Ok(n) => {
                    passes.came(n);
                    bytes.truncate(n);
                    cursor.theirs += n as u64;
                    return Ok(Some(bytes));
                }
                Err(e) if session.dialect != Dialect::U => return Err(e),
                Err(e) => self.see_failure(e, passes, &mut cursor.theirs)?,
            }
        }
    }

    /// A read of 9P2000.u records has failed. May it be that an entry has gone, so that another read is of use?
    ///
    /// # Errors
    /// What the server said, if not.
    fn see_failure(&self, e: Error, passes: &mut Passes, theirs: &mut u64) -> Result<()> {
        let device = self.session().is_device();
        let failures = passes.failed(&e, *theirs == 0);
        // A symbolic link may have become something else.
        let goes = e.is(error::ENONEXIST) || device && e.is(error::EBADARG);
        if !goes {
            if !e.is_note() {
                passes.tell();
            }
            return Err(e);
        }
        if failures > if device { DEVICE_FAILURES } else { FAILURES } {
            return Err(e);
        }
        if failures.is_multiple_of(8) {
            // Has the directory itself gone?
            stat_to_change(&self.root, &self.fid)?;
        }
        if device && *theirs == 0 && failures.is_multiple_of(4) {
            // Not at the beginning means from where it is, for QEMU's server.
            *theirs = 1;
            passes.goes_on();
        }
        Ok(())
    }

    /// The same where the server gives only names.
    fn fill_by_name(&self, cursor: &mut Cursor) -> Result<bool> {
        while cursor.files.is_empty() {
            if cursor.rest().is_empty() {
                let data = dotl::read_names(&self.fid, cursor.theirs, &mut cursor.ask)?;
                if data.is_empty() {
                    return Ok(false);
                }
                cursor.take(data);
            }
            let some = dotl::look_at_some(&self.fid, cursor.rest())?;
            cursor.used = cursor.data.len() - some.left.min(cursor.data.len());
            cursor.theirs = some.cookie.unwrap_or(cursor.theirs);
            cursor.late = cursor.late.take().or(some.late);
            cursor.files.extend(some.files);
        }
        Ok(true)
    }

    /// Keeps what was told of a file, if the mount has that kept. Whether it was one for that.
    fn keep_told(&self, file: &File, asked: u64) -> bool {
        let session = self.session();
        if !self.keeps() || !session.looks_by_fid() || file.what == FileType::Link {
            return false;
        }
        if let (Some(kernel), Some(dir)) = (session.kernel.upgrade(), self.fid.open_file()) {
            let told = &file.dir;
            self.keep_name(&kernel.contents.names, (dir, &told.name), told.qid, Some(told), asked);
        }
        true
    }

    /// What the directory shows for a file: a link as what it leads to, or as an empty file. Beside it what the server
    /// says if it cannot tell whether it leads anywhere.
    fn entry(&self, file: &File, dev: u32) -> Result<(Dir, Option<Error>)> {
        let session = self.session();
        let mut dir = file.dir.clone();
        let mut late = None;
        if file.what == FileType::Link {
            let end = self.walk(Qid::dir(0), &[&dir.name]).and_then(|(_, end)| end?.stat());
            match end {
                Ok(end) => dir = Dir { name: dir.name, ..end.dir },
                // It is looked at again: nobody is told that it is empty because a note came.
                Err(e) if e.is_note() => return Err(e),
                Err(e) if is_of_the_session(&e) => return Err(e),
                Err(e) if leads_nowhere(&e) => {}
                Err(e) => late = Some(e.with_name(&dir.name)),
            }
        }
        if session.dialect != Dialect::P9 {
            session.attributes.show(&mut dir);
        }
        Ok((shown(dir, dev), late))
    }
}

/// Is it no answer about a single file, so that nothing else can be asked either?
pub(super) fn is_of_the_session(e: &Error) -> bool {
    let texts = [error::EINTR, error::EHUNGUP, error::EMOUNTRPC, error::ENOMEM];
    !e.is_answer() && texts.iter().any(|text| e.is(text))
}

/// Is it said of a symbolic link that leads nowhere, or to where one may not go?
fn leads_nowhere(e: &Error) -> bool {
    [error::ENONEXIST, error::ENOTDIR, error::EPERM, error::ETOOLONG, ELOOP].iter().any(|text| e.is(text))
}
