//! The only unsafe module of the userland: how a program starts, asks the kernel, gets memory and is interrupted.
//!
//! Everything public is safe to call; the rest of lib9 gives it its names and documentation. Facts: Plan 9's amd64
//! interface has the call number in RBP, argument `i` at RSP+8+8*i, the result in RAX, and only RSP survives.
//!
//! `entry` runs first and ends the process, `heap` is the allocator, `note` delivers notes, `lock` is the mutex that
//! processes sharing memory use; the calls themselves are in `files` and `procs`. On the host there is no kernel: every
//! call fails.
#![allow(unsafe_code)]

#[cfg(target_os = "none")]
mod entry;
mod files;
#[cfg(target_os = "none")]
mod heap;
mod lock;
pub mod note;
pub mod probe;
mod procs;

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;

#[cfg(target_os = "none")]
pub(crate) use entry::fail;
pub use files::*;
pub use lock::{Lock, Raw};
pub(crate) use procs::*;

/// On the host there is no program to end.
#[cfg(not(target_os = "none"))]
pub(crate) fn fail(_error: &crate::Error) -> ! {
    exits("write error")
}

use crate::{Error, Result};

/// Address of the `Tos` structure at the top of the stack; the kernel passes it in RAX. Zero until then.
static TOS: AtomicUsize = AtomicUsize::new(0);

#[cfg(target_os = "none")]
core::arch::global_asm!(
    // lib9_syscall(rdi = number, rsi = six arguments) -> rax. The arguments are pushed rather than pointed to: a note
    // frame is laid 256 bytes below RSP, so RSP must be below everything that lives.
    ".globl lib9_syscall",
    "lib9_syscall:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push qword ptr [rsi+40]",
    "push qword ptr [rsi+32]",
    "push qword ptr [rsi+24]",
    "push qword ptr [rsi+16]",
    "push qword ptr [rsi+8]",
    "push qword ptr [rsi]",
    "push 0",
    "mov rbp, rdi",
    "syscall",
    "add rsp, 56",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
);

#[cfg(target_os = "none")]
unsafe extern "sysv64" {
    fn lib9_syscall(number: u64, args: *const u64) -> u64;
}

/// One system call: its number and up to six argument slots; returns RAX.
///
/// # Safety
/// Pointers among the arguments must be good for what the call does with them, and the call must not change memory or
/// control flow in a way that the compiler does not know of (`rfork` with shared memory, `brk_`, `segfree`).
pub unsafe fn syscall<const N: usize>(number: u64, args: [u64; N]) -> u64 {
    let mut slots = [0; 6];
    for (slot, arg) in slots.iter_mut().zip(args) {
        *slot = arg;
    }
    #[cfg(target_os = "none")]
    // SAFETY: the stub reads six slots and keeps the sysv64 convention; the caller answers for what the call does.
    unsafe {
        lib9_syscall(number, slots.as_ptr())
    }
    #[cfg(not(target_os = "none"))]
    {
        let _ = (number, slots);
        u64::MAX
    }
}

/// [`syscall`] with a 32-bit result, -1 meaning failure.
///
/// # Safety
/// As [`syscall`].
unsafe fn call<const N: usize>(number: u64, args: [u64; N]) -> Result<i32> {
    // SAFETY: the caller's promise.
    match unsafe { syscall(number, args) } as i32 {
        -1 => Err(Error::last()),
        n => Ok(n),
    }
}

/// [`call`] returning a count of bytes.
///
/// # Safety
/// As [`syscall`].
unsafe fn count<const N: usize>(number: u64, args: [u64; N]) -> Result<usize> {
    // SAFETY: the caller's promise.
    unsafe { call(number, args) }.map(|n| usize::try_from(n).unwrap_or(0))
}

/// A string as the kernel wants it: with a zero byte at the end, and none inside.
struct Cstr(Vec<u8>);

impl Cstr {
    fn new(s: impl AsRef<[u8]>) -> Result<Self> {
        let s = s.as_ref();
        if s.contains(&0) {
            return Err(abi::error::EBADCHAR.into());
        }
        let mut bytes = Vec::with_capacity(s.len() + 1);
        bytes.extend_from_slice(s);
        bytes.push(0);
        Ok(Cstr(bytes))
    }

    fn arg(&self) -> u64 {
        self.0.as_ptr() as u64
    }
}

fn int(i: i32) -> u64 {
    i as u32 as u64
}

/// Lengths are 32-bit on Plan 9: more is asked for in pieces.
fn len(n: usize) -> u64 {
    n.min(1 << 30) as u64
}

/// Text up to the first zero byte.
fn text(buf: &[u8]) -> String {
    let end = buf.iter().position(|&b| b == 0).unwrap_or(buf.len());
    String::from_utf8_lossy(&buf[..end]).into_owned()
}
