//! Time on the host: `Instant` since the first question, and a time of day per machine, which begins as the system's.

use core::cell::Cell;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use super::machine::machine;
pub use crate::board_clock::BoardClock;
use crate::wall::Wall;

static START: OnceLock<Instant> = OnceLock::new();

std::thread_local! {
    /// Nanoseconds by which this thread is ahead.
    static AHEAD_NS: Cell<u64> = const { Cell::new(0) };
}

/// Nanoseconds since the start, never going back.
pub fn now_ns() -> u64 {
    real_ns().saturating_add(AHEAD_NS.get())
}

/// The same for a thread that nobody has let time pass for: the time of day is one for all.
fn real_ns() -> u64 {
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The system's time of day, for a new machine.
pub(super) fn wall() -> Wall {
    let wall = Wall::new();
    wall.set(real_ns(), system_ns());
    wall
}

/// Lets time pass for the calling thread: for what one thread does alone.
pub fn host_advance(ns: u64) {
    AHEAD_NS.set(AHEAD_NS.get().saturating_add(ns));
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
    machine().wall.at(real_ns())
}

/// Sets the wall clock of this machine.
pub fn set_wall_ns(ns: i64) {
    machine().wall.set(real_ns(), ns);
}

/// Moves the time of day by `ns` within so many seconds, one at least; see `Wall::adjust`.
pub fn adjust_wall(ns: i64, seconds: u32) {
    machine().wall.adjust(real_ns(), ns, seconds);
}

/// Cycles in a second of the time of day: what was measured, until somebody knows better.
pub fn wall_hz() -> u64 {
    machine().wall.hz(cycle_hz())
}

/// Lets a second of the time of day be so many cycles. Says whether that can be: more than twice and less than half of
/// what was measured cannot.
pub fn set_wall_hz(hz: u64) -> bool {
    machine().wall.set_hz(real_ns(), hz, cycle_hz())
}

/// The board's clock: the host's processes have none beside the system's.
pub fn board() -> Option<BoardClock> {
    None
}

/// Moves the time of day as the board's clock has jumped, which none does here.
pub fn catch_up(_board: &mut BoardClock) -> Option<i64> {
    None
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
        host_advance(3_600_000_000_000);
        assert!(now_ns() - b >= 3_600_000_000_000);
        let others = std::thread::spawn(now_ns).join().unwrap();
        assert!(others < now_ns() - 3_000_000_000_000, "others' time is as it was");
    }
}
