//! A 9P2000 server without I/O: what a session is allowed to ask, over any tree of files.
//!
//! A [`Session`] is one client: its version, its fids, the requests under way. [`Files`] is the tree, which decides
//! about permissions and contents and is asked only what the rules of the protocol allow. Bytes come and go
//! elsewhere:
//!
//! * [`Session::handle`] answers one request, for a tree that never waits.
//! * [`Session::begin`] gives a [`Job`] instead of an answer where the tree is needed. [`Job::run`] may wait as long
//!   as it likes, in another process and without the session; [`Session::finish`] makes the reply. So a request that
//!   waits holds up none, and a `Tflush` finds the request that it is about.
//!
//! Rules kept here: a version first; fids known, new, open or not as each request wants it; at most 16 names in a walk,
//! which makes its fid only when all of them are found; names that can stand in a directory; access as the file was
//! opened for; whole records in directory reads, from the beginning or from where the last read ended; remove on
//! close; a clunk and a remove take the fid in any case; a flush is answered after what it flushes; replies within
//! the size agreed on.
//!
//! Nobody is authenticated: `Tauth` is refused, and the tree believes the name that an attach gives.
//!
//! [`names`] helps trees whose files have nothing but names. The section of the manual is 5; see also
//! docs/facts/plan9-abi.md section 7.1.

mod job;
#[cfg(test)]
mod job_tests;
pub mod names;
mod session;
#[cfg(test)]
pub(crate) mod test_client;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use abi::Qid;

use crate::wire::WireError;
use crate::{Dialect, Stat};

pub use job::{Done, Job};
pub use session::{Finished, Session, Step};

/// What a client is told that has not begun with a version.
pub const ENOVERSION: &str = "no version agreed on";
/// Smallest message size that a session agrees to: an error, a full walk and an ordinary stat record must fit.
pub const MSIZE_MIN: u32 = 512;
/// Largest message size that makes sense to offer, in bytes.
pub const MSIZE_MAX: u32 = 1 << 20;

/// Why a request is refused, in the words that the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Cow<'static, str>);

impl From<&'static str> for Refused {
    fn from(text: &'static str) -> Self {
        Refused(text.into())
    }
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Refused(text.into())
    }
}

impl From<WireError> for Refused {
    fn from(e: WireError) -> Self {
        Refused(alloc::format!("{e}").into())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tree answers.
pub type Result<T, E = Refused> = core::result::Result<T, E>;

/// A tree of files, as a session asks it.
///
/// Names and users are bytes as they come; a name handed over is never empty, `.` or longer than a message, and has
/// neither slash nor NUL. Records are stat records of 9P2000, as [`record`] makes them. Any method may be called by
/// several processes at once when the sessions are.
pub trait Files {
    /// What a fid stands for: a file found, or one that is open. It is dropped when the last request that uses it is
    /// done.
    type File;

    /// The root of the tree `tree` for the user `user`.
    ///
    /// # Errors
    /// When there is no such tree, as for all methods in the words that the client gets.
    fn attach(&self, user: &[u8], tree: &[u8]) -> Result<(Self::File, Qid)>;

    /// One step from a directory; `..` of the root is the root.
    ///
    /// # Errors
    /// When the name is not there, or the user may not search the directory.
    fn walk(&self, dir: &Self::File, name: &[u8]) -> Result<(Self::File, Qid)>;

    /// Opens a file that was found. `mode` is an access, `OTRUNC` and `ORCLOSE`; the session does the removing, the
    /// tree says whether it would be allowed. A directory is never opened for writing.
    ///
    /// # Errors
    /// When the user may not, or nobody may now.
    fn open(&self, file: &Self::File, mode: u32) -> Result<(Self::File, Qid)>;

    /// Makes a file that is not there and opens it. A directory is opened for reading.
    ///
    /// # Errors
    /// When the name is there, or the user may not write the directory.
    fn create(&self, dir: &Self::File, name: &[u8], perm: u32, mode: u32) -> Result<(Self::File, Qid)>;

    /// Reads an open plain file; how many bytes there were, 0 at its end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, file: &Self::File, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// Hands the records of an open directory to `put` until it answers false or none is left, beginning with the one
    /// after the last that was taken, or with the first to `rewind`. What was refused comes again.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, dir: &Self::File, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()>;

    /// Writes an open plain file; how many bytes were taken.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, file: &Self::File, offset: u64, data: &[u8]) -> Result<usize>;

    /// The record of a file, open or not.
    ///
    /// # Errors
    /// When there is no such file any more.
    fn stat(&self, file: &Self::File) -> Result<Vec<u8>>;

    /// Changes what `change` does not leave as it is: everything or nothing.
    ///
    /// # Errors
    /// When the user may not, or it cannot be.
    fn wstat(&self, file: &Self::File, change: &Stat<'_>) -> Result<()>;

    /// Removes a file, open or not.
    ///
    /// # Errors
    /// When the user may not, or a directory is not empty.
    fn remove(&self, file: &Self::File) -> Result<()>;
}

/// The record of a file in bytes.
///
/// # Errors
/// When a name is too long for one.
pub fn record(stat: &Stat<'_>) -> Result<Vec<u8>> {
    Ok(stat.to_vec(Dialect::P9)?)
}

/// A name that can stand in a directory.
///
/// # Errors
/// `file name syntax`, `bad character in file name`.
pub fn valid_name(name: &[u8]) -> Result<()> {
    match name {
        b"" | b"." | b".." => Err(abi::error::EFILENAME.into()),
        _ if name.iter().any(|b| matches!(b, 0 | b'/')) => Err(abi::error::EBADCHAR.into()),
        _ => Ok(()),
    }
}
