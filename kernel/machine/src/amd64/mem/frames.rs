//! Page frames: who has which, and how often.
//!
//! Every frame has a `Meta`: the account that pays for it (for a run of frames, in that of the first one), and while it
//! is a `Page` its references and pins. A bitmap says which frames are free; `FRAMES` guards it.
//!
//! # What is set aside
//!
//! What may be refused is refused when less than this would be left free, so that the kernel can go on working, and
//! clean up, when programs have taken everything:
//!
//! * `GRANTS`: what each thread may allocate without asking (`crate::heap`), for all threads;
//! * `OWNERS`: for the owner of the machine, who has to look around and kill when others, or a program of his own, have
//!   taken the rest. Processes of the owner with a small bill may use it;
//! * `COMMON`: for the heap, whose blocks do not come in frames.
//!
//! The kernel's own threads and drivers leave the grants alone and nothing else.
//!
//! Frames in blocks of the heap that nobody uses (`window`), stacks of dead threads (`stack`) and page tables in which
//! nothing is (`blank`) count as free, and are given back before anybody is refused.

use super::bitmap::{self, Bitmap};
use super::blank;
use super::copy;
use super::early::Early;
use super::paging::{self, DIRECT};
use super::spare;
use super::stack;
use super::tables::PAGE;
use super::window;
use crate::amd64::lock::Lock;
use crate::ledger::{self, Standing};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// What is known of a frame that is a `Page`, or a page table of a program.
pub(super) struct Meta {
    /// References: how many `Page` values and table entries name it. Of a table: entries that lead somewhere.
    pub refs: AtomicU32,
    /// How many of those are `Pinned`. Of a table: the least and the greatest number that an entry has had since there
    /// were none, in the halves of the word.
    pub pins: AtomicU32,
    /// The account that pays for the frame.
    pub owner: AtomicU32,
}

/// Of a table without entries: no number is between these.
const NO_ENTRIES: u32 = 512;

// Who has the table's lock, or the table to himself, changes these.
impl Meta {
    /// It is a table without entries.
    pub fn begin_table(&self) {
        self.refs.store(0, Ordering::Relaxed);
        self.pins.store(NO_ENTRIES, Ordering::Relaxed);
    }

    /// Entry number `index` of the table leads somewhere from now on.
    #[inline]
    pub fn add_entry(&self, index: u64) {
        self.add_entries(1, index, index);
    }

    /// So do `count` of the entries from number `from` to `to`.
    #[inline]
    pub fn add_entries(&self, count: u32, from: u64, to: u64) {
        let (from, to) = (from as u32, to as u32);
        self.refs.store(self.refs.load(Ordering::Relaxed) + count, Ordering::Relaxed);
        let range = self.pins.load(Ordering::Relaxed);
        let (first, last) = (range & 0xffff, range >> 16);
        if from < first || to > last {
            self.pins.store(first.min(from) | last.max(to) << 16, Ordering::Relaxed);
        }
    }

    /// `count` entries lead nowhere any more.
    pub fn end_entries(&self, count: u32) {
        let left = self.refs.load(Ordering::Relaxed).saturating_sub(count);
        self.refs.store(left, Ordering::Relaxed);
        if left == 0 {
            self.begin_table();
        }
    }

    /// How many entries lead somewhere, and the numbers between which they are: the first, and the one behind the last.
    pub fn entries(&self) -> (u32, u64, u64) {
        let range = self.pins.load(Ordering::Relaxed);
        (self.refs.load(Ordering::Relaxed), u64::from(range & 0xffff), u64::from(range >> 16) + 1)
    }
}

static FRAMES: Lock<Option<Bitmap<'static>>> = Lock::new(None);
static META: AtomicPtr<Meta> = AtomicPtr::new(ptr::null_mut());
/// How many are free: what the bitmap says, for those who look without its lock.
static FREE: AtomicUsize = AtomicUsize::new(0);
static GRANTS: AtomicUsize = AtomicUsize::new(0);
static OWNERS: AtomicUsize = AtomicUsize::new(0);
static COMMON: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);
/// Frames the kernel uses for itself.
static KERNEL: AtomicUsize = AtomicUsize::new(0);

/// Of these, its own page tables, which stay.
static MAPS: AtomicUsize = AtomicUsize::new(0);

