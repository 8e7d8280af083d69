//! The Elwood kernel for PC-like machines.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_os = "none")]
mod entry;

/// What the boot context does before threads run.
#[cfg(target_os = "none")]
fn main_on_metal() {
    machine::console::write(b"elwood\r\n");
}

/// The kernel is built for the bare machine only.
#[cfg(not(target_os = "none"))]
fn main() {}
