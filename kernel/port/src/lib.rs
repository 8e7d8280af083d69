//! The portable kernel: channels, name spaces, processes, memory, notes, system calls, devices, `#M` and `#9`.
//!
//! Everything here is safe code on top of `machine`, whose host half lets the whole of it run under
//! `cargo test`. `up` is always the calling process and is passed explicitly; there are no statics.
//!
//! Where things are: `chan`, `path`, `namespace`, `namec`, `fgrp` and `sysfile` are names and files;
//! `proc`, `life`, `mem`, `exec`, `note`, `alarm`, `rendezvous`, `syscall` and `sysproc` are processes; `dev*` are the devices; `mnt` is the
//! mount driver in its two faces.
//!
//! Lock order, outermost first: `Kernel::big`, a union's `Mhead`, `Pgrp`, `Fgrp`, a process's memory map,
//! a segment, a process's notes, `Kernel::procs`. Everything else is a leaf. `Lock`s are never held while
//! sleeping, dropping a `Chan`, or calling a device.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod chan;
pub mod cmdline;
pub mod dev;
pub mod error;
pub mod iobuf;
pub mod kernel;

// Names and files.
pub mod devices;
pub mod dirread;
pub mod dirtab;
pub mod disk;
pub mod fgrp;
pub mod kmesg;
pub mod namec;
pub mod namespace;
pub mod path;
pub mod sysfile;
pub mod tar;
mod walk;

// The console on the PC itself.

// Processes.
pub mod alarm;
pub mod broken;
pub mod exec;
pub mod life;
pub mod mem;
pub mod note;
pub mod proc;
pub mod procctl;
pub mod rendezvous;
pub mod syscall;
pub mod sysproc;

// The mount driver.
pub mod mnt;

#[cfg(not(target_os = "none"))]
pub mod testkit;

pub use chan::Chan;
pub use dev::{Dev, MountDriver, Walk};
pub use error::{Error, Result};
pub use kernel::Kernel;
pub use proc::Proc;
