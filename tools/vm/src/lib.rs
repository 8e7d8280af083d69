#![forbid(unsafe_code)]
//! Describe, start, script and stop a QEMU machine.
//!
//! A [`Vm`] is a description: which board, which kernel, which folders of the host it sees. It turns itself into a
//! QEMU command line, which a person may also just look at ([`Vm::command_line`]). [`Vm::start`] makes a [`Guest`]:
//! a running QEMU whose serial line is a [`Transcript`] that can be waited for and typed at. Nothing here sleeps to
//! synchronise: every wait is for a text, for the end of the machine, or for a deadline.
//!
//! ```no_run
//! use std::time::Duration;
//! use vm::{Board, Share, Vm};
//!
//! # fn main() -> anyhow::Result<()> {
//! let mut guest = Vm::new(Board::Q35)
//!     .kernel("build/kernel.elf")
//!     .append("mount=host:/n/host")
//!     .share(Share::new("host", "."))
//!     .start()?;
//! let prompt = guest.expect("term% ", Duration::from_secs(20))?;
//! println!("a prompt after {} ms", prompt.since_start.as_millis());
//! guest.send("ls /n/host\n")?;
//! guest.expect("Cargo.toml", Duration::from_secs(5))?;
//! # Ok(()) }
//! ```
//!
//! Who owns what: a `Guest` owns the QEMU process, which is a process group of its own, and kills it when dropped.
//! Three threads live as long as QEMU does: one moves its standard output into the `Transcript`, one keeps its
//! standard error, one waits for its end. Locks: the one inside each `Transcript` and the one around the process
//! state; neither is ever held while taking the other.

mod command_line;
mod describe;
mod fits;
mod guest;
mod kvm;
mod parts;
mod process;
mod qemu;
mod qmp;
mod transcript;

pub use describe::Vm;
pub use guest::{Guest, exit_code};
pub use kvm::{cache, kvm_works};
pub use parts::{Accel, Board, Flavour, Serial, Share};
pub use process::kill_all;
pub use qemu::{Version, check_named_qemu, qemu, qemu_version};
pub use qmp::Qmp;
pub use transcript::{Found, Pattern, Transcript};
