//! Waiting for so long and no longer, of which only counts what the machine was there for.
//!
//! A host can let the machine stand still (it sleeps itself, it is busy, QEMU is stopped), and the clock goes on or
//! jumps. Who waits for a device or a server then finds its time over, and has not given the other a moment to answer.
//! So a wait is made of naps, each no longer than some second, and of a nap counts no more than was meant to be slept.

use crate::clock;

/// What is left of a wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    left_ns: u64,
    /// When the nap that is being taken began, and until when it was meant to be.
    nap: (u64, u64),
}

impl Patience {
    /// As long as this, in nanoseconds.
    pub const fn new(ns: u64) -> Patience {
        Patience { left_ns: ns, nap: (0, 0) }
    }

    /// Until when to sleep now: for what is left, and not beyond `at_most`. (Times are those of [`clock::now_ns`].)
    pub fn nap(&mut self, at_most: u64) -> u64 {
        self.nap_from(clock::now_ns(), at_most)
    }

    /// After such a sleep: whether nothing is left.
    pub fn is_over(&mut self) -> bool {
        self.is_over_at(clock::now_ns())
    }

    fn nap_from(&mut self, now: u64, at_most: u64) -> u64 {
        let until = now.saturating_add(self.left_ns).min(at_most);
        self.nap = (now, until);
        until
    }

    fn is_over_at(&mut self, now: u64) -> bool {
        let (began, until) = self.nap;
        self.left_ns = self.left_ns.saturating_sub(now.min(until).saturating_sub(began));
        // A nap is counted once.
        self.nap = (until, until);
        self.left_ns == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_machine_stood_still_does_not_count() {
        let mut p = Patience::new(30);
        assert_eq!(p.nap_from(100, 110), 110);
        assert!(!p.is_over_at(110));
        // It stands still for a long time.
        assert_eq!(p.nap_from(110, 120), 120);
        assert!(!p.is_over_at(100_000));
        assert!(!p.is_over_at(200_000), "counted twice");
        // The last nap is as long as what is left.
        assert_eq!(p.nap_from(200_000, 300_000), 200_010);
        assert!(!p.is_over_at(200_005), "woken early");
        assert_eq!(p.nap_from(200_005, 300_000), 200_010);
        assert!(p.is_over_at(200_010));
        assert_eq!(Patience::new(u64::MAX).nap_from(5, u64::MAX), u64::MAX);
    }

    #[test]
    fn it_goes_by_the_clock() {
        let mut p = Patience::new(1);
        p.nap(u64::MAX);
        while !p.is_over() {
            p.nap(u64::MAX);
        }
    }
}
