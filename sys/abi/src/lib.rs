//! What the kernel and its programs agree on: system call numbers, modes and
//! flags, `Qid` and `Dir`, error texts, `Ureg` and `Tos`.
//!
//! Everything here is Plan 9's own amd64 interface, so that programs built
//! elsewhere (Go's `GOOS=plan9 GOARCH=amd64` first of all) find what they expect.
//! The crate has no state and does no I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod dir;
pub mod env;
pub mod error;
pub mod flags;
pub mod job;
pub mod layout;
pub mod quote;
pub mod syscall;
pub mod ureg;

pub use dir::{Dir, Qid, STATFIXLEN};
pub use flags::*;

/// Longest error text or note with its terminating zero, in bytes.
pub const ERRMAX: usize = 128;
/// Longest stat record a server may return, in bytes.
pub const STATMAX: usize = 65535;
/// Longest process or user name with its terminating zero, in bytes.
pub const KNAMELEN: usize = 28;
/// Width of a number in a kernel text file: eleven columns and a blank.
pub const NUMSIZE: usize = 12;
