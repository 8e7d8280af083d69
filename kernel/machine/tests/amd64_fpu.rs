//! What a switch leaves in the x87 unit: `fpu.rs` itself, compiled here a second time. Its instructions are not the
//! kernel's alone: they do the same in a program of Linux.
//!
//! Whether a processor keeps the last instruction of the program before over FXRSTOR cannot be seen where it does not;
//! that what is done about it makes the unit forget can be seen on all that tell of the last instruction at all.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(dead_code, unreachable_pub, missing_docs)]

use core::arch::asm;
use core::cell::Cell;

use abi::ureg::Ureg;
use amd64::cpu::Cpu;
use fpu::{Area, forget_last_instruction, leaks_by};

#[path = "../src/amd64/sched/fpu.rs"]
mod fpu;

mod types {
    pub use machine::types::{FpuState, Frame};
}

mod amd64 {
    pub mod cpu {
        pub struct Cpu {
            pub fpu_leaks: core::cell::Cell<bool>,
        }
    }
}

/// Where a program's operand is.
static SECRET: u32 = 77;

/// The last instruction, as the unit tells of it: its address and its operand's, the lower halves.
fn last() -> (u32, u32) {
    let mut told = [0u32; 7];
    // SAFETY: 28 bytes are stored, as outside of 16-bit code. It masks all exceptions, which is how Rust has them.
    unsafe { asm!("fnstenv [{}]", in(reg) &raw mut told, options(nostack)) };
    (told[3], told[5])
}

/// What a program does last before somebody else runs. Its exceptions are not masked, and one is pending, if asked for.
fn program(pending: bool) -> (u32, u32) {
    let control: u16 = if pending { 0x33b } else { 0x37f };
    // SAFETY: the unit is used by nobody else, and put in order at the end of a test. A pending exception is raised by
    // an instruction of the unit that waits, of which there is none here.
    unsafe {
        asm!(
            "fninit",
            "fldcw [{control}]",
            "fld1",
            "fldz",
            "test {pending:e}, {pending:e}",
            "jz 2f",
            "fdivp",
            "jmp 3f",
            "2:",
            "fild dword ptr [{secret}]",
            "3:",
            control = in(reg) &raw const control,
            pending = in(reg) u32::from(pending),
            secret = in(reg) &raw const SECRET,
        );
    }
    if pending { (0, 0) } else { last() }
}

/// The unit as Rust wants it.
fn tidy() {
    // SAFETY: nobody has anything in it.
    unsafe { asm!("fninit", options(nostack)) };
}

#[test]
fn the_last_instruction_of_a_program_is_forgotten() {
    let (place, operand) = program(false);
    assert!(place == 0 || operand == (&raw const SECRET).addr() as u32, "{operand:#x}");
    forget_last_instruction();
    let (new_place, new_operand) = last();
    tidy();
    // A processor that tells of the last instruction tells of the kernel's own.
    assert!(place == 0 || new_place != place && new_place != 0, "{new_place:#x}");
    assert_ne!(new_operand, (&raw const SECRET).addr() as u32);
}

#[test]
fn who_runs_next_has_its_own_registers_whatever_the_one_before_left() {
    let cpu = Cpu { fpu_leaks: Cell::new(true) };
    for pending in [false, true] {
        let area = Area::new(&Ureg::default());
        program(pending);
        // With an exception that is pending the next instruction that looked for it would end this process.
        area.load(&cpu, 5);
        let (_, operand) = last();
        assert_ne!(operand, (&raw const SECRET).addr() as u32, "pending {pending}");
        assert_eq!(area.live(), 5);
        // SAFETY: they are in the registers of this thread.
        unsafe { area.save() };
        tidy();
        // SAFETY: nobody else has the area, and its state is here.
        let state = *unsafe { area.state() };
        let fresh = machine::types::FpuState::new();
        assert_eq!(state.as_bytes()[..6], fresh.as_bytes()[..6], "modes and what is there");
        assert_eq!(state.as_bytes()[32..416], fresh.as_bytes()[32..416], "registers");
    }
}

#[test]
fn a_processor_says_whether_it_forgets() {
    let name = |text: &[u8; 4]| u32::from_le_bytes(*text);
    let never = || unreachable!("it has no such number");
    assert!(!leaks_by(name(b"Genu"), 0x8000_0008, || 0));
    assert!(leaks_by(name(b"Auth"), 0x8000_0008, || 0));
    assert!(leaks_by(name(b"Auth"), 0x8000_0008, || !4));
    assert!(!leaks_by(name(b"Auth"), 0x8000_0008, || 4));
    assert!(leaks_by(name(b"Auth"), 0x8000_0007, never));
    assert!(!leaks_by(name(b"Genu"), 0x8000_0004, never));
    assert!(leaks_by(name(b"Hygo"), 0x8000_001e, || 0));
}
