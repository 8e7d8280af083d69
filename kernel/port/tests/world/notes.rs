//! Notes as a program sends, gets and ends them.

use abi::syscall as call;
use abi::ureg::{UREG_SIZE, Ureg};
use machine::host::Cpu;

use super::{FAILED, Sys, cstring};

/// What a handler is given: where the registers are, and the text.
pub fn handed(cpu: &mut Cpu) -> (u64, String) {
    let (sp, bp) = (cpu.regs.sp, cpu.regs.bp);
    let ureg = cpu.load_u64(sp + 8);
    assert_eq!(ureg, bp, "in RBP too");
    let text = cpu.load_u64(sp + 16);
    (ureg, cstring(cpu, text))
}

pub fn ureg(cpu: &mut Cpu, at: u64) -> Ureg {
    let mut bytes = [0; UREG_SIZE];
    cpu.load(at, &mut bytes);
    Ureg::from_bytes(&bytes)
}

pub fn noted(cpu: &mut Cpu, how: i32) {
    cpu.syscall(call::NOTED, &[how as u64]);
}

/// Posts a note to a process, as a program does. False when it was refused.
pub fn post(cpu: &mut Cpu, pid: u32, text: &str) -> bool {
    cpu.echo(text, &format!("/proc/{pid}/note")) != FAILED
}
