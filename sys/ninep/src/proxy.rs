//! A middleman between a client and a server whose byte streams have lost their message boundaries.
//!
//! A [`Stream`] is one direction: bytes are pushed as they come, whole messages come out, each to be written with one
//! write. The two streams run at the same time, in processes of their own, so that a slow read holds nobody up and a
//! `Tflush` overtakes it; all that they share is the [`Agreement`] about the largest message, which is learnt by
//! looking at `Tversion` and `Rversion` as they pass.
//!
//! The agreement is changed before the message that changes it is given out. So nobody can have seen an `Rversion`,
//! and make use of it, before the other stream knows of it. No lock is needed: it is two numbers, and they are written
//! by the stream that is at work in that phase of the negotiation.
//!
//! A middleman cannot repair a stream. Whatever no correct peer sends is a [`Refusal`], it stays, and both
//! connections are of no more use.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::head::Head;
use crate::wire::WireError;
use crate::{Dialect, Framer, Rmsg, Tmsg, kind};

/// Largest message that is passed on, in bytes. A client that asks for more is given this.
pub const MSIZE_MAX: u32 = 1 << 20;
/// A limit below this is not enforced: the next `Tversion`, or the error it gets, must still come through.
pub const MSIZE_MIN: u32 = 256;

/// Which side the bytes of a stream come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client: requests.
    Client,
    /// The server: replies.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Client => "client",
            Side::Server => "server",
        })
    }
}

/// Why a stream is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A size field below 7, or above what was agreed.
    Size {
        /// Whose stream.
        from: Side,
        /// What the field says, in bytes.
        size: u32,
        /// What is allowed, in bytes.
        limit: u32,
    },
    /// A reply from the client, or a request from the server: an echo, most likely.
    Direction {
        /// Whose stream.
        from: Side,
        /// The message type.
        kind: u8,
    },
    /// A version message that is none.
    Version {
        /// Whose stream.
        from: Side,
        /// What is wrong with it.
        error: WireError,
    },
    /// The server agrees on more than it was asked for, in bytes.
    Msize {
        /// What the client asked for.
        asked: u32,
        /// What the server said.
        got: u32,
    },
    /// The stream ended inside a message.
    Cut {
        /// Whose stream.
        from: Side,
        /// Bytes of that message that had come.
        held: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Size { from, size, limit } => {
                write!(f, "message of {size} bytes from the {from}, {limit} are agreed")
            }
            Refusal::Direction { from, kind } => {
                let name = kind::name(*kind).unwrap_or("no 9P message");
                write!(f, "message type {kind} ({name}) from the {from}")
            }
            Refusal::Version { from, error } => write!(f, "bad version message from the {from}: {error}"),
            Refusal::Msize { asked, got } => {
                write!(f, "the server agrees on messages of {got} bytes, asked were {asked}")
            }
            Refusal::Cut { from, held } => {
                write!(f, "the {from} left in the middle of a message, after {held} bytes")
            }
        }
    }
}

impl core::error::Error for Refusal {}

/// What both streams know of the largest message.
#[derive(Debug)]
pub struct Agreement {
    /// What the last `Tversion` asked for.
    asked: AtomicU32,
    /// What holds now: [`MSIZE_MAX`] while nothing is agreed.
    limit: AtomicU32,
}

impl Agreement {
    /// Largest message at this moment, in bytes.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Acquire)
    }
}

/// One direction.
#[derive(Debug)]
pub struct Stream {
    from: Side,
    framer: Framer,
    agreement: Arc<Agreement>,
    /// The message that was given out last.
    message: Vec<u8>,
    refusal: Option<Refusal>,
}

/// The two directions of a new connection: from the client, and from the server.
pub fn streams() -> (Stream, Stream) {
    let agreement = Arc::new(Agreement { asked: AtomicU32::new(0), limit: AtomicU32::new(MSIZE_MAX) });
    let stream = |from, agreement| Stream {
        from,
        framer: Framer::new(MSIZE_MAX),
        agreement,
        message: Vec::new(),
        refusal: None,
    };
    (stream(Side::Client, agreement.clone()), stream(Side::Server, agreement))
}

