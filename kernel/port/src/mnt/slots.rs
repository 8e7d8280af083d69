//! The PID cache: every process that talks to a server finds its own request slot again.
//!
//! A [`Slot`] is what a message needs: buffers for it and for its reply, a tag, and for large transfers further
//! requests that are in flight together. A process's first message binds a slot to its pid and later ones find
//! it by that: no allocation, and a process's messages stay in its own order, which QEMU does not keep by
//! itself. When all slots are bound, or for a kernel thread, a message takes a spare one; when there is none,
//! it waits. A process that exits gives its slot back, so no number of processes uses them up. A slot whose process was
//! killed while a request was out belongs to a keeper ([`abandoned`](super::abandoned)) until all of it is back.
//!
//! What a slot takes is on the bill of the process that made it, and stays there when that has exited and others use
//! it. So only [`IDLE`] slots wait for others; what is given back beyond that, after many processes at once, goes.
//!
//! `use` counts the requests that went through the cache, `hits` those that their process's own slot carried.
//!
//! Ownership: a slot is in `bound`, in `idle`, in `spare`, or in the hands of the one call that uses it
//! ([`SlotGuard`]); it goes from one to the other by its address. Its requests are in it, or lent to the transport.
//! Lock order: `inner` is a leaf.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::error;
use machine::clock;
use machine::lock::Lock;
use machine::sync::Rendez;

use super::slot::Slot;
use crate::error::Result;

/// Slots that are bound to processes.
const BOUND: usize = 64;
/// Slots for whoever has none.
const SPARE: usize = 16;
/// Slots that wait for other processes, at most.
const IDLE: usize = 4;
/// How often whoever is not to be interrupted looks whether it is to die, in ns.
pub(crate) const POLL_NS: u64 = 1_000_000_000;

/// The slots of a session.
pub(crate) struct Slots {
    inner: Lock<Inner>,
    freed: Rendez,
    used: AtomicU64,
    hits: AtomicU64,
}

struct Inner {
    /// By pid; `None` while the process uses its slot.
    bound: BTreeMap<u64, Option<Box<Slot>>>,
    /// Given back by processes that exited, to be bound again.
    #[expect(clippy::vec_box, reason = "a slot is not moved")]
    idle: Vec<Box<Slot>>,
    #[expect(clippy::vec_box, reason = "a slot is not moved")]
    spare: Vec<Box<Slot>>,
    spares_made: usize,
    /// Slots of processes that have keepers now.
    abandoned: usize,
    /// A bit for the number of each slot that there is.
    numbers: u128,
}

/// There is a number for each slot that can be made.
const _: () = assert!(BOUND + SPARE <= u128::BITS as usize);

/// A slot in use. Its drop puts it back.
pub(crate) struct SlotGuard<'a> {
    slots: &'a Slots,
    /// `None` when it was [abandoned](SlotGuard::abandon).
    slot: Option<Box<Slot>>,
    owner: Owner,
    /// When who waits looks whether to wait on, `clock::now_ns`; 0 before anybody had to.
    look_at: u64,
    /// How often that was.
    pub(super) looks: u32,
    /// What is enough for its messages to be left behind.
    pub(super) leaves: Leaves,
}

/// When who waits for an answer leaves that to a keeper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// When the process is to die: pages of its own are in the message.
    ToDie,
    /// When it is told a note as well: nothing of the caller's is in it.
    AtNote,
    /// Whenever that is looked at: nobody wants to know the answer.
    Soon,
}

/// Whose a slot is.
#[derive(Clone, Copy)]
enum Owner {
    Process(u64),
    /// A spare one.
    Nobody,
    /// A keeper's, and it was a process's.
    Keeper,
}

/// A slot with requests that are not back, and nobody who waits for them.
pub(crate) struct AbandonedSlot {
    slot: Box<Slot>,
    owner: Owner,
}

/// Where a slot was found.
enum Found {
    Here(Box<Slot>, Owner),
    Make(u16, Owner),
    Wait,
}

