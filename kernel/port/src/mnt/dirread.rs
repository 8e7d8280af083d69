//! Reading directories.
//!
//! The server's records have another length than ours, and QEMU's server only goes on from where it stopped. So
//! an open directory has a cursor: where the server is, where the program is, and the files in between. Reading from 0
//! begins anew. A note ends a read before its next message, of which a symbolic link takes some; nothing is lost.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
use machine::heap;
use ninep::Dialect;
use ninep::translate::FileType;
use ninep::translate::list::Listing;
use ninep::translate::stat::File;

use super::file::MntFile;
use super::{NO_NAMES, dotl};
use crate::error::Result;
use crate::mem::iobuf::Dst;

/// Bytes that the server is asked for at once, at most.
const ASK: usize = 64 << 10;

/// Position of a directory read.
#[derive(Default)]
pub(crate) struct Cursor {
    /// What the program has read so far, in our bytes.
    ours: u64,
    /// What the server has given so far, in its bytes, or its own mark of that place (9P2000.L).
    theirs: u64,
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
        let cursor = &mut *cursor;
        if offset == 0 {
            *cursor = Cursor::default();
        } else if offset != cursor.ours {
            return Err(error::EDIRSEEK.into());
        }
        let mut done = 0;
        loop {
            let record = match self.next(cursor, dev) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                // What there is comes first; the error comes again, or the note is seen.
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            };
            if done + record.len() > dst.len() {
                cursor.record = Some(record);
                if done == 0 {
                    return Err(error::ESHORT.into());
                }
                break;
            }
            dst.put(done, &record)?;
            done += record.len();
            if machine::thread::current().interrupted() {
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
        if cursor.files.is_empty() && !self.fill(cursor)? {
            return Ok(None);
        }
        let Some(file) = cursor.files.front() else { return Ok(None) };
        let dir = self.entry(file, dev)?;
        let mut record = heap::try_vec(dir.size())?;
        dir.append_to(&mut record);
        cursor.files.pop_front();
        Ok(Some(record))
    }

    /// Asks for more files; false at the end of the directory.
    fn fill(&self, cursor: &mut Cursor) -> Result<bool> {
        let session = self.session();
        if session.dialect == Dialect::L {
            return self.fill_by_name(cursor);
        }
        let most = (session.msize as usize).saturating_sub(ninep::IOHDRSZ as usize);
        while cursor.files.is_empty() {
            if cursor.rest().is_empty() {
                // It is no failure that something could not be shown, when something else could.
                if let Some(e) = cursor.bad.take().filter(|_| !cursor.shown) {
                    return Err(e.into());
                }
                let mut bytes = heap::try_bytes(ASK.min(most))?;
                let n = self.read_piece(&mut Dst::Kernel(&mut bytes), cursor.theirs)?;
                if n == 0 {
                    return Ok(false);
                }
                bytes.truncate(n);
                cursor.theirs += n as u64;
                cursor.take(bytes);
            }
            // One at a time: there may be a thousand.
            let size =
                cursor.rest().first_chunk().map_or(usize::MAX, |n| usize::from(u16::from_le_bytes(*n)) + 2);
            let one = cursor.rest().get(..size).unwrap_or(cursor.rest());
            let (len, file) = (one.len(), Listing::new(session.dialect, one, &NO_NAMES).next());
            cursor.used += len;
            match file {
                Some(Ok(file)) => {
                    cursor.shown = true;
                    cursor.files.push_back(file);
                }
                Some(Err(e)) => cursor.bad = Some(e),
                None => {}
            }
        }
        Ok(true)
    }

    /// The same where the server gives only names.
    fn fill_by_name(&self, cursor: &mut Cursor) -> Result<bool> {
        while cursor.files.is_empty() {
            if cursor.rest().is_empty() {
                let data = dotl::read_names(&self.fid, cursor.theirs)?;
                if data.is_empty() {
                    return Ok(false);
                }
                cursor.take(data);
            }
            let some = dotl::look_at_some(&self.fid, cursor.rest())?;
            cursor.used = cursor.data.len() - some.left.min(cursor.data.len());
            cursor.theirs = some.cookie.unwrap_or(cursor.theirs);
            cursor.files.extend(some.files);
        }
        Ok(true)
    }

    /// What the directory shows for a file: a link as what it leads to, or as an empty file.
    fn entry(&self, file: &File, dev: u32) -> Result<Dir> {
        let session = self.session();
        let mut dir = file.dir.clone();
        if file.what == FileType::Link {
            let end = self.walk(Qid::dir(0), &[&dir.name]).and_then(|(_, f)| f.map(|f| f.stat()).transpose());
            match end {
                Ok(Some(end)) => dir = Dir { name: dir.name, ..end.dir },
                // It is looked at again: nobody is told that it is empty because a note came.
                Err(e) if e.is(error::EINTR) && machine::thread::current().interrupted() => return Err(e),
                _ => {}
            }
        }
        if session.dialect != Dialect::P9 {
            session.mode_bits.lock().show(&mut dir);
        }
        // As all that servers have: programs take other types for devices.
        dir.kind = u16::from(b'M');
        dir.dev = dev;
        Ok(dir)
    }
}
