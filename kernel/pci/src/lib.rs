//! PCI: every function of the machine, with its registers, capabilities and memory.
//!
//! Created by `qemu-system-x86_64 -M pc` or `-M q35`, or `-M microvm,pcie=on`. Follows the PCI Local Bus
//! Specification 3.0 and, for the memory-mapped configuration space, PCI Express 3.0 section 7.2.2.
//!
//! [`Pci::scan`] does everything once, at boot, before any driver: it finds the functions ([`scan`]), reads and
//! sizes their base address registers ([`bar`]), and gives addresses to those that the firmware left at zero
//! ([`assign`]). After that a [`Pci`] is not changed any more and can be shared; only configuration space
//! itself is written, by the driver that owns the function. [`config::Cf8`] has a Lock around its pair of
//! ports, nothing else here has one.
//!
//! The bus by itself: what sits on it is others' business (`kernel/virtio`). Tests on the host have captured machines in
//! [`fake`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "none"))]
extern crate std;

mod assign;
pub mod bar;
mod bus;
pub mod cap;
pub mod config;
mod failure;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod line;
pub mod msix;
mod scan;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bar::Bar;
use cap::Capability;
pub use config::{Address, ConfigSpace};
use core::ops::Range;
pub use failure::Failure;
use machine::io::Mmio;

/// One function of a PCI device.
#[derive(Clone, Debug)]
pub struct Function {
    /// Where it sits.
    pub address: Address,
    /// Index in [`Pci::functions`] of the bridge it is behind; `None` on the root bus.
    pub bridge: Option<usize>,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Base class, subclass, programming interface.
    pub class: [u8; 3],
    /// Header type without the multifunction bit: 0 a device, 1 a bridge.
    pub header: u8,
    /// Subsystem vendor and id; zeros for bridges.
    pub subsystem: (u16, u16),
    /// Interrupt line as the firmware wrote it. Not to be trusted: qboot writes a wrong one.
    pub line: u8,
    /// Interrupt pin: 0 none, 1 INTA to 4 INTD.
    pub pin: u8,
    /// Base address registers; a 64-bit one takes the place of two.
    pub bars: [Option<Bar>; 6],
    /// Capabilities in list order.
    pub capabilities: Vec<Capability>,
}

impl Function {
    /// Whether there is a bus behind it.
    pub fn is_bridge(&self) -> bool {
        self.header == 1
    }

    /// The first capability with this id.
    pub fn capability(&self, id: u8) -> Option<Capability> {
        self.capabilities.iter().copied().find(|c| c.id == id)
    }
}

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

/// The functions of the machine and the way to their configuration space.
pub struct Pci {
    space: Arc<dyn ConfigSpace>,
    functions: Vec<Function>,
}

impl Pci {
    /// Finds all functions, and gives addresses from `windows` where the firmware gave none.
    pub fn scan(mut space: Box<dyn ConfigSpace>, windows: &Windows) -> Pci {
        let mut functions = scan::scan(&mut *space);
        assign::assign(&*space, &mut functions, windows);
        Pci { space: Arc::from(space), functions }
    }

    /// The functions, ascending by address.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The configuration space.
    pub fn space(&self) -> &Arc<dyn ConfigSpace> {
        &self.space
    }

    /// The function at an address.
    pub fn find(&self, at: Address) -> Option<&Function> {
        self.functions.iter().find(|f| f.address == at)
    }

    /// Sets bits of a function's command register ([`bar::IO`], [`bar::MEMORY`], [`bar::MASTER`]), and lets
    /// every bridge above pass on accesses and transfers. Bits that are set stay so.
    pub fn enable(&self, function: &Function, bits: u16) {
        self.command(function.address, bits, 0);
        let mut bridge = function.bridge;
        // Bridges come before what is behind them, so this ends.
        while let Some(above) = bridge.and_then(|i| self.functions.get(i)) {
            self.command(above.address, bar::IO | bar::MEMORY | bar::MASTER, 0);
            bridge = above.bridge;
        }
    }

    /// Sets and clears bits of a function's command register, which is written only when that changes it.
    pub fn command(&self, at: Address, set: u16, clear: u16) {
        set_command(&*self.space, at, set, clear);
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
        let phys = found.address.checked_add(offset).ok_or(Failure::new("address overflow"))?;
        let len = usize::try_from(len).map_err(|_| Failure::new("address overflow"))?;
        Ok(Mmio::map(phys, len)?)
    }
}

/// Sets and clears bits of a command register, which is written only when that changes it.
pub fn set_command(space: &dyn ConfigSpace, at: Address, set: u16, clear: u16) {
    let command = space.read16(at, bar::COMMAND);
    let wanted = (command | set) & !clear;
    if wanted != command {
        space.write16(at, bar::COMMAND, wanted);
    }
}
