//! What the firmware and the machine's maker say of the machine, as functions of bytes.
//!
//! [`acpi`] has the tables of today, [`mptable`] the older one of processors, [`fdt`] the tree in which QEMU
//! describes microvm, [`fwcfg`] QEMU's own way to hand things over. Nothing in any of them is trusted. They read
//! through `mem::read_phys` and [`crate::io`], and [`crate::boot::info`] says where ACPI's begin; in the
//! hardware half the interrupt controllers and the start of the other processors stand on what is found.

pub mod acpi;
pub mod fdt;
pub mod fwcfg;
pub mod mptable;
