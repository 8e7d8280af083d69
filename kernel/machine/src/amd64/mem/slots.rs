//! Which addresses of the heap's window are taken, as arithmetic on page numbers. No hardware: tested on the host.
//!
//! The window is cut into areas of 16 GiB, one for each power of two of pages, and an area into slots of that size. A
//! block gets a slot of the smallest size that holds it, so slots never have to be split or joined, and a block's
//! address alone says how far it may grow where it is. Addresses are wasted by this, memory is not: what a block does
//! not fill of its slot has no frames.
//!
//! Nothing is allocated for the bookkeeping. A free slot remembers the next one in its own entry of the page table,
//! which the processor ignores as long as it is not present: [`Links`]. So a slot can be given back only if its first
//! page has a page table; [`Slots::take`] hands out no slot of which that is not known.

/// Pages of an area: 16 GiB.
const AREA: u64 = 1 << 22;
/// Slots of 1 page up to 4 GiB.
const CLASSES: usize = 21;
/// Pages that one page table is for.
pub const TABLE: u64 = 512;

/// Where a free slot remembers a number, by the number of its first page. Numbers have at most 40 bits.
pub trait Links {
    /// The number that was remembered last.
    fn get(&self, page: u64) -> u64;
    /// Remembers a number.
    fn set(&mut self, page: u64, number: u64);
}

/// What is known of the slots of one size.
#[derive(Clone, Copy)]
struct Class {
    /// One more than the number of the first free slot among those that were used before, or 0.
    free: u64,
    /// Slots from here on were never used.
    next: u64,
    /// Slots below have a page table for their first page.
    reached: u64,
}

/// The slots of the window. Pages are counted from its start.
pub struct Slots {
    classes: [Class; CLASSES],
}

/// What [`Slots::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A slot, which is the caller's now: its first page.
    Slot(u64),
    /// The next slot begins with this page, which has to be [reached](Slots::reach) first.
    Unreached(u64),
    /// There is none.
    Nothing,
}

impl Slots {
    /// All are free.
    pub const fn new() -> Slots {
        Slots { classes: [Class { free: 0, next: 0, reached: 0 }; CLASSES] }
    }

    /// Takes a slot for `pages` pages, of the smallest size that has one.
    pub fn take(&mut self, pages: u64, links: &impl Links) -> Found {
        for class in class_for(pages)..CLASSES {
            let c = &mut self.classes[class];
            if c.free > 0 {
                let page = first(class, c.free - 1);
                c.free = links.get(page);
                return Found::Slot(page);
            }
            if c.next < AREA >> class {
                let page = first(class, c.next);
                if c.next >= c.reached {
                    return Found::Unreached(page);
                }
                c.next += 1;
                return Found::Slot(page);
            }
        }
        Found::Nothing
    }

    /// Says that there is a page table for `page`, which [`Slots::take`] found unreached.
    pub fn reach(&mut self, page: u64) {
        let class = (page / AREA) as usize;
        let end = (page / TABLE + 1) * TABLE % AREA; // 0 at the end of the area
        let reached = if end == 0 { AREA } else { end }.div_ceil(1 << class);
        if let Some(c) = self.classes.get_mut(class) {
            c.reached = c.reached.max(reached);
        }
    }

    /// Gives back the slot that begins with `page`.
    pub fn put(&mut self, page: u64, links: &mut impl Links) {
        let class = (page / AREA) as usize;
        if let Some(c) = self.classes.get_mut(class) {
            links.set(page, c.free);
            c.free = ((page % AREA) >> class) + 1;
        }
    }
}

/// How many pages the slot has that begins with `page`.
pub const fn room(page: u64) -> u64 {
    1 << (page / AREA)
}

/// The smallest size, as a power of two, that holds so many pages.
fn class_for(pages: u64) -> usize {
    pages.max(1).checked_next_power_of_two().map_or(CLASSES, |n| n.trailing_zeros() as usize)
}

