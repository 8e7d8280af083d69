//! The kernel's heap: the global allocator.
//!
//! Small blocks come from `talc`, which is given memory in chunks; blocks of 32 KiB and more (9P message buffers)
//! are page frames of their own and go back when they are freed. The size decides, and `dealloc` is told the size, so
//! nothing has to be remembered.

use super::frames;
use super::lock::Lock;
use super::paging::DIRECT;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

const PAGE: usize = 4096;
/// From here on a block is frames of its own.
const LARGE: usize = 32 << 10;
/// What the small heap grows by, and what it settles for when memory is scarce.
const CHUNKS: [usize; 2] = [256 << 10, 64 << 10];

struct Heap {
    small: Lock<Talc<Manual, DefaultBinning>>,
}

#[global_allocator]
static HEAP: Heap = Heap { small: Lock::new(Talc::new(Manual)) };

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
        let mut small = self.small.lock();
        loop {
            // SAFETY: `GlobalAlloc`'s caller promises a size other than zero.
            if let Some(block) = unsafe { small.try_allocate(layout) } {
                return block.as_ptr();
            }
            if grow(&mut small).is_none() {
                return ptr::null_mut();
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(&layout) {
            frames::put_kernel(block as u64 - DIRECT, layout.size().div_ceil(PAGE));
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

fn grow(small: &mut Talc<Manual, DefaultBinning>) -> Option<()> {
    for bytes in CHUNKS {
        if let Some(phys) = frames::kernel_run(bytes / PAGE) {
            // SAFETY: fresh frames in the direct map, given to the heap for good.
            unsafe { small.claim((DIRECT + phys) as *mut u8, bytes) }?;
            return Some(());
        }
    }
    None
}
