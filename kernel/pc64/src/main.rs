//! The Elwood kernel for PC-like machines: the boot story.
//!
//! `boot/entry.S` calls `entry`, which makes a machine of the hardware (`machine::init`) and then comes here. What
//! the kernel is made of stands in `config`; how its parts meet the hardware in `glue`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod config;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod glue;

/// What happens before threads run; whoever calls lets them run then.
#[cfg(target_os = "none")]
fn main_on_metal() {
    let kmesg = glue::log(); // remembers what the kernel says
    let words = glue::command_line(&kmesg); // name=value, from QEMU's -append
    let places = glue::console(&kmesg, &words); // from here on it is heard: serial line, screen, or both
    glue::tell_machine(&kmesg); // memory, clock, how it was loaded
    let system = virtio::init(&glue::machine(&words)); // PCI, and the virtio devices on it
    glue::last_words(&places, &system); // where a panic is told, besides the serial line
    glue::tell_devices(&kmesg, &system); // a line each
    let kernel = config::kernel(kmesg, words, places, system); // the devices of the table, and the root archive
    glue::witness(&kernel); // what a panic says of the process that it happens in
    glue::processors(&kernel); // they wait until all of this is done
    glue::start(&kernel); // console input, and the first process: /rc/bin/init
}

/// The kernel is built for the bare machine only.
#[cfg(not(target_os = "none"))]
fn main() {}