impl Slots {
    /// None made yet.
    pub(crate) const fn new() -> Self {
        let inner = Inner {
            bound: BTreeMap::new(),
            idle: Vec::new(),
            spare: Vec::new(),
            spares_made: 0,
            abandoned: 0,
            numbers: 0,
        };
        Slots {
            inner: Lock::new(inner),
            freed: Rendez::new(),
            used: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    /// Requests so far: through the cache, and carried by their process's own slot.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.used.load(Ordering::Relaxed), self.hits.load(Ordering::Relaxed))
    }

    /// How many slots are in use, and how many of those are keepers'.
    pub(crate) fn in_use(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        let bound = inner.bound.values().filter(|slot| slot.is_none()).count();
        let busy = bound + inner.spares_made - inner.spare.len() + inner.abandoned;
        (busy as u64, inner.abandoned as u64)
    }

    /// The slot of the running process, or a spare one; waits for one when there is none. A note ends the wait if it is
    /// `interruptible`; else what `gives_up` says when it is asked, which is now and then.
    ///
    /// # Errors
    /// No memory, `interrupted`.
    pub(crate) fn take(&self, interruptible: bool, gives_up: impl Fn() -> bool) -> Result<SlotGuard<'_>> {
        let pid = machine::thread::tag();
        let mut found = Found::Wait;
        let mut look = || {
            found = self.find(pid);
            !matches!(found, Found::Wait)
        };
        if interruptible {
            self.freed.sleep_intr(&mut look)?;
        } else {
            while !self.freed.sleep_surely_until(clock::now_ns().saturating_add(POLL_NS), &mut look) {
                if gives_up() {
                    return Err(error::EINTR.into());
                }
            }
        }
        let (made, owner) = match found {
            Found::Here(slot, owner) => (Ok(slot), owner),
            Found::Make(index, owner) => {
                (Slot::new(index).inspect_err(|_| self.inner.lock().end_number(index)), owner)
            }
            // Not reached: that is what was waited for.
            Found::Wait => return Err(error::EINTR.into()),
        };
        match made {
            Ok(slot) => Ok(SlotGuard {
                slots: self,
                slot: Some(slot),
                owner,
                look_at: 0,
                looks: 0,
                leaves: Leaves::ToDie,
            }),
            Err(e) => {
                self.unmake(owner);
                Err(e)
            }
        }
    }

    fn find(&self, pid: u64) -> Found {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if pid != 0 {
            if let Some(slot) = inner.bound.get_mut(&pid).and_then(Option::take) {
                return Found::Here(slot, Owner::Process(pid));
            }
            if !inner.bound.contains_key(&pid) && inner.bound.len() + inner.abandoned < BOUND {
                inner.bound.insert(pid, None);
                return inner.idle_or_new(Owner::Process(pid));
            }
        }
        if let Some(slot) = inner.spare.pop() {
            return Found::Here(slot, Owner::Nobody);
        }
        if inner.spares_made < SPARE {
            inner.spares_made += 1;
            return inner.idle_or_new(Owner::Nobody);
        }
        Found::Wait
    }

    /// A slot that could not be made after all.
    fn unmake(&self, owner: Owner) {
        let mut inner = self.inner.lock();
        match owner {
            Owner::Process(pid) => drop(inner.bound.remove(&pid)),
            Owner::Nobody => inner.spares_made -= 1,
            Owner::Keeper => inner.abandoned -= 1,
        }
    }

    fn put_back(&self, slot: Box<Slot>, owner: Owner) {
        let mut inner = self.inner.lock();
        let mut surplus = None;
        match owner {
            Owner::Process(pid) => match inner.bound.get_mut(&pid) {
                Some(place) => *place = Some(slot),
                None => surplus = inner.rests(slot),
            },
            Owner::Nobody => inner.spare.push(slot),
            Owner::Keeper => {
                inner.abandoned -= 1;
                surplus = inner.rests(slot);
            }
        }
        drop(inner);
        // All: not every slot is of use to everybody.
        self.freed.wakeup();
        drop(surplus);
    }

