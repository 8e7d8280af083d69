//! A slot: what one message of a process needs, and the pieces of a large transfer that are in flight together.
//!
//! A [`Piece`] is a request with its tag and buffers. The first carries messages; the others, and those that carry a
//! Tflush, are made when they are needed for the first time. Who may use a slot is the matter of
//! [`slots`](super::slots).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use abi::layout::PAGE;
use io::message::Request;
use machine::page::{Page, Pinned};
use machine::sync::Completion;
use ninep::NOFID;

use crate::error::Result;
use crate::pools::{Counted, REQUESTS, SLOTS};

/// Requests of a slot: as many pieces of one transfer are in flight together.
pub(crate) const PIECES: usize = 8;
/// Tags of a slot: one per piece, and the last ones for its flushes.
const TAGS: u16 = 16;
/// Bytes for a message that is not a piece of a transfer: sixteen names of 255 bytes fit, and any stat record of
/// sensible length.
pub(super) const MESSAGE: usize = 8192;

/// One request and what belongs to it.
pub(crate) struct Piece {
    /// The request; `None` while the transport has it.
    pub(crate) request: Option<Box<Request>>,
    /// Where the request comes back.
    pub(crate) done: Arc<Completion<Box<Request>>>,
    /// Its tag.
    pub(crate) tag: u16,
    /// The fids that the message names; `NOFID` for none.
    pub(crate) fids: [u32; 2],
    /// May the server be asked to give the message up?
    pub(crate) may_flush: bool,
    /// Room behind the data of a read: an error reply that is longer than the data asked for ends here.
    tail: Page,
    _counted: Counted<REQUESTS>,
}

impl Piece {
    fn new(tag: u16, bytes: usize) -> Result<Self> {
        let request = Request::new(bytes, bytes)?;
        Ok(Piece {
            done: request.done.clone(),
            request: Some(request),
            tag,
            fids: [NOFID; 2],
            may_flush: true,
            tail: Page::new_zeroed()?,
            _counted: Counted::new(),
        })
    }

    /// The room behind the data.
    pub(crate) fn tail(&self) -> Pinned {
        Pinned::new(self.tail.clone(), 0, PAGE as usize)
    }

    /// Where the request comes back, when the transport has it.
    pub(crate) fn is_out(&self) -> Option<Arc<Completion<Box<Request>>>> {
        self.request.is_none().then(|| self.done.clone())
    }

    /// The request is back, and the pages are whose they were.
    pub(crate) fn put_back(&mut self, mut request: Box<Request>) {
        request.r_data.clear();
        request.t_data.clear();
        self.request = Some(request);
    }
}

/// What a Tflush is for. Both may be under way together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// A message is given up.
    Message = 1,
    /// The server is asked whether it lives.
    Sign = 2,
}

/// A slot.
pub(crate) struct Slot {
    index: u16,
    /// For messages, and the first piece of a transfer. Never empty.
    pieces: Vec<Piece>,
    flushes: [Option<Piece>; 2],
    /// Where a reply is put together to be decoded.
    pub(crate) scratch: Vec<u8>,
    _counted: Counted<SLOTS>,
}

impl Slot {
    /// The slot with this number among its session's, with room for messages.
    ///
    /// # Errors
    /// No memory.
    pub(super) fn new(index: u16) -> Result<Box<Self>> {
        let first = Piece::new(index * TAGS, MESSAGE)?;
        let pieces = alloc::vec![first];
        let (flushes, scratch) = ([None, None], Vec::new());
        Ok(Box::new(Slot { index, pieces, flushes, scratch, _counted: Counted::new() }))
    }

    /// Its number.
    pub(super) fn index(&self) -> u16 {
        self.index
    }

    /// The piece with this number, made when it is needed for the first time.
    ///
    /// # Errors
    /// No memory.
    #[inline]
    pub(crate) fn piece(&mut self, number: usize) -> Result<&mut Piece> {
        if self.pieces.len() <= number {
            self.make_pieces(number)?;
        }
        self.pieces.get_mut(number).ok_or(error::ENOMEM.into())
    }

    #[cold]
    #[inline(never)]
    fn make_pieces(&mut self, last: usize) -> Result<()> {
        while self.pieces.len() <= last {
            let tag = self.index * TAGS + self.pieces.len() as u16;
            self.pieces.push(Piece::new(tag, PAGE as usize)?);
        }
        Ok(())
    }

    /// The pieces made so far.
    pub(crate) fn pieces(&mut self) -> &mut [Piece] {
        &mut self.pieces
    }

    /// The fids that are named in messages that are not back.
    pub(crate) fn fids_out(&self) -> Vec<u32> {
        let out = self.pieces.iter().filter(|p| p.request.is_none());
        out.flat_map(|p| p.fids).filter(|&fid| fid != NOFID).collect()
    }

    /// The request that carries a Tflush, if there ever was one.
    pub(crate) fn flush_made(&mut self, purpose: Flush) -> Option<&mut Piece> {
        self.flushes.get_mut(purpose as usize - 1)?.as_mut()
    }

    /// The request that carries a Tflush.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn flush(&mut self, purpose: Flush) -> Result<&mut Piece> {
        let tag = self.index * TAGS + TAGS - purpose as u16;
        let place = self.flushes.get_mut(purpose as usize - 1).ok_or(error::ENOMEM)?;
        match place {
            Some(piece) => Ok(piece),
            None => Ok(place.insert(Piece::new(tag, PAGE as usize)?)),
        }
    }
}
