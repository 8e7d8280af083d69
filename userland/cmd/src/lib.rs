//! What several commands share, and the parts of commands that are functions of their arguments, tested on the host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod copy;
pub mod mode;
pub mod number;
pub mod times;
