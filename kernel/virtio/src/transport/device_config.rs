//! Reading a device's configuration, which may change at any time, so that all bytes are of one moment.
//!
//! Virtio 1.3 section 2.5: a device counts the changes in its generation. A legacy device has none (section 2.5.4): it
//! is read until it reads the same twice.

use crate::Failure;
use alloc::vec;

/// How often a configuration may change while it is read.
const TRIES: usize = 32;

const TOO_SHORT: Failure = Failure::new("device configuration is too short");
const RESTLESS: Failure = Failure::new("device configuration does not stand still");

/// Checks that `len` bytes at `offset` are inside a configuration of `room` bytes.
///
/// # Errors
/// When they are not.
pub(super) fn check(offset: usize, len: usize, room: usize) -> Result<(), Failure> {
    if offset.checked_add(len).is_some_and(|end| end <= room) { Ok(()) } else { Err(TOO_SHORT) }
}

/// The same for the four bytes of a write, which are aligned.
///
/// # Errors
/// When they are not, or not inside.
pub(super) fn check_write(offset: usize, room: usize) -> Result<(), Failure> {
    if offset.is_multiple_of(4) { check(offset, 4, room) } else { Err(TOO_SHORT) }
}

/// Reads a configuration that has a generation.
///
/// # Errors
/// When it never stands still.
pub(super) fn read_of_one_generation(
    buf: &mut [u8],
    generation: impl Fn() -> u32,
    read: impl Fn(&mut [u8]),
) -> Result<(), Failure> {
    for _ in 0..TRIES {
        let before = generation();
        read(buf);
        if generation() == before {
            return Ok(());
        }
    }
    Err(RESTLESS)
}

/// Reads a configuration without a generation.
///
/// # Errors
/// When it never stands still.
pub(super) fn read_the_same_twice(buf: &mut [u8], read: impl Fn(&mut [u8])) -> Result<(), Failure> {
    let mut again = vec![0; buf.len()];
    for _ in 0..TRIES {
        read(buf);
        read(&mut again);
        if *buf == *again {
            return Ok(());
        }
    }
    Err(RESTLESS)
}
