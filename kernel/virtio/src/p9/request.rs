//! A 9P request as a chain of buffers, and the checks it has to pass before the device sees it.
//!
//! QEMU answers a malformed chain by declaring the whole device broken, so nothing is sent that is not sound: a
//! T-message whose size is not its length, a reply area without room for the smallest reply, or a read of more
//! bytes than there is room for.

use crate::ring::{FEW, Segment, Segments};
use alloc::boxed::Box;
use io::message::{Request, TransportError};
use machine::dma::Dma;
use ninep::head::{HEADSZ, RIOSZ, TIOSZ};
use ninep::kind::{TREAD, TREADDIR, TWRITE};

/// Where the count of a Tread, Treaddir or Twrite is: the last four bytes of its head.
const COUNT: usize = TIOSZ - 4;

/// What a sound request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes of the T-message.
    pub readable: u64,
    /// Bytes of room for the reply.
    pub writable: u64,
}

/// Stretches of memory that a message and room for its reply have at most beside their data.
const HEADS: usize = 16;
/// Bytes of a page, where memory in several pieces may go on elsewhere.
const PAGE: usize = abi::layout::PAGE as usize;

/// A request that has passed the checks.
pub(super) struct Checked {
    pub request: Box<Request>,
    /// Bytes of room for the reply.
    pub writable: u64,
}

/// Checks a request before it is given to a device that takes `max_segments` pieces.
pub(super) fn check(request: &Request, max_segments: usize) -> Result<Sizes, TransportError> {
    let broken = |how| Err(TransportError::Broken(how));
    let (t_len, r_len) = (request.t_len, request.r_len);
    if t_len < HEADSZ || t_len > request.t.len() {
        return broken("9P request without a head");
    }
    if r_len < HEADSZ || r_len > request.r.len() {
        return broken("9P request without room for a reply");
    }
    let (readable, writable) = (request.t_total() as u64, request.r_room() as u64);
    // Only those of many pieces are counted: neighbours may be one.
    let most = request.t_data.len() + request.r_data.len() + HEADS;
    if u64::from(request.t.get_u32(0)) != readable {
        return broken("9P request whose size is wrong");
    }
    if most > max_segments && request.segments() > max_segments {
        return broken("9P request in too many pieces");
    }
    if writable > u64::from(u32::MAX) {
        return broken("9P request with room for more than any reply");
    }
    let asked = || u64::from(get_u32(request, COUNT));
    match request.t.get_u8(4) {
        TREAD | TREADDIR if t_len < TIOSZ => broken("9P read without a count"),
        TREAD | TREADDIR if asked() + RIOSZ as u64 > writable => {
            broken("9P read of more than there is room for")
        }
        TWRITE if t_len < TIOSZ => broken("9P write without a count"),
        TWRITE if asked() + TIOSZ as u64 != readable => broken("9P write whose count is wrong"),
        _ => Ok(Sizes { readable, writable }),
    }
}

/// A little-endian value of the T-message, at any alignment.
fn get_u32(request: &Request, at: usize) -> u32 {
    let mut bytes = [0; 4];
    request.t.read(at, &mut bytes);
    u32::from_le_bytes(bytes)
}

impl Segments for Request {
    #[inline]
    fn each(&self, mut put: impl FnMut(Segment)) {
        // A stretch is no longer than the request, which is checked.
        self.each_segment(|phys, len, write| put(Segment { phys, len: len as u32, write }));
    }

    #[inline]
    fn list(&self, few: &mut [Segment; FEW]) -> Option<usize> {
        let pages = self.t_len.div_ceil(PAGE) + self.r_len.div_ceil(PAGE);
        if pages + self.t_data.len() + self.r_data.len() > FEW {
            return None;
        }
        let mut list = List { few, count: 0, end: None };
        list.add_heads(&self.t, self.t_len, false);
        self.t_data.iter().for_each(|piece| list.add(piece.phys(), piece.len(), false));
        list.add_heads(&self.r, self.r_len, true);
        self.r_data.iter().for_each(|piece| list.add(piece.phys(), piece.len(), true));
        Some(list.count)
    }
}

/// A list of few segments, to which there is room for all that are added.
struct List<'a> {
    few: &'a mut [Segment; FEW],
    count: usize,
    /// Where the last one ends, and whether it is room.
    end: Option<(u64, bool)>,
}

impl List<'_> {
    /// Adds what of a message, or room for its reply, is not data.
    #[inline(always)]
    fn add_heads(&mut self, memory: &Dma, len: usize, is_room: bool) {
        if len <= PAGE {
            self.add(memory.phys(), len, is_room);
        } else {
            memory.pieces(len).for_each(|(phys, len)| self.add(phys, len, is_room));
        }
    }

    /// Adds a stretch. Empty ones are left out, and neighbours are one.
    #[inline(always)]
    fn add(&mut self, phys: u64, len: usize, write: bool) {
        if len == 0 {
            return;
        }
        // No longer than the request, which is checked.
        let len = len as u32;
        let follows = self.end == Some((phys, write));
        self.end = Some((phys.wrapping_add(u64::from(len)), write));
        if follows {
            if let Some(last) = self.few.get_mut(self.count - 1) {
                last.len += len;
            }
        } else if let Some(place) = self.few.get_mut(self.count) {
            *place = Segment { phys, len, write };
            self.count += 1;
        }
    }
}

/// What a finished request's result is, of a device that says it wrote `len` bytes.
///
/// 0 is a request that was flushed and gave up: there is no reply. Everything else is a whole message, whose
/// size says the same.
pub(super) fn outcome(request: &Request, len: u32) -> Result<usize, TransportError> {
    match len {
        0 => Ok(0),
        _ if (len as usize) < HEADSZ => Err(TransportError::Broken("9P reply shorter than a head")),
        _ if request.r.get_u32(0) != len => Err(TransportError::Broken("9P reply whose size is wrong")),
        _ => Ok(len as usize),
    }
}
