//! What programs ask of the kernel: a process's [`life`] leads from user mode to here and back. The system calls, from
//! numbers and arguments on the user's stack ([`syscall`]) to what they do with files ([`sysfile`]) and processes
//! ([`sysproc`]).

pub mod life;
pub mod syscall;
pub mod sysfile;
pub(crate) mod sysproc;
