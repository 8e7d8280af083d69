//! `Memory`: a process's segments and its page tables.
//!
//! Here segments come, go, grow and are forked. What is done at an address is in `access`, `copy` and `patch`.
//!
//! Lock: `Memory::segs` guards the list, and no segment's lock is taken while it is held.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::layout::{PAGE, USTKSIZE, USTKTOP, UTZERO};
use machine::heap;
use machine::lock::Lock;
use machine::space::AddressSpace;

use super::segment::{Kind, Segment};
use crate::error::{Error, Result};
use crate::proc::process::Proc;

/// Largest segment in bytes.
pub(crate) const SEGMAX: u64 = 64 << 30;
/// Most segments of a process.
pub const MAXSEGS: usize = 4000;
/// Where the kernel puts what is attached: below this, as high as there is room.
const ATTACH_TOP: u64 = USTKTOP - USTKSIZE;
/// Segments that are forked between looks at memory.
const BATCH: usize = 16;

/// A process's memory.
pub struct Memory {
    /// The page tables.
    pub(crate) space: Arc<AddressSpace>,
    segs: Lock<Segs>,
    /// Whose it is; set once, when the process is made.
    owner: Lock<Weak<Proc>>,
}

/// The segments of a process.
struct Segs {
    /// By address. They do not overlap.
    list: Vec<Arc<Segment>>,
    /// From here to [`ATTACH_TOP`] all is taken, as far as is known: there is no need to look for room in it.
    full_from: u64,
}

impl Segs {
    /// Where the first segment is that begins above `va`.
    fn above(&self, va: u64) -> usize {
        self.list.partition_point(|s| s.base <= va)
    }

    fn find(&self, va: u64) -> Option<&Arc<Segment>> {
        // The base decides; the top is the segment's own business (it grows) and is checked under its lock.
        self.list.get(self.above(va).checked_sub(1)?)
    }

    /// There is room below `top` again.
    fn room_below(&mut self, top: u64) {
        self.full_from = self.full_from.max(top).min(ATTACH_TOP);
    }

    /// Makes room in the list for some more.
    fn reserve(&mut self, more: usize) -> Result<()> {
        if self.list.len() + more > MAXSEGS {
            return Err(abi::error::ENOVMEM.into());
        }
        Ok(heap::try_reserve(&mut self.list, more)?)
    }

    /// Puts one in, for which there is [room](Segs::reserve) in the list.
    fn put(&mut self, seg: Arc<Segment>) {
        let mut at = self.above(seg.base);
        self.list.insert(at, seg);
        while let Some(seg) = self.list.get(at).filter(|s| s.top() == self.full_from) {
            self.full_from = seg.base;
            let Some(below) = at.checked_sub(1) else { return };
            at = below;
        }
    }
}

