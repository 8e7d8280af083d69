//! What a boot loader tells: the memory map, modules, the command line.

use alloc::string::String;
use alloc::vec::Vec;

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
