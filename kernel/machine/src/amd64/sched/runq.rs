//! The run queue as data: highest level first, first come first served within one. Tested on the host.

use alloc::collections::VecDeque;

/// Two levels for each of the priorities 0 to 20: the upper is for who has slept rather than run.
pub const LEVELS: usize = 42;

/// Items that are ready to run.
pub struct RunQueue<T> {
    queues: [VecDeque<T>; LEVELS],
    /// Bit set: that queue is not empty.
    busy: u64,
}

impl<T> RunQueue<T> {
    /// Nothing is ready.
    pub const fn new() -> RunQueue<T> {
        RunQueue { queues: [const { VecDeque::new() }; LEVELS], busy: 0 }
    }

    /// Adds an item behind those of its level. Levels above the highest count as the highest.
    pub fn push(&mut self, level: u8, item: T) {
        let p = usize::from(level).min(LEVELS - 1);
        self.queues[p].push_back(item);
        self.busy |= 1 << p;
    }

    /// Whether an item more at this level needs memory.
    pub fn is_full(&self, level: u8) -> bool {
        let queue = &self.queues[usize::from(level).min(LEVELS - 1)];
        queue.len() == queue.capacity()
    }

    /// Makes room for some items more at this level.
    pub fn make_room(&mut self, level: u8) {
        self.queues[usize::from(level).min(LEVELS - 1)].reserve(4);
    }

    /// Takes the first item of this level.
    pub fn pop_from(&mut self, level: u8) -> Option<T> {
        let queue = self.queues.get_mut(usize::from(level))?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.busy &= !(1 << level);
        }
        item
    }

    /// Takes out the first item of this level that `is_it`.
    pub fn take(&mut self, level: u8, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let queue = self.queues.get_mut(usize::from(level))?;
        let at = queue.iter().position(is_it)?;
        let item = queue.remove(at);
        if queue.is_empty() {
            self.busy &= !(1 << level);
        }
        item
    }

    /// Whether nobody is ready at this level.
    pub fn is_empty(&self, level: u8) -> bool {
        self.busy >> level & 1 == 0
    }

    /// The highest level that is ready.
    pub fn highest(&self) -> Option<u8> {
        self.busy.checked_ilog2().map(|p| p as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop<T>(q: &mut RunQueue<T>) -> Option<T> {
        q.highest().and_then(|level| q.pop_from(level))
    }

    #[test]
    fn higher_first_then_first_come() {
        let mut q = RunQueue::new();
        assert!(q.is_full(10));
        q.make_room(10);
        assert!(!q.is_full(10) && q.is_full(11));
        for (p, name) in [(10, 'a'), (0, 'z'), (10, 'b'), (41, 't'), (99, 'u'), (10, 'c')] {
            q.push(p, name);
        }
        assert_eq!(q.highest(), Some(41));
        let order: String = core::iter::from_fn(|| pop(&mut q)).collect();
        assert_eq!(order, "tuabcz");
        assert_eq!(q.highest(), None);
        assert_eq!(pop(&mut q), None);
    }

    #[test]
    fn one_is_taken_from_the_middle() {
        let mut q = RunQueue::new();
        for (p, name) in [(40, 'a'), (40, 'b'), (41, 'c')] {
            q.push(p, name);
        }
        assert_eq!(q.take(41, |c| *c == 'b'), None);
        assert_eq!(q.take(40, |c| *c == 'b'), Some('b'));
        assert!(!q.is_empty(41) && q.is_empty(39));
        assert_eq!(q.pop_from(41), Some('c'));
        assert!(q.is_empty(41));
        assert_eq!(q.highest(), Some(40));
        assert_eq!(q.take(200, |_| true), None);
    }
}
