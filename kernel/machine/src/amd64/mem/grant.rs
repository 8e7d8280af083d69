//! The heap as `crate::heap` sees it: whether the grants of all threads are whole, and allocations that may fail.
//!
//! What is set aside for whom is in `frames`.

use super::frames;
use super::tables::PAGE;
use crate::amd64::with_payer;

/// Whether memory is so plentiful that every thread's grant is whole, and the calling thread's user may keep more.
#[inline]
pub fn is_granted() -> bool {
    frames::affords(0)
}

/// Whether the calling thread may have so many bytes more.
pub fn can_afford(bytes: u64) -> bool {
    usize::try_from(bytes.div_ceil(PAGE)).is_ok_and(frames::affords)
}

/// Runs `f`, in which an allocation that memory cannot afford fails.
#[inline]
pub fn may_fail<R>(f: impl FnOnce() -> R) -> R {
    let before = with_payer(|p| p.set_tries(true));
    let result = f();
    with_payer(|p| p.set_tries(before));
    result
}

/// The kernel is carrying out a call. The host watches what it allocates; here that is nothing.
#[derive(Debug)]
pub struct Call(());

impl Call {
    /// The call of this name begins.
    #[inline]
    pub fn enter(_name: &'static str) -> Call {
        Call(())
    }
}
