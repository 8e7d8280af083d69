//! The portable kernel: channels, name spaces, processes, memory, notes, system calls, devices, `#M` and `#9`.
//!
//! Everything here is safe code on top of `machine`, whose host half lets the whole of it run under
//! `cargo test`. `up` is always the calling process and is passed explicitly; there are no statics.
//!
//! Where things are: `name` is names and files; `proc`, `mem` and `exec` are processes; `dev` has the trait of all
//! devices and one file or folder for each; `mnt` is the mount driver in its two faces; `call` is the system calls.
//!
//! Lock order, outermost first: `Kernel::big`, a union's `Mhead`, `Pgrp`, `Fgrp`, a process's memory map,
//! a segment, a process's notes, `Kernel::procs`. Everything else is a leaf. `Lock`s are never held while
//! sleeping, dropping a `Chan`, or calling a device.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod call;
pub mod dev;
pub mod error;
pub mod exec;
pub mod kernel;
pub mod kmesg;
pub mod mem;
pub mod mnt;
pub mod name;
pub mod proc;

// The console on the PC itself.

#[cfg(not(target_os = "none"))]
pub mod testkit;

pub use dev::{Dev, MountDriver, Walk};
pub use error::{Error, Result};
pub use kernel::Kernel;
pub use name::chan::Chan;
pub use proc::process::Proc;
