//! Rows: how much a read or write has moved.

use crate::head::Rio;
use abi::error::EMOUNTRPC;

/// Bytes that an `Rread` or `Rreaddir` brought.
///
/// # Errors
/// `mount rpc error` when they are more than were asked for.
pub const fn read(asked: u32, reply: Rio) -> Result<u32, &'static str> {
    written(asked, reply.count)
}

/// Bytes that an `Rwrite` says were written.
///
/// # Errors
/// `mount rpc error` when they are more than were sent.
pub const fn written(sent: u32, answered: u32) -> Result<u32, &'static str> {
    if answered > sent { Err(EMOUNTRPC) } else { Ok(answered) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_asked() {
        assert_eq!(read(10, Rio::read(0, 10)), Ok(10));
        assert_eq!(read(10, Rio::read(0, 0)), Ok(0));
        assert_eq!(read(10, Rio::read(0, 11)), Err("mount rpc error"));
        assert_eq!(written(10, 3), Ok(3));
        assert_eq!(written(10, u32::MAX), Err("mount rpc error"));
    }
}
