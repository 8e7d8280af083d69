//! One session for all mounts of a server: what a mount wants of it, and what the first one asked for.
//!
//! Devices ([`tags`](super::tags)) and channels ([`channels`](super::channels)) keep one [`Shared`] each, under
//! the lock that they hold while a session is begun.

use alloc::sync::{Arc, Weak};

use abi::error;
use ninep::Dialect;
use ninep::translate::version::Spec;

use super::session::Session;
use crate::error::{Error, Result};

/// How a mount wants the session to be; what it leaves open is as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What is to be spoken.
    pub(crate) dialect: Option<Dialect>,
    /// The largest message to be asked for, in bytes.
    pub(crate) msize: Option<u32>,
}

impl Wanted {
    /// Reads the spec of a mount of `#9`: the name of a tag or of a tree, and how the session is to be.
    ///
    /// # Errors
    /// `bad attach specifier` for a size that cannot be, and for 9P2000, which is `#M`'s.
    pub(crate) fn parse(spec: &str) -> Result<(&str, Wanted)> {
        let bad = |why| Error::new(why).with_name(spec);
        let Spec { name, dialect, msize } = Spec::parse(spec).map_err(bad)?;
        if dialect == Some(Dialect::P9) {
            return Err(bad(error::EBADSPEC));
        }
        Ok((name, Wanted { dialect, msize }))
    }
}

/// A session that may still be there.
#[derive(Default)]
pub(crate) struct Shared {
    session: Weak<Session>,
    /// The number of the mounts.
    devno: u32,
    /// What the server was asked for. It may have agreed on less.
    asked: Option<(Dialect, u32)>,
}

impl Shared {
    /// The session that has just been begun.
    pub(crate) fn new(session: &Arc<Session>, devno: u32, asked: (Dialect, u32)) -> Self {
        Shared { session: Arc::downgrade(session), devno, asked: Some(asked) }
    }

    /// The session, as long as somebody has a file of it; it may be hung up.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.session.upgrade()
    }

    /// Was it begun in one of `#9`'s dialects, which are translated?
    pub(crate) fn is_translated(&self) -> bool {
        self.asked.is_some_and(|(dialect, _)| dialect != Dialect::P9)
    }

    /// The session for one more mount, and its device number.
    ///
    /// # Errors
    /// `device or object already in use` when it is not as that wants it.
    pub(crate) fn join(&self, session: Arc<Session>, wanted: Wanted) -> Result<(Arc<Session>, u32)> {
        let (dialect, msize) = self.asked.unwrap_or((session.dialect, session.msize));
        let same = wanted.dialect.is_none_or(|d| d == dialect) && wanted.msize.is_none_or(|m| m == msize);
        if same { Ok((session, self.devno)) } else { Err(error::EINUSE.into()) }
    }
}
