//! The board's clock beside the counter. The counter stands still while QEMU is stopped, a snapshot lies about or the
//! host sleeps; the board's clock goes on. So the time of day, which is made of the counter, is late afterwards, by as
//! long as that was, until somebody compares.
//!
//! Both go at rates of their own, and the board's tells whole seconds. So only what they differ by within some
//! [`SPAN`] counts, and only from [`LEAST`] seconds on; what a program or `timesync` has made of the time of day is
//! moved along and not replaced. Owner: whoever looks, one thread of the kernel.

/// Nanoseconds after which a comparison begins anew.
const SPAN: u64 = 60 * SECOND;
/// The fewest seconds that are a jump. Two readings of whole seconds differ by up to one from what was between them.
const LEAST: i64 = 2;
const SECOND: u64 = 1_000_000_000;

/// What both clocks said at one moment.
#[derive(Debug)]
pub struct BoardClock {
    /// The counter, in nanoseconds since the start.
    now: u64,
    /// The board, in seconds since 1970.
    seconds: i64,
}

impl BoardClock {
    /// The first comparison.
    #[cfg_attr(not(target_os = "none"), allow(dead_code))]
    pub(crate) fn new(now: u64, seconds: i64) -> BoardClock {
        BoardClock { now, seconds }
    }

    /// Compares again: by how many seconds the board's clock has gone further than the counter, back if they are less
    /// than nothing; nothing if that is no jump.
    #[cfg_attr(not(target_os = "none"), allow(dead_code))]
    pub(crate) fn look(&mut self, now: u64, seconds: i64) -> Option<i64> {
        let counted = now.saturating_sub(self.now);
        let whole = i64::try_from(counted.saturating_add(SECOND / 2) / SECOND).unwrap_or(i64::MAX);
        let ahead = seconds.saturating_sub(self.seconds).saturating_sub(whole);
        let jumped = ahead.unsigned_abs() >= LEAST.unsigned_abs();
        if jumped || counted >= SPAN {
            *self = BoardClock { now, seconds };
        }
        jumped.then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn clocks_that_go_alike_do_not_jump() {
        // Whatever part of a second each look meets, for an hour, with a counter that is wrong by a part in a thousand.
        for (offset, wrong) in [(0, 0), (999, 0), (500, 1), (1, -1)] {
            let board = |now: u64| (1000 + (now / MS + offset) / 1000) as i64;
            let mut clock = BoardClock::new(0, board(0));
            for look in 1..1200u64 {
                let now = look * 3017 * MS;
                let counted = (now as i64 + now as i64 / 1000 * wrong) as u64;
                assert_eq!(clock.look(counted, board(now)), None, "{offset} {wrong} {look}");
            }
        }
    }

    #[test]
    fn a_jump_is_told_once_and_in_seconds() {
        let mut clock = BoardClock::new(10 * SECOND, 5000);
        assert_eq!(clock.look(13 * SECOND, 5003), None);
        assert_eq!(clock.look(16 * SECOND, 5026), Some(20));
        assert_eq!(clock.look(19 * SECOND, 5029), None);
        assert_eq!(clock.look(22 * SECOND, 32), Some(-5000));
        assert_eq!(clock.look(25 * SECOND, 35), None);
    }

    #[test]
    fn short_stops_add_up() {
        let mut clock = BoardClock::new(0, 0);
        assert_eq!(clock.look(3 * SECOND, 4), None);
        assert_eq!(clock.look(6 * SECOND, 8), Some(2));
    }

    #[test]
    fn whatever_the_clocks_say_is_survived() {
        for (now, seconds) in
            [(0, i64::MAX), (u64::MAX, i64::MIN), (0, i64::MIN), (u64::MAX / 2, 0), (5, i64::MAX)]
        {
            for (now2, seconds2) in [(0, i64::MIN), (u64::MAX - SECOND, i64::MAX), (7, 7)] {
                let _ = BoardClock::new(now, seconds).look(now2, seconds2);
            }
        }
    }
}
