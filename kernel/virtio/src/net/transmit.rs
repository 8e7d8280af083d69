//! The queue of frames that are sent, and the memory that they are copied to.
//!
//! A frame takes as many slots as it needs, one behind the other in a list, and is copied into them while nobody else
//! has them: so the lock around this is held only to take slots and to show them to the device.

use super::header::FULL;
use crate::Failure;
use crate::ring::{Queue, RuleBroken, Segment};
use alloc::vec::Vec;
use core::iter;
use io::ether::UNCUT_MOST;
use machine::dma::Dma;
use machine::heap;

/// Bytes of a slot: two fit in a page.
pub const SLOT: usize = 2048;
const PAGE: usize = 4096;
/// Slots of the longest frame.
pub const SLOTS_MOST: u16 = ((FULL + UNCUT_MOST) / SLOT + 1) as u16;

/// Slots of a frame, the first one's number. They are to be given back, or shown to the device.
#[must_use]
#[derive(Clone, Copy)]
pub struct Slots(u16);

/// The memory of the slots, which needs no lock.
pub struct Memory(Vec<Dma>);

/// The queue.
pub struct Transmit {
    queue: Queue<Slots>,
    /// The slot behind each one of the same frame, or behind a free one.
    next: Vec<Option<u16>>,
    free: Option<u16>,
    free_count: u16,
    count: u16,
    /// The device runs.
    pub running: bool,
    /// Somebody was told that there is no room.
    pub full: bool,
}

impl Memory {
    fn place(&self, slot: u16) -> Option<(&Dma, usize)> {
        let slot = usize::from(slot);
        self.0.get(slot / 2).map(|page| (page, slot % 2 * SLOT))
    }

    /// Where a slot is for the device.
    fn phys(&self, slot: u16) -> u64 {
        self.place(slot).map_or(0, |(page, at)| page.phys() + at as u64)
    }

    /// Copies pieces into slots, one behind the other.
    pub fn fill(&self, slots: &[u16], pieces: impl Iterator<Item = impl AsRef<[u8]>>) {
        let (mut slots, mut at) = (slots.iter(), SLOT);
        let mut slot = None;
        for piece in pieces {
            let mut rest = piece.as_ref();
            while !rest.is_empty() {
                if at == SLOT {
                    (slot, at) = (slots.next().and_then(|slot| self.place(*slot)), 0);
                }
                let (now, later) = rest.split_at(rest.len().min(SLOT - at));
                let Some((page, start)) = slot else { return };
                page.write(start + at, now);
                (rest, at) = (later, at + now.len());
            }
        }
    }
}

