//! Time on the host: `Instant` since the first question, and the system's wall clock with an offset per machine.

use core::sync::atomic::Ordering;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use super::machine::machine;

static START: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the start, never going back.
pub fn now_ns() -> u64 {
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The cycle counter. The host's counts nanoseconds.
pub fn cycles() -> u64 {
    now_ns()
}

/// Cycles in a second.
pub fn cycle_hz() -> u64 {
    1_000_000_000
}

/// Nanoseconds since 1970.
pub fn wall_ns() -> i64 {
    system_ns().saturating_add(machine().wall_offset_ns.load(Ordering::Relaxed))
}

/// Sets the wall clock of this machine.
pub fn set_wall_ns(ns: i64) {
    machine().wall_offset_ns.store(ns.saturating_sub(system_ns()), Ordering::Relaxed);
}

fn system_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn the_wall_clock_is_each_machine_s_own() {
        host::new_machine();
        assert!(wall_ns() > 1_600_000_000_000_000_000);
        set_wall_ns(1_000_000);
        assert!((1_000_000..10_000_000_000).contains(&wall_ns()));
        host::new_machine();
        assert!(wall_ns() > 1_600_000_000_000_000_000);
        let (a, b) = (now_ns(), now_ns());
        assert!(a <= b);
    }
}
