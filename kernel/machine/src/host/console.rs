//! Early output on the host: kept for the test that asks, and printed so that a failing test shows it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use std::sync::PoisonError;

use super::heap::aside;
use super::machine::machine;

/// Writes bytes, before and beside any driver.
pub fn write(bytes: &[u8]) {
    let m = machine();
    aside(|| {
        m.console.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        std::print!("{}", String::from_utf8_lossy(bytes));
    });
}

/// Something that is told last words.
pub type LastWords = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Where a kernel that ends by itself would speak besides; a test's ends with the test.
pub fn set_last_words(also: LastWords) {
    drop(also);
}

/// Something that knows the processes.
pub type Witness = Box<dyn Fn(u64, &mut dyn fmt::Write) + Send + Sync>;

/// Who would be asked of a process in a panic; a test's panic is told by the test.
pub fn set_witness(witness: Witness) {
    drop(witness);
}

/// Takes what was written on this machine since the last time.
pub fn host_take() -> Vec<u8> {
    core::mem::take(&mut *machine().console.lock().unwrap_or_else(PoisonError::into_inner))
}