impl Transmit {
    /// A queue of `size` that the device does not know yet, for frames of up to `segments` slots.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(size: u16, count: u16, segments: u16, events: bool) -> Result<(Transmit, Memory), Failure> {
        // Each has a descriptor.
        let count = count.min(size);
        let mut pages = heap::try_vec(usize::from(count).div_ceil(2))?;
        for _ in 0..count.div_ceil(2) {
            pages.push(Dma::new(PAGE)?);
        }
        let transmit = Transmit {
            queue: Queue::new(size, segments, false)?.with_events(events),
            next: heap::try_collect((1..=count).map(|n| (n < count).then_some(n)))?,
            free: (count != 0).then_some(0),
            free_count: count,
            count,
            running: false,
            full: false,
        };
        Ok((transmit, Memory(pages)))
    }

    /// The ring.
    pub fn queue(&mut self) -> &mut Queue<Slots> {
        &mut self.queue
    }

    /// Takes back what the device has sent.
    ///
    /// # Errors
    /// When the device breaks the rules.
    pub fn reclaim(&mut self) -> Result<(), RuleBroken> {
        while let Some((slots, _)) = self.queue.pop()? {
            self.give_back(slots);
        }
        Ok(())
    }

    /// Takes the slots for a frame, whose numbers go into `list`, as many as that has room for. `None` when there are
    /// not so many.
    pub fn take(&mut self, list: &mut [u16]) -> Option<Slots> {
        if list.is_empty() || list.len() > usize::from(self.free_count) {
            return None;
        }
        let first = self.free?;
        let mut last = first;
        let all = iter::successors(Some(first), |slot| self.after(*slot));
        for (place, slot) in list.iter_mut().zip(all) {
            (*place, last) = (slot, slot);
        }
        self.free = self.after(last);
        self.free_count -= list.len() as u16;
        self.link(last, None);
        Some(Slots(first))
    }

    /// The slots are free again.
    pub fn give_back(&mut self, slots: Slots) {
        let (mut last, mut count) = (slots.0, 1);
        while let Some(slot) = self.after(last) {
            (last, count) = (slot, count + 1);
        }
        self.link(last, self.free);
        self.free = Some(slots.0);
        self.free_count += count;
    }

    /// Shows a frame of `len` bytes, head included, to the device. True when it wants to hear of it.
    pub fn send(&mut self, memory: &Memory, slots: Slots, list: &[u16], len: usize) -> bool {
        let segments = list.iter().zip((0..len).step_by(SLOT)).map(|(slot, at)| Segment {
            phys: memory.phys(*slot),
            len: (len - at).min(SLOT) as u32,
            write: false,
        });
        let Ok(chain) = self.queue.prepare(segments) else {
            // There is a descriptor for each slot.
            self.give_back(slots);
            return false;
        };
        self.queue.publish(chain, slots, 0);
        self.queue.wants_notify()
    }

    /// Whether it is worth telling somebody who waits that there is room.
    pub fn has_room(&self) -> bool {
        self.free_count >= self.count.div_ceil(2) || self.queue.in_flight() == 0
    }

    /// There is no room for a frame: the device is to tell when half of what it has is sent. True when there is
    /// room already.
    pub fn await_room(&mut self) -> bool {
        self.full = true;
        let half = (self.queue.in_flight() / 2).max(1);
        self.queue.listen_for(half)
    }

    /// The device has been reset and has no frame any more.
    pub fn forget(&mut self) {
        self.running = false;
        while let Some(slots) = self.queue.abandon() {
            self.give_back(slots);
        }
        self.queue.clear();
    }

    fn after(&self, slot: u16) -> Option<u16> {
        self.next.get(usize::from(slot)).copied().flatten()
    }

    fn link(&mut self, slot: u16, next: Option<u16>) {
        if let Some(place) = self.next.get_mut(usize::from(slot)) {
            *place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_taken_together_and_given_back_together() {
        machine::host::new_machine();
        let (mut tx, memory) = Transmit::new(8, 6, 4, false).unwrap();
        assert_eq!((tx.count, memory.0.len()), (6, 3));
        let (mut two, mut three, mut one) = ([9; 2], [9; 3], [9; 1]);
        let a = tx.take(&mut two).unwrap();
        let b = tx.take(&mut three).unwrap();
        assert_eq!((two, three), ([0, 1], [2, 3, 4]));
        assert!(tx.take(&mut two).is_none() && tx.take(&mut []).is_none());
        tx.give_back(a);
        let c = tx.take(&mut one).unwrap();
        assert_eq!(one, [0]);
        tx.give_back(b);
        tx.give_back(c);
        let mut all = [9; 6];
        let d = tx.take(&mut all).unwrap();
        all.sort_unstable();
        assert_eq!((all, tx.free_count), ([0, 1, 2, 3, 4, 5], 0));
        tx.give_back(d);
        assert_eq!(tx.free_count, 6);
    }

    #[test]
    fn pieces_fill_slots_without_gaps() {
        machine::host::new_machine();
        let (_, memory) = Transmit::new(8, 4, 4, false).unwrap();
        let data: Vec<u8> = (0..2 * SLOT + 100).map(|n| (n % 251) as u8).collect();
        let pieces = [&data[..12], &[], &data[12..SLOT], &data[SLOT..SLOT + 1], &data[SLOT + 1..]];
        memory.fill(&[3, 0, 2], pieces.iter());
        let mut seen = Vec::new();
        for slot in [3, 0, 2] {
            let (page, at) = memory.place(slot).unwrap();
            let mut bytes = [0; SLOT];
            page.read(at, &mut bytes);
            seen.extend(bytes);
        }
        assert_eq!(seen[..data.len()], data);
        assert_eq!(seen[data.len()..], [0; SLOT - 100]);
    }
}
