//! The only unsafe module of the userland: how a program starts, asks the kernel, gets memory and is interrupted.
//!
//! Everything public is safe to call; the rest of lib9 gives it its names and documentation. Facts: Plan 9's amd64
//! interface has the call number in RBP, argument `i` at RSP+8+8*i, the result in RAX, and only RSP survives.
//!
//! `entry` runs first and ends the process, `heap` is the allocator, `note` delivers notes, `lock` is the mutex that
//! processes sharing memory use. On the host there is no kernel: every call fails.
#![allow(unsafe_code)]

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod heap;
mod lock;
pub mod note;
pub mod probe;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use abi::syscall as no;
use abi::{ERRMAX, Rfork};

pub use lock::{Lock, Raw};

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

pub(crate) fn errstr(new: &str) -> String {
    #[cfg(not(target_os = "none"))]
    {
        let _ = new;
        "no Elwood kernel here".into()
    }
    #[cfg(target_os = "none")]
    {
        let mut buf = [0; ERRMAX];
        for (to, from) in buf.iter_mut().zip(new.bytes().take(ERRMAX - 1)) {
            *to = from;
        }
        // SAFETY: the kernel writes at most ERRMAX bytes to the buffer.
        unsafe { syscall(no::ERRSTR, [buf.as_mut_ptr() as u64, ERRMAX as u64]) };
        text(&buf)
    }
}

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

pub(crate) fn rfork(flags: Rfork) -> Result<i32> {
    debug_assert!(!flags.contains(Rfork::MEM));
    // A process that shares our memory could be in the middle of an allocation, and would never finish it in the
    // child's copy. Nothing is allocated while this is held.
    #[cfg(target_os = "none")]
    let heap = heap::hold();
    // SAFETY: without MEM the child has copies of everything; to the compiler this is a call that returns twice in
    // two worlds that never meet.
    let pid = unsafe { syscall(no::RFORK, [u64::from(flags.bits())]) } as i32;
    #[cfg(target_os = "none")]
    drop(heap);
    if pid == -1 { Err(Error::last()) } else { Ok(pid) }
}

pub(crate) fn spawn(flags: Rfork, f: Box<dyn FnOnce() -> Result<()> + Send>) -> Result<i32> {
    let flags = flags | Rfork::PROC | Rfork::MEM;
    // SAFETY: the heap is shared and the stack copied, so `f` exists twice afterwards. Only the child keeps it: the
    // parent forgets its copy, and the child never returns to the frames it has copies of.
    match unsafe { call(no::RFORK, [u64::from(flags.bits())]) } {
        Ok(0) => {
            let status = f();
            crate::exits(status.as_ref().map_or_else(Error::text, |()| ""))
        }
        Ok(pid) => {
            core::mem::forget(f);
            Ok(pid)
        }
        Err(e) => Err(e),
    }
}

pub(crate) fn exec<W: AsRef<[u8]>>(path: &str, argv: &[W]) -> Result<Infallible> {
    let path = Cstr::new(path)?;
    let words = argv.iter().map(Cstr::new).collect::<Result<Vec<_>>>()?;
    let mut pointers: Vec<u64> = words.iter().map(Cstr::arg).collect();
    pointers.push(0);
    // SAFETY: path, strings and the null-ended list live until the call fails or the image is gone.
    match unsafe { call(no::EXEC, [path.arg(), pointers.as_ptr() as u64]) } {
        Err(e) => Err(e),
        Ok(_) => Err("exec returned".into()),
    }
}

pub(crate) fn exits(status: &str) -> ! {
    // No allocation here: this runs after the heap has failed, too.
    let mut buf = [0u8; ERRMAX];
    let fits = status.floor_char_boundary(ERRMAX - 1);
    for (to, from) in buf.iter_mut().zip(status.bytes().take(fits).take_while(|&b| b != 0)) {
        *to = from;
    }
    #[cfg(not(target_os = "none"))]
    std::process::exit(i32::from(buf[0] != 0));
    #[cfg(target_os = "none")]
    loop {
        // SAFETY: the kernel reads a zero-ended string; the call does not return.
        unsafe { syscall(no::EXITS, [buf.as_ptr() as u64]) };
    }
}

pub(crate) fn await_() -> Result<String> {
    let mut buf = [0; 512];
    // SAFETY: the kernel writes at most the buffer's length.
    let n = unsafe { count(no::AWAIT, [buf.as_mut_ptr() as u64, buf.len() as u64]) }?;
    Ok(text(&buf[..n.min(buf.len())]))
}

pub(crate) fn sleep(ms: u32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(no::SLEEP, [u64::from(ms)]) }.map(drop)
}

pub(crate) fn alarm(ms: u32) -> u32 {
    // SAFETY: no pointers.
    unsafe { syscall(no::ALARM, [u64::from(ms)]) as u32 }
}

pub(crate) fn rendezvous(tag: u64, value: u64) -> Result<u64> {
    // SAFETY: the kernel passes both on as numbers.
    match unsafe { syscall(no::RENDEZVOUS, [tag, value]) } {
        u64::MAX => Err(Error::last()),
        v => Ok(v),
    }
}

pub(crate) fn semacquire(sem: &AtomicI32, block: bool) -> Result<bool> {
    // SAFETY: the kernel changes the counter atomically; it is an atomic here, too.
    unsafe { call(no::SEMACQUIRE, [sem.as_ptr() as u64, u64::from(block)]) }.map(|n| n == 1)
}

pub(crate) fn tsemacquire(sem: &AtomicI32, ms: u32) -> Result<bool> {
    // SAFETY: as in `semacquire`.
    unsafe { call(no::TSEMACQUIRE, [sem.as_ptr() as u64, u64::from(ms)]) }.map(|n| n == 1)
}

pub(crate) fn semrelease(sem: &AtomicI32, count: i32) -> Result<i32> {
    // SAFETY: as in `semacquire`.
    unsafe { call(no::SEMRELEASE, [sem.as_ptr() as u64, int(count)]) }
}

pub(crate) fn nsec() -> i64 {
    // SAFETY: no pointers.
    unsafe { syscall::<0>(no::NSEC, []) as i64 }
}

pub(crate) fn getpid() -> i32 {
    let tos = TOS.load(Ordering::Relaxed);
    if tos == 0 {
        return 0;
    }
    // SAFETY: the kernel gave this address at the start and keeps the caller's pid there; volatile, because it is
    // another number in a child.
    unsafe { ptr::read_volatile((tos + abi::layout::TOS_PID as usize) as *const i32) }
}
