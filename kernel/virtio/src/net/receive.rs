//! The queue of frames that come: which buffers the device has, and how a frame is put together from those it filled.
//!
//! It is the keeper's alone, so there is no lock. A buffer is the device's from its publishing until it is taken back;
//! it is read once, when it is the driver's again.

use super::header::{FULL, Head, SHORT};
use crate::Failure;
use crate::ring::{Queue, RuleBroken, Segment};
use alloc::vec::Vec;
use io::ether::{Frame, HEADER, UNCUT_MOST};
use machine::dma::Dma;
use machine::heap;

/// Bytes of a buffer: a frame and its head fit, and two fit in a page.
pub const BUFFER: usize = 2048;
const PAGE: usize = 4096;
/// Bytes of a buffer before what the frame carries, at most: with a tag of a virtual network behind the addresses.
pub const BEFORE: usize = FULL + HEADER + 4;

/// What was made of the buffers that the device filled.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// A frame, in the room for it, and what it has with it.
    Frame,
    /// What is no frame.
    Wrong,
    /// There is nothing more for now.
    Nothing,
}

/// The queue of frames that come.
pub struct Receive {
    queue: Queue<u16>,
    /// Two buffers in each.
    pages: Vec<Dma>,
    /// Buffers that are to go back to the device.
    idle: Vec<u16>,
    /// Bytes of a head.
    head: usize,
    merged: bool,
    joins: bool,
    sums: bool,
    /// Most bytes of a frame that is not joined.
    most: usize,
    /// Room for the frame that is being put together, how much of that it has, and its head.
    room: Vec<u8>,
    len: usize,
    about: Option<Head>,
    /// Buffers that it still lacks, and whether it is to be thrown away when it has them.
    lacks: u16,
    wrong: bool,
}

/// What a [`Receive`] is made for.
#[derive(Clone, Copy)]
pub struct Shape {
    pub size: u16,
    pub buffers: u16,
    /// Heads are full.
    pub full: bool,
    /// A frame may be in several buffers.
    pub merged: bool,
    pub events: bool,
    /// Frames may be joined, and checksums missing.
    pub joins: bool,
    pub sums: bool,
    pub mtu: usize,
}

impl Receive {
    /// A queue that the device does not know yet, with all its buffers.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(shape: &Shape) -> Result<Receive, Failure> {
        let count = shape.buffers.min(shape.size);
        let mut pages = heap::try_vec(usize::from(count).div_ceil(2))?;
        for _ in 0..count.div_ceil(2) {
            pages.push(Dma::new(PAGE)?);
        }
        // With a tag of a virtual network behind the addresses.
        let most = HEADER + 4 + shape.mtu;
        Ok(Receive {
            queue: Queue::new(shape.size, 1, false)?.with_events(shape.events),
            pages,
            idle: heap::try_collect(0..count)?,
            head: if shape.full { FULL } else { SHORT },
            merged: shape.merged,
            joins: shape.joins,
            sums: shape.sums,
            most,
            room: heap::try_bytes(if shape.joins { UNCUT_MOST } else { most })?,
            len: 0,
            about: None,
            lacks: 0,
            wrong: false,
        })
    }

    /// The ring.
    pub fn queue(&mut self) -> &mut Queue<u16> {
        &mut self.queue
    }

    /// Gives the device the idle buffers. True when it wants to hear of it.
    pub fn post(&mut self) -> bool {
        let mut posted = false;
        while let Some(buffer) = self.idle.pop() {
            let Some((page, at)) = place(&self.pages, buffer) else { continue };
            let segment = Segment { phys: page.phys() + at as u64, len: BUFFER as u32, write: true };
            let Ok(chain) = self.queue.prepare(core::iter::once(segment)) else {
                self.idle.push(buffer);
                break;
            };
            self.queue.publish(chain, buffer, BUFFER as u64);
            posted = true;
        }
        posted && self.queue.wants_notify()
    }

    /// The device has been reset and has no buffer any more.
    pub fn forget(&mut self) {
        while let Some(buffer) = self.queue.abandon() {
            self.idle.push(buffer);
        }
        self.queue.clear();
        (self.about, self.lacks, self.wrong) = (None, 0, false);
    }

    /// Takes buffers back until a frame is whole; [`Receive::frame`] has it then.
    ///
    /// # Errors
    /// When the device breaks the rules.
    pub fn take(&mut self) -> Result<Taken, RuleBroken> {
        while let Some((buffer, len)) = self.queue.pop()? {
            self.idle.push(buffer);
            let len = len as usize;
            if self.lacks == 0 {
                if let Some(done) = self.begin(buffer, len)? {
                    return Ok(done);
                }
            } else {
                self.add(buffer, 0, len);
                self.lacks -= 1;
            }
            if self.lacks == 0 {
                return Ok(self.end());
            }
        }
        Ok(Taken::Nothing)
    }

    /// The first buffer of a frame.
    fn begin(&mut self, buffer: u16, len: usize) -> Result<Option<Taken>, RuleBroken> {
        if len < self.head {
            return Ok(Some(Taken::Wrong));
        }
        let mut bytes = [0; FULL];
        let bytes = bytes.get_mut(..self.head).unwrap_or_default();
        if let Some((page, at)) = place(&self.pages, buffer) {
            page.read(at, bytes);
        }
        let head = Head::parse(bytes, self.merged);
        if head.buffers == 0 || usize::from(head.buffers) > 1 + UNCUT_MOST.div_ceil(BUFFER) {
            return Err(RuleBroken("device merged buffers for a frame that cannot exist"));
        }
        self.len = 0;
        self.wrong = false;
        self.about = Some(head);
        self.lacks = head.buffers - 1;
        self.add(buffer, self.head, len);
        Ok(None)
    }

    /// What a buffer has from `from` to `end`. It fits as far as there is room: nothing is allocated here.
    fn add(&mut self, buffer: u16, from: usize, end: usize) {
        let (old, more) = (self.len, end.saturating_sub(from));
        let Some(place_for_it) = self.room.get_mut(old..old + more) else {
            self.wrong = true;
            return;
        };
        if let Some((page, at)) = place(&self.pages, buffer) {
            page.read(at + from, place_for_it);
            self.len += more;
        }
    }

    fn end(&mut self) -> Taken {
        let len = self.len;
        let fits = |head: &Head| {
            let most = if head.is_joined() { UNCUT_MOST } else { self.most };
            (HEADER..=most).contains(&len) && head.is_possible(len, self.joins, self.sums)
        };
        if self.wrong || !self.about.as_ref().is_some_and(fits) { Taken::Wrong } else { Taken::Frame }
    }

    /// The frame that was taken last.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            bytes: self.room.get(..self.len).unwrap_or_default(),
            sum: self.about.map(|head| head.sum()).unwrap_or_default(),
        }
    }
}

/// Where a buffer is.
fn place(pages: &[Dma], buffer: u16) -> Option<(&Dma, usize)> {
    let buffer = usize::from(buffer);
    pages.get(buffer / 2).map(|page| (page, buffer % 2 * BUFFER))
}