/// What one thread is granted, in frames.
const GRANT: usize = crate::heap::GRANT.div_ceil(PAGE as usize);
/// `OWNERS` and `COMMON` are this part of memory each...
const PART: usize = 128;
/// ...and so many frames more: half a megabyte, and three quarters of one.
const OWNERS_MIN: usize = 128;
const COMMON_MIN: usize = 192;
/// A bill is small when it is less than this part of memory, or than so many bytes.
const SMALL_PART: usize = 32;
const SMALL_MIN: usize = 1 << 20;

/// Sets up the allocator over all free memory.
///
/// # Safety
/// Once, on the final tables; `early`'s free memory is used by nobody.
pub(crate) unsafe fn init(early: &Early) {
    let end = early.free.ranges().iter().map(|r| r.start + r.len).max().unwrap_or(0);
    let frames = (end / PAGE) as usize;
    let (words, summary) = bitmap::sizes(frames);
    // The bookkeeping must lie in one piece, anywhere.
    let mut free = early.free.clone();
    // Words come behind it.
    let meta_bytes = (frames * size_of::<Meta>()).next_multiple_of(align_of::<u64>());
    let bytes = meta_bytes + (words + summary) * 8;
    let Some(at) = free.carve(bytes as u64, u64::MAX) else { panic!("no memory to keep account of memory") };
    let at = (DIRECT + at) as *mut u8;
    META.store(at.cast(), Ordering::Release);
    // SAFETY: `carve` gave that many bytes, page aligned, in the direct map, to us alone and for good. `Meta` values
    // are written before they are read (in `Page`'s constructors).
    let (words, summary) = unsafe {
        let first = at.add(meta_bytes).cast::<u64>();
        ptr::write_bytes(first, 0, words + summary);
        (
            core::slice::from_raw_parts_mut(first, words),
            core::slice::from_raw_parts_mut(first.add(words), summary),
        )
    };
    for va in paging::constants().step_by(PAGE as usize) {
        let frame = (paging::image_phys(va) / PAGE) as usize;
        assert!(frame < frames, "the kernel's image lies above all free memory");
        // SAFETY: so there is one.
        let meta = unsafe { meta(frame as u32) };
        // The kernel's own reference, for good.
        meta.refs.store(1, Ordering::Relaxed);
        meta.pins.store(0, Ordering::Relaxed);
        meta.owner.store(0, Ordering::Relaxed);
    }
    let mut map = Bitmap::new(words, summary);
    for r in free.ranges() {
        map.put((r.start / PAGE) as usize, (r.len / PAGE) as usize);
    }
    let total = map.free() + ((early.carved + bytes as u64) / PAGE) as usize;
    KERNEL.store(total - map.free(), Ordering::Relaxed);
    TOTAL.store(total, Ordering::Relaxed);
    OWNERS.store(map.free() / PART + OWNERS_MIN, Ordering::Relaxed);
    COMMON.store(map.free() / PART + COMMON_MIN, Ordering::Relaxed);
    FREE.store(map.free(), Ordering::Relaxed);
    *FRAMES.lock() = Some(map);
    window::init(total);
}

/// The account of a frame.
///
/// # Safety
/// `frame` came from this allocator, or is one of the kernel's constants.
#[inline]
pub(super) unsafe fn meta(frame: u32) -> &'static Meta {
    // SAFETY: there is a `Meta` for every frame up to the last that the allocator hands out; its fields are atomics,
    // for which any bits are a value.
    unsafe { &*META.load(Ordering::Relaxed).add(frame as usize) }
}

