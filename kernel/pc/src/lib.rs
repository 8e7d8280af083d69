//! The legacy PC's own devices: the keyboard controller with what is plugged into it, and the screen as text.
//!
//! There are two pairs, each of a device and of what its bytes mean; [`console`] puts the second together:
//!
//! | device | meaning |
//! |---|---|
//! | [`i8042`], the keyboard controller: scan codes, bytes of the mouse | [`keyboard`], from scan codes to characters |
//! | [`vga`], cells on a screen | [`screen`], what a stream of bytes does to rows of cells, and the font |
//!
//! The devices are written on `machine`'s ports, windows and interrupts, so that they run against fake hardware on the
//! host; the meanings are pure state. Nothing here knows the portable kernel: `pc64` connects the keyboard to the
//! console's input and the screen to its output.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod console;
pub mod i8042;
pub mod keyboard;
pub mod screen;
pub mod vga;