/// The first page of a slot.
fn first(class: usize, number: u64) -> u64 {
    class as u64 * AREA + (number << class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Page tables that are made when they are asked for.
    #[derive(Default)]
    struct Tables(HashMap<u64, [u64; TABLE as usize]>);

    impl Links for Tables {
        fn get(&self, page: u64) -> u64 {
            self.0[&(page / TABLE)][(page % TABLE) as usize]
        }
        fn set(&mut self, page: u64, number: u64) {
            assert!(number < 1 << 40);
            self.0.get_mut(&(page / TABLE)).expect("a link without a table")[(page % TABLE) as usize] =
                number;
        }
    }

    fn take(s: &mut Slots, t: &mut Tables, pages: u64) -> Option<u64> {
        loop {
            match s.take(pages, t) {
                Found::Slot(page) => return Some(page),
                Found::Unreached(page) => {
                    t.0.entry(page / TABLE).or_insert([u64::MAX; TABLE as usize]);
                    s.reach(page);
                }
                Found::Nothing => return None,
            }
        }
    }

    #[test]
    fn slots_are_apart_and_large_enough() {
        let (mut s, mut t) = (Slots::new(), Tables::default());
        let mut taken = Vec::new();
        for i in 0..3000u64 {
            let pages = i * i % 700 + 1;
            let page = take(&mut s, &mut t, pages).unwrap();
            assert!(room(page) >= pages && room(page) < 2 * pages);
            taken.push((page, page + room(page)));
        }
        taken.sort_unstable();
        assert!(taken.windows(2).all(|w| w[0].1 <= w[1].0));
    }

    #[test]
    fn what_was_given_back_comes_first_and_the_newest_of_it() {
        let (mut s, mut t) = (Slots::new(), Tables::default());
        let all: Vec<u64> = (0..600).map(|_| take(&mut s, &mut t, 3).unwrap()).collect();
        for page in &all {
            s.put(*page, &mut t);
        }
        for page in all.iter().rev() {
            assert_eq!(take(&mut s, &mut t, 4), Some(*page));
        }
        assert!(!all.contains(&take(&mut s, &mut t, 4).unwrap()));
    }

    #[test]
    fn a_table_is_asked_for_once() {
        let (mut s, mut t) = (Slots::new(), Tables::default());
        let pages: Vec<u64> = (0..1025).map(|_| take(&mut s, &mut t, 1).unwrap()).collect();
        assert_eq!(pages, (0..1025).collect::<Vec<_>>());
        assert_eq!(t.0.len(), 3);
        assert_eq!(take(&mut s, &mut t, 1500), Some(11 * AREA));
        assert_eq!(take(&mut s, &mut t, 1500), Some(11 * AREA + 2048));
        assert_eq!(t.0.len(), 5);
    }

    #[test]
    fn a_failed_reach_changes_nothing() {
        let (mut s, mut t) = (Slots::new(), Tables::default());
        assert_eq!(s.take(2, &t), Found::Unreached(AREA));
        assert_eq!(s.take(2, &t), Found::Unreached(AREA));
        assert_eq!(take(&mut s, &mut t, 2), Some(AREA));
    }

    #[test]
    fn a_full_area_is_helped_out_by_the_next_and_all_of_it_comes_back() {
        let (mut s, mut t) = (Slots::new(), Tables::default());
        let huge = 1 << 20;
        let mut taken: Vec<u64> = std::iter::from_fn(|| take(&mut s, &mut t, huge)).collect();
        assert_eq!(taken.len(), 4);
        assert_eq!(take(&mut s, &mut t, huge / 2 + 1), None);
        let half = take(&mut s, &mut t, huge / 2).unwrap();
        assert_eq!(room(half), huge / 2);
        s.put(taken.pop().unwrap(), &mut t);
        for _ in 0..7 {
            assert_eq!(take(&mut s, &mut t, huge / 2).map(room), Some(huge / 2));
        }
        assert_eq!(take(&mut s, &mut t, huge / 2).map(room), Some(huge));
        assert_eq!(take(&mut s, &mut t, huge / 2), None);
    }

    #[test]
    fn more_than_the_largest_is_nothing() {
        let (mut s, mut t) = (Slots::new(), Tables::default());
        for pages in [(1 << 20) + 1, 1 << 52, (1 << 63) + 1, u64::MAX] {
            assert_eq!(take(&mut s, &mut t, pages), None);
        }
        assert_eq!(take(&mut s, &mut t, 0), Some(0));
    }
}
