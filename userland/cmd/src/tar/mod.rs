//! Archives of tar: a block of 512 bytes for each file that says what it is, and its contents behind. Read are ustar
//! (POSIX 1003.1), GNU's long names and numbers, and pax paths; written is ustar, with GNU's long names where one does
//! not fit.

mod read;
#[cfg(test)]
mod tests;
mod write;

use alloc::string::String;

pub use read::{Read, early, next, safe_name};
pub use write::head;

/// Bytes of a block.
pub const BLOCK: usize = 512;
/// Most bytes of what is said about a member before it: a long name, pax records.
const MAXABOUT: u64 = 1 << 20;
/// Most bytes of contents: with the archive's offset before them it is still a file's length.
const MAXLENGTH: u64 = 1 << 62;

/// What a member of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// What Plan 9 has none of, told in words: `a link to x`.
    Other(String),
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As it stands there.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u32,
    /// Bytes of its contents, which follow in blocks.
    pub length: u64,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Owner and group, by name, or by number when there are no names.
    pub owner: [String; 2],
}

/// How members are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The ustar format, not the one before it.
    pub ustar: bool,
    /// Numbers of the owner and the group.
    pub numbers: [u32; 2],
}

/// Bytes behind contents of this length, up to the next block.
pub fn padding(length: u64) -> usize {
    (BLOCK - (length % BLOCK as u64) as usize) % BLOCK
}
