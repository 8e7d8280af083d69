//! The time of day, as a function of the nanoseconds since the start: set, moved little by little, and at a rate of its
//! own (section 3, `cons`: `bintime`).
//!
//! Lock: `writers`, a leaf. Readers take none: they read again when `version` has changed meanwhile, or was odd. Who
//! writes cannot be interrupted, so they wait for some instructions of another processor. Owner: `clock`.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

use crate::lock::Lock;

const SECOND: i64 = 1_000_000_000;
/// One, in rates: parts of 2^32.
const ONE: i64 = 1 << 32;
/// The slowest that the clock goes while it is moved back: half as fast as its rate is.
const SLOWEST: i64 = 2;

/// The time of day and how it goes on.
pub(crate) struct Wall {
    writers: Lock<()>,
    /// Odd while the rest is written.
    version: AtomicU64,
    /// The moment, in ns since the start, from which on the rest counts.
    from: AtomicU64,
    /// What the time of day was then, in ns since 1970.
    wall: AtomicI64,
    /// How much faster than [`ONE`] it goes.
    rate: AtomicI64,
    /// When it has been moved as far as it was to be, and how much faster it goes until then.
    until: AtomicU64,
    moving: AtomicI64,
}

/// The values of a [`Wall`].
#[derive(Clone, Copy)]
struct Values {
    from: u64,
    wall: i64,
    rate: i64,
    until: u64,
    moving: i64,
}

impl Values {
    fn at(&self, now: u64) -> i64 {
        // A reader may have looked at the counter before somebody else set the time.
        let since = now.saturating_sub(self.from) as i64;
        let moved = now.min(self.until).saturating_sub(self.from) as i64;
        let at = self.wall.saturating_add(since);
        // Mostly it goes as was measured.
        if self.rate | self.moving == 0 {
            return at;
        }
        at.saturating_add(part(since, self.rate) + part(moved, self.moving))
    }
}

/// `ns` times a rate.
fn part(ns: i64, rate: i64) -> i64 {
    ((i128::from(ns) * i128::from(rate)) >> 32) as i64
}

impl Wall {
    /// 1970, at the start.
    pub(crate) const fn new() -> Self {
        Wall {
            writers: Lock::new(()),
            version: AtomicU64::new(0),
            from: AtomicU64::new(0),
            wall: AtomicI64::new(0),
            rate: AtomicI64::new(0),
            until: AtomicU64::new(0),
            moving: AtomicI64::new(0),
        }
    }

    fn values(&self) -> Values {
        Values {
            from: self.from.load(Ordering::Relaxed),
            wall: self.wall.load(Ordering::Relaxed),
            rate: self.rate.load(Ordering::Relaxed),
            until: self.until.load(Ordering::Relaxed),
            moving: self.moving.load(Ordering::Relaxed),
        }
    }

