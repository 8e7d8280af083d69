//! What programs ask of the kernel: a process's [`life`] leads from user mode to here and back.
//!
//! A system call goes through three layers: [`syscall`] finds it by its number, with its [`args`]; [`fileargs`] and
//! [`procargs`] take what is in the program's memory and put answers there; [`sysfile`], [`sysproc`] and [`sysseg`] do
//! what is asked, and can be called without a program in user mode. [`trace`] tells of calls who steps a process.

mod args;
mod fileargs;
pub mod life;
mod procargs;
mod record;
pub mod syscall;
pub mod sysfile;
pub(crate) mod sysproc;
mod sysseg;
mod trace;
