//! Calls and instructions that are wrong on purpose, for a test of the kernel (usertests(1)).
//!
//! [`call`] is any system call with any arguments; [`run`] is one instruction, or one call, with all registers chosen
//! and all registers looked at afterwards; [`peek`] and [`poke`] reach memory by address. Floating point registers are
//! held by a [`float::Image`]. A test gets memory of its own from `segattach` and says what shall happen when a note
//! comes ([`notes::on`]).
//!
//! What makes this safe: memory that belongs to Rust (data, bss, heap, stack) is off limits. An address in it that the
//! kernel might write through, unmap or execute ends the program with a panic, here, before anything happens. Text
//! and constants cannot be written by anybody, so they are only protected from being unmapped and from being executed
//! at odd places. Whatever else goes wrong is a note, and that is what is being tested.

#[cfg(target_os = "none")]
mod entry;
pub mod float;
pub mod notes;

use alloc::vec;
use alloc::vec::Vec;
use core::ptr;

use abi::layout::{PAGE, USTKSIZE, USTKTOP, UTZERO};
use abi::syscall as no;

/// What [`run`] executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The system call of [`Frame::args`], its number in BP.
    Syscall,
    /// Loads the word at DI into AX.
    Read,
    /// Stores AX at DI.
    Write,
    /// Goes on at DI.
    Jump,
    /// Divides by CX.
    Divide,
    /// An instruction that there is not.
    Invalid,
    /// `int3`.
    Breakpoint,
    /// `hlt`, which is the kernel's.
    Privileged,
    /// Divides one by zero in SSE, with that exception unmasked.
    FloatSse,
    /// Divides one by zero in the x87 unit, with that exception unmasked.
    FloatX87,
    /// Loads from the address in DI by way of the stack pointer, which is DI until then: a note finds no stack.
    NoStack,
    /// Turns round until the word at DI is not zero.
    Spin,
}

/// Registers in the order of Plan 9's Ureg, then the flags.
pub type Regs = [u64; 16];
/// Places in [`Regs`].
#[allow(missing_docs)]
pub mod reg {
    pub const AX: usize = 0;
    pub const CX: usize = 2;
    pub const DI: usize = 5;
    pub const BP: usize = 6;
    pub const R11: usize = 10;
    pub const FLAGS: usize = 15;
}

/// What goes into [`run`] and what comes out.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// All but the stack pointer. Flags only come out.
    pub regs: Regs,
    /// The argument slots of [`Op::Syscall`].
    pub args: [u64; 6],
    op: u64,
    /// SSE registers.
    pub xmm: [[u64; 2]; 16],
}

/// The addresses that are Rust's to change: what is below is text and constants.
fn owned(at: u64) -> bool {
    #[cfg(target_os = "none")]
    let (data, heap) = (entry::data(), super::heap::top() as u64);
    #[cfg(not(target_os = "none"))]
    let (data, heap) = (UTZERO, UTZERO);
    (data..heap).contains(&at) || (USTKTOP - USTKSIZE..USTKTOP).contains(&at)
}

/// Panics when `at..at + len` touches what is Rust's.
fn check(at: u64, len: u64) {
    let end = at.saturating_add(len.max(1) - 1);
    let touches = owned(at) || owned(end) || (at < UTZERO && (UTZERO..USTKTOP - USTKSIZE).contains(&end));
    assert!(!touches, "probe: {at:#x} is not for tests");
}

fn is_text(at: u64) -> bool {
    (UTZERO..UTZERO + (1 << 30)).contains(&at) && !owned(at)
}

/// What must not be asked for by this door.
fn check_call(number: u64, args: &[u64; 6]) {
    let flags = args[0] as u32;
    match number {
        // The whole break below the heap's top is Rust's.
        no::BRK => assert!(args[0] < UTZERO || args[0] > 4 << 30, "probe: brk_ is not for tests here"),
        no::RFORK => assert!(
            flags & (abi::Rfork::MEM.bits() | abi::Rfork::PROC.bits())
                != abi::Rfork::MEM.bits() | abi::Rfork::PROC.bits(),
            "probe: shared memory is for spawn"
        ),
        no::NOTIFY | no::SEGDETACH | no::SEGFREE | no::SEGBRK => {
            assert!(!is_text(args[0]) && !owned(args[0]), "probe: {:#x} is not for tests", args[0]);
        }
        // The address is the new segment's: one that overlaps another is refused.
        no::SEGATTACH => check(args[1], 1),
        _ => {
            // Lengths are small or refused; the lowest address counts, and what a long one would reach.
            for &a in args {
                check(a, 1);
            }
        }
    }
}

/// A system call: RAX. Arguments that are missing are 0.
///
/// # Panics
/// When an argument is an address that is Rust's.
pub fn call(number: u64, args: &[u64]) -> u64 {
    let mut slots = [0; 6];
    for (slot, arg) in slots.iter_mut().zip(args) {
        *slot = *arg;
    }
    check_call(number, &slots);
    // SAFETY: see the module comment: the call can reach nothing that is Rust's.
    unsafe { super::syscall(number, slots) }
}

/// Executes `op` with these registers and puts there what the registers are afterwards. With [`notes::Then::Land`] a
/// note also ends here.
///
/// # Panics
/// When an address that the instruction uses is Rust's, or for a jump into the text.
pub fn run(op: Op, frame: &mut Frame) {
    let di = frame.regs.get(reg::DI).copied().unwrap_or(0);
    match op {
        Op::Syscall => check_call(frame.regs[reg::BP], &frame.args),
        Op::Read | Op::Spin => check(di, 8),
        Op::Write => assert!(
            is_text(di) || {
                check(di, 8);
                true
            }
        ),
        Op::Jump => {
            assert!(!is_text(di));
            check(di, 8);
        }
        _ => {}
    }
    #[cfg(target_os = "none")]
    {
        frame.op = entry::address(op);
        // SAFETY: `check` has kept the instruction from what is Rust's; the stub keeps the sysv64 convention.
        unsafe { entry::lib9_probe(frame) };
    }
}

/// The bytes at `at`. A note when there are none.
///
/// # Panics
/// When they are Rust's.
pub fn peek(at: u64, len: usize) -> Vec<u8> {
    check(at, len as u64);
    let mut out = vec![0; len];
    for (i, byte) in out.iter_mut().enumerate() {
        // SAFETY: nothing of Rust's is there; a byte that is not mapped is a note, not undefined.
        *byte = unsafe { ptr::read_volatile((at as usize + i) as *const u8) };
    }
    out
}

/// Stores bytes at `at`. A note when nothing may be stored there.
///
/// # Panics
/// When what is there is Rust's.
pub fn poke(at: u64, bytes: &[u8]) {
    check(at, bytes.len() as u64);
    for (i, byte) in bytes.iter().enumerate() {
        // SAFETY: nothing of Rust's is there.
        unsafe { ptr::write_volatile((at as usize + i) as *mut u8, *byte) };
    }
}

/// An address in the middle of the program's constants, which can be read and not written.
pub fn constant() -> u64 {
    static TEXT: [u8; 64] = *b"/proc/nosuchfile\0...............................................";
    TEXT.as_ptr() as u64
}

/// The first address behind the stack, and behind everything.
pub fn top() -> u64 {
    USTKTOP
}

/// An address in a page of its own that no test's memory is near.
pub const NOWHERE: u64 = 0x10_0000_0000;
/// Bytes in a page.
pub const PAGE_SIZE: u64 = PAGE;
