//! The longest common subsequence of two lists, by Myers' way from both ends at once: where the two searches meet, the
//! lists are split, and each half is searched in turn. Where that would take too long the search stops at the best
//! place so far, and what comes out is right, if not the shortest.

use alloc::vec;
use alloc::vec::Vec;

/// Steps of one search after which the best place so far is taken.
const PATIENCE: i64 = 1000;
const NEVER: i64 = i64::MIN;

/// A part of both lists: `a0..a1` and `b0..b1`.
#[derive(Clone, Copy)]
struct Part {
    a0: usize,
    a1: usize,
    b0: usize,
    b1: usize,
}

/// Places of the elements that both lists keep, in order, in pairs.
pub(super) fn kept(a: &[u32], b: &[u32]) -> Vec<(usize, usize)> {
    let mut search = Search::new(a, b);
    let mut pairs = Vec::new();
    let mut todo = vec![Part { a0: 0, a1: a.len(), b0: 0, b1: b.len() }];
    while let Some(mut part) = todo.pop() {
        while part.a0 < part.a1 && part.b0 < part.b1 && a.get(part.a0) == b.get(part.b0) {
            pairs.push((part.a0, part.b0));
            part = Part { a0: part.a0 + 1, b0: part.b0 + 1, ..part };
        }
        while part.a0 < part.a1 && part.b0 < part.b1 && a.get(part.a1 - 1) == b.get(part.b1 - 1) {
            part = Part { a1: part.a1 - 1, b1: part.b1 - 1, ..part };
            pairs.push((part.a1, part.b1));
        }
        if part.a0 == part.a1 || part.b0 == part.b1 {
            continue;
        }
        let (x, y) = search.split(part);
        let first = Part { a1: x, b1: y, ..part };
        let second = Part { a0: x, b0: y, ..part };
        let whole = |p: Part| (p.a0, p.a1, p.b0, p.b1) == (part.a0, part.a1, part.b0, part.b1);
        if !whole(first) && !whole(second) {
            todo.push(first);
            todo.push(second);
        }
    }
    pairs.sort_unstable();
    pairs
}

/// How far the searches have come: for each diagonal `x - y` the place in `a`. What was used is `NEVER` again after
/// each search.
struct Search<'a> {
    a: &'a [u32],
    b: &'a [u32],
    forth: Vec<i64>,
    back: Vec<i64>,
}

impl<'a> Search<'a> {
    fn new(a: &'a [u32], b: &'a [u32]) -> Self {
        let diagonals = a.len() + b.len() + 3;
        Search { a, b, forth: vec![NEVER; diagonals], back: vec![NEVER; diagonals] }
    }

    /// The place of a diagonal in the two tables.
    fn index(&self, k: i64) -> usize {
        usize::try_from(k + self.b.len() as i64 + 1).unwrap_or(0)
    }

    fn get(table: &[i64], index: usize) -> Option<i64> {
        table.get(index).copied().filter(|x| *x != NEVER)
    }

    fn same(&self, x: i64, y: i64) -> bool {
        let at = |list: &[u32], n: i64| usize::try_from(n).ok().and_then(|n| list.get(n).copied());
        at(self.a, x).is_some_and(|p| at(self.b, y) == Some(p))
    }

    /// A place to split the part, whose first and last elements differ: on a shortest way through it, if that is found
    /// in time.
    fn split(&mut self, part: Part) -> (usize, usize) {
        let [a0, a1, b0, b1] = [part.a0, part.a1, part.b0, part.b1].map(|n| n as i64);
        let (begin, end) = (a0 - b0, a1 - b1);
        let (low, high) = (a0 - b1, a1 - b0);
        let i = self.index(begin);
        self.forth[i] = a0;
        let i = self.index(end);
        self.back[i] = a1;
        let odd = (begin - end) % 2 != 0;
        let mut steps = 0;
        let found = loop {
            steps += 1;
            let met = self.forwards(part, steps, odd).or_else(|| self.backwards(part, steps, odd));
            if met.is_some() {
                break met;
            }
            if steps >= PATIENCE {
                // The place that is furthest from the beginning.
                let span = (begin - steps).max(low)..=(begin + steps).min(high);
                let reached = span.filter_map(|k| Some((Self::get(&self.forth, self.index(k))?, k)));
                break reached.max_by_key(|(x, k)| 2 * x - k).map(|(x, k)| (x, x - k));
            }
        };
        for (from, centre) in [(true, begin), (false, end)] {
            let (first, last) = ((centre - steps).max(low) - 1, (centre + steps).min(high) + 1);
            let span = self.index(first)..=self.index(last);
            let table = if from { &mut self.forth } else { &mut self.back };
            if let Some(used) = table.get_mut(span) {
                used.fill(NEVER);
            }
        }
        let (x, y) = found.unwrap_or((a0, b0));
        let within = |n: i64, low: usize, high: usize| usize::try_from(n).unwrap_or(low).clamp(low, high);
        (within(x, part.a0, part.a1), within(y, part.b0, part.b1))
    }

    /// One step more from the beginning on every other diagonal; where it meets the search from the end.
    fn forwards(&mut self, part: Part, steps: i64, odd: bool) -> Option<(i64, i64)> {
        let [a0, a1, b0, b1] = [part.a0, part.a1, part.b0, part.b1].map(|n| n as i64);
        let begin = a0 - b0;
        for k in (begin - steps..=begin + steps).step_by(2) {
            if k < a0 - b1 || k > a1 - b0 {
                continue;
            }
            let i = self.index(k);
            let right = Self::get(&self.forth, i - 1).filter(|x| *x < a1).map(|x| x + 1);
            let down = Self::get(&self.forth, i + 1).filter(|x| x - (k + 1) < b1);
            let Some(mut x) = right.max(down) else { continue };
            while x < a1 && x - k < b1 && self.same(x, x - k) {
                x += 1;
            }
            self.forth[i] = x;
            if odd && Self::get(&self.back, i).is_some_and(|back| x >= back) {
                return Some((x, x - k));
            }
        }
        None
    }

    /// The same from the end.
    fn backwards(&mut self, part: Part, steps: i64, odd: bool) -> Option<(i64, i64)> {
        let [a0, a1, b0, b1] = [part.a0, part.a1, part.b0, part.b1].map(|n| n as i64);
        let end = a1 - b1;
        for k in (end - steps..=end + steps).step_by(2) {
            if k < a0 - b1 || k > a1 - b0 {
                continue;
            }
            let i = self.index(k);
            let left = Self::get(&self.back, i + 1).filter(|x| *x > a0).map(|x| x - 1);
            let up = Self::get(&self.back, i - 1).filter(|x| x - (k - 1) > b0);
            let nearer = match (left, up) {
                (Some(left), Some(up)) => Some(left.min(up)),
                (left, up) => left.or(up),
            };
            let Some(mut x) = nearer else { continue };
            while x > a0 && x - k > b0 && self.same(x - 1, x - k - 1) {
                x -= 1;
            }
            self.back[i] = x;
            if !odd && Self::get(&self.forth, i).is_some_and(|forth| forth >= x) {
                return Some((x, x - k));
            }
        }
        None
    }
}
