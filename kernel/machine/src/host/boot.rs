//! What the boot loader said. Tests say it with [`set_boot_info`]; until then there is a machine with nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;
use std::sync::PoisonError;

use super::machine::machine;
pub use crate::types::{BootInfo, MOST_COMMAND_LINE, Module, Range, RangeKind};

/// Read-only bytes at a physical address: ACPI tables of a fake machine.
pub(super) struct Firmware {
    pub(super) phys: u64,
    pub(super) bytes: Vec<u8>,
}

static NOTHING: BootInfo = BootInfo {
    cmdline: alloc::string::String::new(),
    cmdline_cut: None,
    ram: Vec::new(),
    modules: Vec::new(),
    refused: Vec::new(),
    rsdp: None,
    loader: "host",
};

/// What the boot loader told.
pub fn info() -> &'static BootInfo {
    machine().boot.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(&NOTHING)
}

/// Sets what [`info`] says on this machine. The value lives for the rest of the test program.
pub fn set_boot_info(info: BootInfo) {
    *machine().boot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::leak(Box::new(info)));
}

/// Puts firmware bytes at a physical address of this machine, for `mem::read_phys`.
pub fn host_add_firmware(phys: u64, bytes: Vec<u8>) {
    machine().firmware.lock().unwrap_or_else(PoisonError::into_inner).push(Firmware { phys, bytes });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn boot_information_is_each_machine_s_own() {
        host::new_machine();
        assert_eq!((info().loader, info().cmdline.as_str()), ("host", ""));
        set_boot_info(BootInfo { cmdline: "init=x".into(), ..BootInfo::default() });
        assert_eq!(info().cmdline, "init=x");
        host::new_machine();
        assert_eq!(info().cmdline, "");
        crate::console::write(b"early");
        assert_eq!(crate::console::host_take(), b"early");
        let mut r = [0; 19];
        crate::random::fill(&mut r);
        assert_ne!(r, [0; 19]);
    }
}
