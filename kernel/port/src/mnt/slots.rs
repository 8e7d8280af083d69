//! The PID cache: every process that talks to a server finds its own request slot again.
//!
//! A slot is what a message needs: buffers for it and for its reply, a tag, and for large transfers further
//! requests that are in flight together. A process's first message binds a slot to its pid and later ones find
//! it by that: no allocation, and a process's messages stay in its own order, which QEMU does not keep by
//! itself. When all slots are bound, or for a kernel thread, a message takes a spare one; when there is none,
//! it waits. A process that exits gives its slot back, so no number of processes uses them up.
//!
//! `use` counts the requests that went through the cache, `hits` those that their process's own slot carried.
//!
//! Ownership: a slot is in `bound`, in `spare`, or in the hands of the one call that uses it ([`SlotGuard`]).
//! Its requests are in it, or lent to the transport. Lock order: `inner` is a leaf.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::layout::PAGE;
use machine::lock::Lock;
use machine::message::Request;
use machine::page::{Page, Pinned};
use machine::sync::Rendez;

use crate::error::Result;

/// Slots that are bound to processes.
const BOUND: usize = 64;
/// Slots for whoever has none.
const SPARE: usize = 16;
/// Requests of a slot: as many pieces of one transfer are in flight together.
pub const PIECES: usize = 8;
/// Tags of a slot: one per piece, and the last ones for its flushes.
const TAGS: u16 = 16;
/// Bytes for a message that is not a piece of a transfer: sixteen names of 255 bytes fit, and any stat record of
/// sensible length.
const MESSAGE: usize = 8192;

/// One request and what belongs to it.
pub struct Piece {
    /// The request; `None` while the transport has it.
    pub request: Option<Box<Request>>,
    /// Its tag.
    pub tag: u16,
    /// Room behind the data of a read: an error reply that is longer than the data asked for ends here.
    tail: Page,
}

impl Piece {
    fn new(tag: u16, bytes: usize) -> Result<Self> {
        Ok(Piece { request: Some(Request::new(bytes, bytes)?), tag, tail: Page::new_zeroed()? })
    }

    /// The room behind the data.
    pub fn tail(&self) -> Pinned {
        Pinned::new(self.tail.clone(), 0, PAGE as usize)
    }
}

/// What a Tflush is for. Both may be under way together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// A message is given up.
    Message = 1,
    /// The server is asked whether it lives.
    Sign = 2,
}

/// A slot.
pub struct Slot {
    index: u16,
    /// For messages, and the first piece of a transfer. Never empty.
    pieces: Vec<Piece>,
    flushes: [Option<Piece>; 2],
    /// Where a reply is put together to be decoded.
    pub scratch: Vec<u8>,
}

impl Slot {
    fn new(index: u16) -> Result<Self> {
        let first = Piece::new(index * TAGS, MESSAGE)?;
        Ok(Slot { index, pieces: alloc::vec![first], flushes: [None, None], scratch: Vec::new() })
    }

    /// The piece with this number, made when it is needed for the first time.
    ///
    /// # Errors
    /// No memory.
    pub fn piece(&mut self, number: usize) -> Result<&mut Piece> {
        while self.pieces.len() <= number {
            let tag = self.index * TAGS + self.pieces.len() as u16;
            self.pieces.push(Piece::new(tag, PAGE as usize)?);
        }
        self.pieces.get_mut(number).ok_or(abi::error::ENOMEM.into())
    }

    /// The request that carries a Tflush.
    ///
    /// # Errors
    /// No memory.
    pub fn flush(&mut self, purpose: Flush) -> Result<&mut Piece> {
        let tag = self.index * TAGS + TAGS - purpose as u16;
        let place = self.flushes.get_mut(purpose as usize - 1).ok_or(abi::error::ENOMEM)?;
        match place {
            Some(piece) => Ok(piece),
            None => Ok(place.insert(Piece::new(tag, PAGE as usize)?)),
        }
    }
}

/// The slots of a session.
pub struct Slots {
    inner: Lock<Inner>,
    freed: Rendez,
    used: AtomicU64,
    hits: AtomicU64,
}

struct Inner {
    /// By pid; `None` while the process uses its slot.
    bound: BTreeMap<u64, Option<Slot>>,
    /// Given back by processes that exited, to be bound again.
    idle: Vec<Slot>,
    spare: Vec<Slot>,
    spares_made: usize,
    next_index: u16,
}

/// A slot in use. Its drop puts it back.
pub struct SlotGuard<'a> {
    slots: &'a Slots,
    slot: Option<Slot>,
    /// Whose it is; `None` for a spare one.
    owner: Option<u64>,
}

/// Where a slot was found.
enum Found {
    Here(Slot, Option<u64>),
    Make(u16, Option<u64>),
    Wait,
}