impl Stream {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.refusal.is_none() {
            self.framer.push(bytes);
        }
    }

    /// The next whole message to pass on, or `None` until more bytes are pushed. It is what came in, but for a
    /// `Tversion` that asks for more than [`MSIZE_MAX`].
    ///
    /// # Errors
    /// When the stream is none of 9P, or breaks the agreement. The error stays.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        match self.take() {
            Ok(true) => Ok(Some(&self.message)),
            Ok(false) => Ok(None),
            Err(refusal) => Err(*self.refusal.insert(refusal)),
        }
    }

    /// To be asked at the end of the stream.
    ///
    /// # Errors
    /// When it ended inside a message, or was refused before.
    pub fn finish(&self) -> Result<(), Refusal> {
        match (self.refusal, self.framer.held()) {
            (Some(refusal), _) => Err(refusal),
            (None, 0) => Ok(()),
            (None, held) => Err(Refusal::Cut { from: self.from, held }),
        }
    }

    /// Passes on all that `read` puts into `chunk`, each message with one `write`, until there is nothing more or the
    /// stream is refused. Which it was, [`Stream::finish`] tells.
    ///
    /// # Errors
    /// Those of the two.
    pub fn pass<E>(
        &mut self,
        chunk: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> Result<usize, E>,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let n = read(chunk)?;
            if n == 0 {
                return Ok(());
            }
            self.push(chunk.get(..n).unwrap_or_default());
            loop {
                match self.next_message() {
                    Ok(Some(message)) => write(message)?,
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
        }
    }

    /// What both streams have agreed on.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Moves the next message into `message`.
    fn take(&mut self) -> Result<bool, Refusal> {
        let (from, limit) = (self.from, self.agreement.limit());
        let wire = |e| match e {
            WireError::Size(size) => Refusal::Size { from, size, limit },
            error => Refusal::Version { from, error },
        };
        self.framer.set_msize(limit);
        let Some(message) = self.framer.next_message().map_err(wire)? else { return Ok(false) };
        self.message.clear();
        self.message.extend_from_slice(message);
        let kind = Head::parse(&self.message).map_err(wire)?.kind;
        // Requests have even numbers, replies odd ones, in every dialect.
        if kind.is_multiple_of(2) != (from == Side::Client) {
            return Err(Refusal::Direction { from, kind });
        }
        match kind {
            kind::TVERSION => self.version_asked()?,
            kind::RVERSION => self.version_agreed()?,
            _ => {}
        }
        Ok(true)
    }

    /// A session is asked for. Until it is agreed on, replies of the old one may still come, as large as it allowed.
    fn version_asked(&mut self) -> Result<(), Refusal> {
        let from = self.from;
        let bad = |error| Refusal::Version { from, error };
        let (tag, Tmsg::Version { msize, version }) =
            Tmsg::decode(Dialect::P9, &self.message).map_err(bad)?
        else {
            return Ok(());
        };
        let asked = msize.min(MSIZE_MAX);
        if asked != msize {
            self.message = Tmsg::Version { msize: asked, version }.to_vec(Dialect::P9, tag).map_err(bad)?;
        }
        self.agreement.asked.store(asked, Ordering::Release);
        self.agreement.limit.store(MSIZE_MAX, Ordering::Release);
        Ok(())
    }

    /// The session begins. `unknown` begins none: the client may ask again.
    fn version_agreed(&mut self) -> Result<(), Refusal> {
        let from = self.from;
        let bad = |error| Refusal::Version { from, error };
        let (_, Rmsg::Version { msize, version }) = Rmsg::decode(Dialect::P9, &self.message).map_err(bad)?
        else {
            return Ok(());
        };
        if version.bytes() == b"unknown" {
            return Ok(());
        }
        let asked = self.agreement.asked.load(Ordering::Acquire);
        if msize > asked {
            return Err(Refusal::Msize { asked, got: msize });
        }
        self.agreement.limit.store(msize.max(MSIZE_MIN), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
