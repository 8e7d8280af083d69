//! The name space: bind(2).

use crate::{Result, sys};

/// Makes `new` appear at `old`; `flag` is `MREPL`, `MBEFORE` or `MAFTER`, perhaps with `MCREATE`.
///
/// # Errors
/// The kernel's, as for every call in this module.
pub fn bind(new: &str, old: &str, flag: u32) -> Result<i32> {
    sys::bind(new, old, flag)
}

/// Mounts the 9P server behind `fd` at `old`. `afd` is an authentication file or -1, `aname` the tree asked for.
/// The kernel closes `fd`.
pub fn mount(fd: i32, afd: i32, old: &str, flag: u32, aname: &str) -> Result<i32> {
    sys::mount(fd, afd, old, flag, aname)
}

/// [`mount`] through the mount device `letter` instead of `M`: `'9'` is the phantom, which speaks 9P2000.u and .L.
pub fn mountdev(fd: i32, afd: i32, old: &str, flag: u32, aname: &str, letter: char) -> Result<i32> {
    sys::mountdev(fd, afd, old, flag, aname, letter)
}

/// Undoes a bind or mount of `name` at `old`, or all of them there.
pub fn unmount(name: Option<&str>, old: &str) -> Result<()> {
    sys::unmount(name, old)
}
