//! The kernel's heap: the global allocator.
//!
//! | block | where it is |
//! |---|---|
//! | small | from `talc`, whose chunks are blocks of the last kind; a chunk goes back when nothing is left in it |
//! | small, used before | in a list of the processor, for sizes up to a kilobyte (`spare`) |
//! | all but an eighth of a page, up to a page | a page frame, in the direct map |
//! | 8 KiB and more (messages, contents of pipes) | single page frames, in a row in a window of their own (`window`) |
//!
//! So no block needs frames that are neighbours, and memory that is free in single pages can all be used. The size
//! decides, and `dealloc` is told the size, so nothing has to be remembered. (What is between a page and two is packed
//! into chunks, since two frames for it could be half empty.)
//!
//! Every block has the number of the account that pays for it (`crate::ledger`): a small one behind its last byte, the
//! others with their first frame (`frames::Meta`). Chunks are nobody's.
//!
//! A block's address says nothing of where its bytes are in physical memory: a device is told of `dma` and `page` only.
//!
//! Lock order: the heap's, then those of `paging`, `window` and `frames`.

use super::frames;
use super::grant;
use super::paging::DIRECT;
use super::spare;
use super::window;
use crate::amd64::lock::Lock;
use crate::amd64::with_payer;
use crate::ledger::{self, Payer};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use talc::base::Talc;
use talc::base::binning::{Binning, DefaultBinning};
use talc::source::Source;

const PAGE: usize = 4096;
/// What is larger has a frame of its own...
const ONE: usize = PAGE - PAGE / 8;
/// ...and from here on several.
const MANY: usize = 2 * PAGE;
/// A block of so many pages is not copied when it grows, but gets other addresses, and for a moment no second memory.
const MOVED: usize = 32;
/// Pages that the small heap grows by, and what it settles for when memory is scarce. The last resort is a chunk for
/// the one block that is wanted.
const CHUNKS: [usize; 2] = [16, 4];
/// What `talc` needs of a chunk for itself, at most.
const CHUNK_HEAD: usize = 128;
/// Bytes behind a small block: its account's number.
const MARK: usize = size_of::<u16>();

struct Heap {
    small: Lock<Talc<Chunks, DefaultBinning>>,
}

#[global_allocator]
static HEAP: Heap = Heap { small: Lock::new(Talc::new(Chunks)) };

/// Where a block is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Small,
    Frame,
    /// So many pages of the window.
    Pages(usize),
}

fn kind(layout: &Layout) -> Kind {
    let size = layout.size();
    // Nothing asks for more than a page's alignment.
    if size <= ONE || layout.align() > PAGE {
        Kind::Small
    } else if size <= PAGE {
        Kind::Frame
    } else if size < MANY {
        Kind::Small
    } else {
        Kind::Pages(size.div_ceil(PAGE))
    }
}

/// What a small block costs: its bytes, its mark, and what `talc` needs to know of it.
fn cost(size: usize) -> usize {
    size + 16
}

/// A small block's layout with the mark behind it: the number of the account that pays.
///
/// # Safety
/// As `Layout::from_size_align_unchecked`: a small size, and an alignment that a layout had.
unsafe fn marked(size: usize, align: usize) -> Layout {
    // SAFETY: the caller's promise.
    unsafe { Layout::from_size_align_unchecked(size + MARK, align) }
}

/// The mark of a block of `size` bytes.
///
/// # Safety
/// A small block of ours, with room for the mark.
unsafe fn mark(block: *mut u8, size: usize) -> *mut u16 {
    // SAFETY: the caller's promise.
    unsafe { block.add(size) }.cast()
}

/// Whether small blocks of so many bytes have a list.
fn is_listed(size: usize, align: usize) -> bool {
    spare::place(size + MARK, align).is_some()
}

/// Puts the mark of a small block where it belongs when the block has `size` bytes, and tells its account.
///
/// # Safety
/// It is ours, small, has `had` bytes, and room for `size` and the mark.
unsafe fn remark(block: *mut u8, had: usize, size: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let number = mark(block, had).read_unaligned();
        mark(block, size).write_unaligned(number);
        ledger::resized(number, size as i64 - had as i64);
    }
}

