//! The timer queue as data: who wants to be woken when. Tested on the host.

use alloc::collections::BTreeMap;

/// Sleepers by deadline (ns), then by an id that each has but once.
pub struct TimerQueue<T> {
    sleepers: BTreeMap<(u64, u64), T>,
}

impl<T> TimerQueue<T> {
    /// Nobody sleeps.
    pub const fn new() -> TimerQueue<T> {
        TimerQueue { sleepers: BTreeMap::new() }
    }

    /// Adds a sleeper.
    pub fn insert(&mut self, deadline: u64, id: u64, who: T) {
        self.sleepers.insert((deadline, id), who);
    }

    /// Removes a sleeper that may have been taken already.
    pub fn remove(&mut self, deadline: u64, id: u64) -> Option<T> {
        self.sleepers.remove(&(deadline, id))
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<u64> {
        self.sleepers.first_key_value().map(|(k, _)| k.0)
    }

    /// Takes one sleeper whose deadline has come.
    pub fn expired(&mut self, now: u64) -> Option<T> {
        let first = self.sleepers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_expire_in_order_and_not_early() {
        let mut q = TimerQueue::new();
        q.insert(300, 1, 'c');
        q.insert(100, 2, 'a');
        q.insert(100, 3, 'b');
        assert_eq!(q.next(), Some(100));
        assert_eq!(q.expired(99), None);
        assert_eq!((q.expired(100), q.expired(100), q.expired(100)), (Some('a'), Some('b'), None));
        assert_eq!(q.remove(300, 1), Some('c'));
        assert_eq!(q.remove(300, 1), None);
        assert_eq!(q.next(), None);
    }
}
