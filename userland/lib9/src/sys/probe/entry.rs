//! The instructions of [`Op`](super::Op), between loading all registers and storing them.

use super::{Frame, Op};

core::arch::global_asm!(
    // lib9_probe(rdi = *mut Frame). Offsets: registers at 0 (ax bx cx dx si di bp r8..r15 flags), arguments at 128, the
    // instruction's address at 176, SSE registers at 184.
    ".globl lib9_probe",
    "lib9_probe:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rdi",
    "push qword ptr [rdi+168]",
    "push qword ptr [rdi+160]",
    "push qword ptr [rdi+152]",
    "push qword ptr [rdi+144]",
    "push qword ptr [rdi+136]",
    "push qword ptr [rdi+128]",
    // The junk that is where a return address would be.
    "push qword ptr [rdi+176]",
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movups xmm\\n, [rdi+184+16*\\n]",
    ".endr",
    "mov rax, [rdi]",
    "mov rbx, [rdi+8]",
    "mov rcx, [rdi+16]",
    "mov rdx, [rdi+24]",
    "mov rsi, [rdi+32]",
    "mov rbp, [rdi+48]",
    "mov r8, [rdi+56]",
    "mov r9, [rdi+64]",
    "mov r10, [rdi+72]",
    "mov r11, [rdi+80]",
    "mov r12, [rdi+88]",
    "mov r13, [rdi+96]",
    "mov r14, [rdi+104]",
    "mov r15, [rdi+112]",
    "mov rdi, [rdi+40]",
    "jmp qword ptr [rsp]",
    // Here ends everything, and what a note handler wants to land.
    ".globl lib9_probe_landing",
    "lib9_probe_landing:",
    "pushfq",
    "push rax",
    "mov rax, [rsp+72]",
    "pop qword ptr [rax]",
    "pop qword ptr [rax+120]",
    "mov [rax+8], rbx",
    "mov [rax+16], rcx",
    "mov [rax+24], rdx",
    "mov [rax+32], rsi",
    "mov [rax+40], rdi",
    "mov [rax+48], rbp",
    "mov [rax+56], r8",
    "mov [rax+64], r9",
    "mov [rax+72], r10",
    "mov [rax+80], r11",
    "mov [rax+88], r12",
    "mov [rax+96], r13",
    "mov [rax+104], r14",
    "mov [rax+112], r15",
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
    "movups [rax+184+16*\\n], xmm\\n",
    ".endr",
    // The x87 unit and the SSE unit as they were at the start.
    "fninit",
    "push 0x1f80",
    "ldmxcsr [rsp]",
    "add rsp, 64",
    "pop rdi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // The instructions, which other parts of the program name.
    ".globl lib9_probe_syscall, lib9_probe_read, lib9_probe_write, lib9_probe_jump, lib9_probe_divide",
    ".globl lib9_probe_invalid, lib9_probe_breakpoint, lib9_probe_privileged, lib9_probe_sse, lib9_probe_x87",
    ".globl lib9_probe_nostack, lib9_probe_spin",
    "lib9_probe_syscall:",
    "syscall",
    "jmp lib9_probe_landing",
    "lib9_probe_read:",
    "mov rax, [rdi]",
    "jmp lib9_probe_landing",
    "lib9_probe_write:",
    "mov [rdi], rax",
    "jmp lib9_probe_landing",
    "lib9_probe_jump:",
    "jmp rdi",
    "lib9_probe_divide:",
    "div ecx",
    "jmp lib9_probe_landing",
    "lib9_probe_invalid:",
    "ud2",
    "lib9_probe_breakpoint:",
    "int3",
    "jmp lib9_probe_landing",
    "lib9_probe_privileged:",
    "hlt",
    "jmp lib9_probe_landing",
    "lib9_probe_sse:",
    "push 0x1d80",
    "ldmxcsr [rsp]",
    "pop rax",
    "mov eax, 0x3f800000",
    "movd xmm0, eax",
    "pxor xmm1, xmm1",
    "divss xmm0, xmm1",
    "jmp lib9_probe_landing",
    "lib9_probe_x87:",
    "fninit",
    "push 0x33b",
    "fldcw [rsp]",
    "pop rax",
    "fld1",
    "fldz",
    "fdivp",
    "fwait",
    "jmp lib9_probe_landing",
    "lib9_probe_nostack:",
    "mov rsp, rdi",
    "pop rax",
    "ud2",
    "lib9_probe_spin:",
    "pause",
    "cmp qword ptr [rdi], 0",
    "je lib9_probe_spin",
    "jmp lib9_probe_landing",
);

macro_rules! ops {
    ($($op:ident $name:ident,)*) => {
        unsafe extern "sysv64" { $(fn $name();)* }
        /// Where the instruction is.
        pub fn address(op: Op) -> u64 {
            match op { $(Op::$op => $name as *const () as u64,)* }
        }
    };
}

ops! {
    Syscall lib9_probe_syscall,
    Read lib9_probe_read,
    Write lib9_probe_write,
    Jump lib9_probe_jump,
    Divide lib9_probe_divide,
    Invalid lib9_probe_invalid,
    Breakpoint lib9_probe_breakpoint,
    Privileged lib9_probe_privileged,
    FloatSse lib9_probe_sse,
    FloatX87 lib9_probe_x87,
    NoStack lib9_probe_nostack,
    Spin lib9_probe_spin,
}

unsafe extern "sysv64" {
    /// See above.
    pub fn lib9_probe(frame: *mut Frame);
    fn lib9_probe_landing();
}

/// Where registers are stored.
pub fn landing() -> u64 {
    lib9_probe_landing as *const () as u64
}

unsafe extern "C" {
    /// First byte of the program's data, from the linker script.
    #[link_name = "sdata"]
    static DATA: u8;
}

/// Where what can be written begins.
pub fn data() -> u64 {
    &raw const DATA as u64
}
