//! What a 9P server is to the kernel: a message transport, not a byte stream.
//!
//! A [`Request`] is one T-message together with the buffers its reply goes to. It is owned: whoever sends a
//! message gives the request away with [`Transport::submit`] and gets it back through [`Request::done`]. In between its
//! buffers belong to the transport, whatever happens to the process that sent it. A request that nobody waits for goes
//! to its [`Heir`] instead.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use machine::OutOfMemory;
use machine::dma::Dma;
use machine::page::Pinned;
use machine::sync::Completion;

/// One T-message and room for its reply.
pub struct Request {
    /// The T-message, all of it when `t_data` is empty, else what comes before the data.
    pub t: Dma,
    /// Bytes of `t` in use.
    pub t_len: usize,
    /// Data of a Twrite, follows `t[..t_len]`.
    pub t_data: Vec<Pinned>,
    /// Room for the reply, all of it when `r_data` is empty, else for what comes before the data.
    pub r: Dma,
    /// Bytes of `r` that are offered: 11 for a Tread with `r_data`, else all.
    pub r_len: usize,
    /// Where the reply goes on behind `r[..r_len]`: data of an Rread.
    pub r_data: Vec<Pinned>,
    /// Bytes of the whole reply; 0 when the message was flushed and there is none.
    pub result: Result<usize, TransportError>,
    /// Where the request comes back. While it is in there it keeps itself alive, so it must be taken out.
    pub done: Arc<Completion<Box<Request>>>,
    /// Who gets it instead, when nobody waits there.
    pub heir: Option<Arc<dyn Heir>>,
}

/// Who gets a request back that nobody waits for.
pub trait Heir: Send + Sync {
    /// The request is back, without its heir. May be called from an interrupt handler.
    fn back(&self, request: Box<Request>);
}

/// Why a transport could not carry a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The server is gone, or the transport was reset.
    HungUp,
    /// The device or the message is broken; says how.
    Broken(&'static str),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::HungUp => f.write_str("i/o on hungup channel"),
            TransportError::Broken(how) => f.write_str(how),
        }
    }
}

impl core::error::Error for TransportError {}

impl Request {
    /// An empty request with room for a T-message and a reply of these sizes.
    ///
    /// # Errors
    /// When there is no memory that a device can reach.
    pub fn new(t_bytes: usize, r_bytes: usize) -> Result<Box<Request>, OutOfMemory> {
        let (t, r) = (Dma::scattered(t_bytes)?, Dma::scattered(r_bytes)?);
        Ok(Box::new(Request {
            t,
            t_len: 0,
            t_data: Vec::new(),
            r_len: r.len(),
            r,
            r_data: Vec::new(),
            result: Ok(0),
            done: Arc::new(Completion::new()),
            heir: None,
        }))
    }

    /// Bytes of the whole T-message.
    pub fn t_total(&self) -> usize {
        self.t_len + self.t_data.iter().map(Pinned::len).sum::<usize>()
    }

    /// Bytes that the reply may have.
    pub fn r_room(&self) -> usize {
        self.r_len + self.r_data.iter().map(Pinned::len).sum::<usize>()
    }

    /// The stretches of memory that a device finds the message and room for its reply in, in their order: physical
    /// address, bytes, and whether it is room. Empty ones are left out, and what follows each other in memory is one.
    #[inline]
    pub fn each_segment(&self, mut put: impl FnMut(u64, usize, bool)) {
        let (mut start, mut len, mut room) = (0, 0, false);
        let mut add = |phys: u64, n: usize, is_room: bool| {
            if n == 0 {
                return;
            }
            if len != 0 && is_room == room && u64::checked_add(start, len as u64) == Some(phys) {
                len += n;
                return;
            }
            if len != 0 {
                put(start, len, room);
            }
            (start, len, room) = (phys, n, is_room);
        };
        self.t.pieces(self.t_len).for_each(|(phys, n)| add(phys, n, false));
        self.t_data.iter().for_each(|piece| add(piece.phys(), piece.len(), false));
        self.r.pieces(self.r_len).for_each(|(phys, n)| add(phys, n, true));
        self.r_data.iter().for_each(|piece| add(piece.phys(), piece.len(), true));
        if len != 0 {
            put(start, len, room);
        }
    }

    /// How many they are: what `Transport::max_segments` limits.
    pub fn segments(&self) -> usize {
        let mut count = 0;
        self.each_segment(|_, _, _| count += 1);
        count
    }

    /// Copies bytes of the reply out, from `at` on, wherever they went. Gives how many there were room for, which is
    /// less than asked at the end of the room. (An Rerror to a Tread begins in `r` and goes on in `r_data`.)
    ///
    /// How long the reply is says `result`; what is behind it is what an earlier reply left.
    pub fn reply_read(&self, at: usize, buf: &mut [u8]) -> usize {
        let head = self.r_len.min(self.r.len());
        let mut done = 0;
        if at < head {
            done = buf.len().min(head - at);
            self.r.read(at, &mut buf[..done]);
        }
        // Mostly that was all.
        if done == buf.len() {
            return done;
        }
        let mut start = head;
        for piece in &self.r_data {
            let end = start + piece.len();
            let from = at + done;
            if done < buf.len() && from < end {
                let n = (buf.len() - done).min(end - from);
                piece.read(from - start, &mut buf[done..done + n]);
                done += n;
            }
            start = end;
        }
        done
    }

    /// Gives the request back to who sent it. May be called from an interrupt handler.
    pub fn complete(mut self: Box<Self>, result: Result<usize, TransportError>) {
        self.result = result;
        if let Some(heir) = self.heir.take() {
            return heir.back(self);
        }
        let done = self.done.clone();
        done.put(self);
    }
}

/// A way to a 9P server.
pub trait Transport: Send + Sync {
    /// Its name, as "virtio-9p-0".
    fn name(&self) -> String;

    /// Requests that may usefully be submitted together.
    fn max_in_flight(&self) -> usize;

    /// What [`Request::segments`] of a request may not exceed.
    fn max_segments(&self) -> usize;

    /// Sends a message. Never blocks; a request that has no place waits in the transport, first come, first served.
    /// Every request comes back through its `done`, or to its heir, after any failure at once, possibly from an
    /// interrupt handler.
    fn submit(&self, request: Box<Request>);

    /// Drops everything in flight (each request comes back as hung up) and makes the device usable afresh. Used before
    /// a new session and for a broken device.
    ///
    /// # Errors
    /// When the device cannot be used any more.
    fn reset(&self) -> Result<(), TransportError>;
}

#[cfg(test)]
mod tests;
