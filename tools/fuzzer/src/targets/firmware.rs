//! What the machine's maker has left: QEMU's fw_cfg, a device tree, ACPI's tables.

use std::sync::{Arc, Mutex};

use machine::firmware::{acpi, fdt, fwcfg};
use machine::host::io::{PortBackend, host_register_ports};

/// A fw_cfg whose items are what the bytes say: each byte read is the next one, whatever was selected.
struct Any {
    bytes: Vec<u8>,
    at: Mutex<(bool, usize)>,
}

impl PortBackend for Any {
    fn read(&self, _: u16, _: usize) -> u32 {
        let mut at = self.at.lock().unwrap_or_else(|e| e.into_inner());
        // The signature, or nobody would look at the rest.
        let from = if at.0 { b"QEMU".as_slice() } else { &self.bytes };
        at.1 += 1;
        from.get(at.1 - 1).copied().unwrap_or(0).into()
    }

    fn write(&self, _: u16, _: usize, value: u32) {
        *self.at.lock().unwrap_or_else(|e| e.into_inner()) = (value == 0, 0);
    }
}

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    machine::host::new_machine();
    let any = Any { bytes: bytes.to_vec(), at: Mutex::default() };
    host_register_ports(0x510, 2, Arc::new(any));
    if let Some(mut file) = fwcfg::open("etc/fdt") {
        let read = file.read(40).len() + file.read(1000).len();
        assert!(read <= 1040);
    }
    let _ = fwcfg::processors();
    if let Some(len) = fdt::extent(bytes) {
        assert!(len <= u32::MAX as usize);
    }
    if let Some(tree) = fdt::Fdt::parse(bytes) {
        assert!(tree.nodes().len() <= bytes.len());
        for node in tree.nodes() {
            let _ = (node.reg(), node.interrupt(), node.interrupt_parent(), node.phandle());
            let _ = node.is_compatible("virtio,mmio");
        }
    }
    if let Some(madt) = acpi::parse_madt(bytes) {
        let _ = madt.isa(9);
    }
    assert!(acpi::parse_mcfg(bytes).len() <= bytes.len());
    let _ = acpi::parse_fadt(bytes);
    let mut at = 0;
    let next = |n: usize| {
        let piece = bytes.get(at..).unwrap_or_default();
        let piece = piece.get(..n.min(piece.len())).unwrap_or_default();
        at += piece.len();
        piece.to_vec()
    };
    let _ = acpi::find_in_copy(next, b"APIC");
}
