//! A session with a server: the dialect and message size agreed on, and whether it still lives.
//!
//! What else a session does is where it is wanted: sending messages in [`rpc`](super::rpc), waiting for their replies
//! in [`wait`](super::wait), and what becomes of those that nobody waits for in [`abandoned`](super::abandoned).
//!
//! Ownership: every file of a mount holds its session; when the last is closed, the session is over. A session
//! that failed is *hung up*: nothing is sent any more and every call says so; its files can only be closed.
//!
//! Lock order: `ending` is held while the transport is reset, and taken by nobody who holds anything.

use alloc::sync::{Arc, Weak};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::error;
use io::message::Transport;
use machine::sync::QLock;
use ninep::translate::{errors, version};
use ninep::{Dialect, Rmsg, Tmsg};

use super::abandoned::Abandoned;
use super::attributes::Attributes;
use super::fid::Fids;
use super::slots::Slots;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::pools::{Counted, SESSIONS};

/// How long a server may be silent before the session is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a request may be under way before the server is asked for a sign of life, in ns.
    pub ask_ns: u64,
    /// How long the server has for that, in ns.
    pub sign_ns: u64,
    /// How long the server has to answer a Tflush, in ns.
    pub flush_ns: u64,
}

impl Patience {
    /// For a device. The host's disk may be slow, and QEMU answers a flush after what is flushed; but its server
    /// answers at once when asked for a sign.
    pub const DEVICE: Patience =
        Patience { ask_ns: 30_000_000_000, sign_ns: 10_000_000_000, flush_ns: u64::MAX };
    /// For a program behind a channel, which may think as long as it likes. When it dies the channel tells, but not
    /// every channel: who gives up a request is not to wait for ever for a server that is not there.
    pub(crate) const ENDLESS: Patience =
        Patience { ask_ns: u64::MAX, sign_ns: u64::MAX, flush_ns: 20_000_000_000 };
}

/// A session. See the module comment.
pub(crate) struct Session {
    /// What is spoken.
    pub(crate) dialect: Dialect,
    /// Largest message in bytes.
    pub(crate) msize: u32,
    /// The way to the server.
    pub(crate) transport: Arc<dyn Transport>,
    /// How long it waits.
    pub(super) patience: Patience,
    /// The PID cache.
    pub(crate) slots: Slots,
    /// What the server does not know of files.
    pub(super) attributes: Attributes,
    /// Which numbers are files.
    pub(super) fids: Arc<Fids>,
    /// To ask who is to die.
    pub(super) kernel: Weak<Kernel>,
    pub(super) abandoned: Abandoned,
    dead: AtomicBool,
    ending: QLock<()>,
    _counted: Counted<SESSIONS>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.contents.session_over(core::ptr::from_ref(self).addr());
        }
    }
}

impl Session {
    /// Begins a session: agrees on version and message size.
    ///
    /// # Errors
    /// The server does not speak the dialect, or does not answer.
    pub(crate) fn begin(
        kernel: &Arc<Kernel>,
        transport: Arc<dyn Transport>,
        (dialect, msize): (Dialect, u32),
        patience: Patience,
    ) -> Result<Arc<Session>> {
        let mut session = Arc::new(Session {
            dialect,
            msize,
            transport,
            patience,
            slots: Slots::new(),
            attributes: Attributes::new(),
            fids: Arc::new(Fids::new()),
            kernel: Arc::downgrade(kernel),
            abandoned: Abandoned::new(),
            dead: AtomicBool::new(false),
            ending: QLock::new(()),
            _counted: Counted::new(),
        });
        let ask = Tmsg::Version { msize, version: dialect.version().into() };
        let (dialect, msize) = session.call(&ask, |reply| Ok(version::accept(dialect, msize, &reply)?))?;
        // A Tversion is never abandoned, so nobody else has it yet.
        let new = Arc::get_mut(&mut session).ok_or(error::EMOUNTRPC)?;
        (new.dialect, new.msize) = (dialect, msize);
        Ok(session)
    }

    /// Is the server a device's, which is QEMU's own, and not a program's?
    pub(super) fn is_device(&self) -> bool {
        self.patience != Patience::ENDLESS
    }

    /// Are its server's fids paths, so that one can be looked at again? See [`look`](super::look).
    pub(super) fn looks_by_fid(&self) -> bool {
        self.is_device() && self.dialect != Dialect::P9
    }

    /// A file of it is made, removed or renamed here, or has been: what is kept of names is of no use.
    pub(super) fn moves(&self) {
        if let Some(kernel) = self.kernel.upgrade() {
            kernel.contents.names.moved();
        }
    }

    /// Does it still live?
    ///
    /// # Errors
    /// `i/o on hungup channel`.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.dead.load(Ordering::Acquire) { Err(error::EHUNGUP.into()) } else { Ok(()) }
    }

    /// Can a message be sent?
    ///
    /// # Errors
    /// `i/o on hungup channel`, also when what nobody has waited for came back without an answer.
    pub(super) fn ready(&self) -> Result<()> {
        if self.fids.farewells.are_spoilt() {
            self.hang_up();
        }
        self.alive()
    }

    /// Its line in `/dev/mtags`: `name:version:msize:use:hits`.
    pub(super) fn write_mtag(&self, name: &str, out: &mut dyn fmt::Write) -> fmt::Result {
        let (used, hits) = self.slots.counts();
        writeln!(out, "{name}:{}:{}:{used}:{hits}", self.dialect.version(), self.msize)
    }

    /// What it keeps, for `/dev/pools`: files at the server, slots with messages under way (and
    /// Tclunks that nobody waits for), slots at keepers.
    pub(super) fn pools(&self) -> [(&'static str, u64); 3] {
        let (busy, abandoned) = self.slots.in_use();
        let busy = busy + self.fids.farewells.out() as u64;
        [("fid", self.fids.in_use()), ("busy", busy), ("abandoned", abandoned)]
    }

    /// Ends it: whatever is under way comes back as hung up.
    pub(crate) fn hang_up(&self) {
        let _ending = self.ending.lock();
        if !self.dead.swap(true, Ordering::AcqRel) {
            // A device that cannot be reset stays silent; there is nobody to tell.
            let _ = self.transport.reset();
        }
    }

    /// The server has said what no server says: nothing can be believed any more. Ends the session.
    pub(super) fn protocol_error(&self) -> Error {
        self.hang_up();
        error::EMOUNTRPC.into()
    }

    /// Waits until a session that is being ended has ended.
    pub(crate) fn wait_ended(&self) {
        drop(self.ending.lock());
    }

    /// What the program reads for an error reply.
    pub(super) fn server_error(&self, reply: &Rmsg<'_>) -> Error {
        match errors::text(self.dialect, reply) {
            Some(text) => Error::said_by_server(text),
            None => Error::new(error::EMOUNTRPC),
        }
    }
}
