//! What is particular to disks among the devices that are given requests.
//!
//! Each request in the ring has a head, of a stock of them: what the device reads first, and the byte of status that
//! it writes last. A head is given back with its request.

use super::UNIT;
use super::piece::{Op, Piece};
use super::shape::{SIZE_MOST, Shape, capacity};
use crate::Failure;
use crate::requests::{Bytes, Ending, InFlight, Layout, Protocol, count};
use crate::ring::{Prepared, Queue, Segment, merge};
use crate::transport::VirtioTransport;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use io::DiskError;
use machine::OutOfMemory;
use machine::dma::Dma;
use machine::heap;

/// Bytes between two heads; the head is at the front, the status behind it.
const HEAD: usize = 32;
const HEAD_LEN: u32 = 16;
const STATUS: usize = 16;
/// A status that the device has not written.
const UNTOUCHED: u8 = 0xFF;
/// Status: done.
const OK: u8 = 0;

/// The heads, and how requests lie in the ring with them.
pub(super) struct Heads {
    memory: Dma,
    /// Numbers of those that no request has.
    free: Vec<usize>,
    /// Longest segment.
    longest: u32,
}

impl Heads {
    /// The heads for a device of this shape.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(shape: &Shape) -> Result<Heads, OutOfMemory> {
        let count = usize::from(shape.size.min(SIZE_MOST));
        let free = heap::try_collect(0..count)?;
        Ok(Heads { memory: Dma::new(count * HEAD)?, free, longest: shape.longest })
    }
}

impl Layout for Heads {
    type Request = Box<Piece>;
    /// The number of its head.
    type Lent = usize;
    /// What the device says of the outcome.
    type Answer = u8;

    fn prepare(
        &mut self,
        queue: &mut Queue<InFlight<Self>>,
        piece: &Box<Piece>,
    ) -> Option<(Prepared, usize, u64)> {
        let head = self.free.pop()?;
        let at = head * HEAD;
        self.memory.set_u32(at, piece.op.number());
        self.memory.set_u32(at + 4, 0);
        self.memory.set_u64(at + 8, piece.sector);
        self.memory.set_u8(at + STATUS, UNTOUCHED);
        let place = self.memory.phys() + at as u64;
        let write = piece.op.device_writes();
        let first = Segment { phys: place, len: HEAD_LEN, write: false };
        let data = piece.data.iter().map(|p| Segment { phys: p.phys(), len: p.len() as u32, write });
        let last = Segment { phys: place + STATUS as u64, len: 1, write: true };
        let all = core::iter::once(first).chain(data).chain(core::iter::once(last));
        match queue.prepare(merge(all, self.longest)) {
            Ok(chain) => Some((chain, head, 1 + if write { u64::from(piece.len()) } else { 0 })),
            Err(_full) => {
                self.free.push(head);
                None
            }
        }
    }

    fn reclaim(&mut self, head: usize) -> u8 {
        self.free.push(head);
        self.memory.get_u8(head * HEAD + STATUS)
    }
}

/// A disk as its driver knows it.
pub(super) struct Disk {
    pub shape: Shape,
    /// In units.
    capacity: AtomicU64,
    pub bytes: Bytes,
    /// Requests that failed.
    pub errors: AtomicU64,
}

impl Disk {
    /// The disk behind a transport; resets it and agrees with it.
    ///
    /// # Errors
    /// When the device does not agree, or this driver cannot use it.
    pub fn open(transport: &dyn VirtioTransport) -> Result<Disk, Failure> {
        let shape = Shape::agree(transport)?;
        let capacity = AtomicU64::new(capacity(transport)?);
        Ok(Disk { shape, capacity, bytes: Bytes::default(), errors: AtomicU64::new(0) })
    }

    /// Its size in units.
    pub fn units(&self) -> u64 {
        self.capacity.load(Relaxed)
    }

    /// Whole sectors.
    pub fn sectors(&self) -> u64 {
        self.units() / u64::from(self.shape.sector_size / UNIT)
    }

    /// How a request has ended that the device has returned.
    fn outcome(&self, piece: &Piece, len: u32, status: u8) -> Result<(), DiskError> {
        // What an old device says of the length means nothing (section 2.7.8.1).
        let strict = self.shape.modern() && piece.op == Op::Read;
        if status != OK || strict && len <= piece.len() {
            return Err(DiskError::Failed);
        }
        let counter = match piece.op {
            Op::Read => &self.bytes.from_device,
            Op::Write => &self.bytes.to_device,
            Op::Flush | Op::Id => return Ok(()),
        };
        count(counter, u64::from(piece.len()));
        Ok(())
    }
}

impl Protocol for Disk {
    type Layout = Heads;
    const STARTS_AGAIN: bool = true;
    const CONFIGURATION_CHANGES: bool = true;

    fn negotiate(&self, transport: &dyn VirtioTransport) -> Result<(), Failure> {
        if Shape::agree(transport)? != self.shape {
            return Err(Failure::new("device has changed"));
        }
        self.capacity.store(capacity(transport)?, Relaxed);
        Ok(())
    }

    fn complete(&self, piece: Box<Piece>, ending: Ending<u8>) {
        let result = match ending {
            Ending::Returned { len, answer } => self.outcome(&piece, len, answer),
            Ending::HungUp => Err(DiskError::Failed),
            Ending::NoMemory => Err(DiskError::NoMemory),
        };
        count(&self.errors, u64::from(result.is_err()));
        piece.complete(result);
    }

    /// The host may change the size of a disk.
    fn configuration_changed(&self, transport: &dyn VirtioTransport) {
        if let Ok(capacity) = capacity(transport) {
            self.capacity.store(capacity, Relaxed);
        }
    }
}
