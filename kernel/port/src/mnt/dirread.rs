//! Reading directories.
//!
//! The server's records have another length than ours, and QEMU's server only goes on from where it stopped. So
//! an open directory has a cursor: where the server is, where the program is, and the translated records in
//! between. Reading from 0 begins anew.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
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
    /// Read and not yet given out.
    unread: VecDeque<Vec<u8>>,
}

impl MntFile {
    /// Reads whole records of this open directory at `offset`. `dev` is the mount's.
    ///
    /// # Errors
    /// `seek in directory`, `i/o count too small`, the server's.
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
            if cursor.unread.is_empty() && !self.fill(cursor, dev)? {
                break;
            }
            let Some(record) = cursor.unread.front() else { break };
            if done + record.len() > dst.len() {
                if done == 0 {
                    return Err(error::ESHORT.into());
                }
                break;
            }
            dst.put(done, record)?;
            done += record.len();
            cursor.unread.pop_front();
        }
        cursor.ours += done as u64;
        Ok(done)
    }

    /// Gets more records; false at the end of the directory.
    fn fill(&self, cursor: &mut Cursor, dev: u32) -> Result<bool> {
        let session = self.session();
        if session.dialect == Dialect::L {
            return self.fill_by_name(cursor, dev);
        }
        let most = (session.msize as usize).saturating_sub(ninep::IOHDRSZ as usize);
        while cursor.unread.is_empty() {
            let mut bytes = vec![0; ASK.min(most)];
            let n = self.read_piece(&mut Dst::Kernel(&mut bytes), cursor.theirs)?;
            if n == 0 {
                return Ok(false);
            }
            cursor.theirs += n as u64;
            let bytes = bytes.get(..n).unwrap_or(&[]);
            let (mut shown, mut bad) = (0, None);
            for file in Listing::new(session.dialect, bytes, &NO_NAMES) {
                match file {
                    Ok(file) => {
                        shown += 1;
                        let dir = self.entry(file, dev);
                        cursor.unread.push_back(dir.to_bytes());
                    }
                    Err(e) => bad = Some(e),
                }
            }
            if let Some(e) = bad.filter(|_| shown == 0) {
                return Err(e.into());
            }
        }
        Ok(true)
    }

    /// The same where the server gives only names.
    fn fill_by_name(&self, cursor: &mut Cursor, dev: u32) -> Result<bool> {
        while cursor.unread.is_empty() {
            let Some((files, next)) = dotl::list(&self.fid, cursor.theirs)? else { return Ok(false) };
            cursor.theirs = next;
            cursor.unread.extend(files.into_iter().map(|file| self.entry(file, dev).to_bytes()));
        }
        Ok(true)
    }

    /// What the directory shows for a file: a link as what it leads to, or as an empty file.
    fn entry(&self, file: File, dev: u32) -> Dir {
        let session = self.session();
        let mut dir = match file.what {
            FileType::Link => {
                let name = file.dir.name.clone();
                let end = self.walk(Qid::dir(0), &[&name]).ok().and_then(|(_, f)| f?.stat().ok());
                Dir { name, ..end.map_or(file.dir, |end| end.dir) }
            }
            _ => file.dir,
        };
        if session.dialect != Dialect::P9 {
            session.mode_bits.lock().show(&mut dir);
        }
        // As all that servers have: programs take other types for devices.
        dir.kind = u16::from(b'M');
        dir.dev = dev;
        dir
    }
}