impl Memory {
    /// No segments.
    ///
    /// # Errors
    /// No memory for page tables.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let space = AddressSpace::new()?;
        let segs = Segs { list: Vec::new(), full_from: ATTACH_TOP };
        Ok(Arc::new(Memory { space, segs: Lock::new(segs), owner: Lock::new(Weak::new()) }))
    }

    /// Tells whose it is: paging in works on behalf of a process.
    pub(crate) fn set_owner(&self, owner: &Arc<Proc>) {
        *self.owner.lock() = Arc::downgrade(owner);
    }

    pub(super) fn owner(&self) -> Result<Arc<Proc>> {
        self.owner.lock().upgrade().ok_or(Error::new(abi::error::EPROCDIED))
    }

    /// The segments, by address.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn segments(&self) -> Result<Vec<Arc<Segment>>> {
        let mut list = Vec::new();
        loop {
            let len = self.segs.lock().list.len();
            // Not under the lock: it may be a long list.
            heap::try_reserve_exact(&mut list, len)?;
            let segs = self.segs.lock();
            if segs.list.len() <= list.capacity() {
                list.extend(segs.list.iter().cloned());
                return Ok(list);
            }
        }
    }

    /// The segment that holds `va`.
    pub(crate) fn find(&self, va: u64) -> Option<Arc<Segment>> {
        self.segs.lock().find(va).cloned()
    }

    /// The segment that holds `va`, its end looked at as well.
    ///
    /// # Errors
    /// `bad arg in system call` when there is none.
    pub(crate) fn find_whole(&self, va: u64) -> Result<Arc<Segment>> {
        self.find(va).filter(|s| va < s.top()).ok_or(abi::error::EBADARG.into())
    }

    /// The end of the segment at `va`, which has to be one that may be written when `write`.
    pub(super) fn end_at(&self, va: u64, write: bool) -> Option<u64> {
        self.segs.lock().find(va).filter(|s| s.is_writable() || !write).map(|s| s.top())
    }

    /// The segment of this kind, the one `brk` extends for `Kind::Bss`.
    pub(crate) fn segment(&self, kind: Kind) -> Option<Arc<Segment>> {
        self.segment_where(|s| s.kind == kind)
    }

    /// The first segment that is wanted.
    pub(crate) fn segment_where(&self, is_it: impl Fn(&Segment) -> bool) -> Option<Arc<Segment>> {
        self.segs.lock().list.iter().find(|s| is_it(s)).cloned()
    }

    /// Is data of the one data of the other (RFMEM)? So is everything with itself.
    pub(crate) fn shares_with(&self, other: &Memory) -> bool {
        let own = |m: &Memory| m.segment(Kind::Bss).map(|s| Arc::as_ptr(&s));
        core::ptr::eq(self, other) || own(self).is_some() && own(self) == own(other)
    }

    /// Room for `len` bytes: below the stack, and below whatever is there already.
    pub(crate) fn room_below_stack(&self, len: u64) -> Option<u64> {
        let segs = self.segs.lock();
        let mut top = segs.full_from;
        let below = segs.list.partition_point(|s| s.base < top);
        let below = segs.list.get(..below).unwrap_or_default();
        for seg in below.iter().rev().filter(|s| s.kind != Kind::Stack) {
            if top >= len && seg.top() <= top - len {
                break;
            }
            top = seg.base;
        }
        top.checked_sub(len).filter(|&base| base > UTZERO)
    }

    /// Bytes of pages in it for which nobody pays who is still there.
    pub(crate) fn left_by_the_dead(&self) -> u64 {
        // One after the other: there is no memory for a list of them.
        let (mut bytes, mut from) = (0, 0);
        loop {
            let next = {
                let segs = self.segs.lock();
                segs.list.get(segs.list.partition_point(|s| s.base < from)).cloned()
            };
            let Some(seg) = next else { return bytes };
            bytes += seg.left_by_the_dead() * PAGE;
            from = seg.base + 1;
        }
    }

    /// Adds a segment.
    ///
    /// # Errors
    /// `segments overlap`, or an address out of range (`bad arg in system call`); `virtual memory allocation failed`
    /// when there are [`MAXSEGS`].
    pub fn add(&self, seg: Arc<Segment>) -> Result<()> {
        let top = seg.top();
        if seg.base > top || top > USTKTOP || !seg.base.is_multiple_of(PAGE) {
            return Err(abi::error::EBADARG.into());
        }
        // Before it is found by anybody: its pages have to be taken back from here, too.
        seg.attach(&self.space)?;
        let added = {
            let mut segs = self.segs.lock();
            let at = segs.above(seg.base);
            // They are sorted and do not overlap, so only a neighbour can be in the way.
            let neighbours = segs.list.get(at.saturating_sub(1)..segs.list.len().min(at + 1));
            if neighbours.is_some_and(|n| n.iter().any(|s| s.overlaps(&seg))) {
                Err(abi::error::ESOVERLAP.into())
            } else {
                segs.reserve(1).map(|()| segs.put(seg.clone()))
            }
        };
        if added.is_err() {
            seg.detach(&self.space);
        }
        added
    }

    /// Puts `new` in the place of `old`, which has the same addresses. False when `old` is not there any more.
    pub(super) fn exchange(&self, old: &Arc<Segment>, new: Arc<Segment>) -> bool {
        let mut segs = self.segs.lock();
        let here = segs.list.iter_mut().find(|s| Arc::ptr_eq(s, old));
        here.map(|place| *place = new).is_some()
    }

    /// Takes out a segment.
    pub(crate) fn remove(&self, seg: &Arc<Segment>) {
        {
            let mut segs = self.segs.lock();
            let from = segs.list.partition_point(|s| s.base < seg.base);
            let here = segs.list.iter().skip(from).position(|s| Arc::ptr_eq(s, seg));
            if let Some(place) = here {
                segs.list.remove(from + place);
            }
            segs.room_below(seg.top());
        }
        seg.detach(&self.space);
    }

    /// Replaces everything by `new` (exec), but for segments that survive it. When that is not possible
    /// everything stays as it was.
    ///
    /// # Errors
    /// `segments overlap` when one that survives is in the way of a new one; `virtual memory allocation failed`.
    pub(crate) fn replace(&self, new: Vec<Arc<Segment>>) -> Result<()> {
        let survives = |s: &Arc<Segment>| matches!(s.kind, Kind::Shared | Kind::Memory) && !s.close_on_exec;
        let old = self.segments()?;
        if new.iter().any(|n| old.iter().any(|s| survives(s) && s.overlaps(n))) {
            return Err(abi::error::ESOVERLAP.into());
        }
        heap::try_reserve(&mut self.segs.lock().list, new.len())?;
        if let Err(e) = new.iter().try_for_each(|seg| seg.attach(&self.space)) {
            new.iter().for_each(|seg| seg.detach(&self.space));
            return Err(e);
        }
        for seg in old.iter().filter(|s| !survives(s)) {
            self.remove(seg);
        }
        new.into_iter().for_each(|seg| self.segs.lock().put(seg));
        Ok(())
    }

    /// Gives up everything (exit).
    pub(crate) fn clear(&self) {
        let list = {
            let mut segs = self.segs.lock();
            segs.full_from = ATTACH_TOP;
            core::mem::take(&mut segs.list)
        };
        for seg in list {
            seg.detach(&self.space);
        }
    }

    /// The child's memory after `rfork`: text and shared segments are shared, data and bss too when `share`
    /// (RFMEM), the stack and the rest are copied on write.
    ///
    /// # Errors
    /// No memory.
    pub fn fork(&self, up: &Arc<Proc>, share: bool) -> Result<Arc<Memory>> {
        let child = Memory::new()?;
        let list = self.segments()?;
        child.segs.lock().reserve(list.len())?;
        for (n, seg) in list.into_iter().enumerate() {
            if n % BATCH == BATCH - 1 {
                up.let_others();
                if !heap::is_granted() {
                    return Err(abi::error::ENOVMEM.into());
                }
            }
            let seg = match seg.kind {
                Kind::Text | Kind::Shared => seg,
                Kind::Data | Kind::Bss | Kind::Memory if share => seg,
                _ => seg.fork(up)?,
            };
            seg.attach(&child.space)?;
            child.segs.lock().put(seg);
        }
        Ok(child)
    }

    /// Moves the end of the bss. 0 leaves it and gives its base.
    ///
    /// # Errors
    /// `virtual memory allocation failed` below the data and over the largest segment; `segments overlap`.
    pub(crate) fn brk(&self, top: u64) -> Result<u64> {
        let bss = self.segment(Kind::Bss).ok_or(abi::error::EBADARG)?;
        if top == 0 {
            return Ok(bss.base);
        }
        self.resize(&bss, self.within_data(&bss, top)?)?;
        Ok(0)
    }

    /// Where the bss ends when a program asks for `top`. A linker puts a small bss into what is left of the last page
    /// of data, and what is asked for next is there as well: then the segment behind it is empty.
    fn within_data(&self, bss: &Segment, top: u64) -> Result<u64> {
        if top >= bss.base {
            return Ok(top);
        }
        let data = self.segs.lock().list.iter().find(|s| s.kind == Kind::Data).map(|s| s.base);
        data.filter(|&base| base <= top).map(|_| bss.base).ok_or(abi::error::ENOVMEM.into())
    }

    /// Moves the end of `seg` to `top`.
    pub(crate) fn resize(&self, seg: &Arc<Segment>, top: u64) -> Result<()> {
        if top < seg.base {
            return Err(abi::error::EBADARG.into());
        }
        if top - seg.base > SEGMAX {
            return Err(abi::error::ENOVMEM.into());
        }
        let end = top.next_multiple_of(PAGE);
        let mut segs = self.segs.lock();
        let above = segs.list.get(segs.above(seg.base)).map(|s| s.base);
        if above.unwrap_or(ATTACH_TOP) < end {
            return Err(abi::error::ESOVERLAP.into());
        }
        segs.room_below(seg.top());
        drop(segs);
        seg.set_top(end)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.clear();
    }
}
