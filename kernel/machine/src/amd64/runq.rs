//! The run queue as data: highest priority first, first come first served within one. Tested on the host.

use alloc::collections::VecDeque;

/// Priorities are 0 to 20; 10 is normal.
pub const PRIORITIES: usize = 21;

/// Items that are ready to run.
pub struct RunQueue<T> {
    queues: [VecDeque<T>; PRIORITIES],
    /// Bit set: that queue is not empty.
    busy: u32,
}

impl<T> RunQueue<T> {
    /// Nothing is ready.
    pub const fn new() -> RunQueue<T> {
        RunQueue { queues: [const { VecDeque::new() }; PRIORITIES], busy: 0 }
    }

    /// Adds an item behind those of its priority. Priorities above the highest count as the highest.
    pub fn push(&mut self, priority: u8, item: T) {
        let p = usize::from(priority).min(PRIORITIES - 1);
        self.queues[p].push_back(item);
        self.busy |= 1 << p;
    }

    /// Takes the first item of the highest priority.
    pub fn pop(&mut self) -> Option<T> {
        let p = self.highest()?;
        let item = self.queues[usize::from(p)].pop_front();
        if self.queues[usize::from(p)].is_empty() {
            self.busy &= !(1 << p);
        }
        item
    }

    /// The highest priority that is ready.
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
        for (p, name) in [(10, 'a'), (0, 'z'), (10, 'b'), (20, 't'), (99, 'u'), (10, 'c')] {
            q.push(p, name);
        }
        assert_eq!(q.highest(), Some(20));
        let order: String = core::iter::from_fn(|| q.pop()).collect();
        assert_eq!(order, "tuabcz");
        assert_eq!(q.highest(), None);
        assert_eq!(q.pop(), None);
    }
}
