//! The system calls: from numbers and arguments on the user's stack ([`syscall`]) to what they do with files
//! ([`sysfile`]) and processes ([`sysproc`]).

pub mod syscall;
pub mod sysfile;
pub mod sysproc;
