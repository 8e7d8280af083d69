//! The user address space of a Plan 9 amd64 process and the structures at its top.

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Where text begins; everything below faults.
pub const UTZERO: u64 = 0x20_0000;
/// Alignment of the data segment of an a.out.
pub const DATA_ALIGN: u64 = 0x20_0000;
/// First byte above the user stack.
pub const USTKTOP: u64 = 0x0000_7fff_ffff_f000;
/// Largest user stack, in bytes.
pub const USTKSIZE: u64 = 16 << 20;
/// Most bytes of all arguments of a program, their zero bytes, and the pointers to them, with the two behind the last.
pub const ARGS_MAX: u64 = USTKSIZE / 2;
/// Size of `Tos`, which ends at `USTKTOP`.
pub const TOS_SIZE: u64 = 72;
/// Address of `Tos`.
pub const TOS: u64 = USTKTOP - TOS_SIZE;
/// Offset in `Tos` of the process id (u32).
pub const TOS_PID: u64 = 64;
/// Offset in `Tos` of the cycle counter's rate in Hz (u64).
pub const TOS_CYCLEFREQ: u64 = 40;
/// Offset in `Tos` of cycles spent in the kernel (i64).
pub const TOS_KCYCLES: u64 = 48;
/// Offset in `Tos` of cycles spent (i64).
pub const TOS_PCYCLES: u64 = 56;
/// Offset in `Tos` of the profiling pid (u32).
pub const TOS_PROF_PID: u64 = 32;
