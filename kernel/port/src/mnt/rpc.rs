//! Sending messages and waiting for replies.
//!
//! A call waits so that a note can end it: then the request is flushed, and the call is over only when both the
//! request and the flush have come back, because until then its buffers are the transport's. A reply that came
//! before the flush took effect counts, as section 5 (`flush`) asks.
//!
//! A device that is silent for long is asked whether it lives, with the flush of a tag that is not in use: QEMU answers
//! that at once, however slow its disk is. If it does not, the session is over. ([`Patience`](super::session::Patience) says
//! how long is long.)

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use machine::Wake;
use machine::clock;
use machine::message::Request;
use machine::sync::Completion;
use ninep::head::{HEADSZ, Head};
use ninep::{Rmsg, Tmsg, kind};

use super::session::Session;
use super::slots::{Flush, Piece, SlotGuard};
use crate::error::{Error, Result};

/// A tag that no slot uses.
const UNUSED_TAG: u16 = 0xfffe;

impl Session {
    /// Sends a message and gives what `take` makes of its reply.
    ///
    /// # Errors
    /// The server's own, in Plan 9's words; `interrupted`; `i/o on hungup channel`.
    pub fn call<R>(&self, message: &Tmsg<'_>, take: impl FnOnce(Rmsg<'_>) -> Result<R>) -> Result<R> {
        self.call_with(message, true, take)
    }

    /// The same for messages that must get through, notes or not: Tclunk and Tremove.
    ///
    /// # Errors
    /// As [`Session::call`], but for `interrupted`.
    pub fn call_surely<R>(&self, message: &Tmsg<'_>, take: impl FnOnce(Rmsg<'_>) -> Result<R>) -> Result<R> {
        self.call_with(message, false, take)
    }

    fn call_with<R>(
        &self,
        message: &Tmsg<'_>,
        interruptible: bool,
        take: impl FnOnce(Rmsg<'_>) -> Result<R>,
    ) -> Result<R> {
        self.alive()?;
        let mut guard = self.slots.take()?;
        guard.count();
        let slot = guard.slot()?;
        let mut bytes = core::mem::take(&mut slot.scratch);
        bytes.clear();
        let piece = slot.piece(0)?;
        let tag = if matches!(message, Tmsg::Version { .. }) { ninep::NOTAG } else { piece.tag };
        let sent = message.append(self.dialect, tag, &mut bytes).map_err(|_| Error::new(error::ETOOLONG));
        let done = sent.and_then(|_| {
            let request = prepare(piece, &bytes)?;
            let done = request.done.clone();
            self.transport.submit(request);
            Ok(done)
        });
        slot.scratch = bytes;
        // Whether a note came does not matter when there is a reply: the next sleep will see it.
        let request = self.wait(&mut guard, done?, tag, interruptible);
        let slot = guard.slot()?;
        let mut bytes = core::mem::take(&mut slot.scratch);
        let reply = self.whole_reply(&request, &mut bytes);
        slot.piece(0)?.request = Some(request);
        let result = match reply {
            Ok(0) => Err(error::EINTR.into()),
            Err(_) if tag == ninep::NOTAG && machine::thread::current().interrupted() => {
                Err(error::EINTR.into())
            }
            Ok(_) => self.decode(message.kind(), tag, &bytes).and_then(take),
            Err(e) => Err(e),
        };
        slot.scratch = bytes;
        result
    }

    /// Has several messages under way together, in the requests of one slot: at most
    /// [`PIECES`](super::slots::PIECES), none of which may depend on another, or be longer than a page, or its reply.
    /// Gives what `take` makes of each reply, in the order of the messages.
    pub(super) fn call_all<R>(
        &self,
        messages: &[Tmsg<'_>],
        interruptible: bool,
        mut take: impl FnMut(usize, Rmsg<'_>) -> Result<R>,
    ) -> Vec<Result<R>> {
        let mut guard = match self.alive().and_then(|()| self.slots.take()) {
            Ok(guard) => guard,
            Err(e) => return messages.iter().map(|_| Err(e.clone())).collect(),
        };
        let mut sent = Vec::with_capacity(messages.len());
        let mut bytes = Vec::new();
        for (number, message) in messages.iter().enumerate() {
            bytes.clear();
            guard.count();
            sent.push(guard.slot().and_then(|slot| slot.piece(number)).and_then(|piece| {
                message
                    .append(self.dialect, piece.tag, &mut bytes)
                    .map_err(|_| Error::new(error::ETOOLONG))?;
                let request = prepare(piece, &bytes)?;
                let done = request.done.clone();
                self.transport.submit(request);
                Ok((piece.tag, done))
            }));
        }
        let mut results = Vec::with_capacity(sent.len());
        for (number, (sent, message)) in sent.into_iter().zip(messages).enumerate() {
            results.push(sent.and_then(|(tag, done)| {
                let request = self.wait(&mut guard, done, tag, interruptible);
                let len = self.whole_reply(&request, &mut bytes);
                guard.slot()?.piece(number)?.request = Some(request);
                if len? == 0 {
                    return Err(error::EINTR.into());
                }
                self.decode(message.kind(), tag, &bytes).and_then(|reply| take(number, reply))
            }));
        }
        results
    }

    /// Decodes a reply and makes an error of an error.
    fn decode<'a>(&self, asked: u8, tag: u16, bytes: &'a [u8]) -> Result<Rmsg<'a>> {
        match Rmsg::decode(self.dialect, bytes) {
            Ok((t, reply @ (Rmsg::Error { .. } | Rmsg::Lerror { .. }))) if t == tag => {
                Err(self.server_error(&reply))
            }
            Ok((t, reply)) if t == tag && reply.kind() == asked + 1 => Ok(reply),
            _ => Err(self.broken()),
        }
    }

    /// Copies the whole reply to `bytes`. 0: the request was flushed and has none.
    fn whole_reply(&self, request: &Request, bytes: &mut Vec<u8>) -> Result<usize> {
        let len = self.reply_len(request)?;
        bytes.clear();
        bytes.resize(len, 0);
        request.reply_read(0, bytes);
        Ok(len)
    }

    /// How long the reply is; a transport that failed ends the session.
    pub(super) fn reply_len(&self, request: &Request) -> Result<usize> {
        match request.result {
            Ok(n) if n <= request.r_room() => Ok(n),
            _ => {
                self.hang_up();
                Err(error::EHUNGUP.into())
            }
        }
    }

    /// The error in the reply to a transfer, which may lie across its head and its data.
    pub(super) fn transfer_error(&self, asked: u8, tag: u16, request: &Request) -> Error {
        let mut bytes = Vec::new();
        match self.whole_reply(request, &mut bytes).and_then(|_| self.decode(asked, tag, &bytes).map(|_| ()))
        {
            Err(e) => e,
            Ok(()) => self.broken(),
        }
    }

    /// Waits for a request to come back, whatever it takes. A note (when `interruptible`) has the server asked to
    /// give it up; a Tversion cannot be flushed, and is given up with the session that it was to begin.
    pub(super) fn wait(
        &self,
        guard: &mut SlotGuard<'_>,
        done: Arc<Completion<Box<Request>>>,
        tag: u16,
        interruptible: bool,
    ) -> Box<Request> {
        if interruptible {
            if let Some(request) = self.wait_for(guard, &done, true) {
                return request;
            }
            if tag == ninep::NOTAG {
                self.hang_up();
            } else if let Ok(flushed) = self.send_flush(guard, Flush::Message, tag) {
                // It is over when both are back, in whatever order.
                let request = self.wait_flushed(guard, &flushed);
                if !is_flushed(&request) {
                    // No server refuses a flush. It may be another one than began the session.
                    self.hang_up();
                }
                put_back(guard, Flush::Message, request);
            }
        }
        self.wait_surely(guard, &done)
    }

    /// Waits for the answer to a Tflush. If it does not come the session ends, which gives back every request.
    fn wait_flushed(&self, guard: &mut SlotGuard<'_>, done: &Completion<Box<Request>>) -> Box<Request> {
        if self.patience.flush_ns == u64::MAX {
            return self.wait_surely(guard, done);
        }
        let deadline = clock::now_ns().saturating_add(self.patience.flush_ns);
        done.wait_surely_until(deadline).unwrap_or_else(|| {
            self.hang_up();
            done.wait()
        })
    }

    fn wait_surely(&self, guard: &mut SlotGuard<'_>, done: &Completion<Box<Request>>) -> Box<Request> {
        match self.wait_for(guard, done, false) {
            Some(request) => request,
            // Not reached: nothing interrupts it.
            None => done.wait(),
        }
    }

    /// Waits for a request; `None` when a note came first.
    fn wait_for(
        &self,
        guard: &mut SlotGuard<'_>,
        done: &Completion<Box<Request>>,
        interruptible: bool,
    ) -> Option<Box<Request>> {
        loop {
            let deadline = clock::now_ns().saturating_add(self.patience.ask_ns);
            let got = if interruptible {
                done.wait_until(deadline)
            } else {
                done.wait_surely_until(deadline).ok_or(Wake::TimedOut)
            };
            match got {
                Ok(request) => return Some(request),
                Err(Wake::Interrupted) => return None,
                Err(Wake::TimedOut) => self.ask_for_sign(guard),
            }
        }
    }

    /// Asks the server whether it lives. If it does not answer the session ends, which gives back every request.
    fn ask_for_sign(&self, guard: &mut SlotGuard<'_>) {
        let Ok(done) = self.send_flush(guard, Flush::Sign, UNUSED_TAG) else { return };
        let deadline = clock::now_ns().saturating_add(self.patience.sign_ns);
        let request = match done.wait_surely_until(deadline) {
            Some(request) => request,
            None => {
                self.hang_up();
                done.wait()
            }
        };
        put_back(guard, Flush::Sign, request);
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
        let n = message.encode(self.dialect, piece.tag, &mut bytes).map_err(|_| error::EMOUNTRPC)?;
        let request = prepare(piece, bytes.get(..n).unwrap_or(&[]))?;
        let done = request.done.clone();
        self.transport.submit(request);
        Ok(done)
    }
}

/// Whether a Tflush was answered by an Rflush.
fn is_flushed(request: &Request) -> bool {
    let mut bytes = [0; HEADSZ];
    request.reply_read(0, &mut bytes);
    request.result.is_ok() && Head::parse(&bytes).is_ok_and(|head| head.kind == kind::RFLUSH)
}

/// A Tflush is back.
fn put_back(guard: &mut SlotGuard<'_>, purpose: Flush, request: Box<Request>) {
    if let Ok(piece) = guard.slot().and_then(|slot| slot.flush(purpose)) {
        piece.request = Some(request);
    }
}

/// Puts a whole message into a piece's request and takes that out to be sent.
fn prepare(piece: &mut Piece, bytes: &[u8]) -> Result<Box<Request>> {
    let mut request = piece.request.take().ok_or(error::EHUNGUP)?;
    if bytes.len() > request.t.len() {
        piece.request = Some(request);
        return Err(error::ETOOLONG.into());
    }
    request.t.write(0, bytes);
    request.t_len = bytes.len();
    request.t_data.clear();
    request.r_len = request.r.len();
    request.r_data.clear();
    Ok(request)
}
