//! The split ring: how a driver and its device pass chains of buffers to each other.
//!
//! Virtio 1.3 section 2.7. Works with every transport. The three parts lie in one piece of [`Dma`] memory as
//! the legacy layout wants them (section 2.7.2): descriptors, available ring, and on the next page boundary the
//! used ring.
//!
//! # Who owns what
//!
//! A [`Queue`] belongs to its driver, which keeps it under one Lock together with whatever else a request
//! needs; nothing here locks. The memory is shared with the device, so **nothing is ever read back from it that
//! the device could have changed**, except the used ring, which is the device's to write. Which descriptors
//! make up a chain, which are free, how many bytes the device may write and what the chain stands for is kept
//! in `descriptors`, in memory of our own.
//!
//! A chain of one segment takes a descriptor. A longer one takes one descriptor and an indirect table, if the
//! device has those, and else one descriptor a segment.
//!
//! # Trust
//!
//! A used entry that names no chain in flight, claims more bytes than the chain has room for, or a used index
//! that runs ahead of what is in flight: [`Queue::pop`] says so, and from then on the queue gives nothing any
//! more until it is [cleared](Queue::clear). A device can be wrong about what it wrote, and no more.

mod descriptor;
mod events;
mod merge;

use crate::transport::RingAddress;
use alloc::vec::Vec;
use descriptor::{DESCRIPTOR, Listed};
pub use descriptor::{FEW, Segment, Segments};
use machine::OutOfMemory;
use machine::dma::Dma;
use machine::heap;
pub use merge::merge;

/// Bytes of an entry of the used ring.
const USED: usize = 8;
/// Alignment of the used ring.
const PAGE: usize = 4096;

/// Not enough descriptors are free just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The device broke the rules; says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleBroken(pub &'static str);

/// A chain that is filled in but not yet shown to the device.
#[must_use]
pub struct Prepared(u16);

/// A chain that the device has.
struct Chain<T> {
    token: T,
    /// Bytes the device may write.
    writable: u64,
}

/// One descriptor of ours.
struct Descriptor<T> {
    /// The next free descriptor, or the next one of the same chain.
    next: u16,
    /// Descriptors of the chain that starts here.
    count: u16,
    /// The chain that starts here.
    chain: Option<Chain<T>>,
}

/// A split ring, and what each chain in it stands for.
pub struct Queue<T> {
    ring: Dma,
    size: u16,
    available: usize,
    used: usize,
    /// Indirect tables, one for each descriptor, `segments` long.
    tables: Option<Dma>,
    segments: usize,
    descriptors: Vec<Descriptor<T>>,
    /// First free descriptor, and how many there are.
    free: u16,
    free_count: u16,
    in_flight: u16,
    /// Free-running indices: chains shown to the device, chains taken back.
    shown: u16,
    taken: u16,
    /// What had been shown when it was last asked whether to notify, and whether EVENT_IDX was taken.
    told: u16,
    events: bool,
    broken: Option<RuleBroken>,
}

impl<T> Queue<T> {
    /// A ring of `size` entries, a power of two up to 32768, for chains of up to `segments` segments. With
    /// `indirect`, long chains go into tables of their own.
    ///
    /// # Errors
    /// When there is not that much contiguous memory.
    pub fn new(size: u16, segments: u16, indirect: bool) -> Result<Queue<T>, OutOfMemory> {
        let n = usize::from(size);
        let segments = usize::from(segments.min(size));
        let available = n * DESCRIPTOR;
        let used = (available + 6 + 2 * n).next_multiple_of(PAGE);
        let tables = if indirect { Some(Dma::new(n * segments * DESCRIPTOR)?) } else { None };
        let mut descriptors = heap::try_vec(n)?;
        descriptors.resize_with(n, || Descriptor { next: 0, count: 0, chain: None });
        let mut queue = Queue {
            ring: Dma::new(used + 6 + USED * n)?,
            size,
            available,
            used,
            tables,
            segments,
            descriptors,
            free: 0,
            free_count: 0,
            in_flight: 0,
            shown: 0,
            taken: 0,
            told: 0,
            events: false,
            broken: None,
        };
        queue.clear();
        Ok(queue)
    }

    /// Where the device finds the ring.
    pub fn address(&self) -> RingAddress {
        let start = self.ring.phys();
        RingAddress {
            size: self.size,
            descriptors: start,
            available: start + self.available as u64,
            used: start + self.used as u64,
        }
    }

    /// Makes the ring as new. The device must have been reset. Chains still in flight are dropped, see
    /// [`Queue::abandon`].
    pub fn clear(&mut self) {
        self.ring.zero();
        for (n, descriptor) in (1u16..).zip(&mut self.descriptors) {
            *descriptor = Descriptor { next: n, count: 0, chain: None };
        }
        self.free = 0;
        self.free_count = self.size;
        self.in_flight = 0;
        self.shown = 0;
        self.taken = 0;
        self.told = 0;
        self.broken = None;
    }

    /// Takes one chain out of flight after a reset of the device, in no order. `None` when there are no more.
    pub fn abandon(&mut self) -> Option<T> {
        let chain = self.descriptors.iter_mut().find_map(|descriptor| descriptor.chain.take())?;
        self.in_flight = self.in_flight.saturating_sub(1);
        Some(chain.token)
    }

