//! Notes: the kernel interrupts the program and enters a handler on the same stack (notify(2)).
//!
//! A handler is a plain function. It may run between any two instructions, in the middle of an allocation too, so it
//! keeps to atomics and to calls that do not allocate, like [`crate::fd::write`]; a lock it takes may be held by the
//! very code it interrupted.

use core::sync::atomic::{AtomicUsize, Ordering};

use abi::syscall as no;

use crate::Result;

/// What a handler wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Go on where the note interrupted. A system call that waited fails with `interrupted`.
    Continue,
    /// Die of the note, as without a handler.
    Default,
}

/// The handler as an address; 0 when there is none.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

#[cfg(target_os = "none")]
core::arch::global_asm!(
    // The kernel enters with a zero word at RSP, the address of the saved registers at RSP+8, of the text at RSP+16.
    // The handler's answer becomes the argument of noted, which does not return.
    ".globl lib9_note",
    "lib9_note:",
    "mov rdi, [rsp+16]",
    "and rsp, -16",
    "call {handle}",
    "push rax",
    "push 0",
    "mov ebp, {noted}",
    "syscall",
    "ud2",
    handle = sym handle,
    noted = const no::NOTED,
);

#[cfg(target_os = "none")]
unsafe extern "sysv64" {
    fn lib9_note();
}

#[cfg(target_os = "none")]
unsafe extern "sysv64" fn handle(text: *const core::ffi::c_char) -> u64 {
    // SAFETY: the kernel wrote a zero-ended string of at most ERRMAX bytes into the frame.
    let text = unsafe { core::ffi::CStr::from_ptr(text) }.to_bytes();
    let text = match core::str::from_utf8(text) {
        Ok(s) => s,
        Err(e) => core::str::from_utf8(&text[..e.valid_up_to()]).unwrap_or(""),
    };
    // `echo interrupt >/proc/n/note` means the note interrupt.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler == 0 {
        return abi::NDFLT as u64;
    }
    // SAFETY: only `notify` stores here, and it stores functions of this type.
    let handler = unsafe { core::mem::transmute::<usize, fn(&str) -> Noted>(handler) };
    match handler(text) {
        Noted::Continue => abi::NCONT as u64,
        Noted::Default => abi::NDFLT as u64,
    }
}

/// Has `handler` called with the text of every note from now on, or none.
///
/// # Errors
/// The kernel's.
pub fn notify(handler: Option<fn(&str) -> Noted>) -> Result<()> {
    HANDLER.store(handler.map_or(0, |h| h as usize), Ordering::Relaxed);
    #[cfg(target_os = "none")]
    let entry = handler.map_or(0, |_| lib9_note as *const () as u64);
    #[cfg(not(target_os = "none"))]
    let entry = 0;
    // SAFETY: the entry code above is made for the kernel's frame.
    unsafe { super::call(no::NOTIFY, [entry]) }.map(drop)
}
