//! Page frames: who has which, and how often.
//!
//! Every frame has a `Meta` (references and pins) that is only valid while the frame is a `Page`. A bitmap says
//! which frames are free; `FRAMES` guards it. Frames for programs are refused while fewer than the reserve are
//! free, so that the kernel itself can go on working (and clean up) when programs have taken everything.
//!
//! Frames in blocks of the heap that nobody uses (`window`) count as free, and are given back before anybody is
//! refused.

use super::bitmap::{self, Bitmap};
use super::copy;
use super::early::Early;
use super::paging::DIRECT;
use super::tables::PAGE;
use super::window;
use crate::amd64::lock::Lock;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// What is known of a frame that is a `Page`.
pub(super) struct Meta {
    /// References: how many `Page` values and table entries name it.
    pub refs: AtomicU32,
    /// How many of those are `Pinned`.
    pub pins: AtomicU32,
}

static FRAMES: Lock<Option<Bitmap<'static>>> = Lock::new(None);
static META: AtomicPtr<Meta> = AtomicPtr::new(ptr::null_mut());
/// Frames that programs may not take.
static RESERVE: AtomicUsize = AtomicUsize::new(0);
static TOTAL: AtomicUsize = AtomicUsize::new(0);
/// Frames the kernel uses for itself.
static KERNEL: AtomicUsize = AtomicUsize::new(0);

/// The reserve is this part of memory...
const RESERVE_PART: usize = 32;
/// ...and at least this many frames (2 MiB).
const RESERVE_MIN: usize = 512;

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
    let meta_bytes = frames * size_of::<Meta>();
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
    let mut map = Bitmap::new(words, summary);
    for r in free.ranges() {
        map.put((r.start / PAGE) as usize, (r.len / PAGE) as usize);
    }
    let total = map.free() + ((early.carved + bytes as u64) / PAGE) as usize;
    KERNEL.store(total - map.free(), Ordering::Relaxed);
    TOTAL.store(total, Ordering::Relaxed);
    RESERVE.store((map.free() / RESERVE_PART).max(RESERVE_MIN), Ordering::Relaxed);
    *FRAMES.lock() = Some(map);
    window::init(total);
}

/// The account of a frame.
///
/// # Safety
/// `frame` came from this allocator.
pub(super) unsafe fn meta(frame: u32) -> &'static Meta {
    // SAFETY: there is a `Meta` for every frame the allocator hands out; its fields are atomics, for which any bits
    // are a value.
    unsafe { &*META.load(Ordering::Relaxed).add(frame as usize) }
}

/// Takes a frame for a program: refused while only the reserve is left. Contents are whatever they were.
pub(super) fn user() -> Option<u64> {
    user_now().or_else(|| if window::give_back() { user_now() } else { None })
}

fn user_now() -> Option<u64> {
    let mut guard = FRAMES.lock();
    let map = guard.as_mut()?;
    if map.free() <= RESERVE.load(Ordering::Relaxed) {
        return None;
    }
    map.take().map(|f| f as u64 * PAGE)
}

/// Whether a program may have `count` more frames now.
pub(super) fn user_may_have(count: usize) -> bool {
    let may = || FRAMES.lock().as_ref().is_some_and(|m| m.free() > RESERVE.load(Ordering::Relaxed) + count);
    may() || (window::give_back() && may())
}

/// Takes `count` neighbouring frames for the kernel; contents are whatever they were.
pub(crate) fn kernel_run(count: usize) -> Option<u64> {
    let take = || match count {
        1 => FRAMES.lock().as_mut()?.take(),
        _ => FRAMES.lock().as_mut()?.take_run(count),
    };
    let first = take().or_else(|| if window::give_back() { take() } else { None })?;
    KERNEL.fetch_add(count, Ordering::Relaxed);
    Some(first as u64 * PAGE)
}

/// Takes some frames for the kernel, all that there is room for or none. To be asked for few at a time: interrupts are
/// off meanwhile.
pub(super) fn kernel_some(frames: &mut [u64]) -> bool {
    let mut take = || {
        let mut guard = FRAMES.lock();
        let Some(map) = guard.as_mut().filter(|map| map.free() >= frames.len()) else { return false };
        frames.fill_with(|| map.take().map_or(0, |f| f as u64 * PAGE));
        true
    };
    let taken = take() || (window::give_back() && take());
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
    if let Some(map) = FRAMES.lock().as_mut() {
        frames.iter().for_each(|phys| map.put((phys / PAGE) as usize, 1));
    }
    KERNEL.fetch_sub(frames.len(), Ordering::Relaxed);
}

/// Takes a zeroed frame for the kernel.
pub(super) fn kernel_zeroed() -> Option<u64> {
    let phys = kernel_run(1)?;
    // SAFETY: a fresh frame.
    unsafe { zero(phys) };
    Some(phys)
}

/// Gives kernel frames back.
///
/// # Safety
/// They are from this allocator, the kernel's, and nobody uses them any more.
pub(super) unsafe fn put_kernel(phys: u64, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { put(phys, count) };
    KERNEL.fetch_sub(count, Ordering::Relaxed);
}

/// Gives frames back.
///
/// # Safety
/// They are from this allocator, and nobody uses them any more.
pub(super) unsafe fn put(phys: u64, count: usize) {
    if let Some(map) = FRAMES.lock().as_mut() {
        map.put((phys / PAGE) as usize, count);
    }
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
    let free = FRAMES.lock().as_ref().map_or(0, Bitmap::free);
    let kept = window::kept();
    (TOTAL.load(Ordering::Relaxed), free + kept, KERNEL.load(Ordering::Relaxed).saturating_sub(kept))
}
