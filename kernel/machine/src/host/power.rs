//! Ending the machine. On the host the calling thread ends, and the test can see how.

use alloc::boxed::Box;
use std::sync::PoisonError;

use super::machine::machine;

/// How a machine was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Switched off.
    Off,
    /// Reset.
    Reset,
    /// QEMU was told to exit with this code.
    Exit(u8),
}

fn end(how: Power) -> ! {
    machine().power.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(how);
    // Ends this thread only, and without the message of a panic.
    std::panic::resume_unwind(Box::new(how))
}

/// Switches the machine off.
pub fn off() -> ! {
    end(Power::Off)
}

/// Starts the machine afresh.
pub fn reset() -> ! {
    end(Power::Reset)
}

/// Makes QEMU exit with a code, where the machine has isa-debug-exit; returns where it has not, as here.
pub fn exit_qemu(code: u8) {
    machine().power.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Power::Exit(code));
}

/// How this machine was ended first, if it was.
pub fn host_state() -> Option<Power> {
    *machine().power.lock().unwrap_or_else(PoisonError::into_inner)
}
