//! Plain values that both halves of the machine speak in. No state, no locks.
//!
//! Each is re-exported by the module it belongs to (`irq::Line`, `space::Prot`...); use it from there.

use alloc::string::String;
use alloc::vec::Vec;
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
    /// The timer, a device or another processor wants attention; the program did nothing.
    Interrupt,
}

/// What delivers an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// A processor exception.
    Trap,
    /// The processor's own APIC: timer and inter-processor interrupts.
    Lapic,
    /// A pin of an I/O APIC.
    Ioapic,
    /// A message from a PCI device.
    Msi,
}

impl Controller {
    /// The word `/dev/irqalloc` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Controller::Trap => "trap",
            Controller::Lapic => "lapic",
            Controller::Ioapic => "ioapic",
            Controller::Msi => "msi",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One handler of an interrupt vector, as `/dev/irqalloc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Vector in the processor's table, 0 to 255.
    pub vector: u32,
    /// Line at the controller (global system interrupt, local vector...).
    pub irq: u32,
    /// Times the handler was called.
    pub count: u64,
    /// Cycles of the time stamp counter spent in the handler.
    pub cycles: u64,
    /// What delivers it.
    pub controller: Controller,
    /// Name given by the driver.
    pub name: String,
}

/// How a line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// By its rising edge; the line cannot be shared.
    Edge,
    /// By its level, active low as on PCI; the line may be shared.
    Level,
}

/// Why an interrupt could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqError {
    /// All vectors are taken.
    NoVector,
    /// No controller has this line.
    NoLine,
    /// The line has a handler and is not to be shared, or with another trigger.
    Busy,
    /// The kernel has no memory left for the handler.
    OutOfMemory,
}

impl fmt::Display for IrqError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IrqError::NoVector => "no free interrupt vector",
            IrqError::NoLine => "no such interrupt line",
            IrqError::Busy => "interrupt line in use",
            IrqError::OutOfMemory => "no memory for an interrupt handler",
        })
    }
}

impl core::error::Error for IrqError {}

/// Why device registers could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// Somebody has some of them, or the kernel uses them itself.
    InUse,
    /// There is memory at the address, and not a device.
    Memory,
    /// There is no such address, or the stretch is empty.
    NoSuchAddress,
    /// No memory is left to map them.
    OutOfMemory,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IoError::InUse => "device registers in use",
            IoError::Memory => "memory where device registers should be",
            IoError::NoSuchAddress => "no such device address",
            IoError::OutOfMemory => "no physical memory",
        })
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

/// What a stretch of physical memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Ordinary memory, free for use.
    Ram,
    /// Not memory, or not ours.
    Reserved,
    /// ACPI tables; could be reused once they are read.
    AcpiReclaim,
    /// The firmware's own; never touched.
    AcpiNvs,
    /// Broken memory.
    Bad,
}

/// A stretch of physical address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub kind: RangeKind,
}

/// A module that the loader brought.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Physical address of its first byte.
    pub start: u64,
    /// Its bytes, which nobody changes.
    pub bytes: &'static [u8],
}

/// A module that the loader named and that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedModule {
    /// Physical address of its first byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// Why not, in words.
    pub reason: &'static str,
}

/// Bytes of the command line that are read: QEMU's PVH loader has room for no more.
pub const MOST_COMMAND_LINE: usize = 4096;

/// What the boot loader told the kernel, copied before anything could overwrite it.
#[derive(Clone, Debug, Default)]
pub struct BootInfo {
    /// The command line, without the kernel's own name.
    pub cmdline: String,
    /// Bytes of the whole command line, where that is only its beginning.
    pub cmdline_cut: Option<usize>,
    /// The memory map, ascending.
    pub ram: Vec<Range>,
    /// Modules in the loader's order (`-initrd` is the first).
    pub modules: Vec<Module>,
    /// Modules that the loader named and that cannot be used.
    pub refused: Vec<RefusedModule>,
    /// Physical address of ACPI's root pointer, when the loader knows it.
    pub rsdp: Option<u64>,
    /// How the kernel was started: "pvh", "multiboot2", "host".
    pub loader: &'static str,
}

/// Bytes of a saved floating-point unit, in FXSAVE's layout.
pub const FPU_SIZE: usize = 512;

/// Saved x87 and SSE registers of a process, in the layout of the FXSAVE instruction.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FpuState(pub(crate) [u8; FPU_SIZE]);

impl FpuState {
    /// Plan 9's start values: control word 0x37f, MXCSR 0x1f80, all registers empty.
    pub const fn new() -> FpuState {
        let mut b = [0; FPU_SIZE];
        b[0] = 0x7f;
        b[1] = 0x03;
        b[24] = 0x80;
        b[25] = 0x1f;
        FpuState(b)
    }

    /// The bytes that `/proc/n/fpregs` shows.
    pub fn as_bytes(&self) -> &[u8; FPU_SIZE] {
        &self.0
    }

    /// Takes bytes from a program. Reserved bits of MXCSR are cleared, so that loading it cannot fault.
    pub fn from_bytes(bytes: &[u8; FPU_SIZE]) -> FpuState {
        let mut b = *bytes;
        b[26] = 0;
        b[27] = 0;
        FpuState(b)
    }
}

impl Default for FpuState {
    fn default() -> FpuState {
        FpuState::new()
    }
}

impl fmt::Debug for FpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FpuState {{ fcw: {:#x}, mxcsr: {:#x} }}",
            u16::from_le_bytes([self.0[0], self.0[1]]),
            u32::from_le_bytes([self.0[24], self.0[25], self.0[26], self.0[27]])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn controllers_pad_like_words() {
        assert_eq!(format!("{:<8}|", Controller::Msi), "msi     |");
        assert_eq!(format!("{:<8}|", Controller::Ioapic), "ioapic  |");
    }

    #[test]
    fn fpu_bytes_from_a_program_cannot_set_reserved_mxcsr_bits() {
        let s = FpuState::from_bytes(&[0xff; FPU_SIZE]);
        assert_eq!(s.as_bytes()[24..28], [0xff, 0xff, 0, 0]);
        let f = FpuState::new();
        assert_eq!(FpuState::from_bytes(f.as_bytes()), f);
        assert_eq!(core::mem::align_of::<FpuState>(), 64);
        assert_eq!(core::mem::size_of::<FpuState>(), FPU_SIZE);
    }
}
