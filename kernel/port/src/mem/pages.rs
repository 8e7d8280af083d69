//! A sparse table of pages: what a segment of many gigabytes with a few pages in it needs.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry::{Occupied, Vacant};

use machine::page::Page;

use crate::error::Result;

/// Pages of one chunk of the table: half a megabyte.
const CHUNK: u64 = 128;

/// A page of the table.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The page.
    pub(crate) page: Page,
    /// Somebody else may hold it as well: copy before writing.
    pub(crate) cow: bool,
}

type Chunk = Box<[Option<Entry>; CHUNK as usize]>;

/// Pages by their number, counted from the segment's base.
#[derive(Default)]
pub(crate) struct PageMap {
    /// None of them is empty.
    chunks: BTreeMap<u64, Chunk>,
    /// Pages in all of them.
    count: u64,
}

impl PageMap {
    /// The page with this number, if it is there.
    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.chunks.get(&(number / CHUNK))?.get((number % CHUNK) as usize)?.as_ref()
    }

    /// The number of the first page from `number` on that is there.
    pub(crate) fn first_from(&self, number: u64) -> Option<u64> {
        self.chunks.range(number / CHUNK..).find_map(|(&chunk, places)| {
            let numbers = (chunk * CHUNK..).zip(places.iter());
            numbers.filter(|(_, place)| place.is_some()).map(|(n, _)| n).find(|&n| n >= number)
        })
    }

    /// Puts a page into its place, in place of whatever was there.
    ///
    /// # Errors
    /// `virtual memory allocation failed` when the table would have to grow and the kernel is short of memory: a
    /// program that reads gigabytes of zeros makes it grow, though it takes no pages.
    pub(crate) fn insert(&mut self, number: u64, entry: Entry) -> Result<()> {
        let chunk = match self.chunks.entry(number / CHUNK) {
            Occupied(chunk) => chunk.into_mut(),
            Vacant(_) if !machine::heap::is_granted() => return Err(abi::error::ENOVMEM.into()),
            Vacant(place) => place.insert(Box::new([const { None }; CHUNK as usize])),
        };
        if let Some(place) = chunk.get_mut((number % CHUNK) as usize) {
            self.count += u64::from(place.replace(entry).is_none());
        }
        Ok(())
    }

    /// All pages that are there, in order, to look at or change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Entry)> {
        self.chunks.iter_mut().flat_map(|(&chunk, places)| {
            places
                .iter_mut()
                .enumerate()
                .filter_map(move |(i, place)| place.as_mut().map(|entry| (chunk * CHUNK + i as u64, entry)))
        })
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes out the pages `from..to`.
    pub(crate) fn remove_range(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let last = (to - 1) / CHUNK;
        let mut at = from / CHUNK;
        // Chunk by chunk of those that are there: the range may be far larger.
        while let Some((&chunk, places)) = self.chunks.range_mut(at..=last).next() {
            let mut left = false;
            for (number, place) in (chunk * CHUNK..).zip(places.iter_mut()) {
                if (from..to).contains(&number) {
                    self.count -= u64::from(place.take().is_some());
                }
                left |= place.is_some();
            }
            if !left {
                self.chunks.remove(&chunk);
            }
            at = chunk + 1;
            if at > last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_and_cut() {
        let mut map = PageMap::default();
        for n in [0, 1, 127, 128, 1 << 24] {
            let page = Page::new_zeroed().unwrap();
            map.insert(n, Entry { page, cow: false }).unwrap();
        }
        assert_eq!(map.count(), 5);
        assert!(map.get(2).is_none());
        let firsts = [0, 2, 127, 129, 1 << 24, (1 << 24) + 1].map(|n| map.first_from(n));
        assert_eq!(firsts, [Some(0), Some(127), Some(127), Some(1 << 24), Some(1 << 24), None]);
        map.remove_range(1, 128);
        assert_eq!(map.iter_mut().map(|(n, _)| n).collect::<alloc::vec::Vec<_>>(), [0, 128, 1 << 24]);
        map.remove_range(0, u64::MAX);
        assert_eq!(map.count(), 0);
        assert!(map.chunks.is_empty());
    }
}
