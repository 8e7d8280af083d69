//! The devices that the machine itself needs, and how registers are reached (`io`, on which all others stand).
//!
//! `uart` is the one file that stands above its room: it takes interrupts (`trap`) and sleeps (`sched`), on the port
//! where `console`, which does neither, is the first to write.

mod chacha;
pub mod console;
pub mod io;
pub(crate) mod ioapic;
pub(crate) mod lapic;
pub mod power;
pub mod random;
pub mod uart;