/// Does something with the bitmap, and publishes how many frames are free then.
fn with_map<R>(f: impl FnOnce(&mut Bitmap<'static>) -> R) -> Option<R> {
    let mut guard = FRAMES.lock();
    let map = guard.as_mut()?;
    let result = f(map);
    FREE.store(map.free(), Ordering::Relaxed);
    Some(result)
}

/// One thread more has its grant.
pub(crate) fn add_grant() {
    GRANTS.fetch_add(GRANT, Ordering::Relaxed);
}

/// One has ended.
pub(crate) fn end_grant() {
    GRANTS.fetch_sub(GRANT, Ordering::Relaxed);
}

/// Takes frames out of the bitmap, those that are only kept if there are no others.
fn take(count: usize) -> Option<usize> {
    let take = || with_map(|map| if count == 1 { map.take() } else { map.take_run(count) }).flatten();
    take().or_else(|| {
        give_back();
        take()
    })
}

/// Gives back what is only kept for somebody to use again.
#[cold]
fn give_back() {
    blank::give_back();
    window::give_back();
    stack::give_back();
}

/// Frames that nobody uses.
fn free() -> usize {
    FREE.load(Ordering::Relaxed) + window::kept() + blank::kept() + stack::kept()
}

/// Frames that the calling thread has to leave free.
fn set_aside() -> usize {
    let grants = GRANTS.load(Ordering::Relaxed);
    let common = grants + COMMON.load(Ordering::Relaxed);
    let small = (TOTAL.load(Ordering::Relaxed) * PAGE as usize / SMALL_PART).max(SMALL_MIN);
    match ledger::standing(small) {
        Standing::Kernel => grants,
        Standing::Owner => common,
        Standing::Other => common + OWNERS.load(Ordering::Relaxed),
    }
}

/// Frames that programs have to leave free.
pub(super) fn aside() -> usize {
    [&GRANTS, &COMMON, &OWNERS].map(|n| n.load(Ordering::Relaxed)).iter().sum()
}

/// Whether the calling thread may have `count` more frames now: what is set aside stays, and so do its user's limits.
#[inline]
pub(crate) fn affords(count: usize) -> bool {
    // Where there is plenty it does not matter who asks.
    let all =
        GRANTS.load(Ordering::Relaxed) + COMMON.load(Ordering::Relaxed) + OWNERS.load(Ordering::Relaxed);
    let plenty = FREE.load(Ordering::Relaxed).checked_sub(count).is_some_and(|left| left >= all);
    (plenty || leaves_enough(count)) && ledger::may_have(count.saturating_mul(PAGE as usize))
}

/// Whether, without `count` frames, as much is left as the calling thread has to leave.
#[cold]
fn leaves_enough(count: usize) -> bool {
    spare::give_back();
    free().checked_sub(count).is_some_and(|left| left >= set_aside())
}

/// Whether so little is left that memory that is only kept for somebody to use again is better given back.
pub(crate) fn is_short() -> bool {
    FREE.load(Ordering::Relaxed) < TOTAL.load(Ordering::Relaxed) / 2
}

/// Whether the calling thread may start another one, with its stack and its grant.
pub(crate) fn affords_thread(stack: usize) -> bool {
    affords(stack + GRANT)
}

/// Takes a frame for a `Page`, refused when it cannot be afforded. Contents are whatever they were.
pub(super) fn page() -> Option<u64> {
    // A page is a program's, even if nobody pays for it.
    if free() <= GRANTS.load(Ordering::Relaxed) + COMMON.load(Ordering::Relaxed) || !affords(1) {
        return None;
    }
    let frame = take(1)?;
    note_owner(frame, ledger::charge(PAGE as usize));
    Some(frame as u64 * PAGE)
}

/// Gives the frame of a `Page` back.
///
/// # Safety
/// It is from `page`, and nobody uses it any more.
pub(super) unsafe fn put_page(phys: u64) {
    // SAFETY: the caller's promise.
    unsafe { put(phys, 1) };
}

/// The same for some at a time, each given back alone: few, since interrupts are off meanwhile.
///
/// # Safety
/// As `put_page`, for each of them.
pub(super) unsafe fn put_pages(frames: &[u32]) {
    if frames.is_empty() {
        return;
    }
    let owner = |frame: &u32| owner(*frame as usize);
    // Mostly one has had all of them.
    for some in frames.chunk_by(|a, b| owner(a) == owner(b)) {
        some.first().into_iter().for_each(|one| ledger::credit(owner(one), some.len() * PAGE as usize));
    }
    with_map(|map| frames.iter().for_each(|&frame| map.put(frame as usize, 1)));
}

/// Takes `count` neighbouring frames for the kernel, on the calling thread's account; contents are whatever they were.
pub(crate) fn kernel_run(count: usize) -> Option<u64> {
    let phys = kernel_own(count)?;
    note_owner((phys / PAGE) as usize, ledger::charge(count * PAGE as usize));
    Some(phys)
}

/// The same for which nobody pays.
pub(crate) fn kernel_own(count: usize) -> Option<u64> {
    let first = take(count)?;
    KERNEL.fetch_add(count, Ordering::Relaxed);
    note_owner(first, 0);
    Some(first as u64 * PAGE)
}

/// The calling thread's account pays for the frame of a table that was kept.
pub(super) fn pay_for_table(phys: u64) {
    KERNEL.fetch_add(1, Ordering::Relaxed);
    note_owner((phys / PAGE) as usize, ledger::charge(PAGE as usize));
}

/// Nobody pays any more for the frame of a table that is kept from now on.
pub(super) fn relieve_of_table(phys: u64) {
    let frame = (phys / PAGE) as usize;
    ledger::credit(owner(frame), PAGE as usize);
    note_owner(frame, 0);
    KERNEL.fetch_sub(1, Ordering::Relaxed);
}

/// Takes some frames for the kernel, for which the heap keeps account, all that there is room for or none. To be asked
/// for few at a time: interrupts are off meanwhile.
pub(super) fn kernel_some(frames: &mut [u64]) -> bool {
    let mut take = || {
        let some = with_map(|map| {
            let enough = map.free() >= frames.len();
            if enough {
                frames.fill_with(|| map.take().map_or(0, |f| f as u64 * PAGE));
            }
            enough
        });
        some == Some(true)
    };
    let taken = take() || {
        give_back();
        take()
    };
    if taken {
        KERNEL.fetch_add(frames.len(), Ordering::Relaxed);
    }
    taken
}

/// Gives back what `kernel_some` gave, few at a time.
///
/// # Safety
/// As `put_kernel`.
pub(super) unsafe fn put_kernel_some(frames: &[u64]) {
    with_map(|map| frames.iter().for_each(|phys| map.put((phys / PAGE) as usize, 1)));
    KERNEL.fetch_sub(frames.len(), Ordering::Relaxed);
}

/// Notes which account pays for a frame of this allocator.
pub(super) fn note_owner(frame: usize, number: u16) {
    // SAFETY: a frame from this allocator.
    unsafe { meta(frame as u32) }.owner.store(u32::from(number), Ordering::Relaxed);
}

/// The account that pays for a frame of this allocator.
pub(super) fn owner(frame: usize) -> u16 {
    // SAFETY: a frame from this allocator.
    unsafe { meta(frame as u32) }.owner.load(Ordering::Relaxed) as u16
}

/// Takes a frame for one of the kernel's own page tables: zeros, for which nobody pays.
pub(super) fn kernel_table() -> Option<u64> {
    let phys = kernel_own(1)?;
    MAPS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: a fresh frame.
    unsafe { zero(phys) };
    Some(phys)
}

/// Gives kernel frames back, all that were taken at a time.
///
/// # Safety
/// They are from this allocator, the kernel's, and nobody uses them any more.
pub(super) unsafe fn put_kernel(phys: u64, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { put(phys, count) };
    KERNEL.fetch_sub(count, Ordering::Relaxed);
}

/// Gives frames back, all that were taken at a time.
///
/// # Safety
/// They are from this allocator, and nobody uses them any more.
unsafe fn put(phys: u64, count: usize) {
    let first = (phys / PAGE) as usize;
    ledger::credit(owner(first), count * PAGE as usize);
    with_map(|map| map.put(first, count));
}

/// Zeroes a frame.
///
/// # Safety
/// It is from this allocator and the caller's, and nobody has references into it.
pub(super) unsafe fn zero(phys: u64) {
    // SAFETY: the caller's promise; all frames are in the direct map.
    unsafe { copy::zero_page((DIRECT + phys) as *mut u8) };
}

/// Frames: all, free, the kernel's.
pub(super) fn counts() -> (usize, usize, usize) {
    let kernel = KERNEL.load(Ordering::Relaxed).saturating_sub(window::kept() + stack::kept());
    (total(), free(), kernel)
}

/// Frames of the kernel's own page tables.
pub(super) fn maps() -> usize {
    MAPS.load(Ordering::Relaxed)
}

/// How many threads there are: each has its grant.
pub(super) fn threads() -> usize {
    GRANTS.load(Ordering::Relaxed) / GRANT
}

/// All frames.
pub(super) fn total() -> usize {
    TOTAL.load(Ordering::Relaxed)
}
