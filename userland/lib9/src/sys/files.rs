//! The calls about names and files.

use alloc::string::String;
use core::ptr;

use abi::syscall as no;

use super::{Cstr, call, count, int, len, text};
use crate::Result;

pub(crate) fn open(name: &str, mode: u32) -> Result<i32> {
    let name = Cstr::new(name)?;
    // SAFETY: the name outlives the call.
    unsafe { call(no::OPEN, [name.arg(), u64::from(mode)]) }
}

pub(crate) fn create(name: &str, mode: u32, perm: u32) -> Result<i32> {
    let name = Cstr::new(name)?;
    // SAFETY: the name outlives the call.
    unsafe { call(no::CREATE, [name.arg(), u64::from(mode), u64::from(perm)]) }
}

pub(crate) fn close(fd: i32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(no::CLOSE, [int(fd)]) }.map(drop)
}

pub(crate) fn pread(fd: i32, buf: &mut [u8], offset: i64) -> Result<usize> {
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { count(no::PREAD, [int(fd), buf.as_mut_ptr() as u64, len(buf.len()), offset as u64]) }
        .map(|n| n.min(buf.len()))
}

pub(crate) fn pwrite(fd: i32, buf: &[u8], offset: i64) -> Result<usize> {
    // SAFETY: the kernel only reads the buffer.
    unsafe { count(no::PWRITE, [int(fd), buf.as_ptr() as u64, len(buf.len()), offset as u64]) }
}

pub(crate) fn seek(fd: i32, offset: i64, whence: i32) -> Result<u64> {
    let mut result = 0i64;
    let to = &raw mut result as u64;
    // SAFETY: the kernel stores the new offset in `result`, which lives until after the call.
    unsafe { call(no::SEEK, [to, int(fd), offset as u64, int(whence)]) }?;
    // SAFETY: the compiler cannot see that the call wrote it; a volatile read cannot be guessed away.
    Ok(unsafe { ptr::read_volatile(&raw const result) } as u64)
}

pub(crate) fn dup(old: i32, new: i32) -> Result<i32> {
    // SAFETY: no pointers.
    unsafe { call(no::DUP, [int(old), int(new)]) }
}

pub(crate) fn pipe() -> Result<[i32; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: the kernel stores two descriptors in `fds`; its address escapes, so the compiler expects that.
    unsafe { call(no::PIPE, [fds.as_mut_ptr() as u64]) }?;
    Ok(fds)
}

pub(crate) fn stat(name: &str, buf: &mut [u8]) -> Result<usize> {
    let name = Cstr::new(name)?;
    // SAFETY: the name outlives the call; the kernel writes at most the buffer's length.
    unsafe { count(no::STAT, [name.arg(), buf.as_mut_ptr() as u64, len(buf.len())]) }
}

pub(crate) fn fstat(fd: i32, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { count(no::FSTAT, [int(fd), buf.as_mut_ptr() as u64, len(buf.len())]) }
}

pub(crate) fn wstat(name: &str, buf: &[u8]) -> Result<()> {
    let name = Cstr::new(name)?;
    // SAFETY: the kernel only reads both.
    unsafe { call(no::WSTAT, [name.arg(), buf.as_ptr() as u64, len(buf.len())]) }.map(drop)
}

pub(crate) fn fwstat(fd: i32, buf: &[u8]) -> Result<()> {
    // SAFETY: the kernel only reads the buffer.
    unsafe { call(no::FWSTAT, [int(fd), buf.as_ptr() as u64, len(buf.len())]) }.map(drop)
}

pub(crate) fn remove(name: &str) -> Result<()> {
    let name = Cstr::new(name)?;
    // SAFETY: the name outlives the call.
    unsafe { call(no::REMOVE, [name.arg()]) }.map(drop)
}

pub(crate) fn chdir(name: &str) -> Result<()> {
    let name = Cstr::new(name)?;
    // SAFETY: the name outlives the call.
    unsafe { call(no::CHDIR, [name.arg()]) }.map(drop)
}

pub(crate) fn fd2path(fd: i32) -> Result<String> {
    let mut buf = alloc::vec![0; 4096];
    // SAFETY: the kernel writes at most the buffer's length.
    unsafe { call(no::FD2PATH, [int(fd), buf.as_mut_ptr() as u64, len(buf.len())]) }?;
    Ok(text(&buf))
}

pub(crate) fn bind(new: &str, old: &str, flag: u32) -> Result<i32> {
    let (new, old) = (Cstr::new(new)?, Cstr::new(old)?);
    // SAFETY: the names outlive the call.
    unsafe { call(no::BIND, [new.arg(), old.arg(), u64::from(flag)]) }
}

pub(crate) fn mount(fd: i32, afd: i32, old: &str, flag: u32, aname: &str) -> Result<i32> {
    let (old, aname) = (Cstr::new(old)?, Cstr::new(aname)?);
    // SAFETY: the names outlive the call.
    unsafe { call(no::MOUNT, [int(fd), int(afd), old.arg(), u64::from(flag), aname.arg()]) }
}

pub(crate) fn mountdev(fd: i32, afd: i32, old: &str, flag: u32, aname: &str, letter: char) -> Result<i32> {
    let (old, aname) = (Cstr::new(old)?, Cstr::new(aname)?);
    let args = [int(fd), int(afd), old.arg(), u64::from(flag), aname.arg(), u64::from(u32::from(letter))];
    // SAFETY: the names outlive the call.
    unsafe { call(no::MOUNTDEV, args) }
}

pub(crate) fn unmount(name: Option<&str>, old: &str) -> Result<()> {
    let (name, old) = (name.map(Cstr::new).transpose()?, Cstr::new(old)?);
    // SAFETY: the names outlive the call; a null first argument means "everything".
    unsafe { call(no::UNMOUNT, [name.as_ref().map_or(0, Cstr::arg), old.arg()]) }.map(drop)
}

/// Opens a channel's protocol: offers `version` and `msize`, returns the version agreed on.
///
/// # Errors
/// The kernel's.
pub fn fversion(fd: i32, msize: u32, version: &str) -> Result<String> {
    let mut buf = [0; 64];
    for (to, from) in buf.iter_mut().zip(version.bytes().take(63)) {
        *to = from;
    }
    // SAFETY: the kernel reads and writes at most the buffer's 64 bytes.
    unsafe { call(no::FVERSION, [int(fd), u64::from(msize), buf.as_mut_ptr() as u64, 64]) }?;
    Ok(text(&buf))
}

/// An authentication file of the server behind `fd` for the tree `aname`.
///
/// # Errors
/// The kernel's.
pub fn fauth(fd: i32, aname: &str) -> Result<i32> {
    let aname = Cstr::new(aname)?;
    // SAFETY: the name outlives the call.
    unsafe { call(no::FAUTH, [int(fd), aname.arg()]) }
}
