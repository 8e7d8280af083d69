//! The kernel's heap: the global allocator.
//!
//! | block | where it is |
//! |---|---|
//! | small | from `talc`, whose chunks are blocks of the last kind; a chunk goes back when nothing is left in it |
//! | all but an eighth of a page, up to a page | a page frame, in the direct map |
//! | 8 KiB and more (messages, contents of pipes) | single page frames, in a row in a window of their own (`window`) |
//!
//! So no block needs frames that are neighbours, and memory that is free in single pages can all be used. The size
//! decides, and `dealloc` is told the size, so nothing has to be remembered. (What is between a page and two is packed
//! into chunks, since two frames for it could be half empty.)
//!
//! A block's address says nothing of where its bytes are in physical memory: a device is told of `dma` and `page` only.
//!
//! Lock order: the heap's, then those of `paging`, `window` and `frames`.

use super::frames;
use super::paging::DIRECT;
use super::window;
use crate::amd64::lock::Lock;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
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
const CHUNKS: [usize; 2] = [64, 16];
/// What `talc` needs of a chunk for itself, at most.
const CHUNK_HEAD: usize = 128;

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

// SAFETY: blocks come either from talc, behind a lock, or are frames that `frames` or `window` gave to nobody else; all
// honour size and alignment.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let address = match kind(&layout) {
            Kind::Small => {
                // SAFETY: `GlobalAlloc`'s caller promises a size other than zero.
                let block = unsafe { self.small.lock().allocate(layout) };
                return block.map_or(ptr::null_mut(), |block| block.as_ptr());
            }
            Kind::Frame => frames::kernel_run(1).map(|phys| DIRECT + phys),
            Kind::Pages(pages) => window::take(pages),
        };
        address.map_or(ptr::null_mut(), |address| address as *mut u8)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `GlobalAlloc`'s caller gives back what `alloc` gave for this layout, or `realloc` made fit it.
        unsafe {
            match kind(&layout) {
                Kind::Small => self.small.lock().deallocate(block, layout),
                Kind::Frame => frames::put_kernel(block as u64 - DIRECT, 1),
                Kind::Pages(pages) => window::put(block as u64, pages),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is valid for the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller's block, with its layout, of which it uses no more than `size` bytes from now on.
        let stays = unsafe {
            match (kind(&layout), kind(&wanted)) {
                (Kind::Small, Kind::Small) => self.small.lock().try_realloc_in_place(block, layout, size),
                (Kind::Pages(old), Kind::Pages(new)) => window::resize(block as u64, old, new),
                (old, new) => old == new,
            }
        };
        if stays {
            return block;
        }
        if let (Kind::Pages(old), Kind::Pages(new)) = (kind(&layout), kind(&wanted))
            && old >= MOVED
            && old < new
        {
            // SAFETY: as above; the caller forgets the old address if it is given another.
            let moved = unsafe { window::move_larger(block as u64, old, new) };
            return moved.map_or(ptr::null_mut(), |address| address as *mut u8);
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
        // SAFETY: the block that `acquire` took for this heap, in which nothing is left.
        unsafe { window::put(start as u64, (end as usize - start) / PAGE) };
        first_free
    }
}
