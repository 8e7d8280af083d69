//! Plain values that both halves of the machine speak in. No state, no locks.
//!
//! Each is re-exported by the module it belongs to (`irq::Line`, `space::Prot`...); use it from there. Those of the
//! boot loader, of interrupts, of watchpoints, of the floating-point unit, and a program's registers are in files of
//! their own.

mod boot;
mod fpu;
mod frame;
mod irq;
mod watch;

pub use boot::{BootInfo, MOST_COMMAND_LINE, Module, Range, RangeKind, RefusedModule};
pub use fpu::{FPU_SIZE, FpuState};
pub use frame::Frame;
pub use irq::{Controller, IrqError, Line, Trigger};
pub use watch::{Watch, WatchError, Watchpoint};

use core::fmt;

/// Memory ran out: physical pages, or the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no physical memory")
    }
}

impl core::error::Error for OutOfMemory {}

/// A sleep was cut short because its thread was interrupted. The thread's flag is still set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl core::error::Error for Interrupted {}

/// Why a bounded sleep ended before its condition held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The thread was interrupted; its flag is still set.
    Interrupted,
    /// The deadline passed.
    TimedOut,
}

impl From<Interrupted> for Wake {
    fn from(_: Interrupted) -> Wake {
        Wake::Interrupted
    }
}

/// What a kernel thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It has a processor.
    Running,
    /// It waits for a processor.
    Ready,
    /// It waits for an unpark token.
    Parked,
    /// Its function has returned.
    Dead,
}

/// Processor time of a thread, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Time in user mode.
    pub user_ns: u64,
    /// Time in the kernel on the thread's behalf.
    pub sys_ns: u64,
}

/// How a user page may be used. Every mapped page may be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prot {
    /// The program may write.
    pub write: bool,
    /// The program may execute.
    pub exec: bool,
}

/// Why user mode was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program executed SYSCALL; `regs.pc` is behind it.
    Syscall,
    /// The program touched memory that is not mapped that way.
    PageFault {
        /// The address touched.
        addr: u64,
        /// It was a store.
        write: bool,
        /// It was an instruction fetch.
        exec: bool,
    },
    /// The program caused any other processor exception.
    Trap {
        /// The exception's vector, 0 to 31.
        vector: u8,
        /// The error code, 0 where the exception has none.
        error: u64,
    },
    /// The timer, a device or another processor wanted attention, or others go first; the program did nothing.
    Interrupt,
}

/// Why device registers could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// Somebody has some of them, or the kernel uses them itself.
    InUse,
    /// There is memory at the address, and not a device.
    Memory,
    /// There is no such address, or the stretch is empty, or no device that is known can be there.
    NoSuchAddress,
    /// No slot of virtio registers begins there, but with this.
    NoSlot(u32),
    /// No memory is left to map them.
    OutOfMemory,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IoError::InUse => f.write_str("device registers in use"),
            IoError::Memory => f.write_str("memory where device registers should be"),
            IoError::NoSuchAddress => f.write_str("no such device address"),
            IoError::NoSlot(magic) => write!(f, "magic {magic:#x}: not a virtio slot"),
            IoError::OutOfMemory => f.write_str("no physical memory"),
        }
    }
}

impl core::error::Error for IoError {}

/// What one processor has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// The processor's number, from 0.
    pub id: u32,
    /// Context switches.
    pub switches: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// System calls.
    pub syscalls: u64,
    /// Page faults of programs.
    pub faults: u64,
    /// Faults that only found a stale or missing translation.
    pub tlb_faults: u64,
    /// Times all translations were thrown away.
    pub tlb_purges: u64,
    /// Nanoseconds spent halted.
    pub idle_ns: u64,
    /// Nanoseconds spent in interrupt handlers.
    pub intr_ns: u64,
    /// Nanoseconds since the processor started.
    pub total_ns: u64,
}
