//! The kernel's heap: the global allocator.
//!
//! Small blocks come from `talc`, which takes page frames in chunks and gives a chunk back when nothing is left in it;
//! blocks of 8 KiB and more (9P message buffers, the contents of pipes) are page frames of their own and go back when
//! they are freed. The size decides, and `dealloc` is told the size, so nothing has to be remembered.
//!
//! Lock order: the heap's, then `FRAMES`.

use super::frames;
use super::paging::DIRECT;
use crate::amd64::lock::Lock;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use talc::base::Talc;
use talc::base::binning::{Binning, DefaultBinning};
use talc::source::Source;

const PAGE: usize = 4096;
/// From here on a block is frames of its own.
const LARGE: usize = 8 << 10;
/// What the small heap grows by, and what it settles for when memory is scarce.
const CHUNKS: [usize; 2] = [256 << 10, 64 << 10];

struct Heap {
    small: Lock<Talc<Chunks, DefaultBinning>>,
}

#[global_allocator]
static HEAP: Heap = Heap { small: Lock::new(Talc::new(Chunks)) };

// SAFETY: blocks come either from talc, behind a lock, or are frames that `frames` gave to nobody else; both honour
// size and alignment.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(&layout) {
            return match frames::kernel_run(layout.size().div_ceil(PAGE)) {
                Some(phys) => (DIRECT + phys) as *mut u8,
                None => ptr::null_mut(),
            };
        }
        // SAFETY: `GlobalAlloc`'s caller promises a size other than zero.
        unsafe { self.small.lock().allocate(layout) }.map_or(ptr::null_mut(), |block| block.as_ptr())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(&layout) {
            // SAFETY: `GlobalAlloc`'s caller gives back what `alloc` gave, which for this layout was frames of their
            // own.
            unsafe { frames::put_kernel(block as u64 - DIRECT, layout.size().div_ceil(PAGE)) };
            return;
        }
        // SAFETY: `GlobalAlloc`'s caller gives back what `alloc` gave for this layout.
        unsafe { self.small.lock().deallocate(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is valid for the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let stays = match (is_large(&layout), is_large(&wanted)) {
            (true, true) => layout.size().div_ceil(PAGE) == size.div_ceil(PAGE),
            // SAFETY: a small block of ours, with its layout.
            (false, false) => unsafe { self.small.lock().try_realloc_in_place(block, layout, size) },
            _ => false,
        };
        if stays {
            return block;
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

/// Frames serve large blocks, and nothing asks for more than a page's alignment.
fn is_large(layout: &Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

/// The page frames behind the small heap.
#[derive(Debug)]
struct Chunks;

// SAFETY: `acquire` touches nothing but the heap it is given and the frame allocator, which allocates nothing; `resize`
// gives back frames only of a heap that it lets be deleted. Nobody else manages these heaps.
unsafe impl Source for Chunks {
    const TRACK_HEAP_END: bool = true;

    fn acquire<B: Binning>(small: &mut Talc<Self, B>, _: Layout) -> Result<(), ()> {
        for bytes in CHUNKS {
            if let Some(phys) = frames::kernel_run(bytes / PAGE) {
                // SAFETY: fresh frames in the direct map, the heap's until `resize` gives them back.
                return unsafe { small.claim((DIRECT + phys) as *mut u8, bytes) }.map(drop).ok_or(());
            }
        }
        Err(())
    }

    unsafe fn resize(&mut self, first_free: *mut u8, end: *mut u8, empty: bool) -> *mut u8 {
        if !empty {
            return end;
        }
        // An empty heap's free part begins less than a page behind the start of its first frame.
        let start = (first_free as u64 - 1) & !(PAGE as u64 - 1);
        // SAFETY: the frames that `acquire` took for this heap, in which nothing is left.
        unsafe { frames::put_kernel(start - DIRECT, (end as u64 - start) as usize / PAGE) };
        first_free
    }
}
