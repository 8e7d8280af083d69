//! Waiting for replies: what ends it before they come.
//!
//! A call waits so that a note can end it: then the request is flushed, and the call is over only when both the
//! request and the flush have come back, because until then its buffers are the transport's. A reply that came
//! before the flush took effect counts, as section 5 (`flush`) asks.
//!
//! A process that is to die waits a second for that, or for all that it has under way together, and for the answer to a
//! Tclunk. Then it abandons its slot to a keeper ([`abandoned`](super::abandoned)), and the call is `interrupted`. So
//! does one that was told a note and goes on living, so that a shell comes back to its prompt; but not for a read or
//! write, whose pages are its own until the request is back.
//!
//! A device that is silent for long is asked whether it lives, with the flush of a tag that is not in use: QEMU answers
//! that at once, however slow its disk is. If it does not, the session is over. ([`Patience`](super::session::Patience)
//! says how long is long.)

use alloc::boxed::Box;
use alloc::sync::Arc;

use io::message::Request;
use machine::Wake;
use machine::clock;
use machine::sync::{Completion, Patience};
use ninep::head::{HEADSZ, Head};
use ninep::{Tmsg, kind};

use super::rpc::prepare;
use super::session::Session;
use super::slot::Flush;
use super::slots::SlotGuard;
use crate::error::Result;

/// A tag that no slot uses.
const UNUSED_TAG: u16 = 0xfffe;

impl Session {
    /// Waits for the request of a piece to come back. A note (when `interruptible`) has the server asked to give it up;
    /// a Tversion cannot be flushed, and is given up with the session that it was to begin.
    ///
    /// # Errors
    /// `interrupted`: the process is to die, or to see a note, and the slot was abandoned.
    pub(super) fn wait(
        self: &Arc<Self>,
        guard: &mut SlotGuard<'_>,
        piece: usize,
        tag: u16,
        interruptible: bool,
    ) -> Result<Box<Request>> {
        let done = guard.slot()?.piece(piece)?.done.clone();
        if interruptible {
            if let Some(request) = self.wait_for(guard, &done, true)? {
                return Ok(request);
            }
            if tag == ninep::NOTAG {
                self.hang_up();
                return Ok(done.wait());
            }
            self.flush(guard, tag)?;
        }
        self.wait_surely(guard, &done)
    }

    /// Has the server give up the message with this tag. It is over when both are back, in whatever order.
    pub(super) fn flush(self: &Arc<Self>, guard: &mut SlotGuard<'_>, tag: u16) -> Result<()> {
        match self.send_flush(guard, Flush::Message, tag) {
            Ok(done) => self.see_flush(guard, Flush::Message, &done),
            Err(_) => Ok(()),
        }
    }

    /// Waits for the answer to a Tflush. If it does not come the session ends, which gives back every request.
    pub(super) fn see_flush(
        self: &Arc<Self>,
        guard: &mut SlotGuard<'_>,
        purpose: Flush,
        done: &Completion<Box<Request>>,
    ) -> Result<()> {
        let within_ns = match purpose {
            Flush::Message => self.patience.flush_ns,
            Flush::Sign => self.patience.sign_ns,
        };
        let request = match within_ns {
            u64::MAX => self.wait_surely(guard, done)?,
            ns => self.wait_within(guard, done, ns)?,
        };
        if purpose == Flush::Message && !is_flushed(&request) {
            // No server refuses a flush. It may be another one than began the session.
            self.hang_up();
        }
        guard.slot()?.flush(purpose)?.put_back(request);
        Ok(())
    }

    /// Waits for a request whatever notes come.
    pub(super) fn wait_surely(
        self: &Arc<Self>,
        guard: &mut SlotGuard<'_>,
        done: &Completion<Box<Request>>,
    ) -> Result<Box<Request>> {
        loop {
            if let Some(request) = self.wait_for(guard, done, false)? {
                return Ok(request);
            }
        }
    }

    /// The same, and ends the session after so many ns.
    fn wait_within(
        self: &Arc<Self>,
        guard: &mut SlotGuard<'_>,
        done: &Completion<Box<Request>>,
        ns: u64,
    ) -> Result<Box<Request>> {
        // A server is not silent because the whole machine stood still.
        let mut patience = Patience::new(ns);
        loop {
            if let Some(request) = done.wait_surely_until(patience.nap(guard.look_at())) {
                return Ok(request);
            }
            if patience.is_over() {
                self.hang_up();
                return Ok(done.wait());
            }
            self.abandon_in_time(guard)?;
            guard.looked();
        }
    }

    /// Waits for a request; `None` when a note came first, and `interruptible`.
    fn wait_for(
        self: &Arc<Self>,
        guard: &mut SlotGuard<'_>,
        done: &Completion<Box<Request>>,
        interruptible: bool,
    ) -> Result<Option<Box<Request>>> {
        let ask_at = || clock::now_ns().saturating_add(self.patience.ask_ns);
        let mut ask = ask_at();
        loop {
            let got = if interruptible {
                done.wait_until(ask)
            } else {
                done.wait_surely_until(ask.min(guard.look_at())).ok_or(Wake::TimedOut)
            };
            match got {
                Ok(request) => return Ok(Some(request)),
                Err(Wake::Interrupted) => return Ok(None),
                Err(Wake::TimedOut) => {
                    self.abandon_in_time(guard)?;
                    guard.looked();
                }
            }
            if clock::now_ns() >= ask {
                self.ask_for_sign(guard)?;
                ask = ask_at();
            }
        }
    }

    /// Asks the server whether it lives. If it does not answer the session ends, which gives back every request.
    fn ask_for_sign(self: &Arc<Self>, guard: &mut SlotGuard<'_>) -> Result<()> {
        match self.send_flush(guard, Flush::Sign, UNUSED_TAG) {
            Ok(done) => self.see_flush(guard, Flush::Sign, &done),
            Err(_) => Ok(()),
        }
    }

    /// Sends a Tflush of `tag`.
    fn send_flush(
        &self,
        guard: &mut SlotGuard<'_>,
        purpose: Flush,
        tag: u16,
    ) -> Result<Arc<Completion<Box<Request>>>> {
        let piece = guard.slot()?.flush(purpose)?;
        let mut bytes = [0u8; 16];
        let message = Tmsg::Flush { oldtag: tag };
        let n = message.encode(self.dialect, piece.tag, &mut bytes).map_err(|_| abi::error::EMOUNTRPC)?;
        self.transport.submit(prepare(piece, bytes.get(..n).unwrap_or(&[]))?);
        Ok(piece.done.clone())
    }
}

/// Whether a Tflush was answered by an Rflush.
fn is_flushed(request: &Request) -> bool {
    let mut bytes = [0; HEADSZ];
    request.reply_read(0, &mut bytes);
    request.result.is_ok() && Head::parse(&bytes).is_ok_and(|head| head.kind == kind::RFLUSH)
}