    /// A slot that was abandoned is a keeper's.
    pub(crate) fn keep(&self, slot: AbandonedSlot) -> SlotGuard<'_> {
        SlotGuard {
            slots: self,
            slot: Some(slot.slot),
            owner: slot.owner,
            look_at: 0,
            looks: 0,
            leaves: Leaves::ToDie,
        }
    }

    /// The process with this pid is gone: its slot is free for another.
    pub(crate) fn release(&self, pid: u64) {
        let mut inner = self.inner.lock();
        if let Some(slot) = inner.bound.remove(&pid) {
            let surplus = slot.and_then(|slot| inner.rests(slot));
            drop(inner);
            self.freed.wakeup();
            drop(surplus);
        }
    }
}

impl Inner {
    fn idle_or_new(&mut self, owner: Owner) -> Found {
        if let Some(slot) = self.idle.pop() {
            return Found::Here(slot, owner);
        }
        let index = self.numbers.trailing_ones() as u16;
        self.numbers |= bit(index);
        Found::Make(index, owner)
    }

    /// A slot that is nobody's waits for somebody. One of which there are enough is given back, to be dropped.
    fn rests(&mut self, slot: Box<Slot>) -> Option<Box<Slot>> {
        if self.idle.len() >= IDLE {
            self.end_number(slot.index());
            return Some(slot);
        }
        self.idle.push(slot);
        None
    }

    /// There is no slot with this number any more.
    fn end_number(&mut self, index: u16) {
        self.numbers &= !bit(index);
    }
}

/// The bit of a slot's number.
fn bit(index: u16) -> u128 {
    1u128.checked_shl(index.into()).unwrap_or(0)
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

impl SlotGuard<'_> {
    /// A request is about to be sent in this slot.
    pub(crate) fn count(&self) {
        self.slots.used.fetch_add(1, Ordering::Relaxed);
        if let Owner::Process(_) = self.owner {
            self.slots.hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The slot.
    ///
    /// # Errors
    /// `interrupted` when it was abandoned.
    pub(crate) fn slot(&mut self) -> Result<&mut Slot> {
        self.slot.as_deref_mut().ok_or(error::EINTR.into())
    }

    /// When to look whether to wait on. However many messages are waited for one after the other, that is once a second
    /// in all.
    pub(super) fn look_at(&mut self) -> u64 {
        if self.look_at == 0 {
            self.look_at = clock::now_ns().saturating_add(POLL_NS);
        }
        self.look_at
    }

    /// That was done just now.
    pub(super) fn looked(&mut self) {
        self.looks = self.looks.saturating_add(1);
        self.look_at = clock::now_ns().saturating_add(POLL_NS);
    }

    /// Abandons the slot, with the requests that are out, to a keeper. `None` when that has happened before.
    pub(crate) fn abandon(&mut self) -> Option<AbandonedSlot> {
        let slot = self.slot.take()?;
        if let Owner::Process(pid) = self.owner {
            let mut inner = self.slots.inner.lock();
            inner.bound.remove(&pid);
            inner.abandoned += 1;
            self.owner = Owner::Keeper;
        }
        Some(AbandonedSlot { slot, owner: self.owner })
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
    use alloc::sync::Arc;

    use super::*;

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
                let mut guard = slots.take(true, || false).unwrap();
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
            as_process(pid, move || slots.take(true, || false).unwrap().count());
        }
        assert_eq!(slots.counts(), (200, BOUND as u64));
        // The dead give theirs back, and the living are bound again.
        (1..=200).for_each(|pid| slots.release(pid));
        let again = slots.clone();
        as_process(300, move || again.take(true, || false).unwrap().count());
        assert_eq!(slots.counts(), (201, BOUND as u64 + 1));
        // Most of them have gone, and what is made again has their numbers.
        let inner = slots.inner.lock();
        assert!(inner.numbers.count_ones() as usize <= IDLE + SPARE, "{:x}", inner.numbers);
        assert!(inner.idle.len() == IDLE - 1 && inner.bound.len() == 1);
    }
}
