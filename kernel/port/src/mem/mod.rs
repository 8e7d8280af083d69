//! User memory: segments of pages, the images of executables, and a process's map of segments.
//!
//! The kernel never follows a user address. It looks the address up in the process's segments, makes the page
//! present (which may read a file) and copies through the page itself; so a bad address is an ordinary error,
//! and nothing in the kernel faults. A page whose bytes a device or another copy is moving is *pinned*:
//! `fork` copies such a page at once instead of sharing it, so that the bytes arrive where they were meant to.
//!
//! Ownership: a [`Segment`] owns its pages; page tables and pins hold further references. Processes that share
//! memory share the `Arc<Segment>`; each has its own `AddressSpace`, filled on demand, and a segment knows
//! (weakly) every space that maps it, so that it can take a page back from all of them.
//!
//! What is in which file: [`memory`] has a process's segments, [`segment`] what one is, [`demand`] how its pages come
//! into memory, [`newpage`] where they are taken from, [`pages`] the table of them. An [`image`] is a program's file,
//! [`paging`] how that is read, [`layout`] what it asks for. What is done at an address is in [`access`], [`copy`] and
//! [`iobuf`]; [`patch`] and [`profile`] are for debuggers, [`sema`] has semaphores, [`contents`] keeps pages of
//! files that are read, for mounts that say so, and [`unpacked`] makes whole what the root has compressed.
//!
//! Lock order: `Memory::segs` is taken alone. One `Segment::inner` (a `QLock`: copying a page or all the references of
//! a fork is too long for interrupts to be off) comes before `Segment::users`, the address space's own lock, and the
//! locks of the images, which are taken one at a time. Two segments' `inner` are never held together: `fork` locks the
//! parent's, and the child's segment is not shared yet. Nothing is held while a page is brought in from a file: its
//! server may be anybody's.

mod access;
mod calls;
pub(crate) mod contents;
mod copy;
mod demand;
pub(crate) mod held;
mod image;
pub mod iobuf;
mod layout;
mod memory;
pub(crate) mod names;
mod newpage;
mod pages;
mod paging;
mod patch;
mod profile;
mod segment;
pub(crate) mod sema;
pub(crate) mod unpacked;

pub use access::{FaultAccess, FaultError};
pub(crate) use image::{ImageCache, ImageKey, ImageRef, Stretch};
pub(crate) use layout::{Layout, Run};
pub use memory::{MAXSEGS, Memory};
pub(crate) use newpage::{give_up_kept, new_image_page};
pub use segment::{Backing, Kind, Segment};

/// Between two pieces of what is long: whoever waits for the processor has it for a while, if the caller may wait.
/// Locks that sleepers wait for may be held.
pub(crate) fn let_others() {
    if machine::thread::need_resched() && machine::thread::may_park() {
        machine::thread::yield_now();
    }
}