/// Gives a block of `bytes` that nobody pays for any more back to `talc`, what is behind it included.
///
/// # Safety
/// It is a small one, and nobody uses it.
pub(super) unsafe fn put_small(block: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise. `talc` wants to know the size to within its step, and the alignment not at all.
    unsafe { HEAP.small.lock().deallocate(block, Layout::from_size_align_unchecked(bytes, 1)) };
}

/// Whether a thread that says that its allocations may fail can afford so many bytes.
#[inline]
fn is_refused(payer: &Payer, bytes: usize) -> bool {
    payer.tries() && !frames::affords(bytes / PAGE)
}

// SAFETY: blocks come either from talc, behind a lock, or from where nobody used them (`spare`), or are frames that
// `frames` or `window` gave to nobody else; all honour size and alignment.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // Memory that is in use already is granted to whoever asks; it takes nothing from what is set aside.
        if let Some((block, payer)) = spare::place(size + MARK, align).and_then(spare::take) {
            // SAFETY: the block has room for so many bytes and a mark, and nobody uses it.
            unsafe { mark(block, size).write_unaligned(payer.charge(cost(size))) };
            grant::took(size);
            return block;
        }
        // SAFETY: the caller's promise.
        unsafe { self.alloc_new(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (size, align) = (layout.size(), layout.align());
        grant::gave(size);
        if let Some(place) = spare::place(size + MARK, align) {
            // SAFETY: the caller gives the block back, which is of this size and has its mark.
            unsafe {
                let number = mark(block, size).read_unaligned();
                if let Some(payer) = spare::put(place, block) {
                    payer.credit(number, cost(size));
                    return;
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.dealloc_old(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (had, align) = (layout.size(), layout.align());
        if let Some(place) = spare::place(size + MARK, align)
            && spare::place(had + MARK, align) == Some(place)
        {
            // SAFETY: it is ours, small, has `had` bytes, and room for `size` as well.
            unsafe { remark(block, had, size) };
            grant::changed(had, size);
            return block;
        }
        // SAFETY: the caller promises that the size is valid for the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, align) };
        if size > had && with_payer(|payer| is_refused(payer, size - had)) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's block, with its layout, of which it uses no more than `size` bytes from now on.
        let stays = unsafe {
            match (kind(&layout), kind(&wanted)) {
                // One that is in a list afterwards, or was, has that list's size: it is exchanged for another.
                (Kind::Small, Kind::Small) if is_listed(had.min(size), align) => false,
                (Kind::Small, Kind::Small) => self.resize_small(block, had, size, align),
                (Kind::Pages(old), Kind::Pages(new)) => {
                    let stays = window::resize(block as u64, old, new);
                    if stays {
                        resized(block as u64, old, new);
                    }
                    stays
                }
                (old, new) => old == new,
            }
        };
        if stays {
            grant::changed(had, size);
            return block;
        }
        if let (Kind::Pages(old), Kind::Pages(new)) = (kind(&layout), kind(&wanted))
            && old >= MOVED
            && old < new
        {
            // SAFETY: as above; the caller forgets the old address if it is given another.
            let moved = unsafe { window::move_larger(block as u64, old, new) };
            let Some(address) = moved else { return ptr::null_mut() };
            resized(address, old, new);
            grant::took(size - had);
            return address as *mut u8;
        }
        // SAFETY: the caller's promises are those of `alloc` and `dealloc`; both blocks hold the bytes copied.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

impl Heap {
    /// `alloc` of what no list has.
    ///
    /// # Safety
    /// As `alloc`.
    #[inline(never)]
    unsafe fn alloc_new(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        if with_payer(|payer| is_refused(payer, size)) {
            return ptr::null_mut();
        }
        grant::took(size);
        let address = match kind(&layout) {
            Kind::Small => {
                // SAFETY: a small size, not zero, as `GlobalAlloc`'s caller promises.
                let block = unsafe { self.small.lock().allocate(marked(size, align)) };
                let Some(block) = block else { return ptr::null_mut() };
                // SAFETY: the block is fresh and has room for a mark.
                unsafe { mark(block.as_ptr(), size).write_unaligned(ledger::charge(cost(size))) };
                return block.as_ptr();
            }
            Kind::Frame => frames::kernel_run(1).map(|phys| DIRECT + phys),
            Kind::Pages(pages) => window::take(pages).inspect(|block| {
                // SAFETY: it is ours.
                unsafe { window::set_owner(*block, ledger::charge(pages * PAGE)) }
            }),
        };
        address.map_or(ptr::null_mut(), |address| address as *mut u8)
    }

    /// `dealloc` of what no list has room for.
    ///
    /// # Safety
    /// As `dealloc`.
    #[inline(never)]
    unsafe fn dealloc_old(&self, block: *mut u8, layout: Layout) {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: `GlobalAlloc`'s caller gives back what `alloc` gave for this layout, or `realloc` made fit it.
        unsafe {
            match kind(&layout) {
                Kind::Small => {
                    ledger::credit(mark(block, size).read_unaligned(), cost(size));
                    self.small.lock().deallocate(block, marked(size, align));
                }
                Kind::Frame => frames::put_kernel(block as u64 - DIRECT, 1),
                Kind::Pages(pages) => {
                    ledger::credit(window::owner(block as u64), pages * PAGE);
                    window::put(block as u64, pages);
                }
            }
        }
    }

    /// Makes a small block have `size` bytes where it is, if that can be.
    ///
    /// # Safety
    /// It is ours, small, has `had` bytes and this alignment, and those behind `size` are not used any more.
    unsafe fn resize_small(&self, block: *mut u8, had: usize, size: usize, align: usize) -> bool {
        // SAFETY: the caller's promise; the mark is moved to behind what the block has then, where there is room for
        // it: a block that shrinks still has its old end when the new mark is written.
        unsafe {
            let number = mark(block, had).read_unaligned();
            if size < had {
                mark(block, size).write_unaligned(number);
            }
            if !self.small.lock().try_realloc_in_place(block, marked(had, align), size + MARK) {
                mark(block, had).write_unaligned(number);
                return false;
            }
            mark(block, size).write_unaligned(number);
            ledger::resized(number, size as i64 - had as i64);
            true
        }
    }
}

/// A block of the window has other pages: its account is told.
fn resized(block: u64, old: usize, new: usize) {
    // SAFETY: the block is the caller's.
    let number = unsafe { window::owner(block) };
    ledger::resized(number, (new as i64 - old as i64) * PAGE as i64);
}

/// Pages of all chunks.
static CHUNKED: AtomicUsize = AtomicUsize::new(0);

/// Pages of all chunks, which small blocks are made from.
pub(super) fn chunks() -> usize {
    CHUNKED.load(Ordering::Relaxed)
}

/// The blocks of the window behind the small heap.
#[derive(Debug)]
struct Chunks;

// SAFETY: `acquire` touches nothing but the heap it is given and `window`, which allocates nothing; `resize` gives back
// only a heap that it lets be deleted. Nobody else manages these heaps.
unsafe impl Source for Chunks {
    const TRACK_HEAP_END: bool = true;

    fn acquire<B: Binning>(small: &mut Talc<Self, B>, wanted: Layout) -> Result<(), ()> {
        let least = (wanted.size() + wanted.align() + CHUNK_HEAD).div_ceil(PAGE);
        for pages in CHUNKS.into_iter().filter(|pages| *pages > least).chain([least]) {
            if let Some(block) = window::take(pages) {
                CHUNKED.fetch_add(pages, Ordering::Relaxed);
                // SAFETY: a fresh block, the heap's until `resize` gives it back.
                return unsafe { small.claim(block as *mut u8, pages * PAGE) }.map(drop).ok_or(());
            }
        }
        Err(())
    }

    unsafe fn resize(&mut self, first_free: *mut u8, end: *mut u8, empty: bool) -> *mut u8 {
        if !empty {
            return end;
        }
        // An empty heap's free part begins less than a page behind the start of its first page.
        let start = (first_free as usize - 1) & !(PAGE - 1);
        let pages = (end as usize - start) / PAGE;
        CHUNKED.fetch_sub(pages, Ordering::Relaxed);
        // SAFETY: the block that `acquire` took for this heap, in which nothing is left.
        unsafe { window::put(start as u64, pages) };
        first_free
    }
}