impl Slots {
    /// None made yet.
    pub const fn new() -> Self {
        let inner = Inner {
            bound: BTreeMap::new(),
            idle: Vec::new(),
            spare: Vec::new(),
            spares_made: 0,
            next_index: 0,
        };
        Slots {
            inner: Lock::new(inner),
            freed: Rendez::new(),
            used: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    /// Requests so far: through the cache, and carried by their process's own slot.
    pub fn counts(&self) -> (u64, u64) {
        (self.used.load(Ordering::Relaxed), self.hits.load(Ordering::Relaxed))
    }

    /// The slot of the running process, or a spare one; waits for one when there is none.
    ///
    /// # Errors
    /// No memory.
    pub fn take(&self) -> Result<SlotGuard<'_>> {
        let pid = machine::thread::current().tag();
        loop {
            let (made, owner) = match self.find(pid) {
                Found::Here(slot, owner) => (Ok(slot), owner),
                Found::Make(index, owner) => (Slot::new(index), owner),
                Found::Wait => {
                    self.freed.sleep(|| {
                        let inner = self.inner.lock();
                        !inner.spare.is_empty() || inner.bound.len() < BOUND
                    });
                    continue;
                }
            };
            return match made {
                Ok(slot) => Ok(SlotGuard { slots: self, slot: Some(slot), owner }),
                Err(e) => {
                    self.unmake(owner);
                    Err(e)
                }
            };
        }
    }

    fn find(&self, pid: u64) -> Found {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if pid != 0 {
            if let Some(slot) = inner.bound.get_mut(&pid).and_then(Option::take) {
                return Found::Here(slot, Some(pid));
            }
            if !inner.bound.contains_key(&pid) && inner.bound.len() < BOUND {
                inner.bound.insert(pid, None);
                if let Some(slot) = inner.idle.pop() {
                    return Found::Here(slot, Some(pid));
                }
                inner.next_index += 1;
                return Found::Make(inner.next_index - 1, Some(pid));
            }
        }
        if let Some(slot) = inner.spare.pop().or_else(|| inner.idle.pop()) {
            return Found::Here(slot, None);
        }
        if inner.spares_made < SPARE {
            inner.spares_made += 1;
            inner.next_index += 1;
            return Found::Make(inner.next_index - 1, None);
        }
        Found::Wait
    }

    /// A slot that could not be made after all.
    fn unmake(&self, owner: Option<u64>) {
        let mut inner = self.inner.lock();
        match owner {
            Some(pid) => drop(inner.bound.remove(&pid)),
            None => inner.spares_made -= 1,
        }
    }

    fn put_back(&self, slot: Slot, owner: Option<u64>) {
        let mut inner = self.inner.lock();
        match owner {
            Some(pid) => match inner.bound.get_mut(&pid) {
                Some(place) => *place = Some(slot),
                None => inner.idle.push(slot),
            },
            None => inner.spare.push(slot),
        }
        drop(inner);
        self.freed.wakeup_one();
    }

    /// The process with this pid is gone: its slot is free for another.
    pub fn release(&self, pid: u64) {
        let mut inner = self.inner.lock();
        if let Some(slot) = inner.bound.remove(&pid) {
            inner.idle.extend(slot);
            drop(inner);
            self.freed.wakeup_one();
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

impl SlotGuard<'_> {
    /// A request is about to be sent in this slot.
    pub fn count(&self) {
        self.slots.used.fetch_add(1, Ordering::Relaxed);
        if self.owner.is_some() {
            self.slots.hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The slot.
    pub fn slot(&mut self) -> Result<&mut Slot> {
        self.slot.as_mut().ok_or(abi::error::EHUNGUP.into())
    }
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.slots.put_back(slot, self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;

    /// Runs `f` on a thread of its own with this pid.
    fn as_process(pid: u64, f: impl FnOnce() + Send + 'static) {
        let done = Arc::new(machine::sync::Completion::new());
        let told = done.clone();
        machine::thread::spawn(
            "test",
            pid,
            Box::new(move || {
                f();
                told.put(());
            }),
        )
        .unwrap();
        done.wait();
    }

    #[test]
    fn a_process_finds_its_slot_again() {
        let slots = Arc::new(Slots::new());
        let seen = Arc::new(Lock::new(Vec::new()));
        for pid in [7, 8, 7, 8, 7] {
            let (slots, seen) = (slots.clone(), seen.clone());
            as_process(pid, move || {
                let mut guard = slots.take().unwrap();
                guard.count();
                let tag = guard.slot().unwrap().piece(0).unwrap().tag;
                seen.lock().push((pid, tag));
            });
        }
        let seen = seen.lock().clone();
        assert_eq!(seen[0], seen[2]);
        assert_eq!(seen[1], seen[3]);
        assert_ne!(seen[0].1, seen[1].1);
        assert_eq!(slots.counts(), (5, 5));
    }

    #[test]
    fn more_processes_than_slots() {
        let slots = Arc::new(Slots::new());
        for pid in 1..=200 {
            let slots = slots.clone();
            as_process(pid, move || slots.take().unwrap().count());
        }
        assert_eq!(slots.counts(), (200, BOUND as u64));
        // The dead give theirs back, and the living are bound again.
        (1..=200).for_each(|pid| slots.release(pid));
        let again = slots.clone();
        as_process(300, move || again.take().unwrap().count());
        assert_eq!(slots.counts(), (201, BOUND as u64 + 1));
        assert!(slots.inner.lock().next_index <= (BOUND + SPARE) as u16);
    }
}
