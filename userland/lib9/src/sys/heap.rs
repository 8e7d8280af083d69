//! The heap: talc, given memory above the program's bss by brk_.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use talc::TalcLock;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

use super::lock::Raw;

#[global_allocator]
static HEAP: TalcLock<Raw, Brk> = TalcLock::new(Brk { top: 0, end: None });

/// Keeps every process of the program from allocating until the guard is dropped.
pub(super) fn hold() -> impl Drop {
    HEAP.lock()
}

/// Bytes of the heap that are free.
pub(super) fn free() -> usize {
    HEAP.lock().counters().available_bytes
}

/// The first address behind the heap.
pub(super) fn top() -> usize {
    // What it has not asked for yet ends with the bss.
    let top = TOP.load(Ordering::Relaxed);
    if top == 0 { &raw const BSS_END as usize } else { top }
}

/// What [`top`] tells.
static TOP: AtomicUsize = AtomicUsize::new(0);

/// Memory is asked for in multiples of this many bytes; pages exist only when touched.
const STEP: usize = 256 * 1024;

unsafe extern "C" {
    /// First byte after the program's bss, from the linker script.
    #[link_name = "end"]
    static BSS_END: u8;
}

/// Where the break is, and the end of talc's heap below it.
#[derive(Debug)]
struct Brk {
    top: usize,
    end: Option<NonNull<u8>>,
}

// SAFETY: a NonNull is all that keeps it from being Send, and it points to memory every process of the program has.
unsafe impl Send for Brk {}

// SAFETY: `acquire` allocates nothing; it only asks the kernel.
unsafe impl Source for Brk {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let page = abi::layout::PAGE as usize;
        let old = match talc.source.top {
            0 => (&raw const BSS_END as usize).next_multiple_of(page),
            top => top,
        };
        // Room for the bytes, their alignment, and the bookkeeping of a first heap.
        let want = layout.size().checked_add(layout.align()).and_then(|n| n.checked_add(page)).ok_or(())?;
        let grow = want.checked_next_multiple_of(STEP).ok_or(())?;
        let new = old.checked_add(grow).ok_or(())?;
        // SAFETY: the break only grows, over addresses that nothing else uses.
        let failed = unsafe { super::syscall(abi::syscall::BRK, [new as u64]) } as i32 == -1;
        if failed {
            return Err(());
        }
        talc.source.top = new;
        TOP.store(new, Ordering::Relaxed);
        talc.source.end = match talc.source.end {
            // SAFETY: old..new is fresh memory that follows the heap.
            Some(end) => Some(unsafe { talc.extend(end, new as *mut u8) }),
            // SAFETY: old..new is fresh memory.
            None => unsafe { talc.claim(old as *mut u8, grow) },
        };
        Ok(())
    }
}
