//! How much of the processor a thread has used lately, as arithmetic. Tested on the host.

/// A thread's use of the processor, fading: halved every `FADE_NS`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usage {
    used: u64,
    at: u64,
}

/// Half-life of what a thread has used.
const FADE_NS: u64 = 50_000_000;
/// What a thread that always runs comes to.
const MOST_NS: u64 = 2 * FADE_NS;
/// Who has used less than this lately sleeps more than it runs.
const LITTLE_NS: u64 = 10_000_000;
/// What a third of a processor comes to: who always runs has between half of the most and the most.
const SHARE_NS: u64 = (MOST_NS + MOST_NS / 2) / 2 / 3;

impl Usage {
    /// Nothing yet.
    pub const fn new() -> Usage {
        Usage { used: 0, at: 0 }
    }

    /// Adds a run of `ns` that ended at `now`.
    pub fn add(&mut self, ns: u64, now: u64) {
        let halvings = now.saturating_sub(self.at) / FADE_NS;
        self.used = self.used.checked_shr(halvings as u32).unwrap_or(0).saturating_add(ns).min(MOST_NS);
        self.at += halvings * FADE_NS;
    }

    /// Whether it was little.
    pub fn is_little(&mut self, now: u64) -> bool {
        self.add(0, now);
        self.used < LITTLE_NS
    }

    /// Whether it was less than a third of the time.
    pub fn is_below_share(&mut self, now: u64) -> bool {
        self.add(0, now);
        self.used < SHARE_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn use_fades_and_sleepers_are_told_from_spinners() {
        let mut r = Usage::default();
        assert!(r.is_little(0));
        r.add(40 * MS, 40 * MS);
        assert!(!r.is_little(41 * MS));
        assert!(!r.is_little(99 * MS)); // 20 ms left
        assert!(r.is_little(160 * MS)); // 5 ms left
        assert!(r.is_little(u64::MAX));
        let mut r = Usage::default();
        r.add(10_000 * MS, 10_000 * MS);
        assert!(!r.is_little(10_100 * MS));
        assert!(r.is_little(10_200 * MS));
    }

    #[test]
    fn one_millisecond_in_twenty_is_little_for_good() {
        let mut r = Usage::default();
        for i in 1..1000 {
            r.add(MS, i * 20 * MS);
            assert!(r.is_little(i * 20 * MS));
        }
    }

    #[test]
    fn half_of_the_time_is_not() {
        let mut r = Usage::default();
        (1..100).for_each(|i| r.add(MS, i * 2 * MS));
        assert!(!r.is_little(200 * MS));
    }
}
