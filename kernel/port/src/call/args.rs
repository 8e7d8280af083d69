//! The arguments of a system call: fetched from the user's stack, and cut to their types in this one place.
//!
//! Argument `i` is at `RSP + 8 + 8*i`. The upper halves of 32-bit arguments are garbage.

use alloc::string::String;
use alloc::sync::Arc;

use abi::error;

use crate::error::{Error, Result};
use crate::mem::iobuf::UserBuf;
use crate::proc::process::Proc;

/// Longest file name, in bytes.
const NAME_MAX: usize = 65535;

/// The words on the user stack that are the arguments of a call.
pub(super) struct Args<'a> {
    /// Whose call it is.
    pub(super) up: &'a Arc<Proc>,
    words: [u64; 6],
}

impl<'a> Args<'a> {
    /// Fetches them.
    ///
    /// # Errors
    /// `bad address in system call`.
    #[inline]
    pub(super) fn fetch(up: &'a Arc<Proc>, sp: u64) -> Result<Self> {
        match up.mem.space.read_words(sp.wrapping_add(8)) {
            Some(words) => Ok(Args { up, words }),
            None => Self::fetch_slowly(up, sp),
        }
    }

    /// The same for a stack that is not there yet, or in two pages, or not aligned.
    #[cold]
    pub(super) fn fetch_slowly(up: &'a Arc<Proc>, sp: u64) -> Result<Self> {
        let mut bytes = [0u8; 48];
        up.mem.copy_in(sp.wrapping_add(8), &mut bytes)?;
        let mut words = [0u64; 6];
        for (word, b) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(b.try_into().unwrap_or_default());
        }
        Ok(Args { up, words })
    }

    /// All of them, as they are.
    pub(super) fn words(&self) -> [u64; 6] {
        self.words
    }

    /// A pointer or a vlong.
    pub(super) fn long(&self, i: usize) -> u64 {
        self.words.get(i).copied().unwrap_or(0)
    }

    /// An int.
    pub(super) fn int(&self, i: usize) -> i32 {
        self.long(i) as i32
    }

    /// A uint or ulong.
    pub(super) fn uint(&self, i: usize) -> u32 {
        self.long(i) as u32
    }

    /// A count of bytes.
    pub(super) fn count(&self, i: usize) -> Result<usize> {
        usize::try_from(self.int(i)).map_err(|_| Error::new(error::EBADARG))
    }

    /// A file name or another short string.
    pub(super) fn string(&self, i: usize) -> Result<String> {
        let bytes = self.up.mem.copy_in_string(self.long(i), NAME_MAX)?;
        String::from_utf8(bytes).map_err(|_| Error::new(error::EBADCHAR))
    }

    /// A buffer of `len` bytes, which is not looked at yet.
    pub(super) fn buf(&self, i: usize, len: usize) -> UserBuf<'a> {
        UserBuf { mem: &self.up.mem, va: self.long(i), len }
    }
}
