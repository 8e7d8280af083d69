//! Sending messages and waiting for replies.
//!
//! How long one waits for a reply, and what ends that, is in [`wait`](super::wait). A slot belongs to who sends, from
//! taking it until its reply has been read; no lock is held meanwhile.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use io::message::Request;
use machine::{heap, thread};
use ninep::head::{HEADSZ, Head};
use ninep::{NOFID, Rmsg, Tmsg, kind};

use super::session::Session;
use super::slot::{PIECES, Piece};
use super::slots::{Leaves, SlotGuard};
use crate::error::{Error, Result};

/// The longest reply, in bytes, that is copied to memory which the call is granted: walks, and errors of sensible
/// servers, are not longer.
const SHORT: usize = 512;

impl Session {
    /// Sends a message and gives what `take` makes of its reply.
    ///
    /// # Errors
    /// The server's own, in Plan 9's words; `interrupted`; `i/o on hungup channel`.
    pub(crate) fn call<R>(
        self: &Arc<Self>,
        message: &Tmsg<'_>,
        take: impl FnOnce(Rmsg<'_>) -> Result<R>,
    ) -> Result<R> {
        self.call_with(message, Leaves::AtNote, true, take)
    }

    /// The same for messages that must get through, notes or not.
    ///
    /// # Errors
    /// As [`Session::call`], but `interrupted` only when a note came, the server was silent for a second, and a keeper
    /// waits now.
    pub(crate) fn call_surely<R>(
        self: &Arc<Self>,
        message: &Tmsg<'_>,
        take: impl FnOnce(Rmsg<'_>) -> Result<R>,
    ) -> Result<R> {
        self.call_with(message, Leaves::AtNote, false, take)
    }

    /// The same for what is done when a file is closed: nobody has to wait for a server that has been silent for a
    /// second.
    ///
    /// # Errors
    /// As [`Session::call_surely`], but without a note: when a keeper waits now.
    pub(super) fn call_soon<R>(
        self: &Arc<Self>,
        message: &Tmsg<'_>,
        take: impl FnOnce(Rmsg<'_>) -> Result<R>,
    ) -> Result<R> {
        self.call_with(message, self.leaves_clunk(), false, take)
    }

    /// Has the server forget a fid. Nobody has to wait for that, if it has been silent for a second.
    ///
    /// # Errors
    /// As [`Session::call_surely`], but without a note: when a keeper waits now.
    pub(super) fn clunk(self: &Arc<Self>, fid: u32) -> Result<()> {
        self.call_soon(&Tmsg::Clunk { fid }, |_| Ok(()))
    }

    /// Whether one more message may be sent: a call of many messages ends with the one under way when its process is to
    /// die, though the server has answered that.
    fn may_send(&self, interruptible: bool) -> Result<()> {
        self.ready()?;
        if interruptible && machine::thread::is_interrupted() && self.must_die() {
            return Err(error::EINTR.into());
        }
        Ok(())
    }

    fn call_with<R>(
        self: &Arc<Self>,
        message: &Tmsg<'_>,
        leaves: Leaves,
        interruptible: bool,
        take: impl FnOnce(Rmsg<'_>) -> Result<R>,
    ) -> Result<R> {
        self.may_send(interruptible)?;
        let mut guard = self.slots.take(interruptible, || leaves == Leaves::Soon || self.must_leave())?;
        guard.leaves = leaves;
        guard.count();
        let slot = guard.slot()?;
        let mut bytes = core::mem::take(&mut slot.scratch);
        bytes.clear();
        let piece = slot.piece(0)?;
        let tag = if matches!(message, Tmsg::Version { .. }) { ninep::NOTAG } else { piece.tag };
        let sent = message.append(self.dialect, tag, &mut bytes).map_err(|_| Error::new(error::ETOOLONG));
        let done = sent.and_then(|_| {
            self.transport.submit(prepare(piece, &bytes)?);
            Ok(())
        });
        slot.scratch = bytes;
        done?;
        // Whether a note came does not matter when there is a reply: the next sleep will see it.
        let request = self.wait(&mut guard, 0, tag, interruptible)?;
        let slot = guard.slot()?;
        let mut bytes = core::mem::take(&mut slot.scratch);
        let reply = self.whole_reply(&request, &mut bytes);
        slot.piece(0)?.request = Some(request);
        let result = match reply {
            // QEMU's answer when a Twstat that changes nothing has brought the file to the disk is no bytes at all.
            Ok(0) if matches!(message, Tmsg::Wstat { .. }) && !machine::thread::is_interrupted() => {
                take(Rmsg::Wstat {})
            }
            Ok(0) => Err(error::EINTR.into()),
            Err(_) if tag == ninep::NOTAG && machine::thread::is_interrupted() => Err(error::EINTR.into()),
            Ok(_) => self.decode(message.kind(), tag, &bytes).and_then(take),
            Err(e) => Err(e),
        };
        slot.scratch = bytes;
        result
    }

    /// Has several messages under way together, in the requests of one slot: at most
    /// [`PIECES`](super::slot::PIECES), none of which may depend on another, or be longer than a page, or its reply.
    /// Gives what `take` makes of each reply, in the order of the messages.
    pub(super) fn call_all<R>(
        self: &Arc<Self>,
        messages: &[Tmsg<'_>],
        leaves: Leaves,
        interruptible: bool,
        mut take: impl FnMut(usize, Rmsg<'_>) -> Result<R>,
    ) -> Vec<Result<R>> {
        let gives_up = || leaves == Leaves::Soon || self.must_leave();
        let mut guard =
            match self.may_send(interruptible).and_then(|()| self.slots.take(interruptible, gives_up)) {
                Ok(guard) => guard,
                Err(e) => return messages.iter().map(|_| Err(e.clone())).collect(),
            };
        guard.leaves = leaves;
        let mut sent = Vec::with_capacity(messages.len());
        let mut bytes = Vec::new();
        for (number, message) in messages.iter().enumerate() {
            bytes.clear();
            guard.count();
            sent.push(guard.slot().and_then(|slot| slot.piece(number)).and_then(|piece| {
                message
                    .append(self.dialect, piece.tag, &mut bytes)
                    .map_err(|_| Error::new(error::ETOOLONG))?;
                self.transport.submit(prepare(piece, &bytes)?);
                Ok(piece.tag)
            }));
        }
        let mut results = Vec::with_capacity(sent.len());
        for (number, (sent, message)) in sent.into_iter().zip(messages).enumerate() {
            results.push(sent.and_then(|tag| {
                let request = self.wait(&mut guard, number, tag, interruptible)?;
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

    /// Has jobs done together, in the requests of one slot: at most [`PIECES`] messages are under way at once, and each
    /// job's go out one after the other. None may be longer than a page, or its answer. When a note comes, or nothing
    /// more can be asked, no message is begun; jobs may be left as they are then.
    ///
    /// # Errors
    /// When there is no slot to be had: `interrupted`, no memory, `i/o on hungup channel`.
    pub(super) fn call_jobs<J: Job>(self: &Arc<Self>, jobs: &mut [J]) -> Result<()> {
        self.ready()?;
        let mut guard = self.slots.take(true, || self.must_leave())?;
        guard.leaves = Leaves::AtNote;
        let mut idle: Vec<usize> = (0..PIECES).rev().collect();
        // Which request, which job, and what was asked: in the order in which they went out.
        let mut out: VecDeque<(usize, usize, u8, u16)> = VecDeque::with_capacity(PIECES);
        let (mut begun, mut over, mut bytes) = (0, false, Vec::new());
        loop {
            while !over
                && let Some(&number) = idle.last()
                && let Some(job) = jobs.get_mut(begun)
            {
                if let Some((kind, tag)) = self.ask(&mut guard, number, job, &mut bytes) {
                    idle.pop();
                    out.push_back((number, begun, kind, tag));
                }
                begun += 1;
            }
            let Some((number, at, kind, tag)) = out.pop_front() else { return Ok(()) };
            let answer = self.hear(&mut guard, number, tag, &mut bytes);
            over |= answer.is_err() || thread::is_interrupted();
            let Some(job) = jobs.get_mut(at) else { continue };
            job.told(answer.and_then(|()| self.decode(kind, tag, &bytes)));
            match if over { None } else { self.ask(&mut guard, number, job, &mut bytes) } {
                Some((kind, tag)) => out.push_back((number, at, kind, tag)),
                None => idle.push(number),
            }
        }
    }

    /// Sends a job's next message in a request of the slot: its type and tag. `None` when there is nothing more to ask,
    /// or it could not be sent, which the job is told.
    fn ask(
        &self,
        guard: &mut SlotGuard<'_>,
        number: usize,
        job: &mut impl Job,
        bytes: &mut Vec<u8>,
    ) -> Option<(u8, u16)> {
        let message = job.ask()?;
        let kind = message.kind();
        bytes.clear();
        guard.count();
        let sent = guard.slot().and_then(|slot| slot.piece(number)).and_then(|piece| {
            message.append(self.dialect, piece.tag, bytes).map_err(|_| Error::new(error::ETOOLONG))?;
            self.transport.submit(prepare(piece, bytes)?);
            Ok(piece.tag)
        });
        match sent {
            Ok(tag) => Some((kind, tag)),
            Err(e) => {
                job.told(Err(e));
                None
            }
        }
    }

    /// Waits for the answer in a request of the slot, and copies it to `bytes`.
    fn hear(
        self: &Arc<Self>,
        guard: &mut SlotGuard<'_>,
        number: usize,
        tag: u16,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let request = self.wait(guard, number, tag, true)?;
        let len = self.whole_reply(&request, bytes);
        guard.slot()?.piece(number)?.request = Some(request);
        if len? == 0 { Err(error::EINTR.into()) } else { Ok(()) }
    }

    /// Decodes a reply and makes an error of an error.
    fn decode<'a>(&self, asked: u8, tag: u16, bytes: &'a [u8]) -> Result<Rmsg<'a>> {
        match Rmsg::decode(self.dialect, bytes) {
            Ok((t, reply @ (Rmsg::Error { .. } | Rmsg::Lerror { .. }))) if t == tag => {
                Err(self.server_error(&reply))
            }
            Ok((t, reply)) if t == tag && reply.kind() == asked + 1 => Ok(reply),
            _ => Err(self.protocol_error()),
        }
    }

    /// Copies the whole reply to `bytes`. 0: the request was flushed and has none. For a long one, as lists are, there
    /// may be no memory, and then it counts as a message that was not sent: a fid of which that is said is not used
    /// again.
    fn whole_reply(&self, request: &Request, bytes: &mut Vec<u8>) -> Result<usize> {
        let len = self.reply_len(request)?;
        bytes.clear();
        if len > SHORT {
            heap::try_reserve_exact(bytes, len)?;
        }
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
            Ok(()) => self.protocol_error(),
        }
    }
}

/// Messages that go out one after the other, each when the one before it is answered.
pub(super) trait Job {
    /// The next one, if there is one.
    fn ask(&self) -> Option<Tmsg<'_>>;
    /// That was answered so, or could not be sent.
    fn told(&mut self, answer: Result<Rmsg<'_>>);
}

/// Puts a whole message into a piece's request and takes that out to be sent.
pub(super) fn prepare(piece: &mut Piece, bytes: &[u8]) -> Result<Box<Request>> {
    let mut request = piece.request.take().ok_or(error::EHUNGUP)?;
    if bytes.len() > request.t.len() {
        piece.request = Some(request);
        return Err(error::ETOOLONG.into());
    }
    piece.may_flush = !matches!(Head::parse(bytes), Ok(Head { kind: kind::TCLUNK | kind::TREMOVE, .. }));
    piece.fids = fids(bytes);
    request.t.write(0, bytes);
    request.t_len = bytes.len();
    request.t_data.clear();
    request.r_len = request.r.len();
    request.r_data.clear();
    Ok(request)
}

/// The fids that a message names: every one begins with one, and some have another behind it.
fn fids(message: &[u8]) -> [u32; 2] {
    let at = |at: usize| {
        let field = message.get(HEADSZ + at..).and_then(|rest| rest.first_chunk());
        field.map_or(NOFID, |bytes| u32::from_le_bytes(*bytes))
    };
    match message.get(4) {
        None | Some(&(kind::TVERSION | kind::TFLUSH)) => [NOFID; 2],
        Some(&(kind::TWALK | kind::TATTACH | kind::TRENAME | kind::TLINK)) => [at(0), at(4)],
        Some(_) => [at(0), NOFID],
    }
}
