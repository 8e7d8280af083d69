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
//! Lock order: `Memory::segs` (never held over anything), then one `Segment::inner` (a `QLock`: copying a page or all
//! the references of a fork is too long for interrupts to be off), then `Segment::users`, then the address space's own
//! lock. Two segments' `inner` are never held together but by `fork`, which locks the parent's only: the child's
//! segment is not shared yet. Nothing is held while a page is brought in from a file: its server may be anybody's.

mod copy;
mod image;
pub mod iobuf;
mod memory;
mod pages;
mod patch;
mod segment;
pub(crate) mod sema;

pub(crate) use image::{ImageCache, ImageKey, Stretch};
pub use memory::{FaultAccess, FaultError, MAXSEGS, Memory};
pub use segment::{Backing, Kind, Segment};
