//! Why a device cannot be used: a text, since all that is done with it is to show it.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use machine::irq::IrqError;
use machine::{IoError, OutOfMemory};

/// Why a device, or part of one, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Cow<'static, str>);

impl Failure {
    /// A reason known beforehand.
    pub const fn new(reason: &'static str) -> Failure {
        Failure(Cow::Borrowed(reason))
    }

    /// A reason put together for the occasion.
    pub const fn text(reason: String) -> Failure {
        Failure(Cow::Owned(reason))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Failure {}

impl From<OutOfMemory> for Failure {
    fn from(_: OutOfMemory) -> Failure {
        Failure::new("out of memory")
    }
}

impl From<IoError> for Failure {
    fn from(e: IoError) -> Failure {
        Failure::text(alloc::format!("{e}"))
    }
}

impl From<IrqError> for Failure {
    fn from(e: IrqError) -> Failure {
        Failure::text(alloc::format!("{e}"))
    }
}
