//! What an executable asks for, whatever its header looks like: `exec` reads that, and an [image](super::image) keeps
//! it for as long as it keeps the program's pages.

use alloc::vec::Vec;

/// A part of the file that appears in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First address, at a page.
    pub(crate) base: u64,
    /// First address behind it, at a page.
    pub(crate) top: u64,
    /// Offset of its first byte in the file.
    pub(crate) offset: u64,
    /// Bytes that come from the file.
    pub(crate) len: u64,
    /// May be written.
    pub(crate) write: bool,
    /// May be executed.
    pub(crate) exec: bool,
}

/// What an executable asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Text and data, ascending, not overlapping.
    pub(crate) runs: Vec<Run>,
    /// Where zeroed memory begins and ends; `brk` moves the end.
    pub(crate) bss: (u64, u64),
    /// Where to start.
    pub(crate) entry: u64,
}
