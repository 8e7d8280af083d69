//! The calls about processes, their time and their meetings.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ptr;
use core::sync::atomic::{AtomicI32, Ordering};

use abi::syscall as no;
use abi::{ERRMAX, Rfork};

#[cfg(target_os = "none")]
use super::heap;
use super::{Cstr, TOS, call, count, int, syscall, text};
use crate::{Error, Result};

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

/// Bytes that this program has, and has no use for at the moment.
pub(crate) fn heap_free() -> usize {
    #[cfg(target_os = "none")]
    let free = super::heap::free();
    #[cfg(not(target_os = "none"))]
    let free = 0;
    free
}
