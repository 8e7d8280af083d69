//! What the other side has told of stretches that have come to it apart from the rest.

use super::segment::Stretch;
use super::seq::Seq;

/// Stretches that are remembered; of more the later ones are forgotten.
const MOST: usize = 32;

/// Stretches in their order, none of which touches another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    all: [Stretch; MOST],
    count: usize,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks { all: [(Seq(0), Seq(0)); MOST], count: 0 }
    }
}

impl Marks {
    fn get(&self) -> &[Stretch] {
        self.all.get(..self.count).unwrap_or(&[])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of them all.
    pub(crate) fn len(&self) -> usize {
        self.get().iter().map(|(from, to)| to.beyond(*from)).sum()
    }

    /// The end of the last one.
    pub(crate) fn end(&self) -> Option<Seq> {
        self.get().last().map(|(_, to)| *to)
    }

    /// One more is told of; whether that says something new.
    pub(crate) fn add(&mut self, (from, to): Stretch) -> bool {
        if !from.is_before(to) {
            return false;
        }
        if self.get().iter().any(|(a, b)| !from.is_before(*a) && !b.is_before(to)) {
            return false;
        }
        let (mut new, mut merged) = ((from, to), Marks::default());
        let mut is_put = false;
        for one in self.get() {
            if one.1.is_before(new.0) {
                merged.push(*one);
            } else if new.1.is_before(one.0) {
                if !core::mem::replace(&mut is_put, true) {
                    merged.push(new);
                }
                merged.push(*one);
            } else {
                new = (new.0.earlier(one.0), new.1.later(one.1));
            }
        }
        if !is_put {
            merged.push(new);
        }
        *self = merged;
        true
    }

    fn push(&mut self, one: Stretch) {
        if let Some(place) = self.all.get_mut(self.count) {
            *place = one;
            self.count += 1;
        }
    }

    /// What is before this place is acknowledged.
    pub(crate) fn forget(&mut self, una: Seq) {
        if self.get().first().is_none_or(|(from, _)| !from.is_before(una)) {
            return;
        }
        let old = *self;
        self.count = 0;
        for (from, to) in old.get() {
            if una.is_before(*to) {
                self.push((from.later(una), *to));
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// The first gap at or behind a place, and before the last stretch.
    pub(crate) fn gap(&self, from: Seq) -> Option<Stretch> {
        let mut at = from;
        for (begin, end) in self.get() {
            if at.is_before(*begin) {
                return Some((at, *begin));
            }
            at = at.later(*end);
        }
        None
    }

    /// Bytes of gaps between two places.
    pub(crate) fn gaps(&self, from: Seq, to: Seq) -> usize {
        let within = |(begin, end): &Stretch| end.earlier(to).beyond(begin.later(from));
        to.beyond(from) - self.get().iter().map(within).sum::<usize>().min(to.beyond(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_put_together() {
        let s = |from: u32, to: u32| (Seq(from), Seq(to));
        let mut marks = Marks::default();
        assert!(marks.add(s(10, 20)) && marks.add(s(30, 40)) && marks.add(s(50, 60)));
        assert!(!marks.add(s(12, 20)) && !marks.add(s(9, 9)) && !marks.add(s(9, 8)));
        assert_eq!((marks.len(), marks.end()), (30, Some(Seq(60))));
        assert_eq!((marks.gap(Seq(5)), marks.gap(Seq(10))), (Some(s(5, 10)), Some(s(20, 30))));
        assert_eq!((marks.gap(Seq(42)), marks.gap(Seq(55))), (Some(s(42, 50)), None));
        assert_eq!((marks.gaps(Seq(5), Seq(35)), marks.gaps(Seq(5), Seq(60))), (15, 25));
        // One that touches two makes them one.
        assert!(marks.add(s(20, 30)));
        assert_eq!(marks.get(), [s(10, 40), s(50, 60)]);
        assert!(marks.add(s(5, 55)));
        assert_eq!(marks.get(), [s(5, 60)]);
        marks.forget(Seq(7));
        assert_eq!(marks.get(), [s(7, 60)]);
        marks.forget(Seq(60));
        assert!(marks.is_empty() && marks.gap(Seq(1)).is_none());
        assert_eq!(marks.gaps(Seq(1), Seq(9)), 8);
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut marks = Marks::default();
        for n in 0..100 {
            marks.add((Seq(1000 - 10 * n), Seq(1003 - 10 * n)));
        }
        assert_eq!(marks.count, MOST);
        assert_eq!(marks.get()[0], (Seq(10), Seq(13)));
    }
}