    /// Nanoseconds since 1970 at `now`, in nanoseconds since the start.
    pub(crate) fn at(&self, now: u64) -> i64 {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let values = self.values();
            fence(Ordering::Acquire);
            if version & 1 == 0 && self.version.load(Ordering::Relaxed) == version {
                return values.at(now);
            }
            core::hint::spin_loop();
        }
    }

    /// Goes on from `now` with what `change` makes of the values, which are as of then.
    fn change(&self, now: u64, change: impl FnOnce(&mut Values)) {
        let _writing = self.writers.lock();
        let mut v = self.values();
        let now = now.max(v.from);
        (v.wall, v.from) = (v.at(now), now);
        change(&mut v);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.from.store(v.from, Ordering::Relaxed);
        self.wall.store(v.wall, Ordering::Relaxed);
        self.rate.store(v.rate, Ordering::Relaxed);
        self.until.store(v.until, Ordering::Relaxed);
        self.moving.store(v.moving, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Sets the time of day. What it was to be moved by is forgotten.
    pub(crate) fn set(&self, now: u64, wall: i64) {
        self.change(now, |v| (v.wall, v.until, v.moving) = (wall, 0, 0));
    }

    /// Sets the time of day `ns` further; what it is being moved by goes on.
    #[cfg_attr(not(target_os = "none"), allow(dead_code))]
    pub(crate) fn step(&self, now: u64, ns: i64) {
        self.change(now, |v| v.wall = v.wall.saturating_add(ns));
    }

    /// Moves the time of day by `ns` within so many seconds (one at least), instead of what it was still to be moved
    /// by. It never goes back: that far takes as long as it must.
    pub(crate) fn adjust(&self, now: u64, ns: i64, seconds: u32) {
        let mut over = i64::from(seconds.max(1)) * SECOND;
        if ns < 0 {
            over = over.max(ns.saturating_neg().saturating_mul(SLOWEST));
        }
        let moving = (i128::from(ns) << 32) / i128::from(over);
        let moving = moving.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        self.change(now, |v| (v.until, v.moving) = (now.saturating_add(over as u64), moving));
    }

    /// Lets a second of the clock be `hz` cycles from now on, where it was measured as `measured`. Says whether that
    /// can be: more than twice and less than half of it cannot.
    pub(crate) fn set_hz(&self, now: u64, hz: u64, measured: u64) -> bool {
        if hz < measured.div_ceil(2) || hz > measured.saturating_mul(2) {
            return false;
        }
        let whole = (u128::from(measured) << 32) / u128::from(hz.max(1));
        self.change(now, |v| v.rate = whole as i64 - ONE);
        true
    }

    /// The cycles that are a second of the clock, where they were measured as `measured`.
    pub(crate) fn hz(&self, measured: u64) -> u64 {
        let whole = ONE.saturating_add(self.rate.load(Ordering::Relaxed));
        (((u128::from(measured) << 32) + whole as u128 / 2) / whole as u128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn near(a: i64, b: i64) -> bool {
        (a - b).abs() <= 2
    }

    #[test]
    fn it_is_set_and_goes_on() {
        let w = Wall::new();
        assert_eq!(w.at(5), 5);
        w.set(100, -40);
        assert_eq!((w.at(100), w.at(1100), w.at(0)), (-40, 960, -40));
        w.set(100, i64::MAX - 5);
        assert_eq!(w.at(S), i64::MAX);
    }

    #[test]
    fn it_is_moved_little_by_little() {
        let w = Wall::new();
        w.adjust(10 * S, 1_000_000, 2);
        assert!(near(w.at(10 * S), 10 * S as i64));
        assert!(near(w.at(11 * S), 11 * S as i64 + 500_000));
        assert!(near(w.at(12 * S), 12 * S as i64 + 1_000_000));
        assert!(near(w.at(99 * S), 99 * S as i64 + 1_000_000));
        // What has been moved stays; the rest is forgotten.
        w.adjust(100 * S, 4_000_000, 4);
        w.adjust(101 * S, 0, 0);
        assert!(near(w.at(200 * S), 200 * S as i64 + 2_000_000));
        w.adjust(200 * S, 8_000_000, 8);
        w.set(204 * S, 0);
        assert_eq!(w.at(300 * S), 96 * S as i64);
    }

    #[test]
    fn a_step_keeps_what_it_is_being_moved_by() {
        let w = Wall::new();
        w.adjust(0, 4_000_000, 4);
        w.step(2 * S, 20 * S as i64);
        assert!(near(w.at(2 * S), 22 * S as i64 + 2_000_000));
        assert!(near(w.at(4 * S), 24 * S as i64 + 4_000_000));
        w.step(4 * S, -24 * S as i64);
        assert!(near(w.at(5 * S), S as i64 + 4_000_000));
    }

    #[test]
    fn it_never_goes_back() {
        let w = Wall::new();
        w.adjust(0, -10 * S as i64, 1);
        let mut last = w.at(0);
        for now in (1..30 * S).step_by(S as usize / 7) {
            assert!(w.at(now) >= last, "{now}");
            last = w.at(now);
        }
        assert!(near(w.at(20 * S), 10 * S as i64) && near(w.at(30 * S), 20 * S as i64));
        for (ns, seconds) in [(i64::MIN, 1), (i64::MAX, 1), (i64::MIN, u32::MAX), (0, 0)] {
            w.adjust(30 * S, ns, seconds);
            let _ = (w.at(u64::MAX), w.at(0));
            w.set(30 * S, 20 * S as i64);
        }
    }

    #[test]
    fn it_has_a_rate_of_its_own() {
        let (w, hz) = (Wall::new(), 2_500_000_000);
        assert_eq!(w.hz(hz), hz);
        for bad in [0, 1, hz / 2 - 1, hz * 2 + 1, u64::MAX] {
            assert!(!w.set_hz(S, bad, hz), "{bad}");
        }
        // Its cycles are fewer than were measured: a second is over sooner.
        assert!(w.set_hz(10 * S, 2_000_000_000, hz));
        assert_eq!(w.hz(hz), 2_000_000_000);
        assert!(near(w.at(10 * S), 10 * S as i64));
        assert!(near(w.at(14 * S), 15 * S as i64));
        assert!(w.set_hz(14 * S, hz, hz));
        assert!(near(w.at(20 * S), 21 * S as i64));
    }

    #[test]
    fn readers_see_one_time() {
        let w = std::sync::Arc::new(Wall::new());
        let writer = {
            let w = w.clone();
            std::thread::spawn(move || (0..20_000).for_each(|n| w.set(n, n as i64 * 1_000_003)))
        };
        while !writer.is_finished() {
            assert_eq!((w.at(20_000) - 20_000) % 1_000_002, 0);
        }
        writer.join().unwrap();
    }
}
