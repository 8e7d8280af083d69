//! How often something is answered that anybody can bring about: so many times at once, and then again and again after
//! a while. Who sends much that is for nobody has no more sent for it than that. A function of the time that it is
//! told; there is nothing to lock here.

/// See the module comment.
pub(crate) struct Rate {
    /// How often at once.
    burst: u64,
    /// The time after which it is once more.
    step_ns: u64,
    /// When it would all be there again.
    full_ns: u64,
}

impl Rate {
    pub(crate) const fn new(burst: u64, step_ns: u64) -> Rate {
        Rate { burst, step_ns, full_ns: 0 }
    }

    /// Whether it may be now, which is one time less.
    pub(crate) fn takes(&mut self, now_ns: u64) -> bool {
        let from_ns = self.full_ns.max(now_ns);
        let may = from_ns - now_ns <= (self.burst - 1).saturating_mul(self.step_ns);
        if may {
            self.full_ns = from_ns.saturating_add(self.step_ns);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_after_another() {
        let mut rate = Rate::new(5, 100);
        let mut taken = |now_ns| (0..10).filter(|_| rate.takes(now_ns)).count();
        assert_eq!([taken(1000), taken(1099), taken(1100), taken(1350)], [5, 0, 1, 2]);
        // However long nobody has asked.
        assert_eq!(taken(1_000_000), 5);
    }
}
