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
/// Room for a name on the stack.
const FEW: usize = 128;

/// The words on the user stack that are the arguments of a call.
pub(super) struct Args<'a> {
    /// Whose call it is.
    pub(super) up: &'a Arc<Proc>,
    /// The words.
    pub(super) words: &'a [u64; 6],
}

/// Fetches the words from a stack that is not there yet, or in two pages, or not aligned, where `UserContext::args` has
/// none.
///
/// # Errors
/// `bad address in system call`.
#[cold]
pub(super) fn fetch(up: &Proc, sp: u64) -> Result<[u64; 6]> {
    let mut bytes = [0u8; 48];
    up.mem.copy_in(sp.wrapping_add(8), &mut bytes)?;
    let mut words = [0u64; 6];
    for (word, b) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(b.try_into().unwrap_or_default());
    }
    Ok(words)
}

impl<'a> Args<'a> {
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

    /// Does something with a file name or another short string, which needs no memory if it is very short.
    #[inline(always)]
    pub(super) fn with_string<T>(&self, i: usize, mut f: impl FnMut(&str) -> Result<T>) -> Result<T> {
        let mut few = [0u8; FEW];
        match self.up.mem.space.read_text(self.long(i), &mut few) {
            Some(Ok(text)) => f(text),
            Some(Err(_)) => Err(Error::new(error::EBADCHAR)),
            None => f(&self.string(i)?),
        }
    }

    /// A buffer of `len` bytes, which is not looked at yet.
    pub(super) fn buf(&self, i: usize, len: usize) -> UserBuf<'a> {
        UserBuf { mem: &self.up.mem, va: self.long(i), len }
    }
}
