//! The run queue as data: highest level first, first come first served within one. Tested on the host.

use alloc::collections::VecDeque;

/// Two levels for each of the priorities 0 to 20: the upper is for who has slept rather than run.
pub const LEVELS: usize = 42;

/// Items that are ready to run.
pub struct RunQueue<T> {
    queues: [VecDeque<T>; LEVELS],
    /// Bit set: that queue is not empty.
    busy: u64,
    len: usize,
}

impl<T> RunQueue<T> {
    /// Nothing is ready.
    pub const fn new() -> RunQueue<T> {
        RunQueue { queues: [const { VecDeque::new() }; LEVELS], busy: 0, len: 0 }
    }

    /// Adds an item behind those of its level. Levels above the highest count as the highest.
    pub fn push(&mut self, level: u8, item: T) {
        let p = usize::from(level).min(LEVELS - 1);
        self.queues[p].push_back(item);
        self.busy |= 1 << p;
        self.len += 1;
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

    /// Takes the first item of the highest level.
    pub fn pop(&mut self) -> Option<T> {
        let p = self.highest()?;
        let item = self.queues[usize::from(p)].pop_front();
        if self.queues[usize::from(p)].is_empty() {
            self.busy &= !(1 << p);
        }
        self.len -= 1;
        item
    }

    /// How many are ready.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The highest level that is ready.
    pub fn highest(&self) -> Option<u8> {
        self.busy.checked_ilog2().map(|p| p as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_first_then_first_come() {
        let mut q = RunQueue::new();
        assert!(q.is_full(10));
        q.make_room(10);
        assert!(!q.is_full(10) && q.is_full(11));
        for (p, name) in [(10, 'a'), (0, 'z'), (10, 'b'), (41, 't'), (99, 'u'), (10, 'c')] {
            q.push(p, name);
        }
        assert_eq!((q.highest(), q.len()), (Some(41), 6));
        let order: String = core::iter::from_fn(|| q.pop()).collect();
        assert_eq!(order, "tuabcz");
        assert_eq!(q.highest(), None);
        assert_eq!((q.pop(), q.len()), (None, 0));
    }
}
