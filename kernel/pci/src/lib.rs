//! PCI: every function of the machine, with its registers, capabilities and memory.
//!
//! Created by `qemu-system-x86_64 -M pc` or `-M q35`, or `-M microvm,pcie=on`. Follows the PCI Local Bus
//! Specification 3.0 and, for the memory-mapped configuration space, PCI Express 3.0 section 7.2.2.
//!
//! [`Pci::scan`] does everything once, at boot, before any driver: it finds the functions (`scan.rs`), reads and
//! sizes their base address registers ([`bar`]), and gives addresses to those that the firmware left at zero
//! (`assign.rs`). After that a [`Pci`] is not changed any more and can be shared; only configuration space
//! itself is written, by the driver that owns the function. Nothing here has a lock; the way to configuration space has
//! one where it needs it ([`machine::pci_config`]).
//!
//! Headers, bridges, base address registers, capabilities and MSI-X are decoded by the crate `pci_types`. It trusts
//! what it reads, so what a device could have made up is copied and made sound before it sees it ([`bar`],
//! [`capability`]). What it does not have is here: the numbers of buses, addresses for registers, and windows on them
//! that nothing can leave.
//!
//! The bus by itself: what sits on it is others' business (`kernel/virtio`). Tests on the host have captured machines
//! in [`fake`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

mod assign;
pub mod bar;
mod bus;
pub mod capability;
mod failure;
#[cfg(not(target_os = "none"))]
pub mod fake;
mod function;
pub mod hotplug;
pub mod intx;
pub mod mechanism;
pub mod msix;
mod scan;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use machine::io::Mmio;

pub use failure::Failure;
pub use function::{Command, Function, Plan9, address};
pub use machine::pci_config::{ConfigSpace, Segment};
pub use pci_types::{CommandRegister, HeaderType, PciAddress};

/// Addresses that may be given to functions.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Memory.
    pub memory: Vec<Range<u64>>,
    /// Ports.
    pub io: Vec<Range<u64>>,
}

impl Windows {
    /// The holes for PCI below 4 GiB on QEMU's machines, less `taken`: the memory map, configuration windows.
    ///
    /// The first hole exists on all of them when memory ends below it; the second on `pc` and `q35`, but not on
    /// `microvm`, which is known by its lack of `ports`.
    pub fn below_4g(taken: &[Range<u64>], ports: bool) -> Windows {
        let holes = [0xC000_0000..0xE000_0000, 0xE800_0000..0xFE00_0000];
        let mut memory: Vec<Range<u64>> = holes.into_iter().take(if ports { 2 } else { 1 }).collect();
        for used in taken {
            assign::subtract(&mut memory, used);
        }
        Windows { memory, io: core::iter::once(0xC000..0x1_0000).collect() }
    }
}

/// What a bridge does for the functions behind it: it passes on accesses to them, and their transfers.
const PASS_ON: CommandRegister = CommandRegister::IO_ENABLE
    .union(CommandRegister::MEMORY_ENABLE)
    .union(CommandRegister::BUS_MASTER_ENABLE);

/// The functions of the machine and the way to their configuration space.
pub struct Pci {
    space: Arc<dyn Segment>,
    functions: Vec<Function>,
}

impl Pci {
    /// Finds all functions on bus 0 and as many other root buses, and behind their bridges, and gives addresses from
    /// `windows` where the firmware gave none.
    pub fn scan(mut space: Box<dyn Segment>, windows: &Windows, extra_roots: usize) -> Pci {
        let mut functions = scan::scan(&mut *space, extra_roots);
        assign::assign(&*space, &mut functions, windows);
        Pci { space: Arc::from(space), functions }
    }

    /// The functions, ascending by address.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The configuration space.
    pub fn space(&self) -> &Arc<dyn Segment> {
        &self.space
    }

    /// The function at an address.
    pub fn find(&self, at: PciAddress) -> Option<&Function> {
        self.functions.iter().find(|f| f.address == at)
    }

    /// The command register of a function.
    pub fn command(&self, function: &Function) -> Command {
        Command::new(&self.space, function.address)
    }

    /// Sets bits of a function's command register, and lets every bridge above pass on accesses and transfers.
    pub fn enable(&self, function: &Function, bits: CommandRegister) {
        self.command(function).set(bits);
        let mut bridge = function.bridge;
        // Bridges come before what is behind them, so this ends.
        while let Some(above) = bridge.and_then(|i| self.functions.get(i)) {
            self.command(above).set(PASS_ON);
            bridge = above.bridge;
        }
    }

    /// Maps part of the memory behind a base address register.
    ///
    /// # Errors
    /// When there is no such register, it is of ports, has no address, or the part is not inside it; when there
    /// is no memory for the mapping.
    pub fn map(&self, function: &Function, bar: u8, offset: u64, len: u64) -> Result<Mmio, Failure> {
        let Some(found) = function.bars.get(usize::from(bar)).copied().flatten() else {
            return Err(Failure::text(alloc::format!("no base address register {bar}")));
        };
        if !found.is_memory() || found.address == 0 {
            return Err(Failure::text(alloc::format!("base address register {bar} has no memory address")));
        }
        if len == 0 || !found.holds(offset, len) {
            return Err(Failure::text(alloc::format!(
                "{len} bytes at {offset:#x} are not inside base address register {bar}"
            )));
        }
        let len = usize::try_from(len).map_err(|_| Failure::new("address overflow"))?;
        Ok(self.space.memory(function.address, bar, offset, len)?)
    }
}
