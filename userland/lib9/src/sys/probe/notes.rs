//! A note handler that does what a test wants and remembers what it was told.
//!
//! One for all processes that share memory: [`on`] and [`last`] are for a process alone.

use alloc::string::String;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use abi::ERRMAX;
use abi::ureg::Ureg;

use crate::{Result, sys};

/// What the handler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// `noted(how)`, nothing changed. `Noted(0)` goes on, `Noted(1)` dies of it.
    Noted(i32),
    /// Goes on behind the instruction of [`run`](super::run).
    Land,
    /// `noted(NSAVE)` with a continuation in the frame, which does `noted(NRSTR)` and lands.
    SaveAndLand,
    /// Faults itself.
    Fault,
    /// Stores 1 at this address (which must not be Rust's) and goes on.
    Store(u64),
    /// Waits in the handler until the word at this address is not zero, then goes on.
    Wait(u64),
}

static THEN: AtomicI32 = AtomicI32::new(0);
static VALUE: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicU32 = AtomicU32::new(0);

struct Last(UnsafeCell<([u8; ERRMAX], Ureg)>);
// SAFETY: written by the handler and read by `last`, both on one process's behalf, as the module comment asks.
unsafe impl Sync for Last {}
// SAFETY: integers, of which zero is one.
static LAST: Last = Last(UnsafeCell::new(unsafe { core::mem::zeroed() }));

#[cfg(target_os = "none")]
core::arch::global_asm!(
    // As the kernel enters: a zero word at RSP, the registers' address at RSP+8, the text's at RSP+16. All SSE
    // registers, their rounding and the x87 unit are spoilt, to see that they come back.
    ".globl lib9_probe_note, lib9_probe_saved",
    "lib9_probe_note:",
    "mov rdi, [rsp+8]",
    "mov rsi, [rsp+16]",
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "pcmpeqd xmm\\n, xmm\\n",
    ".endr",
    "fninit",
    "fldpi",
    "push 0x7f80",
    "ldmxcsr [rsp]",
    "and rsp, -16",
    "call {handle}",
    "push rax",
    "push 0",
    "mov ebp, {noted}",
    "syscall",
    "ud2",
    // After NSAVE: the frame's address is in RBP. What it says is changed to land, and taken.
    "lib9_probe_saved:",
    "mov rax, [rbp+88]", // R12, where the handler left the landing
    "mov [rbp+144], rax",
    "push 3",
    "push 0",
    "mov ebp, {noted}",
    "syscall",
    "ud2",
    handle = sym handle,
    noted = const abi::syscall::NOTED,
);

#[cfg(target_os = "none")]
unsafe extern "sysv64" {
    fn lib9_probe_note();
    fn lib9_probe_saved();
}

#[cfg(target_os = "none")]
unsafe extern "sysv64" fn handle(ureg: *mut Ureg, text: *const u8) -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the kernel wrote both into the frame: 184 bytes of registers, a text of 128 bytes. Nobody else is at
    // LAST.
    unsafe {
        let last = &mut *LAST.0.get();
        core::ptr::copy_nonoverlapping(text, last.0.as_mut_ptr(), ERRMAX);
        last.1 = *ureg;
    }
    let value = VALUE.load(Ordering::Relaxed);
    match THEN.load(Ordering::Relaxed) {
        0 => return value,
        // SAFETY: the frame is ours to change; all that is between here and the landing is the probe's own code.
        1 => unsafe { (*ureg).pc = super::entry::landing() },
        // SAFETY: as before. R12 carries the landing to the code after NSAVE.
        2 => unsafe {
            (*ureg).r12 = super::entry::landing();
            (*ureg).pc = lib9_probe_saved as *const () as u64;
            return abi::NSAVE as u64;
        },
        3 => {
            // SAFETY: a note, which is the end: a fault in a handler kills.
            unsafe { core::arch::asm!("mov rax, [8]", out("rax") _) };
        }
        4 => super::poke(value, &1u64.to_le_bytes()),
        _ => {
            while super::peek(value, 8).iter().all(|&b| b == 0) {
                core::hint::spin_loop();
            }
        }
    }
    abi::NCONT as u64
}

/// From now on notes are handled like this.
///
/// # Errors
/// The kernel's.
pub fn on(then: Then) -> Result<()> {
    let (kind, value) = match then {
        Then::Noted(how) => (0, how as u32 as u64),
        Then::Land => (1, 0),
        Then::SaveAndLand => (2, 0),
        Then::Fault => (3, 0),
        Then::Store(at) => (4, at),
        Then::Wait(at) => (5, at),
    };
    VALUE.store(value, Ordering::Relaxed);
    THEN.store(kind, Ordering::Relaxed);
    #[cfg(target_os = "none")]
    let entry = lib9_probe_note as *const () as u64;
    #[cfg(not(target_os = "none"))]
    let entry = 0;
    // SAFETY: the entry code above is made for the kernel's frame.
    unsafe { sys::call(abi::syscall::NOTIFY, [entry]) }.map(drop)
}

/// How many notes have come.
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

/// The last note, and the registers that it interrupted.
pub fn last() -> (String, Ureg) {
    // SAFETY: copied out as a whole; the handler, which alone changes it, runs in this process and not now, or its text
    // is torn, which is bytes all the same.
    let (text, ureg) = unsafe { core::ptr::read_volatile(LAST.0.get()) };
    (sys::text(&text), ureg)
}