    /// Number of entries.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Chains that the device has.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Chains that the device says it has finished and [`Queue::pop`] has not taken back. None of a broken queue.
    pub fn waiting(&self) -> u16 {
        match self.broken {
            Some(_) => 0,
            // Acquire, as in `pop`.
            None => self.ring.load_acquire_u16(self.used + 2).wrapping_sub(self.taken),
        }
    }

    /// What the chains that the device has stand for.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.descriptors.iter().filter_map(|descriptor| descriptor.chain.as_ref().map(|c| &c.token))
    }

    /// Fills in a chain: what the device reads first, then what it writes. `segments` must not be empty, nor longer
    /// than the queue was made for. Without indirect tables they are gone through twice.
    ///
    /// # Errors
    /// When there are not enough free descriptors.
    pub fn prepare<I>(&mut self, segments: I) -> Result<Prepared, Full>
    where
        I: Iterator<Item = Segment> + Clone,
    {
        self.prepare_all(&Listed(segments))
    }

    /// The same of segments that are told one after the other.
    ///
    /// # Errors
    /// As [`Queue::prepare`].
    pub fn prepare_all(&mut self, segments: &impl Segments) -> Result<Prepared, Full> {
        let head = self.free;
        let needed = if self.tables.is_some() {
            if self.free_count == 0 {
                return Err(Full);
            }
            self.fill_table(head, segments)?;
            1
        } else {
            let mut count = 0;
            segments.each(|_| count += 1);
            let needed = u16::try_from(count).map_err(|_| Full)?;
            if needed == 0 || needed > self.free_count || count > self.segments {
                return Err(Full);
            }
            self.fill_direct(head, segments, count);
            needed
        };
        let last = (1..needed).fold(head, |at, _| self.next(at));
        self.free = self.next(last);
        self.free_count -= needed;
        if let Some(descriptor) = self.descriptors.get_mut(usize::from(head)) {
            descriptor.count = needed;
        }
        Ok(Prepared(head))
    }

    /// Shows a prepared chain to the device. `writable` is the number of bytes that it may write there.
    pub fn publish(&mut self, chain: Prepared, token: T, writable: u64) {
        let Prepared(head) = chain;
        if let Some(descriptor) = self.descriptors.get_mut(usize::from(head)) {
            descriptor.chain = Some(Chain { token, writable });
        }
        self.in_flight += 1;
        let place = usize::from(self.shown & (self.size - 1));
        self.ring.set_u16(self.available + 4 + 2 * place, head);
        self.shown = self.shown.wrapping_add(1);
        // Release: the device sees the index only with everything before it.
        self.ring.store_release_u16(self.available + 2, self.shown);
    }

    /// Takes back one chain that the device has finished, with the number of bytes it says it wrote.
    ///
    /// # Errors
    /// When the device breaks the rules. The queue stays unusable until it is cleared.
    pub fn pop(&mut self) -> Result<Option<(T, u32)>, RuleBroken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        // Acquire: what the device wrote before it moved the index is seen from here on.
        let index = self.ring.load_acquire_u16(self.used + 2);
        let waiting = index.wrapping_sub(self.taken);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.in_flight {
            return Err(self.caught("device returned more requests than it was given"));
        }
        let entry = self.used + 4 + USED * usize::from(self.taken & (self.size - 1));
        let (id, len) = (self.ring.get_u32(entry), self.ring.get_u32(entry + 4));
        let Some((id, descriptor)) =
            u16::try_from(id).ok().and_then(|id| Some((id, self.descriptors.get_mut(usize::from(id))?)))
        else {
            return Err(self.caught("device returned a request that cannot exist"));
        };
        if descriptor.chain.as_ref().is_some_and(|c| u64::from(len) > c.writable) {
            return Err(self.caught("device wrote more than it was given room for"));
        }
        let Some(chain) = descriptor.chain.take() else {
            return Err(self.caught("device returned a request that it did not have"));
        };
        let count = descriptor.count;
        self.taken = self.taken.wrapping_add(1);
        self.in_flight -= 1;
        self.release(id, count);
        Ok(Some((chain.token, len)))
    }

    /// Takes back a chain that the device has lost. The caller knows that it has nothing of it any more; should it be
    /// returned all the same, that breaks the rules. `None` when no chain stands for such a thing.
    pub fn give_up(&mut self, is_lost: impl Fn(&T) -> bool) -> Option<T> {
        let lost = |d: &Descriptor<T>| d.chain.as_ref().is_some_and(|chain| is_lost(&chain.token));
        let at = self.descriptors.iter().position(lost)?;
        let descriptor = self.descriptors.get_mut(at)?;
        let (chain, count) = (descriptor.chain.take()?, descriptor.count);
        self.in_flight -= 1;
        self.release(at as u16, count);
        Some(chain.token)
    }

    fn caught(&mut self, how: &'static str) -> RuleBroken {
        *self.broken.insert(RuleBroken(how))
    }

    /// Puts the descriptors of a chain back in front of the free ones.
    fn release(&mut self, head: u16, count: u16) {
        let last = (1..count).fold(head, |at, _| self.next(at));
        if let Some(descriptor) = self.descriptors.get_mut(usize::from(last)) {
            descriptor.next = self.free;
        }
        self.free = head;
        self.free_count += count;
    }

    fn next(&self, at: u16) -> u16 {
        self.descriptors.get(usize::from(at)).map_or(0, |descriptor| descriptor.next)
    }
}

#[cfg(test)]
mod tests;
