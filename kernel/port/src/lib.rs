//! The portable kernel: channels, name spaces, processes, memory, notes, system calls, devices, `#M` and `#9`.
//!
//! Everything here is safe code on top of `machine`, whose host half lets the whole of it run under
//! `cargo test`. `up` is always the calling process and is passed explicitly; there are no statics.
//!
//! # Rooms
//!
//! From the bottom to the top; a file uses what is in its own room and in those before it.
//!
//! | room | what is there |
//! |---|---|
//! | `error`, `kmesg` | what a failed operation says; the log and the console |
//! | `pools` | what is counted while it lives |
//! | `mem` | a process's segments, images of executables, and access to user memory |
//! | `name` | channels, paths, name spaces, descriptors |
//! | `proc` | processes: how they begin and end, notes, alarms, rendezvous |
//! | `kernel` | everything that exists once |
//! | `exec` | a program is put into a process |
//! | `dev` | the trait of all devices, and one file or folder for each |
//! | `mnt` | the mount driver: `#M` and `#9` |
//! | `call` | a process's life between user mode and the kernel: system calls, by number and by what they do |
//!
//! Four types know each other and are known everywhere: a [`Chan`] is a file of a device, a [`Dev`] works for a
//! process, a [`Proc`] has channels and lives in a kernel, and the [`Kernel`] has the devices and the processes. What a
//! lower room wants of a higher one is a method of these. `tests/rooms.rs` holds the crate to this.
//!
//! # Locks
//!
//! Each module says what its locks guard and in which order they are taken. One sleeping lock is held while a device is
//! called: `Chan::dir`, by who reads a directory; a device's own locks come after it. None is held while a program's
//! memory is copied or pinned, which may page it in. `Kernel::group_notes` comes before `Kernel::procs` and a process's
//! notes. A `Lock` is held for a moment: never while sleeping, dropping a `Chan`, or calling a device.
#![no_std]
#![forbid(unsafe_code)]
// Who reads these pages reads the source: what is the crate's own has its place in them.
#![allow(rustdoc::private_intra_doc_links)]

extern crate alloc;
#[cfg(test)]
extern crate std;

// The rooms.
pub mod call;
pub mod dev;
pub mod error;
pub mod exec;
pub mod kernel;
pub mod kmesg;
pub mod mem;
pub mod mnt;
pub mod name;
mod pools;
pub mod proc;

#[cfg(not(target_os = "none"))]
pub mod testkit;

pub use dev::{Dev, MountDriver, Walk};
pub use error::{Error, Result};
pub use kernel::Kernel;
pub use name::chan::{Chan, OwnChan};
pub use proc::process::Proc;
