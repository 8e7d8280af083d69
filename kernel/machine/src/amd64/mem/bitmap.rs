//! Which page frames are free, as arithmetic on words: one bit per frame, and one bit per word of those that says
//! whether any bit in it is set. No hardware: tested on the host.
//!
//! Single frames come from the bottom and runs from the top, so that the two do not fragment each other.

const BITS: usize = 64;

/// A set of free frames.
pub struct Bitmap<'a> {
    /// Bit set: frame free.
    words: &'a mut [u64],
    /// Bit set: that word is not zero.
    summary: &'a mut [u64],
    free: usize,
    /// No summary word below has a bit set.
    low: usize,
}

/// Words needed for `frames` frames: (words, summary).
pub const fn sizes(frames: usize) -> (usize, usize) {
    let words = frames.div_ceil(BITS);
    (words, words.div_ceil(BITS))
}

impl<'a> Bitmap<'a> {
    /// No frame is free. The slices have the lengths that `sizes` gave.
    pub fn new(words: &'a mut [u64], summary: &'a mut [u64]) -> Bitmap<'a> {
        words.fill(0);
        summary.fill(0);
        Bitmap { words, summary, free: 0, low: 0 }
    }

    /// Free frames.
    pub fn free(&self) -> usize {
        self.free
    }

    /// Makes `count` frames from `first` free.
    ///
    /// # Panics
    /// When one of them is free already, or there is no such frame: somebody freed twice.
    pub fn put(&mut self, first: usize, count: usize) {
        let mut at = first;
        let end = first + count;
        while at < end {
            let (word, bit) = (at / BITS, at % BITS);
            let n = (BITS - bit).min(end - at);
            let mask = mask(bit, n);
            assert!(self.words[word] & mask == 0, "page frame {at:#x} freed twice");
            self.words[word] |= mask;
            self.summary[word / BITS] |= 1 << (word % BITS);
            at += n;
        }
        self.free += count;
        self.low = self.low.min(first / BITS / BITS);
    }

    /// Takes the lowest free frame.
    pub fn take(&mut self) -> Option<usize> {
        while let Some(&s) = self.summary.get(self.low) {
            if s == 0 {
                self.low += 1;
                continue;
            }
            let word = self.low * BITS + s.trailing_zeros() as usize;
            let bit = self.words[word].trailing_zeros() as usize;
            let frame = word * BITS + bit;
            self.clear(frame, 1);
            return Some(frame);
        }
        None
    }

    /// Takes `count` neighbouring frames, the highest there are.
    pub fn take_run(&mut self, count: usize) -> Option<usize> {
        if count == 0 || count > self.free {
            return None;
        }
        let mut run = 0;
        let mut word = self.words.len();
        while word > 0 {
            word -= 1;
            if word % BITS == BITS - 1 && self.summary[word / BITS] == 0 {
                run = 0;
                word -= BITS - 1;
                continue;
            }
            let w = self.words[word];
            if w == 0 {
                run = 0;
            } else if w == u64::MAX {
                run += BITS;
                if run >= count {
                    return Some(self.claim(word * BITS + run - count, count));
                }
            } else {
                for bit in (0..BITS).rev() {
                    run = if w >> bit & 1 == 1 { run + 1 } else { 0 };
                    if run == count {
                        return Some(self.claim(word * BITS + bit, count));
                    }
                }
            }
        }
        None
    }

    fn claim(&mut self, first: usize, count: usize) -> usize {
        let mut at = first;
        while at < first + count {
            let n = (BITS - at % BITS).min(first + count - at);
            self.clear(at, n);
            at += n;
        }
        first
    }

    /// Clears `n` bits of one word.
    fn clear(&mut self, frame: usize, n: usize) {
        let word = frame / BITS;
        self.words[word] &= !mask(frame % BITS, n);
        if self.words[word] == 0 {
            self.summary[word / BITS] &= !(1 << (word % BITS));
        }
        self.free -= n;
    }
}

/// `n` bits from `bit`, 1 to 64 of them.
fn mask(bit: usize, n: usize) -> u64 {
    (u64::MAX >> (BITS - n)) << bit
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Space {
        words: Vec<u64>,
        summary: Vec<u64>,
    }

    impl Space {
        fn new(frames: usize) -> Space {
            let (w, s) = sizes(frames);
            Space { words: vec![7; w], summary: vec![7; s] }
        }
        fn bitmap(&mut self) -> Bitmap<'_> {
            Bitmap::new(&mut self.words, &mut self.summary)
        }
    }

    #[test]
    fn singles_come_from_the_bottom_and_return() {
        let mut s = Space::new(10_000);
        let mut b = s.bitmap();
        b.put(100, 9000);
        assert_eq!(b.free(), 9000);
        assert_eq!(b.take(), Some(100));
        assert_eq!(b.take(), Some(101));
        b.put(100, 1);
        assert_eq!(b.take(), Some(100));
        assert_eq!(b.free(), 8998);
    }

    #[test]
    fn every_frame_comes_out_once() {
        let mut s = Space::new(5000);
        let mut b = s.bitmap();
        b.put(3, 70);
        b.put(4200, 700);
        let mut seen: Vec<usize> = core::iter::from_fn(|| b.take()).collect();
        assert_eq!(b.free(), 0);
        seen.sort_unstable();
        assert_eq!(seen, (3..73).chain(4200..4900).collect::<Vec<_>>());
    }

    #[test]
    fn runs_come_from_the_top_and_cross_words() {
        let mut s = Space::new(64 * 200);
        let mut b = s.bitmap();
        b.put(10, 64 * 190);
        assert_eq!(b.take_run(256), Some(10 + 64 * 190 - 256));
        assert_eq!(b.take_run(1), Some(10 + 64 * 190 - 257));
        let (mut last, mut got) = (usize::MAX, 0);
        while let Some(r) = b.take_run(77) {
            assert!(r + 77 <= last);
            (last, got) = (r, got + 77);
        }
        assert_eq!(b.free(), 64 * 190 - 257 - got);
        assert!(b.free() < 77);
    }

    #[test]
    fn a_run_needs_neighbours() {
        let mut s = Space::new(1024);
        let mut b = s.bitmap();
        for i in (0..1024).step_by(2) {
            b.put(i, 1);
        }
        assert_eq!(b.take_run(2), None);
        b.put(501, 1);
        assert_eq!(b.take_run(3), Some(500));
        assert_eq!(b.free(), 510);
    }

    #[test]
    fn empty_stretches_between_runs_are_skipped_right() {
        let mut s = Space::new(64 * 64 * 4);
        let mut b = s.bitmap();
        b.put(64 * 64 - 5, 10); // around a summary word's edge
        b.put(64 * 64 * 3, 3);
        assert_eq!(b.take_run(10), Some(64 * 64 - 5));
        assert_eq!(b.take_run(4), None);
        assert_eq!(b.take_run(3), Some(64 * 64 * 3));
        assert_eq!(b.take(), None);
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn freeing_twice_is_found() {
        let mut s = Space::new(100);
        let mut b = s.bitmap();
        b.put(5, 10);
        b.put(14, 1);
    }
}
