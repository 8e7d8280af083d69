//! Watchpoints: places in a program's memory at which it is stopped.

/// What a watchpoint traps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// A write.
    Write,
    /// A read or a write.
    Access,
    /// The instruction there is about to be executed.
    Execute,
}

/// A place in a program's memory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchpoint {
    /// Its first address.
    pub addr: u64,
    /// How many bytes: 1, 2, 4 or 8, at a multiple of that; 1 for `Watch::Execute`.
    pub len: u64,
    /// On what it traps.
    pub on: Watch,
}

/// Why a place cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchError {
    /// The processor has four.
    TooMany,
    /// A length of an instruction other than 1.
    LongCode,
    /// A length other than 1, 2, 4 or 8.
    Length,
    /// Not at a multiple of its length.
    Unaligned,
    /// Not a program's.
    Outside,
}

impl WatchError {
    /// What is wrong, in words.
    pub fn text(self) -> &'static str {
        match self {
            WatchError::TooMany => "there are four watchpoints",
            WatchError::LongCode => "length must be 1 on breakpoints",
            WatchError::Length => "length must be 1,2,4,8",
            WatchError::Unaligned => "address must be aligned according to length",
            WatchError::Outside => "bad address",
        }
    }
}

impl Watchpoint {
    /// Whether a processor can watch it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), WatchError> {
        if self.on == Watch::Execute && self.len != 1 {
            return Err(WatchError::LongCode);
        }
        if !matches!(self.len, 1 | 2 | 4 | 8) {
            return Err(WatchError::Length);
        }
        if !self.addr.is_multiple_of(self.len) {
            return Err(WatchError::Unaligned);
        }
        // Below the first address that is not canonical.
        if self.addr >> 47 != 0 { Err(WatchError::Outside) } else { Ok(()) }
    }
}
